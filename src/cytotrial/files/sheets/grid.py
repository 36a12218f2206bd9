"""A sheet as cells of text: lines split strictly, the header compared with the columns that are known."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytotrial.files.sheets.problems import SheetProblem, SheetRefusedError, in_order, shown

MAX_BYTES = 50_000_000
MAX_ROWS = 200_000
MAX_COLUMNS = 200

_MAGIC = (
    (b"PK\x03\x04", "is an XLSX workbook (or another ZIP archive); name it .xlsx, or save it as CSV UTF-8"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook (.xls); save it as .xlsx or CSV UTF-8"),
    (b"\x1f\x8b", "is compressed (gzip); unpack it"),
    (b"%PDF", "is a PDF; export the sheet as CSV UTF-8"),
    (b"\xff\xfe", "is UTF-16 text; save it as CSV UTF-8"),
    (b"\xfe\xff", "is UTF-16 text; save it as CSV UTF-8"),
    (b"FCS", "is an FCS file, not a sheet; correct the name"),
)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a sheet that have a meaning. The first one names the row."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        return self.required + self.optional


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the sheet: its number and its cells, as many as the header has."""

    number: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class Grid:
    """The lines of a sheet that have the right number of cells, and what was wrong with the others."""

    header: tuple[str, ...]
    lines: tuple[Line, ...]
    problems: tuple[SheetProblem, ...]


Cells = tuple[int, Sequence[str]]
"""A line's number and its cells, before the header is known."""


def read_grid(path: Path, columns: Columns) -> Grid:
    """The cells of a sheet. A sheet that cannot be read at all is a grid without lines, with the problem."""
    try:
        cells, problems = _cells_of(path, columns)
        return _grid(path, cells, problems, columns)
    except SheetRefusedError as refusal:
        return Grid((), (), (SheetProblem(path.name, refusal.line, "", "", refusal.message),))


def _cells_of(path: Path, columns: Columns) -> tuple[Iterator[Cells], list[SheetProblem]]:
    content = _content(path)
    if path.suffix.lower() in {".xlsx", ".xlsm"}:
        from cytotrial.files.sheets.workbook import workbook_cells  # noqa: PLC0415 (only workbooks pay for openpyxl)

        return workbook_cells(content, max_rows=MAX_ROWS, max_columns=MAX_COLUMNS), []
    problems: list[SheetProblem] = []
    return _delimited_cells(path, _text(content), columns, problems), problems


def _content(path: Path) -> bytes:
    if not path.exists():
        raise SheetRefusedError(
            "the file does not exist; copy it there, or correct its name in the configuration"
        )
    if not path.is_file():
        raise SheetRefusedError("is not a regular file; name a TSV, CSV or XLSX file")
    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise SheetRefusedError(f"cannot be read ({error.strerror}); check the file's permissions") from None
    if len(content) > MAX_BYTES:
        raise SheetRefusedError(f"has more than {MAX_BYTES:,} bytes, which no sheet has; check the file")
    return content


