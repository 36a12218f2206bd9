"""A job's own limits: they end it, not the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def limited(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own under the limits of a job of half a second and one gigabyte."""
    setup = "from cytotrial.steps.environment import limit\nlimit(seconds=0.5, gigabytes=1.0)\n"
    return subprocess.run([sys.executable, "-c", setup + code], capture_output=True, text=True, check=False)


def test_a_job_is_refused_more_memory_than_its_limit():
    done = limited("bytearray(2 * 2**30)")
    assert done.returncode == 1
    assert "MemoryError" in done.stderr


def test_a_job_that_waits_for_a_pipe_nobody_writes_to_is_ended_and_says_why(tmp_path: Path):
    pipe = tmp_path / "never.fcs"
    os.mkfifo(pipe)
    done = limited(f"open({str(pipe)!r}, 'rb').read()")
    assert done.returncode == 1
    assert "took longer than 0.00833333 minutes (execution.job_minutes)" in done.stderr
    assert "cytotrial resume" in done.stderr


def test_the_limits_of_a_run_reach_its_jobs_and_nobody_else(monkeypatch: pytest.MonkeyPatch):
    code = "from cytotrial.steps.environment import limit_this_job\nlimit_this_job()\nbytearray(2 * 2**30)"
    monkeypatch.setenv("CYTOTRIAL_LIMITS", "60:1.0")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 1
    monkeypatch.delenv("CYTOTRIAL_LIMITS")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
