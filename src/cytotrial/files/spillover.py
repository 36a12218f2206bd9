"""Spillover matrices as files that a person can edit and hand back.

Written: CSV with an empty first cell, the detectors as header, and one row per fluorochrome, named by its
primary detector. Read: that form, the same with tabs, without row names (rows are then in the order of the
columns), with FlowJo's `Channel :: Marker` names, FlowJo's older text form, and FlowJo's `.mtx` (XML).
"""

from __future__ import annotations

import csv
import difflib
import io
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cytotrial.errors import CompensationError, all_problems
from cytotrial.files.whole import read_bytes, write_text
from cytotrial.terms import SpilloverMatrix

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_BYTES = 4_000_000
"""A matrix of 200 detectors has a tenth of this; a larger file is something else."""

COMPENSATED_PREFIXES = ("FJComp-", "Comp-")
"""Put before a channel's name by programs that export compensated events."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_XML = re.compile(r"\s*<(\?xml|!|\w+:)")
_PERCENT_DIAGONAL = 50.0
_FLAG = "flag "


@dataclass(frozen=True, slots=True)
class _Row:
    """One row as it stands in the file: where, its name ("" if it has none), and its values as text."""

    where: str
    name: str
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """What a file holds, as text, and what is wrong with its form."""

    columns: list[str] = field(default_factory=list)
    rows: list[_Row] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_spillover(path: Path, *, channels: Sequence[str] | None = None) -> SpilloverMatrix:
    """The spillover matrix of a CSV, TSV or FlowJo `.mtx` file.

    Parameters
    ----------
    path : Path
        A square matrix of fractions, one row per fluorochrome; rows may stand in another order than the
        columns if they are named.
    channels : sequence of str, optional
        $PnN of the events' channels: a name that is none of them is then refused. `Comp-FITC-A` is read as
        `FITC-A` if only that is a channel.

    Returns
    -------
    SpilloverMatrix
        Detectors in the order of the file's columns, origin `file`, with the flags that the remarks of a file
        of `write_spillover` hold. Whether the numbers are sound (condition, spillover above 1) is
        `check_spillover`'s to say.

    Raises
    ------
    CompensationError
        Naming every line, row and column that cannot be read, with the remedy.
    """
    text = _text(path)
    table = _from_mtx(text) if _XML.match(text) else _from_text(text)
    _stop(path, table.problems)
    columns = [_channel(name, channels) for name in table.columns]
    rows = [replace(r, name=_channel(r.name, channels)) for r in table.rows]
    _stop(path, _name_problems(columns, rows, channels))
    _stop(path, _number_problems(columns, rows))
    if rows[0].name:
        rows.sort(key=lambda r: columns.index(r.name))
    values = np.array([[float(c) for c in r.cells] for r in rows], dtype=np.float64)
    _stop(path, _diagonal_problems(columns, rows, values))
    return SpilloverMatrix(tuple(columns), values, origin="file", flags=_flags(text))


def write_spillover(path: Path, matrix: SpilloverMatrix, *, provenance: Sequence[str] = ()) -> None:
    """Write a spillover matrix as CSV; `read_spillover` gives back the very same numbers and flags.

    Parameters
    ----------
    path : Path
    matrix : SpilloverMatrix
    provenance : sequence of str
        Lines put before the header, each after `# `: what the matrix was made from.
    """
    text = io.StringIO()
    for line in (*provenance, *(f"{_FLAG}{flag}" for flag in matrix.flags)):
        text.write(f"# {' '.join(line.split())}\n")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["", *matrix.detectors])
    for name, row in zip(matrix.detectors, matrix.values.tolist(), strict=True):
        writer.writerow([name, *(_shortest(value) for value in row)])
    write_text(path, text.getvalue())


def _flags(text: str) -> tuple[str, ...]:
    """The flags among the remarks before the header."""
    remarks = itertools.takewhile(lambda line: line.startswith("# "), io.StringIO(text, newline=None))
    return tuple(line.removeprefix(f"# {_FLAG}").strip() for line in remarks if line.startswith(f"# {_FLAG}"))


def already_compensated(channels: Iterable[str]) -> bool:
    """Whether the names of the channels say that the events were compensated before export.

    Examples
    --------
    >>> already_compensated(["FSC-A", "Comp-FITC-A"]), already_compensated(["FSC-A", "<FITC-A>"])
    (True, True)
    >>> already_compensated(["FSC-A", "FITC-A", "Comp Beads-A"])
    False
    """
    return any(
        name.startswith(COMPENSATED_PREFIXES) or (name.startswith("<") and name.endswith(">"))
        for name in channels
    )


def _text(path: Path) -> str:
    try:
        size = path.stat().st_size
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CompensationError(
            f"{path}: {reason}; a spillover matrix was expected.",
            hint="Copy the file there or correct the name.",
        ) from None
    if size > MAX_BYTES:
        _stop(path, [f"the file is larger than {MAX_BYTES} bytes. Is this a spillover matrix?"])
    content = read_bytes(path)
    if not content.strip():
        _stop(path, ["the file is empty. Copy it anew from where it was made."])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        _stop(path, ['the file is not UTF-8 text. Save it as "CSV UTF-8 (comma delimited)".'])
        raise


def _from_text(text: str) -> _Table:
    """Column names, rows and problems of a CSV or TSV text."""
    lines = _filled_lines(text)
    header = lines[0][1] if lines else ""
    if ";" in header and "," not in header and "\t" not in header:
        return _Table(
            problems=[
                "line 1: the cells are separated by semicolons; commas or tabs were expected. " + _SAVE_AS
            ]
        )
    separator = "\t" if "\t" in header else ","
    try:
        table = [(n, next(csv.reader([line], delimiter=separator, strict=True))) for n, line in lines]
    except csv.Error as error:
        return _Table(problems=[f"the file cannot be read as CSV ({error}). " + _SAVE_AS])
    cells = [(n, _without_tail([c.strip() for c in row])) for n, row in table]
    return _named_table(cells)


_SAVE_AS = 'Save it as "CSV UTF-8 (comma delimited)" with decimal points.'


def _filled_lines(text: str) -> list[tuple[int, str]]:
    """Numbered lines that hold something, without the remarks and FlowJo's two lines before the header."""
    lines = [(n, line.rstrip("\n")) for n, line in enumerate(io.StringIO(text, newline=None), start=1)]
    if len(lines) > 1 and lines[1][1].strip(" ") == "<\t>":
        lines = lines[2:]
    while lines and (lines[0][1].startswith("# ") or not lines[0][1].strip(", \t")):
        lines = lines[1:]
    return [(n, line) for n, line in lines if line.strip(", \t\"'")]


