"""Files that appear whole or not at all: written under a temporary name, to disk, then moved."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cytotrial.errors import CytotrialError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp(\.\w+)?")


def replace_file(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a whole file, or none; folders on the way are made.

    Parameters
    ----------
    path, content : Path, bytes
    durable : bool
        Wait until it is on disk; else a power failure may leave an empty file.

    Raises
    ------
    CytotrialError
        If it cannot be written (no space, no permission); an earlier file of that name still stands.
    """
    with moved_into_place(path, durable=durable) as temporary:
        temporary.write_bytes(content)


@contextmanager
def moved_into_place(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A temporary path that the caller writes; it becomes `path` once it is on disk.

    The name is drawn anew each time, since two machines that share a folder may have equal process ids.
    """
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(6)}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable:
            _to_disk(temporary)
        temporary.replace(path)
    except OSError as error:
        raise CytotrialError(
            f"{path} cannot be written: {error.strerror or type(error).__name__}.",
            hint="Make room or give leave to write there; `cytotrial resume` then goes on with the run.",
        ) from error
    finally:
        _forget(temporary)


def is_temporary(path: Path) -> bool:
    """Whether a name is one that a write in progress, or one that was killed, goes by.

    Examples
    --------
    >>> is_temporary(Path("results/.counts.0123456789ab.tmp.csv")), is_temporary(Path("results/counts.csv"))
    (True, False)
    """
    return _TEMPORARY.fullmatch(path.name) is not None


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget(temporary: Path) -> None:
    with suppress(OSError):  # the folder went away or may not be written: the first error says so
        temporary.unlink(missing_ok=True)
