"""The overrides file as a whole: tab-separated lines, each holding the digest of the line before it.

Rows are only ever added at the end. Whoever changes, removes or slips in a row breaks the chain from there
on, and the file is refused. Cells hold neither tabs nor line breaks, and no cell is quoted, so that a line's
text is a row's only form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from cytotrial.errors import ConfigError, all_problems
from cytotrial.files.atomic import replace_file
from cytotrial.files.overrides.rows import COLUMNS, Override, digest_of_text, problems_of_row
from cytotrial.files.sheets.problems import shown

HEADER = "\t".join(COLUMNS)
MAX_BYTES = 50_000_000


def read_overrides(path: Path, *, continues: bool = False) -> tuple[Override, ...]:
    """The rows of an overrides file, oldest first.

    Parameters
    ----------
    continues : bool
        Whether the file may hold only the rows that continue another one, as the review page exports them:
        what the first row follows is then not looked at.

    Raises
    ------
    ConfigError
        With every problem of the file: its form, its rows, and its chain.
    """
    problems: list[str] = []
    rows = _rows(_text(path), problems, continues=continues)
    if problems:
        raise ConfigError(all_problems(str(path), problems, outcome="no override is applied"), hint=_REMEDY)
    return rows


_REMEDY = (
    "Restore the file from before it was edited. Rows are added by the review page's export and "
    "`cytotrial overrides add`, never changed by hand or saved by a spreadsheet."
)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise ConfigError(f"{path}: has more than {MAX_BYTES:,} bytes, which no overrides file has.")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}, line {line}: is not UTF-8 text.", hint=_REMEDY) from None


def _rows(text: str, problems: list[str], *, continues: bool = False) -> tuple[Override, ...]:
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if lines[-1] == "":
        lines.pop()
    if not lines or lines[0] != HEADER:
        problems.append(f"line 1: is not the header; expected the columns {', '.join(COLUMNS)}, by tabs")
        return ()
    rows: list[Override] = []
    first: dict[str, int] = {}
    for number, (before, line) in enumerate(pairwise(lines), start=2):
        cells = line.split("\t")
        if len(cells) != len(COLUMNS):
            problems.append(f"line {number}: {len(cells)} cells, the header has {len(COLUMNS)}")
            continue
        row = Override(*cells)
        found = [
            *problems_of_row(row),
            *_repeated(row, first, number),
            *([] if continues and number == 2 else _broken(row, before, number)),
        ]
        problems += [f"line {number}, column {column}: {message}" for column, message in found]
        rows.append(row)
    return tuple(rows)


def _repeated(row: Override, first: dict[str, int], number: int) -> Iterator[tuple[str, str]]:
    earlier = first.setdefault(row.override_id, number)
    if earlier != number:
        yield "override_id", f'"{shown(row.override_id)}" is on line {earlier} too; every row needs its own'


def _broken(row: Override, before: str, number: int) -> Iterator[tuple[str, str]]:
    if row.prev_row_sha256 != digest_of_text(before):
        yield (
            "prev_row_sha256",
            f"is not the SHA-256 of line {number - 1}: a row was changed, removed or slipped in",
        )


def last_digest(rows: Sequence[Override]) -> str:
    """What the next row's `prev_row_sha256` must be."""
    return digest_of_text(rows[-1].line if rows else HEADER)


def write_overrides(path: Path, rows: Sequence[Override]) -> None:
    """Write the whole file; its rows must be chained already.

    Raises
    ------
    ConfigError
        With every problem that `read_overrides` would tell of the file.
    """
    text = "\n".join([HEADER, *(row.line for row in rows)]) + "\n"
    problems: list[str] = []
    _rows(text, problems)
    if problems:
        raise ConfigError(all_problems(str(path), problems, outcome="nothing was written"), hint=_REMEDY)
    replace_file(path, text.encode())


def joined(existing: Sequence[Override], exported: Sequence[Override]) -> tuple[Override, ...]:
    """The file's rows and those of an export that continues it; exporting twice adds nothing twice.

    Parameters
    ----------
    existing, exported : sequence of Override
        Either may be chained to the header; an export may also begin where the file ended when the
        page was made.

    Raises
    ------
    ConfigError
        If the export does not continue the file as it is now.
    """
    have = [row.line for row in existing]
    start = _where(existing, exported[0].prev_row_sha256) if exported else len(have)
    new = [row.line for row in exported]
    shared = have[start:] if start is not None else []
    if start is None or shared != new[: len(shared)]:
        raise ConfigError(
            f"The export continues another state of the file: {len(have)} rows are in it now.",
            hint="Run snakemake again, open the new review page (what was not exported yet is still "
            "there in the same browser), and export from it.",
        )
    return (*existing, *exported[len(shared) :])


def _where(existing: Sequence[Override], digest: str) -> int | None:
    """How many rows stand before the place that a digest continues."""
    digests = [digest_of_text(HEADER), *(digest_of_text(row.line) for row in existing)]
    return digests.index(digest) if digest in digests else None
