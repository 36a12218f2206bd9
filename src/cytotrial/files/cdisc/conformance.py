"""Checks of the files themselves: columns, the limits of transport files, equal forms, Define-XML."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cytotrial.dataset_terms import DatasetSpec
from cytotrial.errors import CytotrialError
from cytotrial.files.cdisc.define_check import define_problems, defined_variables
from cytotrial.files.cdisc.forms import FORMS, dataset_file, read_dataset
from cytotrial.files.cdisc.limits import transport_problems
from cytotrial.files.cdisc.xpt import VERSION_5, xpt_variables

RECORD_BYTES = 80

Reader = Callable[[DatasetSpec], list[dict[str, Any]]]
"""Gives the records of a dataset's transport file."""


def columns_are_specified(folder: Path, spec: DatasetSpec) -> Iterator[str]:
    """V01: names, order, labels and types of the transport file's variables."""
    expected = [
        (variable.name, variable.label, "text" if variable.is_text else "number")
        for variable in spec.variables
    ]
    found = xpt_variables(dataset_file(folder, spec, "xpt"))
    names = [name for name, *_ in found]
    for name in spec.names:
        if name not in names:
            yield f"{spec.name}: variable {name} is missing"
    for name in names:
        if name not in spec.names:
            yield f"{spec.name}: variable {name} is not in the specification"
    for seen, wanted in zip(found, expected, strict=False):
        if sorted(names) == sorted(spec.names) and seen != wanted:
            yield f"{spec.name}: {' / '.join(seen)} stands where {' / '.join(wanted)} is expected"


def transport_limits_are_kept(folder: Path, spec: DatasetSpec, read: Reader) -> Iterator[str]:
    """V14: version 5, whole records, names, labels and text that it can hold."""
    path = dataset_file(folder, spec, "xpt")
    content = path.read_bytes()
    if not content.startswith(VERSION_5):
        yield f"{path.name} is no SAS transport file of version 5"
        return
    if len(content) % RECORD_BYTES:
        yield f"{path.name} has {len(content)} bytes, no multiple of {RECORD_BYTES}: it was cut"
        return
    for problem in transport_problems(spec, read(spec)):
        yield f"{path.name}: {problem}"


def forms_are_equal(folder: Path, spec: DatasetSpec, read: Reader) -> Iterator[str]:
    """V20: the same variables, records and values in every form."""
    first = read(spec)
    for form in FORMS[1:]:
        name = dataset_file(folder, spec, form).name
        try:
            other = read_dataset(folder, spec, form)
        except (ValueError, CytotrialError, OSError) as error:
            yield f"{name} cannot be read: {error}"
            continue
        if len(other) != len(first):
            yield f"{name} has {len(other)} records, {spec.name.lower()}.{FORMS[0]} {len(first)}"
        yield from _differences(name, first, other)


def _differences(name: str, first: list[dict[str, Any]], other: list[dict[str, Any]]) -> Iterator[str]:
    for number, (one, two) in enumerate(zip(first, other, strict=False), start=1):
        if list(one) != list(two):
            yield f"{name}, record {number}: other variables than {FORMS[0]}"
            return
        if one == two:
            continue
        for variable, value in one.items():
            if two[variable] != value:
                yield f"{name}, record {number}, {variable}: {two[variable]!r}, in {FORMS[0]} {value!r}"


def define_is_true(folder: Path, specs: Mapping[str, DatasetSpec]) -> Iterator[str]:
    """V22: define.xml is valid against its schema, and lists what the transport files hold."""
    path = folder / "define.xml"
    for problem in define_problems(path):
        yield f"{folder.name}/define.xml is not valid: {problem}"
    listed = defined_variables(path)
    if sorted(listed) != sorted(specs):
        yield f"{folder.name}/define.xml lists {', '.join(listed)}; there are {', '.join(specs)}"
    for name, spec in specs.items():
        held = [variable for variable, *_ in xpt_variables(dataset_file(folder, spec, "xpt"))]
        said = listed.get(name, [])
        if said != held:
            odd = sorted(set(said) ^ set(held)) or ["another order"]
            yield f"{folder.name}/define.xml, {name}: differs from {name.lower()}.xpt in {', '.join(odd)}"
