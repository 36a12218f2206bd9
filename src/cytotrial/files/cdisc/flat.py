"""The datasets as CSV and Parquet: for spreadsheets, R, Python and databases.

In CSV alone, text that a spreadsheet would run as a formula has a leading apostrophe.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from cytotrial.dataset_terms import DatasetSpec
from cytotrial.files.tables import as_written, read_table, write_table
from cytotrial.files.whole import write_bytes


def write_csv(path: Path, spec: DatasetSpec, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a dataset as CSV; a missing value is an empty cell, dates are ISO 8601."""
    dates = {variable.name for variable in spec.variables if variable.kind in {"date", "datetime"}}
    write_table(path, spec.names, [{**row, **{name: _iso(row[name]) for name in dates}} for row in rows])


def _iso(value: Any) -> str:
    return "" if value is None else str(value.isoformat())


def read_csv(path: Path, spec: DatasetSpec) -> list[dict[str, Any]]:
    """The records of a CSV file in the types of the specification; variables as the file has them."""
    kinds = {variable.name: variable.kind for variable in spec.variables if not variable.is_text}
    return [
        {name: _value(text, kinds[name]) if name in kinds else as_written(text) for name, text in row.items()}
        for row in read_table(path)
    ]


def _value(text: str, kind: str) -> Any:
    if text == "":
        return None
    if kind == "date":
        return date.fromisoformat(text)
    if kind == "datetime":
        return datetime.fromisoformat(text)
    return int(text) if kind == "integer" else float(text)


def write_parquet(path: Path, spec: DatasetSpec, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a dataset as Parquet; labels are in the metadata of its fields."""
    import pyarrow as pa  # noqa: PLC0415 (only the steps that write or read datasets pay for it)
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {
        "text": pa.string(),
        "iso": pa.string(),
        "number": pa.float64(),
        "integer": pa.int64(),
        "date": pa.date32(),
        "datetime": pa.timestamp("ms"),
    }
    fields = [
        pa.field(variable.name, types[variable.kind], metadata={"label": variable.label})
        for variable in spec.variables
    ]
    arrays = [pa.array([row[field.name] for row in rows], field.type, from_pandas=False) for field in fields]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(fields)), sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """The records of a Parquet file, in the types that were written."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows
