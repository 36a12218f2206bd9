"""Dataset-JSON 1.1: a dataset with its variables' metadata in one JSON file.

References
----------
CDISC, Dataset-JSON version 1.1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from cytotrial.dataset_terms import DatasetSpec, Variable
from cytotrial.files.whole import write_text

NO_CLOCK = "1970-01-01T00:00:00"
"""Stands where a format asks for the time of writing: the same data are the same bytes."""

_TYPES = {
    "text": {"dataType": "string"},
    "iso": {"dataType": "datetime"},
    "number": {"dataType": "double"},
    "integer": {"dataType": "integer"},
    "date": {"dataType": "date", "targetDataType": "integer", "displayFormat": "DATE9."},
    "datetime": {"dataType": "datetime", "targetDataType": "integer", "displayFormat": "DATETIME20."},
}


def write_dataset_json(
    path: Path, spec: DatasetSpec, rows: Sequence[Mapping[str, Any]], *, study: str
) -> None:
    """Write a dataset as Dataset-JSON; a missing value is null, dates are ISO 8601."""
    content = {
        "datasetJSONCreationDateTime": NO_CLOCK,
        "datasetJSONVersion": "1.1.0",
        "fileOID": f"{study}.{spec.folder}.{spec.name}",
        "originator": "cytotrial",
        "studyOID": f"STDY.{study}",
        "metaDataVersionOID": f"MDV.{study}.{spec.folder.upper()}",
        "metaDataRef": "define.xml",
        "itemGroupOID": f"IG.{spec.name}",
        "records": len(rows),
        "name": spec.name,
        "label": spec.label,
        "columns": [_column(spec, variable, rows) for variable in spec.variables],
    }
    head = json.dumps(content, indent=1, ensure_ascii=True).removesuffix("\n}")
    names = spec.names
    lines = [json.dumps([_plain(row[name]) for name in names], ensure_ascii=True) for row in rows]
    write_text(path, head + ',\n "rows": [\n  ' + ",\n  ".join(lines) + "\n ]\n}\n")


def _column(spec: DatasetSpec, variable: Variable, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    column: dict[str, Any] = {
        "itemOID": f"IT.{spec.name}.{variable.name}",
        "name": variable.name,
        "label": variable.label,
        **_TYPES[variable.kind],
    }
    if variable.kind == "text":
        column["length"] = max([1, *(len(row[variable.name]) for row in rows)])
    if variable.name in spec.keys:
        column["keySequence"] = spec.keys.index(variable.name) + 1
    return column


def _plain(value: Any) -> Any:
    if isinstance(value, date):  # and a datetime, which is one
        return value.isoformat()
    return None if value == "" else value


def read_dataset_json(path: Path) -> list[dict[str, Any]]:
    """The records of a Dataset-JSON file, in the types that were written."""
    content = json.loads(path.read_text(encoding="utf-8"))
    columns = content["columns"]
    if not content["rows"]:
        return []
    names = [column["name"] for column in columns]
    values = [
        [_value(value, column) for value in cells]
        for column, cells in zip(columns, zip(*content["rows"], strict=True), strict=True)
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _value(value: Any, column: Mapping[str, Any]) -> Any:
    numeric = column["dataType"] in {"double", "integer"} or "targetDataType" in column
    if value is None:
        return None if numeric else ""
    if column["dataType"] == "double":
        return float(value)
    if "targetDataType" in column:
        return date.fromisoformat(value) if column["dataType"] == "date" else datetime.fromisoformat(value)
    return value
