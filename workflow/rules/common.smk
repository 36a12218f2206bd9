# Config and sheets are read and checked as data before any rule is defined; what a rule's
# result depends on is in its inputs and in three params: its slice of the settings, the
# content of its tubes (sheet rows and file bytes), and the code that computes it.

import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from cytotrial.errors import CytotrialError
from cytotrial.settings import canonical
from cytotrial.steps.code import code_of
from cytotrial.steps.environment import prepare_environment
from cytotrial.steps.kept import keep_study
from cytotrial.steps.plan import make_plan
from cytotrial.steps.runs import (
    announce_run,
    begin_run,
    end_run,
    examine_results,
    look_only_when_a_job_ends,
    out_of_room,
)

if config and not workflow.overwrite_configfiles:
    raise WorkflowError(
        "Settings on the command line (--config) are not read: write them into "
        "a configuration file and name it with --configfile."
    )

config_files = workflow.overwrite_configfiles or ["config/config.yaml"]

# On a cluster a job reads this file again; the run is the process that the user started.
MAIN = workflow.is_main_process

try:
    PLAN = make_plan(Path(config_files[-1]))
    LAYOUT = PLAN.layout
    prepare_environment(PLAN, main=MAIN)
    if MAIN:
        examine_results(LAYOUT)
        announce_run(LAYOUT)
        keep_study(PLAN)
except CytotrialError as error:
    raise WorkflowError(str(error)) from None


def all_jobs():
    """(rule, outputs) of every job, whether or not there is something to do for it.

    A checkpoint that is done has left the jobs of Snakemake's graph.
    """
    found = [
        (job.rule.name, [str(file) for file in job.output]) for job in workflow.dag.jobs
    ]
    tables = [LAYOUT.pool_table(panel) for panel in sorted(dict(PLAN.pools))]
    return [*found, *(("pool_table", [str(table)]) for table in tables)]


onstart:
    look_only_when_a_job_ends(workflow.scheduler)
    if MAIN:
        try:
            begin_run(LAYOUT, all_jobs(), executor=workflow.executor_plugin.name)
        except CytotrialError as error:
            raise WorkflowError(str(error)) from None


onsuccess:
    if MAIN:
        end_run(LAYOUT, "complete")


onerror:
    if MAIN:
        end_run(LAYOUT, "failed")
        if told := out_of_room(LAYOUT):
            print(told, file=sys.stderr)


# All of the package must be installed where the jobs run; the image is used with --sdm only.
container: "docker://python:3.12-slim"


wildcard_constraints:
    panel="|".join(re.escape(panel) for panel in sorted(PLAN.trial.settings.panels)),
    batch=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    unit=r"(subject|batch|shard|controls)\.[A-Za-z0-9][A-Za-z0-9._-]*",


def checked(tubes):
    """The checks of the units that hold some tubes."""
    return [LAYOUT.checked(unit) for unit in PLAN.units_of(tubes)]


def raw(tubes):
    """The FCS files of some tubes: a change is seen by their content (params), not by their time."""
    return fetched(tubes) or [ancient(path) for path in PLAN.files_of(tubes)]


def fetched(tubes):
    """The objects to bring to a job from a bucket; none if the files lie in a folder.

    A job after the check rests on the files through its params and the check's result. Naming a
    thousand local files as inputs as well would make the scheduler look all of them up, over and over.
    """
    if not PLAN.trial.storage:
        return []
    return [ancient(storage(PLAN.url_of(path))) for path in PLAN.files_of(tubes)]


def shown(path, caption, category):
    """An output that `snakemake --report` shows, with its caption from workflow/report."""
    return report(
        str(path),
        caption=f"../report/{caption}.rst",
        category=category,
        labels={"file": path.name},
    )


def matrix_file(w):
    """The file a matrix is read from, if it comes from a file."""
    mode = PLAN.compensation(w.panel, w.batch)
    return [] if mode in {"controls", "embedded"} else [mode]


def gating_files(w):
    """A panel's gating, and what reference tubes taught its finders."""
    panel = PLAN.trial.settings.panels[w.panel]
    return [panel.gating, *([panel.reference.file] if panel.reference else [])]


def gated(w):
    """A unit's tubes of a panel and the batch's controls that its gates look at."""
    return [*PLAN.tubes_to_gate(w.panel, w.unit), *PLAN.controls_of(w.panel, w.unit)]


def matrices(w):
    """The matrices of the unit's batches; an embedded matrix comes with the tube itself."""
    batches = sorted({tube.batch for tube in gated(w)})
    return [
        LAYOUT.matrix(w.panel, batch)
        for batch in batches
        if PLAN.compensation(w.panel, batch) not in {"embedded", "none"}
        or PLAN.falls_back(w.panel, batch)
    ]


def first_pass(w):
    """What was found on the unit's tubes, and on controls, before their batch had a say."""
    if w.panel not in PLAN.placed_panels:
        return []
    looked_at = PLAN.units_looked_at(w.panel, w.unit)
    steadiness = [LAYOUT.unit_steadiness(w.panel, unit) for unit in looked_at]
    return [LAYOUT.unit_placed(w.panel, w.unit), *steadiness]


def pools(w):
    """Where the unit's batches have their gates; known when all batches of the panel are pooled."""
    batches = PLAN.pools_of(w.panel, w.unit)
    if batches:
        checkpoints.pool_table.get(panel=w.panel)
    return [LAYOUT.pool(w.panel, batch) for batch in batches]
