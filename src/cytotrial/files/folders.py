"""The FCS files of a lab's folder, at any depth."""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from cytotrial.errors import ConfigError

_EXTENSIONS = (".fcs", ".lmd")
_MAGIC = re.compile(rb"FCS[23]\.[0-9] ")
_UNWRITABLE = ("=", "+", "-", "@")


@dataclass(frozen=True)
class FoundFiles:
    """Paths of FCS files below a folder, with `/`, sorted; and what was left out, with the reason."""

    paths: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def find_fcs_files(folder: Path) -> FoundFiles:
    """FCS files by their extension (.fcs, .lmd in any case) or, without one, by their first bytes.

    Hidden files and folders are passed over without a word; linked folders are not entered.

    Raises
    ------
    ConfigError
        If there is no such folder, or no FCS file in it.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder.", hint="Name the folder that holds the FCS files.")
    found: list[str] = []
    left_out: list[tuple[str, str]] = []
    for path in sorted(_files_below(folder)):
        name = path.relative_to(folder).as_posix()
        if not _is_fcs(path):
            continue
        reason = _reason_to_leave_out(name)
        if reason:
            left_out.append((name, reason))
        else:
            found.append(name)
    if not found and not left_out:
        raise ConfigError(
            f"{folder} holds no FCS file (.fcs or .lmd, at any depth).", hint="Check the folder."
        )
    return FoundFiles(tuple(found), tuple(left_out))


def _files_below(folder: Path) -> list[Path]:
    return [
        Path(parent) / name
        for parent, folders, names in os.walk(folder, onerror=None)
        if _keep_visible(folders)
        for name in names
        if not name.startswith(".")
    ]


def _keep_visible(folders: list[str]) -> bool:
    """Drop hidden folders from a walk, in place."""
    folders[:] = sorted(name for name in folders if not name.startswith("."))
    return True


def _is_fcs(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix.lower() in _EXTENSIONS:
        return True
    try:
        with path.open("rb") as stream:
            return _MAGIC.match(stream.read(7)) is not None
    except OSError:
        return False


def _reason_to_leave_out(name: str) -> str:
    """Why a sheet cannot hold this path; such a file must be renamed."""
    if any(unicodedata.category(letter).startswith("C") for letter in name) or "\\" in name:
        return "its name holds a backslash or a character that cannot be seen; rename it"
    if name.startswith(_UNWRITABLE):
        return "a spreadsheet would take its name for a formula; rename it"
    if name != name.strip() or len(name) > 400:
        return "its name has blanks around it or is longer than 400 characters; rename it"
    return ""
