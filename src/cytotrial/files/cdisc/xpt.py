"""SAS transport files, version 5: the form in which regulators take datasets.

Dates are SAS dates: days (date) and seconds (datetime) since 1960-01-01.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyreadstat

from cytotrial.dataset_terms import DatasetSpec, Variable
from cytotrial.errors import DatasetError, all_problems
from cytotrial.files.cdisc.limits import transport_problems
from cytotrial.files.whole import write_bytes

VERSION_5 = b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!"
FORMATS = {"date": "DATE9.", "datetime": "DATETIME20."}

_EPOCH = datetime(1960, 1, 1)
_CLOCKS = (144, 160, 464, 480)
_CLOCK = re.compile(rb"\d\d[A-Z]{3}\d\d:\d\d:\d\d:\d\d")
_NO_CLOCK = b"01JAN70:00:00:00"


def write_xpt(path: Path, spec: DatasetSpec, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a dataset as a transport file; the same records give the same bytes.

    Parameters
    ----------
    rows : sequence of mapping
        Every variable of `spec`: text as str ("" if missing), numbers as int or float, dates as
        `date` and `datetime` (None if missing).

    Raises
    ------
    DatasetError
        With every name, label and text that the format cannot hold.
    """
    problems = list(transport_problems(spec, rows))
    if problems:
        more = [f"and {len(problems) - 20} more"] if len(problems) > 20 else []
        raise DatasetError(
            all_problems(path.name, [*problems[:20], *more], outcome="nothing was written"),
            hint="SAS transport files hold names of 8, labels of 40 and text of 200 ASCII characters.",
        )
    frame = pd.DataFrame({variable.name: _column(variable, rows) for variable in spec.variables})
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "dataset.xpt"
        pyreadstat.write_xport(
            frame,
            str(temporary),
            file_format_version=5,
            table_name=spec.name,
            file_label=spec.label,
            column_labels=[variable.label for variable in spec.variables],
            variable_format={
                variable.name: FORMATS[variable.kind]
                for variable in spec.variables
                if variable.kind in FORMATS
            },
        )
        write_bytes(path, _without_clock(temporary.read_bytes()))


def _column(variable: Variable, rows: Sequence[Mapping[str, Any]]) -> pd.Series:
    values = [row[variable.name] for row in rows]
    if variable.is_text:
        return pd.Series(values, dtype=object)
    return pd.Series([_number(value) for value in values], dtype="float64")


def _number(value: Any) -> float | None:
    if isinstance(value, datetime):
        return (value - _EPOCH).total_seconds()
    if isinstance(value, date):
        return float((value - _EPOCH.date()).days)
    return None if value is None else float(value)


def _without_clock(content: bytes) -> bytes:
    """The file with a fixed time where the library writes that of the clock."""
    changed = bytearray(content)
    for place in _CLOCKS:
        if not _CLOCK.fullmatch(content[place : place + 16]):
            raise DatasetError(
                f"no time of writing at byte {place} of the transport file, where one was expected.",
                hint="Install the version of pyreadstat that requirements.lock names.",
            )
        changed[place : place + 16] = _NO_CLOCK
    return bytes(changed)


def read_xpt(path: Path, spec: DatasetSpec) -> list[dict[str, Any]]:
    """The records of a transport file, in the types of `write_xpt`; variables as the file has them."""
    frame, _ = pyreadstat.read_xport(str(path), disable_datetime_conversion=True)
    kinds = {variable.name: variable.kind for variable in spec.variables}
    columns = {str(name): _values(frame[name], kinds.get(str(name), "")) for name in frame.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _values(column: pd.Series, kind: str) -> list[Any]:
    missing = "" if kind in {"text", "iso"} else None
    return [
        value if isinstance(value, str) else missing if gone else _number_of(value, kind)
        for value, gone in zip(column.tolist(), column.isna().tolist(), strict=True)
    ]


def _number_of(value: Any, kind: str) -> Any:
    if kind == "date":
        return _EPOCH.date() + timedelta(days=int(value))
    if kind == "datetime":
        return _EPOCH + timedelta(seconds=float(value))
    return int(value) if kind == "integer" and float(value).is_integer() else float(value)


def xpt_variables(path: Path) -> list[tuple[str, str, str]]:
    """Name, label and type (`text` or `number`) of every variable of a transport file, in order."""
    _, found = pyreadstat.read_xport(str(path), metadataonly=True)
    types = found.readstat_variable_types
    return [
        (name, label or "", "text" if types[name] == "string" else "number")
        for name, label in zip(found.column_names, found.column_labels, strict=True)
    ]
