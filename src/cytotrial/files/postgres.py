"""The trial's tables in a PostgreSQL database: one schema per study, filled in one transaction.

The password of the address is in no message: what a driver says is cleared of it before it is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from cytotrial.errors import DatasetError

TYPES: Mapping[str, Any] = {
    "text": sa.Text,
    "number": sa.Double,
    "integer": sa.BigInteger,
    "boolean": sa.Boolean,
    "date": sa.Date,
    "datetime": sa.DateTime,
}
"""Kind of a column → its type."""

MARK = "written by cytotrial; replaced as a whole by `cytotrial load`"
"""Comment of a schema that this module made, and may therefore replace."""

Rows = Callable[[str], Iterator[list[tuple[Any, ...]]]]
"""Table → its rows, in parts."""


def copy_tables(
    address: str,
    *,
    schema: str,
    tables: Mapping[str, Mapping[str, str]],
    rows: Rows,
    views: Mapping[str, str],
) -> dict[str, int]:
    """Replace a schema by these tables and views; all of it happens, or nothing.

    Parameters
    ----------
    address : str
        `postgresql://user@host/database`; the password may come from it, or from PGPASSWORD or
        the password file of PostgreSQL.
    schema : str
        Made if it is not there; one that something else made is left alone.
    tables : mapping
        Table → column → kind.
    views : mapping
        View → its query, over tables of the schema.

    Returns
    -------
    dict of str to int
        Table → number of its rows.

    Raises
    ------
    DatasetError
        If the address is none, the server refuses, or the schema holds somebody else's tables.
    """
    url = _url(address)
    try:
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            _make_room(connection, schema)
            counted = {
                name: _fill(connection, schema, name, columns, rows) for name, columns in tables.items()
            }
            connection.execute(sa.text(f"SET LOCAL search_path TO {_quoted(schema)}"))
            for name, query in views.items():
                connection.execute(sa.text(f"CREATE VIEW {_quoted(name)} AS {query}"))
        engine.dispose()
    except SQLAlchemyError as error:
        raise DatasetError(
            f"{shown(url)}: {_without_password(error, url)}",
            hint="Check that the server runs, and that the user may create a schema in the database.",
        ) from None
    return counted


def _url(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise DatasetError(
            "the address of the database is not understood.",
            hint="Write postgresql://user@host:5432/database; blanks and signs in it as %20 and the like.",
        ) from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise DatasetError(
            f"the address begins with {url.get_backend_name()}, expected postgresql.",
            hint="Write postgresql://user@host:5432/database.",
        )
    return url.set(drivername="postgresql+psycopg")


def shown(url: URL) -> str:
    """The address without its password, nor what else may be in its options."""
    place = f"{url.host or 'local socket'}:{url.port or 5432}/{url.database or ''}"
    return f"postgresql://{url.username + '@' if url.username else ''}{place}"


def _without_password(error: SQLAlchemyError, url: URL) -> str:
    """What the driver says in one line, without statements, values or the password."""
    cause = getattr(error, "orig", None)
    said = " ".join(str(cause if cause is not None else error).split())
    for secret in (url.password, str(url.query.get("password", ""))):
        if secret:
            said = said.replace(str(secret), "***")
    return said[:400]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _make_room(connection: sa.Connection, schema: str) -> None:
    """An empty schema of that name, in place of one that an earlier load made."""
    found = connection.execute(
        sa.text("SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = :name"),
        {"name": schema},
    ).fetchone()
    if found is not None and found[0] != MARK:
        raise DatasetError(
            f"the database has a schema {schema} that cytotrial did not make.",
            hint="Name another with --schema.",
        )
    if found is not None:
        connection.execute(sa.text(f"DROP SCHEMA {_quoted(schema)} CASCADE"))
    connection.execute(sa.text(f"CREATE SCHEMA {_quoted(schema)}"))
    connection.execute(sa.text(f"COMMENT ON SCHEMA {_quoted(schema)} IS '{MARK}'"))


def _fill(connection: sa.Connection, schema: str, name: str, columns: Mapping[str, str], rows: Rows) -> int:
    table = sa.Table(
        name,
        sa.MetaData(schema=schema),
        *(sa.Column(column, TYPES[kind]()) for column, kind in columns.items()),
    )
    table.create(connection)
    counted = 0
    for part in rows(name):
        connection.execute(sa.insert(table), [dict(zip(columns, row, strict=True)) for row in part])
        counted += len(part)
    return counted
