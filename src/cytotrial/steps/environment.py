"""The environment that the jobs of one run inherit."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from pathlib import Path

from cytotrial.settings import Execution
from cytotrial.steps.plan import Plan


def prepare_environment(plan: Plan) -> None:
    """Let jobs find `cytotrial`, read the same configuration, and notice if it is edited meanwhile.

    One thread per job for linear algebra: the jobs themselves run side by side. The allocator is
    told to keep megabyte-sized arrays, which are asked for and given back for every tube.
    """
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.environ["CYTOTRIAL_CONFIG"] = str(plan.trial.config)
    os.environ["CYTOTRIAL_STUDY"] = plan.study_digest
    defaults = {
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
        "MALLOC_TOP_PAD_": str(64 << 20),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)


def limit_this_job(execution: Execution) -> None:
    """Cap the time and the memory of the running job, so that no file can hold up or fill the machine.

    Where the system knows no limit on address space (macOS), only the time is capped.
    """
    signal.alarm(60 * execution.job_minutes)
    most = int(execution.job_gigabytes * 2**30)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
