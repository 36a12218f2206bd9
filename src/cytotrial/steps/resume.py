"""Go on with a run that was ended, or make again what was changed after it was made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cytotrial.errors import ConfigError
from cytotrial.files.claim import holder
from cytotrial.files.seals import sealed_below
from cytotrial.steps.layout import Layout
from cytotrial.steps.records import FOLDER
from cytotrial.steps.runs import RESUME
from cytotrial.steps.trial import load_trial

LOCKS = FOLDER / "locks"


def resume(config: Path, arguments: Sequence[str], *, default: Path) -> int:
    """Run snakemake to the end, whatever ended the last run; its exit code.

    Snakemake's lock is taken off only if no run holds the results folder. What was killed half way, what
    has no record and what was changed or lost is made again; all else is kept.

    Parameters
    ----------
    config : Path
    arguments : sequence of str
        Further arguments of snakemake, such as `--profile workflow/profiles/slurm`.
    default : Path
        The configuration that snakemake reads without being told.

    Raises
    ------
    ConfigError
        If a run is at work in the results folder.
    """
    layout = Layout(Path(load_trial(config).settings.results))
    if at_work := holder(layout.claim):
        raise ConfigError(
            f"the run is still at work in {layout.results}: {at_work}.", hint="There is nothing to resume."
        )
    named = [] if config == default else ["--configfile", str(config)]
    environment = {**os.environ, RESUME: "1"}
    if any(LOCKS.glob("*")):
        _snakemake([*named, "--unlock", "--quiet"], environment)
    gone = any(not path.exists() for path in sealed_below(layout.results))
    lost = _lost([*named, "--summary"], environment) if gone else []
    forced = ["--forcerun", *lost] if lost else []
    command = [sys.executable, "-m", "snakemake", *named, "--rerun-incomplete", *forced, *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def _lost(arguments: Sequence[str], environment: dict[str, str]) -> list[str]:
    """Results that are gone while what was made from them stands: snakemake alone would not miss them."""
    table = [line.split("\t") for line in _snakemake(arguments, environment).splitlines()]
    header = next((line for line in table if line[0] == "output_file"), [])
    if not header:
        return []
    status, plan = header.index("status"), header.index("plan")
    rows = [line for line in table if len(line) == len(header)]
    return [line[0] for line in rows if line[status] == "missing" and line[plan] == "no update"]


def _snakemake(arguments: Sequence[str], environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", "snakemake", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ConfigError(f"snakemake {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout
