"""A simulated trial in a folder of its own, with the workflow beside it as a user's clone has it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from measuring import run

REPOSITORY = Path(__file__).resolve().parents[1]
DEMO = Path("resources/demo")
"""Where the embedded configuration looks for the trial."""


def install_trial(folder: Path, *, subjects: int, events: int) -> None:
    """Copy Snakefile, workflow and configuration, and write the trial."""
    shutil.copy(REPOSITORY / "Snakefile", folder)
    shutil.copytree(REPOSITORY / "workflow", folder / "workflow")
    shutil.copytree(REPOSITORY / "config", folder / "config")
    (folder / "profiles").symlink_to("workflow/profiles")
    cytotrial = Path(sys.executable).parent / "cytotrial"
    sizes = ["--subjects", str(subjects), "--events", str(events)]
    run([cytotrial, "demo", DEMO, *sizes], folder=folder)


def fcs_files(folder: Path) -> list[Path]:
    return sorted((folder / DEMO / "fcs").rglob("*.fcs"))
