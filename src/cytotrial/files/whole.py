"""Results: each appears whole or not at all, with a seal, and is read only if it is as it was made.

A file that belongs to the user (a sheet, a template, a copy of raw files) is written by
`atomic.replace_file`, without a seal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from cytotrial.files import claim, seals
from cytotrial.files.atomic import moved_into_place
from cytotrial.files.fingerprints import sha256_of

_broken: list[seals.SealError] = []
"""Broken seals that this job met: it must not write what rests on them, whatever caught the error."""


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 result, or none."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole result, or none, and its seal. Folders on the way are made."""
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path for a library that writes by itself; the result and its seal are put in place after.

    Raises
    ------
    CytotrialError
        If it cannot be written, if this job read a result whose seal is broken, or if another run
        has taken over the results folder.
    """
    with moved_into_place(path) as temporary:
        yield temporary
        if _broken and os.environ.get(claim.RUN):
            raise _broken[0]
        claim.refuse_if_overtaken()
        digest = sha256_of(temporary)
    seals.write_seal(path, digest)


@contextmanager
def text_stream(path: Path) -> Iterator[TextIO]:
    """A UTF-8 result that is written as it comes, for one too large to be held; see `whole_file`."""
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        yield stream


def read_text(path: Path) -> str:
    """The text of a result, if it is as it was made. Raises SealError if not."""
    return read_bytes(path).decode("utf-8")


def read_bytes(path: Path) -> bytes:
    """The bytes of a result, if they are those it was made with. Raises SealError if not."""
    try:
        return seals.read_sealed(path)
    except seals.SealError as error:
        _broken.append(error)
        raise
