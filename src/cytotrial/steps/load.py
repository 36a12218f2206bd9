"""The trial's tables in a laboratory's PostgreSQL: the same tables and views as in trial.duckdb."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cytotrial.files.database import read_database, rows_of_table
from cytotrial.files.postgres import copy_tables
from cytotrial.progress import Progress, untold
from cytotrial.steps.database import VIEWS
from cytotrial.steps.layout import Layout
from cytotrial.steps.trial import load_trial


def load_into(config: Path, address: str, *, schema: str | None = None, progress: Progress = untold) -> str:
    """Copy dataset/trial.duckdb into a PostgreSQL database; what was copied comes back in words.

    Parameters
    ----------
    address : str
        `postgresql://user@host/database`; its password is never shown.
    schema : str, optional
        The study's name in lower case, if not given: two studies lie side by side.
    progress : callable
        Told how many tables have been copied.

    Raises
    ------
    DatasetError
        See `copy_tables`; also if the run has not written the database.
    """
    settings = load_trial(config).settings
    database = Layout(Path(settings.results)).database
    tables, _ = read_database(database)
    name = schema or schema_of(settings.study)
    places = {table: place for place, table in enumerate(tables, start=1)}

    def rows(table: str) -> Iterator[list[tuple[Any, ...]]]:
        yield from rows_of_table(database, table)
        progress(places[table], len(places))

    counted = copy_tables(address, schema=name, tables=tables, rows=rows, views=VIEWS)
    lines = [f"{table:<12} {rows:>8} rows" for table, rows in counted.items()]
    return "\n".join([f"schema {name}, views {', '.join(VIEWS)}", *lines])


def schema_of(study: str) -> str:
    """A study as the name of a schema.

    Examples
    --------
    >>> schema_of("DEMO-IL2")
    'demo_il2'
    """
    name = re.sub(r"[^a-z0-9]+", "_", study.lower()).strip("_")
    return name if name[:1].isalpha() else f"study_{name}"
