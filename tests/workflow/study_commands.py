"""Commands of `cytotrial` as a user types them, in the folder of a study."""

from __future__ import annotations

import os
import subprocess

from tests.workflow.study import BIN, Study


def cytotrial(study: Study, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the study's configuration; output and exit code are the caller's to look at."""
    return subprocess.run(
        [str(BIN / "cytotrial"), *arguments],
        cwd=study.folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CYTOTRIAL_CONFIG": study.configfile},
    )


def done(study: Study, *arguments: str, code: int = 0) -> str:
    """What a command prints; it must end with an exit code."""
    run = cytotrial(study, *arguments)
    assert run.returncode == code, run.stdout + run.stderr
    return run.stdout
