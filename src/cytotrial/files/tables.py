"""Tables of results: CSV that any program reads, and Parquet beside it.

Rows are mappings from column to value. Numbers are written in their shortest form that reads
back exactly; an absent value is an empty cell. Text that a spreadsheet would run as a formula is
neutralised with a leading apostrophe; numbers never are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cytotrial.errors import CytotrialError
from cytotrial.files.whole import read_text, write_bytes, write_text

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")

Row = Mapping[str, Any]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows as CSV with exactly these columns, in this order.

    Raises
    ------
    KeyError
        If a row lacks a column: a table never has gaps by accident.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(row[column]) for column in columns])
    write_text(path, text.getvalue())


def cell(value: Any) -> str:
    """One value as the text of a CSV cell.

    Examples
    --------
    >>> cell(0.1), cell(12.0), cell(None), cell("=1+1"), cell(("a", "b"))
    ('0.1', '12', '', "'=1+1", 'a;b')
    """
    if value is None or type(value) is str:
        return _neutral(value or "")
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return _number(float(value))
    if isinstance(value, tuple | list):
        return _neutral(";".join(str(item) for item in value))
    return _neutral(str(value))


def _number(value: float) -> str:
    if not np.isfinite(value):
        return ""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _neutral(text: str) -> str:
    clean = text.replace("\x00", "")
    return f"'{clean}" if clean.startswith(_FORMULA) else clean


def as_written(text: str) -> str:
    """The text of a cell without the apostrophe that keeps a spreadsheet from running it.

    Examples
    --------
    >>> as_written("'-CD4"), as_written("'quoted'")
    ('-CD4', "'quoted'")
    """
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV table written by `write_table`, all cells as text.

    Raises
    ------
    SealError
        If the table is not as it was made.
    CytotrialError
        If a line has more or fewer cells than the header: the file was cut or edited.
    """
    lines = list(csv.reader(io.StringIO(read_text(path), newline="")))
    if not lines:
        raise CytotrialError(f"{path} is empty.", hint="Delete it and run snakemake again.")
    header = lines[0]
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(header):
            raise CytotrialError(
                f"{path}, line {number}: {len(line)} cells, the header has {len(header)}.",
                hint="The file was cut or edited: delete it and run snakemake again.",
            )
    return [dict(zip(header, line, strict=True)) for line in lines[1:]]


def lines_by_id(path: Path) -> dict[str, bytes]:
    """First cell → its lines of a table as they stand in the file; the ids need no quotes.

    These are the bytes that `grep '^T001,' table.csv` prints.
    """
    lines: dict[str, bytes] = {}
    for line in path.read_bytes().splitlines(keepends=True)[1:]:
        name = line.partition(b",")[0].decode()
        lines[name] = lines.get(name, b"") + line
    return lines


def concatenate(path: Path, parts: Iterable[Path], *, columns: Sequence[str], sort_by: Sequence[str]) -> None:
    """One table of the rows of many, sorted by the text of some columns."""
    rows = [row for part in parts for row in read_table(part)]
    rows.sort(key=lambda row: tuple(row[column] for column in sort_by))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[column] for column in columns] for row in rows)
    write_text(path, text.getvalue())


def write_parquet(path: Path, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Write rows as Parquet; `columns` maps each name to `text`, `number` or `integer`."""
    import pyarrow as pa  # noqa: PLC0415 (only the dataset step pays for it)
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {"text": pa.string(), "number": pa.float64(), "integer": pa.int64()}
    arrays = [
        pa.array([_plain(row[name], kind) for row in rows], types[kind]) for name, kind in columns.items()
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, names=list(columns)), sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def _plain(value: Any, kind: str) -> Any:
    if value is None or value == "":
        return None if kind != "text" or value is None else ""
    if kind == "text":
        return ";".join(str(item) for item in value) if isinstance(value, tuple | list) else str(value)
    return int(value) if kind == "integer" else float(value)
