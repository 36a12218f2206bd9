"""SHA-256 of files, remembered by path, size and time of change.

Hashing a file costs more than reading it; a file whose size and time (to the nanosecond)
are those of the last look is not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from cytotrial.errors import CytotrialError
from cytotrial.files.atomic import replace_file
from cytotrial.progress import Progress, told, untold

_BLOCK = 1 << 20


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fingerprints(
    paths: Iterable[Path | str], *, cache: Path, fresh: bool = False, progress: Progress = untold
) -> Mapping[str, str]:
    """SHA-256 of every regular file among `paths`, by the path as text; others are left out.

    Parameters
    ----------
    paths : iterable of Path or str
    cache : Path
        JSON file of earlier answers, read and written here; it may be deleted at any time.
    fresh : bool
        Read every file anew, and believe no earlier answer.
    progress : callable
        Told how many of the files that are read have been.
    """
    known = {} if fresh else _read(cache)
    stamps = {str(path): stamp_of(path) for path in paths}
    stale = [name for name, stamp in stamps.items() if stamp and known.get(name, ["", ""])[0] != stamp]
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        read = told(pool.map(_sha256_if_readable, stale), len(stale), progress)
        digests = dict(zip(stale, read, strict=True))
    answers = {name: digests[name] if name in digests else known.get(name, ["", ""])[1] for name in stamps}
    now = {name: [stamp, answers[name]] for name, stamp in stamps.items() if stamp and answers[name]}
    if now != known:
        _remember(cache, now)
    return {name: entry[1] for name, entry in now.items()}


def _remember(cache: Path, answers: Mapping[str, list[str]]) -> None:
    """Keep the answers; where that cannot be written, the files are read again next time."""
    with suppress(CytotrialError):
        replace_file(cache, json.dumps(answers, sort_keys=True, indent=0).encode(), durable=False)


def _sha256_if_readable(name: str) -> str:
    """Empty for a file that may not be read: its row is rejected by the check, with the reason."""
    try:
        return sha256_of(Path(name))
    except OSError:
        return ""


def _read(cache: Path) -> dict[str, list[str]]:
    try:
        loaded = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}


def stamp_of(path: Path | str) -> str:
    """Size and time (ns) of a regular file; empty for anything else."""
    try:
        status = os.stat(path)  # noqa: PTH116 (a path as text is not made a Path for thousands of files)
    except OSError:
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}" if stat.S_ISREG(status.st_mode) else ""
