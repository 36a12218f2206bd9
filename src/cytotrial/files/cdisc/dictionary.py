"""The data dictionary: one page on every dataset, variable, qualifier and term."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cytotrial.dataset_terms import DatasetSpec
from cytotrial.files.cdisc.define_elements import DECODED, Described, origin_of
from cytotrial.files.cdisc.specification import TABLES, TERMINOLOGY
from cytotrial.files.whole import write_text

KINDS = {
    "text": "text",
    "iso": "text, ISO 8601",
    "number": "number",
    "integer": "whole number",
    "date": "date",
    "datetime": "date and time",
}
"""Kind of a variable → what the page calls it."""


def write_dictionary(path: Path, described: Sequence[Described]) -> None:
    """Write the page: self-contained, every value escaped, the same datasets the same bytes."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(TABLES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("dictionary.html.j2").render(
        study=described[0].study,
        terminology=TERMINOLOGY,
        datasets=[_dataset(spec, part) for part in described for spec in part.specs],
        qualifiers=described[0].qualifiers,
        terms=[entry for part in described for spec in part.specs for entry in _terms(spec, part)],
    )
    write_text(path, page)


def _dataset(spec: DatasetSpec, part: Described) -> dict[str, Any]:
    return {
        "spec": spec,
        "records": len(part.tables[spec.name]),
        "variables": [
            {
                "variable": variable,
                "kind": KINDS[variable.kind],
                "key": spec.keys.index(variable.name) + 1 if variable.name in spec.keys else "",
                "origin": origin_of(variable, part)[0],
                "codelist": part.codelists[variable.codelist].name if variable.codelist else "",
            }
            for variable in spec.variables
        ],
    }


def _terms(spec: DatasetSpec, part: Described) -> list[tuple[str, str, str, str]]:
    """(variable, value, meaning, NCI code) of the coded values in use."""
    found = []
    for variable in spec.variables:
        decode = DECODED.get((spec.name, variable.name))
        if not variable.codelist and decode is None:
            continue
        codes = part.codelists[variable.codelist].terms if variable.codelist else {}
        values = {row[variable.name]: row[decode] if decode else "" for row in part.tables[spec.name]}
        found += [
            (f"{spec.name}.{variable.name}", value, values[value], codes.get(value, ""))
            for value in sorted(values)
            if value
        ]
    return found