def _without_tail(cells: list[str]) -> list[str]:
    """A row without one empty cell at its end, as a spreadsheet may leave it."""
    return cells[:-1] if len(cells) > 1 and cells[-1] == "" else cells


def _named_table(table: list[tuple[int, list[str]]]) -> _Table:
    """Tell the names of columns and rows from the values."""
    if not table:
        return _Table(problems=["the file holds no values. Copy it anew from where it was made."])
    (_, header), body = table[0], table[1:]
    if all(_NUMBER.fullmatch(c) for c in header):
        return _Table(
            problems=[f"line {table[0][0]}: numbers where the detectors' names were expected. Add a header."]
        )
    firsts = {cells[0] for _, cells in body}
    titled = header[0] == "" or (bool(body) and firsts <= set(header[1:]))
    bare = not titled and bool(body) and all(len(cells) == len(header) + 1 for _, cells in body)
    columns = header[1:] if titled else header
    rows, problems = [], []
    for n, cells in body:
        name, values = (cells[0], cells[1:]) if titled or bare else ("", cells)
        rows.append(_Row(f"line {n}" + (f", row {name!r}" if name else ""), name, tuple(values)))
        if len(values) != len(columns):
            problems.append(
                f"{rows[-1].where}: {len(values)} values; {len(columns)} were expected, one per column. "
                "Look for a missing value or a decimal comma."
            )
    if len(body) != len(columns):
        problems.append(
            f"line {table[-1][0] + 1}: the matrix has {len(body)} rows for {len(columns)} columns; as many "
            "were expected. Give a detector without a fluorochrome a row of zeros with 1 in its own column."
        )
    return _Table(columns, rows, problems)


