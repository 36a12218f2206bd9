"""Which software made a result: versions, the lock file, the commit and whether it was edited since."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from cytotrial import __version__
from cytotrial.files.fingerprints import sha256_of
from cytotrial.steps.code import PACKAGE

LOCK = Path("requirements.lock")


def software() -> dict[str, Any]:
    """Versions of Python and of every direct dependency, SHA-256 of the package's code and of the lock file.

    The lock file is that of the working folder, or else of the checkout that the package runs from; empty
    if there is none.
    """
    return {
        "cytotrial": __version__,
        "code_sha256": _code_sha256(),
        "python": platform.python_version(),
        "packages": _packages(),
        "requirements_lock_sha256": next((sha256_of(path) for path in _locks() if path.is_file()), ""),
    }


def _locks() -> list[Path]:
    return [LOCK, PACKAGE.parents[1] / LOCK]


def _code_sha256() -> str:
    """Of every module of the package, by name and content."""
    content = hashlib.sha256()
    for module in sorted(PACKAGE.rglob("*.py")):
        content.update(module.relative_to(PACKAGE).as_posix().encode())
        content.update(module.read_bytes())
    return content.hexdigest()


def _packages() -> dict[str, str]:
    """Name → version of the packages that ours asks for, without its optional parts."""
    wanted = [line for line in requires("cytotrial") or [] if "extra ==" not in line]
    names = sorted({_name_of(line) for line in wanted})
    return {name: found for name in names if (found := _version(name))}


def _name_of(requirement: str) -> str:
    """The package of a requirement.

    Examples
    --------
    >>> _name_of("psycopg[binary]>=3.2"), _name_of("numpy>=2")
    ('psycopg', 'numpy')
    """
    letters = [letter if letter.isalnum() or letter in "._-" else " " for letter in requirement]
    return "".join(letters).split(" ", 1)[0]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def checkout(folder: Path = Path()) -> dict[str, Any]:
    """Commit of the git checkout that a folder lies in, and whether anything differs from it.

    Returns
    -------
    dict
        `commit` and `dirty`; `commit` is empty and `dirty` None outside a checkout or without git.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain") if commit else None
    return {"commit": commit or "", "dirty": None if changes is None else bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
