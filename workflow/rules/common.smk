# Config and sheets are read and checked as data before any rule is defined; what a rule's
# result depends on is in its inputs and in three params: its slice of the settings, the
# content of its tubes (sheet rows and file bytes), and the code that computes it.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from cytotrial.errors import CytotrialError
from cytotrial.steps.plan import code_of, make_plan

os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"]]
)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if config and not workflow.overwrite_configfiles:
    raise WorkflowError(
        "Settings on the command line (--config) are not read: write them into "
        "a configuration file and name it with --configfile."
    )

CONFIG = str(
    workflow.overwrite_configfiles[-1]
    if workflow.overwrite_configfiles
    else "config/config.yaml"
)

try:
    PLAN = make_plan(Path(CONFIG))
except CytotrialError as error:
    raise WorkflowError(str(error)) from None

LAYOUT = PLAN.layout


# All of the package must be installed where the jobs run; the image is used with --sdm only.
container: "docker://python:3.12-slim"


wildcard_constraints:
    panel="|".join(sorted(PLAN.trial.settings.panels)),
    batch=r"[A-Za-z0-9][A-Za-z0-9._-]*",
    unit=r"(subject|shard|batch)\.[A-Za-z0-9][A-Za-z0-9._-]*",


def checked(tubes):
    """The checks of the units that hold some tubes."""
    return [LAYOUT.checked(unit) for unit in PLAN.units_of(tubes)]


def raw(tubes):
    """The FCS files of some tubes: a change is seen by their content (params), not by their time."""
    return [ancient(path) for path in PLAN.files_of(tubes)]
