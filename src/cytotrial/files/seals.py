"""A result's seal: what its bytes were when it was made.

The SHA-256 lies beside the result, in a folder `.seals` and in the form that `sha256sum --check` reads.
A folder that has seals has one for each of its results; a folder without seals holds no results.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from cytotrial.errors import CytotrialError
from cytotrial.files.atomic import replace_file

FOLDER = ".seals"
_SUFFIX = ".sha256"


class SealError(CytotrialError):
    """A result is not as it was made: it was edited, cut, or put there by something else."""


def seal_path(path: Path) -> Path:
    """Where the seal of a result lies.

    Examples
    --------
    >>> seal_path(Path("results/gates.csv")).as_posix()
    'results/.seals/gates.csv.sha256'
    """
    return path.parent / FOLDER / f"{path.name}{_SUFFIX}"


def write_seal(path: Path, sha256: str) -> None:
    """Say what a result's bytes are. A seal that a power failure emptied fits nothing and is made again."""
    replace_file(seal_path(path), f"{sha256}  {path.name}\n".encode(), durable=False)


def sealed_sha256(path: Path) -> str:
    """The SHA-256 that a result had when it was made; empty if it has no seal."""
    try:
        return seal_path(path).read_text(encoding="utf-8").split(" ", 1)[0].strip()
    except (OSError, UnicodeDecodeError):
        return ""


def sealed_below(folder: Path) -> list[Path]:
    """The results at any depth that have a seal, whether or not they are still there; sorted."""
    seals = folder.rglob(f"{FOLDER}/*{_SUFFIX}")
    return sorted(
        seal.parent.parent / seal.name.removesuffix(_SUFFIX) for seal in seals if seal.name[0] != "."
    )


def read_sealed(path: Path) -> bytes:
    """The bytes of a result, if they are those it was made with.

    Raises
    ------
    SealError
        If its bytes are others, or it has no seal in a folder that has seals.
    """
    content = path.read_bytes()
    problem = problem_with(path, hashlib.sha256(content).hexdigest())
    if problem:
        raise SealError(f"{path} {problem}.", hint=REMEDY)
    return content


REMEDY = "`cytotrial resume` makes it again. A file of your own belongs outside the results folder."


def problem_with(path: Path, sha256: str) -> str:
    """What is wrong with a result of these bytes; empty if nothing is."""
    sealed = sealed_sha256(path)
    if sealed == sha256 or (not sealed and not seal_path(path).parent.is_dir()):
        return ""
    if not sealed:
        return "has no seal: the workflow did not make it"
    return f"was changed after it was made: its SHA-256 begins {sha256[:12]}, its seal says {sealed[:12]}"
