"""The environment that the jobs of one run inherit."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import resource
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cytotrial.steps.plan import Plan

LIMITS = "CYTOTRIAL_LIMITS"
"""Environment variable of a run's jobs: the minutes and gigabytes that each may take."""

GRACE = 5.0
"""Seconds that a process has to say that its time is over."""


def prepare_environment(plan: Plan, *, main: bool = True) -> None:
    """Let jobs find `cytotrial`, read the same configuration, and notice if it is edited meanwhile.

    One thread per job for linear algebra: the jobs themselves run side by side. The allocator is told to
    keep megabyte-sized arrays, which are asked for and given back for every tube. Nobody looks for plugins
    of pydantic, which takes a job longer than reading its configuration.

    Parameters
    ----------
    main : bool
        Whether this is the process that the user started; on a cluster a job reads the workflow
        again, and must not forget what the run began with.
    """
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    execution = plan.trial.settings.execution
    of_this_run = {
        "CYTOTRIAL_CONFIG": str(plan.trial.config),
        "CYTOTRIAL_STUDY": plan.study_digest,
        LIMITS: f"{execution.job_minutes}:{execution.job_gigabytes}",
    }
    if main:
        os.environ |= of_this_run
    defaults = {
        **of_this_run,
        "OPENBLAS_NUM_THREADS": "1",
        "PYDANTIC_DISABLE_PLUGINS": "1",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
        "MALLOC_TOP_PAD_": str(64 << 20),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def limit_this_job() -> None:
    """Put the limits that the run gives its jobs on this process; none outside a run."""
    minutes, _, gigabytes = os.environ.get(LIMITS, "").partition(":")
    if minutes and gigabytes:
        limit(seconds=60 * float(minutes), gigabytes=float(gigabytes))


def limit(*, seconds: float, gigabytes: float) -> None:
    """Cap time and memory of this process, so that no file can hold up or fill the machine.

    Past its time the process says so and ends; should it be stuck where it cannot say anything, it is
    ended a little later with the place where it stands. Where the system knows no limit on address
    space (macOS), only the time is capped.
    """
    timer = threading.Timer(seconds, _too_long, [seconds])
    timer.daemon = True
    timer.start()
    faulthandler.dump_traceback_later(seconds + GRACE, exit=True)
    most = int(gigabytes * 2**30)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _too_long(seconds: float) -> None:
    print(
        f"cytotrial: the job took longer than {seconds / 60:g} minutes (execution.job_minutes).\n"
        "  Is a file or its disk out of reach? Then mend that, and go on with `cytotrial resume`.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
