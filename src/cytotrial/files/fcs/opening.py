"""Opening one FCS file: regular files below the data folder only, so that nothing can block or leak."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from cytotrial.files.fcs.findings import Notes

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


class OpenedFile:
    """A regular file, its size at opening, and reads at an offset."""

    def __init__(self, raw: io.FileIO) -> None:
        self._raw = raw
        self.size = os.fstat(raw.fileno()).st_size

    def read(self, begin: int, n_bytes: int) -> bytes:
        """Up to `n_bytes` from `begin`; fewer only at the end of the file."""
        n_bytes = min(n_bytes, self.size - begin)
        if n_bytes <= 0:
            return b""
        buffer = bytearray(n_bytes)
        return bytes(buffer[: self.read_into(begin, memoryview(buffer))])

    def read_into(self, begin: int, buffer: memoryview) -> int:
        """Fill `buffer` from `begin`; the number of bytes that were there."""
        self._raw.seek(begin)
        done = 0
        while done < len(buffer):
            n_bytes = self._raw.readinto(buffer[done:])
            if not n_bytes:
                break
            done += n_bytes
        return done


class NotOpenedError(Exception):
    """The path was refused; the notes say why."""


@contextmanager
def open_regular(path: Path, notes: Notes, *, root: Path | None = None) -> Iterator[OpenedFile]:
    """Open `path` if it is a regular file (below `root`, after links are followed).

    Raises
    ------
    NotOpenedError
        If it is anything else, or cannot be opened; the reason is in `notes`.
    """
    target = _resolve(path, root, notes)
    raw = _open(target, notes)
    with raw:
        yield OpenedFile(raw)


def _resolve(path: Path, root: Path | None, notes: Notes) -> Path:
    try:
        target = path.resolve(strict=True)
        inside = root is None or target.is_relative_to(root.resolve(strict=True))
        mode = target.stat().st_mode
    except (OSError, RuntimeError, ValueError) as error:
        _refuse(error, notes)
    if not inside:
        notes.reject(
            "PATH_LEAVES_ROOT",
            "path",
            "the path leads, by `..` or through a link, out of the data folder",
            expected="a file below fcs_dir",
            remedy="Copy the file into the data folder",
        )
        raise NotOpenedError
    _require_regular(mode, notes)
    return target


def _open(target: Path, notes: Notes) -> io.FileIO:
    flags = os.O_RDONLY
    for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        raw = io.FileIO(os.open(target, flags), "rb")
    except OSError as error:
        _refuse(error, notes)
    try:
        _require_regular(os.fstat(raw.fileno()).st_mode, notes)
    except NotOpenedError:
        raw.close()
        raise
    return raw


def _require_regular(mode: int, notes: Notes) -> None:
    if stat.S_ISREG(mode):
        return
    kind = next((name for is_kind, name in KINDS if is_kind(mode)), "not a file")
    notes.reject(
        "NOT_A_REGULAR_FILE",
        "path",
        f"the path is {kind}, a regular file was expected",
        expected="a regular file",
        remedy="Correct the path in the sample sheet",
    )
    raise NotOpenedError


def _refuse(error: Exception, notes: Notes) -> NoReturn:
    """Say why the operating system refused, without the path it was given."""
    if isinstance(error, PermissionError):
        code, keyword, why = "PERMISSION_DENIED", "permissions", "path cannot be read: permission denied"
        remedy = "Ask the owner of the file for permission to read it"
    elif isinstance(error, FileNotFoundError):
        code, keyword, why = "FILE_MISSING", "path", "there is no file at this path"
        remedy = "Copy the file there or correct the name in the sample sheet"
    else:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "invalid path"
        code, keyword, why = "PATH_UNUSABLE", "path", f"the path cannot be followed: {reason}"
        remedy = "Correct the path in the sample sheet (a circle of links has no file at its end)"
    notes.reject(code, keyword, why, remedy=remedy)
    raise NotOpenedError from error
