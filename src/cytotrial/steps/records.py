"""What Snakemake remembers of each result: whether it made the file that stands there now.

Snakemake reruns a job when its settings change only if it has a record of the job, and believes a record
whatever happened to the file since. A result without a record, or whose time is not the recorded one (made
by a job that outlived its run, by another working folder, or put there), is marked as incomplete here, in
Snakemake's own way: it is then made again.
"""

from __future__ import annotations

import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

FOLDER = Path(".snakemake")


def recorded_times(folder: Path = FOLDER) -> Mapping[str, float]:
    """Result → the time of change that it had when Snakemake recorded it.

    Parameters
    ----------
    folder : Path
        Snakemake's folder of the working folder.
    """
    return {name: _time_in(path) for name, path in _entries(folder / "metadata")}


def marked_incomplete(folder: Path = FOLDER) -> set[str]:
    """Results that a job was making when it or its run was ended."""
    return {name for name, _ in _entries(folder / "incomplete")}


def mark_incomplete(names: Iterable[str], folder: Path = FOLDER) -> None:
    """Have Snakemake make some results again."""
    for name in names:
        entry = entry_of(name, folder / "incomplete")
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.write_text('{"external_jobid": null}', encoding="utf-8")


def entry_of(name: str, folder: Path) -> Path:
    """Where Snakemake keeps what it knows of a result: a file named by the result's path in base 64."""
    longest = os.pathconf(folder, "PC_NAME_MAX") if folder.exists() else 255
    coded = urlsafe_b64encode(name.encode()).decode()
    parts = [coded[start : start + longest - 1] for start in range(0, len(coded), longest - 1)]
    return folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def _entries(folder: Path) -> Iterator[tuple[str, Path]]:
    for parent, _, files in os.walk(folder):
        above = "".join(part.removeprefix("@") for part in Path(parent).relative_to(folder).parts)
        for file in files:
            try:
                yield urlsafe_b64decode(above + file).decode(), Path(parent, file)
            except ValueError:  # a file of Snakemake that is no entry
                continue


def _time_in(path: Path) -> float:
    """The recorded time; not a number if the record was cut, so that it equals no time."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["endtime"])
    except (OSError, ValueError, KeyError, TypeError):
        return float("nan")
