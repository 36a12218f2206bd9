"""The trial dataset as one DuckDB file, for questions in SQL.

The content is the same for the same tables; the bytes are not, as DuckDB gives every file an identity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from cytotrial.errors import DatasetError
from cytotrial.files.tables import as_written, read_table
from cytotrial.files.whole import read_bytes, whole_file

TYPES = {
    "text": "VARCHAR",
    "number": "DOUBLE",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "datetime": "TIMESTAMP",
}
"""Kind of a column → its type in the database."""

READ_SINCE = "v1.2.0"
"""The oldest DuckDB that can open the file: statisticians' R packages lag behind."""

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "storage_compatibility_version": READ_SINCE,
}
_KINDS = {"TIMESTAMP WITH TIME ZONE": "datetime", **{name: kind for kind, name in TYPES.items()}}


def write_database(
    path: Path,
    *,
    csv_tables: Mapping[str, tuple[Path, Mapping[str, str]]],
    parquet_tables: Mapping[str, Path],
    row_tables: Mapping[str, tuple[Mapping[str, str], Sequence[Sequence[Any]]]],
    views: Mapping[str, str],
) -> None:
    """Write the database whole, or not at all.

    Parameters
    ----------
    csv_tables : mapping
        Table → a CSV file and the kinds of its columns that are not text. An empty cell is NULL.
    parquet_tables : mapping
        Table → a Parquet file; column names become lower case, an empty text is NULL.
    row_tables : mapping
        Table → column kinds, and rows in that order.
    views : mapping
        View → its query.
    """
    with whole_file(path) as temporary, duckdb.connect(str(temporary), config=_CONFIG) as connection:
        for name, (source, kinds) in csv_tables.items():
            _table_of_csv(connection, name, source, kinds)
        for name, source in parquet_tables.items():
            _table_of_parquet(connection, name, source)
        for name, (kinds, rows) in row_tables.items():
            _fill(connection, name, kinds, rows)
        for name, query in views.items():
            connection.execute(f"CREATE VIEW {_quoted(name)} AS {query}")
        connection.execute("CHECKPOINT")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table_of_csv(
    connection: duckdb.DuckDBPyConnection, name: str, source: Path, kinds: Mapping[str, str]
) -> None:
    rows = read_table(source)
    with source.open(encoding="utf-8") as stream:
        columns = stream.readline().rstrip("\n").split(",")
    typed = {column: kinds.get(column, "text") for column in columns}
    _fill(
        connection,
        name,
        typed,
        [[_value(row[column], kind) for column, kind in typed.items()] for row in rows],
    )


def _value(text: str, kind: str) -> Any:
    if text == "":
        return None
    if kind == "number":
        return float(text)
    return int(text) if kind == "integer" else as_written(text)


def _fill(
    connection: duckdb.DuckDBPyConnection, name: str, kinds: Mapping[str, str], rows: Sequence[Sequence[Any]]
) -> None:
    """A table of typed columns; handed over as Arrow, which takes a thousandth of the time of INSERT."""
    import pyarrow as pa  # noqa: PLC0415

    types = {
        "text": pa.string(),
        "number": pa.float64(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us"),
    }
    schema = pa.schema([(column, types[kind]) for column, kind in kinds.items()])
    arrays = [pa.array([row[place] for row in rows], field.type) for place, field in enumerate(schema)]
    connection.register("handed_over", pa.Table.from_arrays(arrays, schema=schema))
    connection.execute(f"CREATE TABLE {_quoted(name)} AS SELECT * FROM handed_over")
    connection.unregister("handed_over")


def _table_of_parquet(connection: duckdb.DuckDBPyConnection, name: str, source: Path) -> None:
    read_bytes(source)  # as it was made, or an error
    relation = connection.read_parquet(str(source))
    columns = ", ".join(
        f"NULLIF({_quoted(column)}, '') AS {_quoted(column.lower())}"
        if str(kind) == "VARCHAR"
        else f"{_quoted(column)} AS {_quoted(column.lower())}"
        for column, kind in zip(relation.columns, relation.types, strict=True)
    )
    connection.execute(f"CREATE TABLE {_quoted(name)} AS SELECT {columns} FROM relation")


def read_database(path: Path) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Tables with the kinds of their columns, and views with their queries, as a database file has them.

    Raises
    ------
    DatasetError
        If the file is not there or is no database.
    """
    with _opened(path) as connection:
        tables: dict[str, dict[str, str]] = {}
        described = connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal "
            "AND table_name IN (SELECT table_name FROM duckdb_tables()) ORDER BY table_name, column_index"
        ).fetchall()
        for table, column, kind in described:
            tables.setdefault(table, {})[column] = _KINDS[kind]
        views = dict(
            connection.execute(
                "SELECT view_name, sql FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
            ).fetchall()
        )
    return tables, views


def rows_of_table(path: Path, table: str, *, at_once: int = 5000) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a table in the order in which they were written, in parts."""
    with _opened(path) as connection:
        found = connection.execute(f"SELECT * FROM {_quoted(table)} ORDER BY rowid")
        while part := found.fetchmany(at_once):
            yield part


def _opened(path: Path) -> duckdb.DuckDBPyConnection:
    if not path.is_file():
        raise DatasetError(f"{path} is not there.", hint="Run snakemake, which writes it.")
    try:
        return duckdb.connect(str(path), read_only=True)
    except duckdb.Error:
        raise DatasetError(
            f"{path} is no database that this version of DuckDB reads.",
            hint="Delete it and run snakemake again.",
        ) from None
