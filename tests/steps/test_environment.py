"""A job's own limits: they end it, not the run."""

from __future__ import annotations

import subprocess
import sys


def limited(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own under the limits of a job of one minute and one gigabyte."""
    setup = (
        "from cytotrial.settings import Execution\n"
        "from cytotrial.steps.environment import limit_this_job\n"
        "limit_this_job(Execution(job_minutes=1, job_gigabytes=1.0))\n"
    )
    return subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, check=False)


def test_a_job_is_refused_more_memory_than_its_limit():
    done = limited("bytearray(2 * 2**30)")
    assert done.returncode == 1
    assert "MemoryError" in done.stderr


def test_a_job_has_an_alarm_set_to_its_limit():
    done = limited("import signal\nprint(signal.alarm(0))")
    assert 50 <= int(done.stdout) <= 60
