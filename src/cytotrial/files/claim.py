"""One run at a time in a results folder.

A run holds a lock on a file of the results folder for as long as its process lives, and writes its id into
it. The jobs of a run carry that id: a job that finds another one there belongs to a run that was ended and
taken over from, and writes nothing any more, on whichever machine it runs.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cytotrial.errors import ConfigError, CytotrialError

RUN = "CYTOTRIAL_RUN"
"""Environment variable of a run's jobs: the run's id."""

CLAIM = "CYTOTRIAL_CLAIM"
"""Environment variable of a run's jobs: absolute path of the claim's file."""

_held: list[int] = []
"""Descriptors of the claims of this process: the system frees them when it ends, however it ends."""


def take_claim(file: Path, about: Mapping[str, Any]) -> None:
    """Claim a results folder for this process.

    Parameters
    ----------
    file : Path
        The claim's file; it stays, for the next run to lock.
    about : mapping
        What to tell others of the run: `run`, `host`, `user`, `process`, `started`.

    Raises
    ------
    ConfigError
        If another run holds it, or the folder cannot be written.
    """
    descriptor = _open(file)
    if not _lock(descriptor):
        os.close(descriptor)
        raise ConfigError(
            f"another run is at work in {file.parent}: {_in_words(read_claim(file))}.",
            hint="Wait until it has ended, or give this study a results folder of its own.",
        )
    _held.append(descriptor)
    say(file, about)


def say(file: Path, about: Mapping[str, Any]) -> None:
    """Write what the claim tells; in place, since another machine may look at an old name for a while."""
    content = json.dumps(about, sort_keys=True) + "\n"
    with file.open("r+b") as stream:
        stream.truncate(0)
        stream.write(content.encode())
        stream.flush()
        os.fsync(stream.fileno())


def read_claim(file: Path) -> dict[str, Any]:
    """What the last run that claimed the folder told; empty if none did."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def holder(file: Path) -> str:
    """The run that is at work, in words; empty if none is."""
    if not file.exists():
        return ""
    descriptor = _open(file)
    try:
        return "" if _lock(descriptor) else _in_words(read_claim(file))
    finally:
        os.close(descriptor)


def refuse_if_overtaken() -> None:
    """Let a job go on only while its own run holds the results folder.

    Raises
    ------
    CytotrialError
        If another run has claimed the folder since.
    """
    run, file = os.environ.get(RUN), os.environ.get(CLAIM)
    if not run or not file:
        return
    now = read_claim(Path(file)).get("run", "")
    if now != run:
        raise CytotrialError(
            f"this job belongs to the run {run}, and {Path(file).parent} is held by {now or 'no run'}: "
            "nothing was written.",
            hint="The job's own run was ended; what the later run writes is what counts.",
        )


def _open(file: Path) -> int:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
    except OSError as error:
        raise ConfigError(
            f"{file.parent} cannot be written: {error.strerror}.",
            hint="Name another folder under results, or ask for leave to write there.",
        ) from None


def _lock(descriptor: int) -> bool:
    """Whether the lock was free. On a file system without locks the run's id alone keeps runs apart."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _in_words(about: Mapping[str, Any]) -> str:
    told = {key: about.get(key, "?") for key in ("user", "host", "process", "started")}
    return "{user} on {host}, process {process}, since {started}".format(**told)
