# Config and sheets are read and checked as data before any rule is defined; what a rule's
# result depends on is in its inputs and in three params: its slice of the settings, the
# content of its tubes (sheet rows and file bytes), and the code that computes it.

import re
from pathlib import Path

from snakemake.exceptions import WorkflowError

from cytotrial.errors import CytotrialError
from cytotrial.steps.code import code_of
from cytotrial.steps.environment import prepare_environment
from cytotrial.steps.plan import make_plan

if config and not workflow.overwrite_configfiles:
    raise WorkflowError(
        "Settings on the command line (--config) are not read: write them into "
        "a configuration file and name it with --configfile."
    )

config_files = workflow.overwrite_configfiles or ["config/config.yaml"]

try:
    PLAN = make_plan(Path(config_files[-1]))
except CytotrialError as error:
    raise WorkflowError(str(error)) from None

LAYOUT = PLAN.layout
prepare_environment(PLAN)


# All of the package must be installed where the jobs run; the image is used with --sdm only.
container: "docker://python:3.12-slim"


wildcard_constraints:
    panel="|".join(re.escape(panel) for panel in sorted(PLAN.trial.settings.panels)),
    batch=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    unit=r"(subject|shard|batch)\.[A-Za-z0-9][A-Za-z0-9._-]*",


def checked(tubes):
    """The checks of the units that hold some tubes."""
    return [LAYOUT.checked(unit) for unit in PLAN.units_of(tubes)]


def raw(tubes):
    """The FCS files of some tubes: a change is seen by their content (params), not by their time."""
    return [ancient(path) for path in PLAN.files_of(tubes)]


def matrix_file(w):
    """The file a matrix is read from, if it comes from a file."""
    mode = PLAN.compensation(w.panel, w.batch)
    return [] if mode in {"controls", "embedded"} else [mode]


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
