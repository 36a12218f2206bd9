"""Copies of FCS files that name nobody, with a record of what was overwritten."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cytotrial.errors import ConfigError, FcsError
from cytotrial.files.atomic import replace_file
from cytotrial.files.fingerprints import sha256_of
from cytotrial.files.folders import find_fcs_files
from cytotrial.files.identity import copy_without_identity, name_may_identify
from cytotrial.files.tables import cell

COLUMNS = ("file", "sha256_before", "sha256_after", "keywords", "segments", "remaining", "name_may_identify")


@dataclass(frozen=True)
class CopiedFile:
    """One copy: hashes before and after, and what was overwritten (names only, never values).

    remaining : keywords that stay and yet hold part of a name that was overwritten elsewhere
    name_may_identify : whether the path still looks as if it told who somebody is
    """

    file: str
    sha256_before: str
    sha256_after: str
    keywords: tuple[str, ...]
    segments: tuple[str, ...]
    remaining: tuple[str, ...]
    name_may_identify: bool


@dataclass(frozen=True)
class Deidentified:
    """What was copied, what was refused and why, and where both hashes are recorded."""

    copied: tuple[CopiedFile, ...]
    refused: tuple[tuple[str, str], ...]
    record: Path

    def in_words(self) -> str:
        """What to print: numbers, then every file that a person must look at."""
        lines = [f"{len(self.copied)} files copied, {len(self.refused)} refused; hashes in {self.record}"]
        lines += [f"  {file}: {reason}" for file, reason in self.refused]
        lines += [
            f"  {copy.file}: {', '.join(copy.remaining)} may still hold a name"
            for copy in self.copied
            if copy.remaining
        ]
        lines += [
            f"  {copy.file}: the path itself may name a person; rename the copy"
            for copy in self.copied
            if copy.name_may_identify
        ]
        return "\n".join(lines)


def deidentify(src: Path, dst: Path) -> Deidentified:
    """Copy an FCS file, or all FCS files of a folder, without anything that could name a person.

    Values of keywords that are not on the list of those that stay are overwritten with `X` at the
    same length; ANALYSIS and bytes outside all segments are blanked; events and offsets stay.
    The dates of acquisition stay: they are needed to tell batches apart. Other files of the folder
    are not copied. A file that the pre-flight rejects is refused.

    Parameters
    ----------
    src, dst : Path
        A file and the copy's path, or a folder and the folder of the copies (same names below it).

    Raises
    ------
    ConfigError
        If `dst` or the record beside it exists, or one lies inside the other.
    """
    record = dst.with_name(f"{dst.stem if src.is_file() else dst.name}.deidentified.tsv")
    _require_free(src, dst, record)
    root = src.parent if src.is_file() else src
    names = (src.name,) if src.is_file() else find_fcs_files(src).paths
    left_out = () if src.is_file() else find_fcs_files(src).left_out
    copied: list[CopiedFile] = []
    refused: list[tuple[str, str]] = list(left_out)
    for name in names:
        target = dst if src.is_file() else dst / name
        try:
            copied.append(_copy(root, name, target))
        except FcsError as error:
            refused.append((name, str(error)))
    lines = [
        "\t".join(COLUMNS),
        *("\t".join(cell(getattr(copy, column)) for column in COLUMNS) for copy in copied),
    ]
    replace_file(record, "".join(f"{line}\n" for line in lines).encode())
    return Deidentified(tuple(copied), tuple(refused), record)


def _require_free(src: Path, dst: Path, record: Path) -> None:
    if not src.exists():
        raise ConfigError(f"{src} does not exist.", hint="Name an FCS file, or a folder of FCS files.")
    for path in (dst, record):
        if path.exists() or path.is_symlink():
            raise ConfigError(
                f"{path} is there already.", hint="Name another target; nothing is overwritten."
            )
    inner, outer = dst.resolve(), src.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise ConfigError(
            f"{dst} and {src} lie inside each other.", hint="Name a folder of its own for the copies."
        )


def _copy(root: Path, name: str, target: Path) -> CopiedFile:
    source = root / name
    blanked = copy_without_identity(source, target, root=root)
    return CopiedFile(
        file=name,
        sha256_before=sha256_of(source),
        sha256_after=sha256_of(target),
        keywords=blanked.keywords,
        segments=blanked.segments,
        remaining=blanked.remaining,
        name_may_identify=any(name_may_identify(part) for part in _names(name)),
    )


def _names(path: str) -> tuple[str, ...]:
    """The folders of a path and the file's name without its extension."""
    pure = PurePosixPath(path)
    return (*pure.parts[:-1], pure.stem)