def _text(content: bytes) -> str:
    """The sheet's text with line feeds only (CR LF and the CR of old Macs are read as such)."""
    for magic, message in _MAGIC:
        if content.startswith(magic):
            raise SheetRefusedError(message)
    if b"\0" in content:
        line = content[: content.index(b"\0")].count(b"\n") + 1
        raise SheetRefusedError("holds a NUL character; save the sheet as CSV UTF-8 again", line=line)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise SheetRefusedError(
            f"byte 0x{content[error.start]:02x} is not UTF-8; save the sheet as CSV UTF-8", line=line
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _delimited_cells(
    path: Path, text: str, columns: Columns, problems: list[SheetProblem]
) -> Iterator[Cells]:
    lines = text.split("\n")
    first, separator = _separator(lines, columns)
    for number, line in enumerate(lines[first:], start=first + 1):
        try:
            yield number, next(csv.reader([line], delimiter=separator, strict=True), [])
        except csv.Error as error:
            reason = str(error) if "limit" in str(error) else "a quotation mark is not closed on this line"
            message = f"{reason}; a cell stays on one line, and a quotation mark inside it is doubled"
            problems.append(SheetProblem(path.name, number, "", "", message))


def _separator(lines: Sequence[str], columns: Columns) -> tuple[int, str]:
    """Index of the header's line, and the separator by which most of its cells are known columns."""
    stated = lines[0].strip().strip('"').lower()
    if stated.startswith("sep=") and len(stated) <= len("sep=;"):
        return 1, (stated[4:] or "\t")
    known = set(columns.known)

    def hits(separator: str) -> int:
        return sum(_bare(cell) in known for cell in lines[0].replace('"', "").split(separator))

    return 0, max("\t,;", key=hits)


def _bare(cell: str) -> str:
    return cell.strip().casefold().replace(" ", "_").replace("-", "_")


def _grid(path: Path, cells: Iterable[Cells], problems: list[SheetProblem], columns: Columns) -> Grid:
    rows = iter(cells)
    number, header = next(rows, (1, ()))
    header = _without_tail(header)
    found = [
        SheetProblem(path.name, number, shown(column), "", message)
        for column, message in _header_problems(header, columns)
    ]
    if found:
        return Grid(tuple(header), (), (*problems, *found))
    lines: list[Line] = []
    for number, values in _without_empty_end(rows):
        message = _line_problem(values, len(header))
        if message:
            problems.append(SheetProblem(path.name, number, "", "", message))
        else:
            padded = [*values[: len(header)], *[""] * (len(header) - len(values))]
            lines.append(Line(number, dict(zip(header, padded, strict=True))))
        if len(lines) > MAX_ROWS:
            raise SheetRefusedError(f"has more than {MAX_ROWS:,} rows, which no trial has; check the file")
    if not lines and not problems:
        problems.append(
            SheetProblem(path.name, 0, "", "", "has a header and no row; expected at least one row")
        )
    return Grid(tuple(header), tuple(lines), in_order(problems))


def _without_tail(header: Sequence[str]) -> list[str]:
    """The header without the nameless columns that spreadsheets leave at its end."""
    names = list(header)
    while names and not names[-1].strip():
        names.pop()
    return names


def _without_empty_end(rows: Iterable[Cells]) -> Iterator[Cells]:
    """The rows without the empty ones at the end of the sheet."""
    empty: list[Cells] = []
    for row in rows:
        if any(cell.strip() for cell in row[1]):
            yield from empty
            empty.clear()
            yield row
        elif len(empty) <= MAX_ROWS:
            empty.append(row)


def _line_problem(values: Sequence[str], n_columns: int) -> str:
    n_cells = len(values)
    while n_cells > n_columns and not values[n_cells - 1].strip():
        n_cells -= 1
    if not any(cell.strip() for cell in values):
        return "the row is empty; remove it"
    if n_cells > n_columns:
        return (
            f"{n_cells} cells, the header has {n_columns}; "
            "quote a cell that holds the separator, or remove the cells that are too many"
        )
    if n_cells < n_columns:
        return f"{n_cells} cells, the header has {n_columns}; add the missing ones (empty cells count)"
    return ""


def _header_problems(header: Sequence[str], columns: Columns) -> Iterator[tuple[str, str]]:
    """What is wrong with the header: (column, message)."""
    known = columns.known
    if not header:
        yield "", f"the sheet is empty; expected a header with {', '.join(columns.required)}"
        return
    if not any(_bare(name) in known for name in header):
        yield "", f"is not a header: expected the names of columns, {', '.join(columns.required)} among them"
        return
    if len(header) > MAX_COLUMNS:
        yield "", f"{len(header)} columns; at most {MAX_COLUMNS} are allowed"
    missing = [name for name in known if name not in header]
    named = [name for name in header if name not in known]
    meant = {name: _meant(name, missing) for name in named}
    for place, name in enumerate(header, start=1):
        if not name.strip():
            yield f"number {place}", "has no name; name it, or remove it"
        elif name in header[: place - 1]:
            yield name, "is there twice; keep one of them"
        elif meant.get(name):
            yield name, f'must be named "{meant[name]}" exactly (case and blanks count); rename it'
    for name in columns.required:
        if name in missing and name not in meant.values():
            yield name, f"is missing{_near(name, named)}; the sheet has {', '.join(map(shown, header))}"


def _meant(name: str, missing: Sequence[str]) -> str:
    """The missing column that a name was meant for: the same but for case and blanks, or a misspelling."""
    if _bare(name) in missing:
        return _bare(name)
    return next(iter(difflib.get_close_matches(_bare(name), missing, n=1, cutoff=0.85)), "")


def _near(name: str, named: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, named, n=1, cutoff=0.5)
    return f'; is "{shown(near[0])}" meant? Then rename it' if near else ""
