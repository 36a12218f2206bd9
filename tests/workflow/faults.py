"""What the tests of faults and kills share: runs, commands, and results to compare."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.workflow.study import BIN, Study

Contents = dict[str, bytes]

Command = subprocess.CompletedProcess[str]

PATH = f"{BIN}{os.pathsep}{os.environ['PATH']}"


def results_in(study: Study, name: str = "results") -> Contents:
    """Every result by its path; not the manifest, which has a clock, the database, whose file has an identity
    of its own, nor logs and the workflow's notes."""
    folder = study.path(name)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part[0] == "." for part in path.relative_to(folder).parts)
        and path.name not in {"manifest.json", "trial.duckdb"}
        and "logs" not in path.parts
    }


def cytotrial(study: Study, *arguments: str, **environment: str) -> Command:
    return subprocess.run(
        [str(BIN / "cytotrial"), *arguments],
        cwd=study.folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": PATH, **environment},
    )


def resumed(study: Study) -> Contents:
    """The results after the documented command; it must succeed, and `verify` must agree."""
    done = cytotrial(study, "resume", "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    checked = cytotrial(study, "verify")
    assert checked.returncode == 0, checked.stdout
    return results_in(study)


def refused(done: Command) -> str:
    """What was said with exit code 1; never a traceback."""
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    return said


@contextmanager
def running(study: Study, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A run that has claimed the results folder; what is left of it at the end is killed."""
    began = time.time()
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=study.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PATH": PATH},
    )
    try:
        claim = study.path("results", ".run.json")
        while not (claim.exists() and claim.stat().st_mtime > began) and process.poll() is None:
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