def _from_mtx(text: str) -> _Table:
    """Column names, rows and problems of FlowJo's XML form. Entities and document types are refused."""
    from lxml import etree  # noqa: PLC0415 (only FlowJo matrices need it)

    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return _Table(
            problems=[
                "the file declares a DOCTYPE, which a FlowJo matrix never does. Export the matrix again."
            ]
        )
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(re.sub(r"^\s*<\?xml.*?\?>", "", text, count=1), parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        return _Table(
            problems=[f"the file is not well-formed XML ({error}). Export the matrix from FlowJo again."]
        )
    matrices = list(root.iter("{*}spilloverMatrix"))
    if len(matrices) != 1:
        return _Table(
            problems=[f"the file holds {len(matrices)} elements spilloverMatrix; one was expected."]
        )
    return _matrix_element(matrices[0])


def _matrix_element(matrix: _Element) -> _Table:
    problems = []
    kind = _attribute(matrix, "weightOptAlgorithmType")
    if _attribute(matrix, "spectral") == "1" or kind not in {"", "OLS"}:
        problems.append(
            f"the matrix is for spectral unmixing ({kind or 'spectral'}); a spillover matrix was expected. "
            "Unmix in the program that made it, and use `compensation: none`."
        )
    spillovers = list(matrix.iterfind("{*}spillover"))
    columns = [_attribute(e, "name") for e in matrix.iterfind("{*}parameters/{*}parameter")]
    columns = columns or [_attribute(e, "parameter") for e in spillovers]
    rows = []
    for element in spillovers:
        name = _attribute(element, "parameter")
        seen = [
            (_attribute(c, "parameter"), _attribute(c, "value")) for c in element.iterfind("{*}coefficient")
        ]
        found = dict(seen)
        if len(seen) != len(found) or set(found) != set(columns):
            problems.append(
                f"row {name!r}: coefficients for {', '.join(p for p, _ in seen) or 'no detector'}; one for "
                f"each of {', '.join(columns)} was expected."
            )
        rows.append(_Row(f"row {name!r}", name, tuple(found.get(c, "") for c in columns)))
    if len(rows) != len(columns) or not rows:
        problems.append(f"the matrix has {len(rows)} rows for {len(columns)} columns; as many were expected.")
    return _Table(columns, rows, problems)


def _attribute(element: _Element, name: str) -> str:
    """An attribute by its name in any namespace; "" if absent."""
    return next((str(v) for k, v in element.attrib.items() if str(k).rpartition("}")[2] == name), "")


def _channel(name: str, channels: Sequence[str] | None) -> str:
    """A channel's name without the marker FlowJo adds, and without `Comp-` where only that is a channel."""
    plain = name.partition(" :: ")[0].strip()
    if channels is None or plain in channels:
        return plain
    bare = next((plain.removeprefix(p) for p in COMPENSATED_PREFIXES if plain.startswith(p)), plain)
    return bare if bare in channels else plain


def _name_problems(columns: list[str], rows: list[_Row], channels: Sequence[str] | None) -> list[str]:
    problems = [
        f"column {name!r} stands {columns.count(name)} times; once was expected. Remove the double."
        for name in sorted({c for c in columns if columns.count(c) > 1})
    ]
    labels = [r.name for r in rows if r.name]
    for row in rows:
        if labels and not row.name:
            problems.append(f"{row.where}: the row has no name; the fluorochrome's detector was expected.")
        elif row.name and row.name not in columns:
            problems.append(
                f"{row.where}: {row.name!r} is not a column{_nearest(row.name, columns)}. Name each row by "
                "the detector its fluorochrome is meant for."
            )
        elif row.name and labels.count(row.name) > 1 and labels.index(row.name) == rows.index(row):
            problems.append(f"row {row.name!r} stands {labels.count(row.name)} times; once was expected.")
    for number, name in enumerate(columns, start=1):
        if not name:
            problems.append(f"column {number} has no name; the name of a detector was expected.")
        elif channels is not None and name not in channels:
            near = _nearest(name, set(channels) - set(columns))
            problems.append(
                f"column {name!r} is not a channel of the events{near}. Channels: {', '.join(channels)}."
            )
    return problems


def _nearest(name: str, choices: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(choices), n=1, cutoff=0.7)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _number_problems(columns: list[str], rows: list[_Row]) -> list[str]:
    return [
        f"{row.where}, column {column!r}: {cell!r} {fault}"
        for row in rows
        for column, cell in zip(columns, row.cells, strict=True)
        if (fault := _fault(cell))
    ]


def _fault(cell: str) -> str:
    """What is wrong with a value, and the remedy; "" if it is a number."""
    if _NUMBER.fullmatch(cell) and np.isfinite(float(cell)):
        return ""
    if cell == "":
        return "is empty; a fraction was expected. Enter 0 where there is no spillover."
    if cell.endswith("%"):
        return "is per cent; a fraction was expected. Write 0.1 for 10%."
    if re.fullmatch(r"[+-]?\d+,\d+", cell):
        return "has a decimal comma; a decimal point was expected. " + _SAVE_AS
    return "is not a number; a fraction was expected. Enter 0 where there is no spillover."


def _diagonal_problems(columns: list[str], rows: list[_Row], values: npt.NDArray[np.float64]) -> list[str]:
    diagonal = np.diagonal(values)
    if (diagonal >= _PERCENT_DIAGONAL).all():
        return [
            f"the diagonal is {diagonal[0]:g}, so the values are per cent; fractions with diagonal 1 were "
            "expected. Divide every value by 100."
        ]
    return [
        f"{row.where}, column {name!r}: the diagonal is {value:g}; 1 was expected. A fluorochrome is seen "
        "by its own detector: are rows and columns in the same order?"
        for row, name, value in zip(rows, columns, diagonal, strict=True)
        if value <= 0 or value >= _PERCENT_DIAGONAL
    ]


def _shortest(value: float) -> str:
    """The shortest text that reads back as the same number."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _stop(path: Path, problems: Sequence[str]) -> None:
    if problems:
        shown = list(problems[:40]) + ([f"and {len(problems) - 40} more"] if len(problems) > 40 else [])
        raise CompensationError(all_problems(str(path), shown, outcome="the matrix is not used"))
