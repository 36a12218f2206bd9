"""The nouns of the trial dataset in CDISC form: what its specification table is made of.

Nothing here opens a file, reads a setting or computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ValueKind = Literal["text", "number", "integer", "iso", "date", "datetime"]
"""What a variable holds; `iso` is ISO 8601 as text, `date` and `datetime` are numbers in transport files."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One column of a dataset in CDISC form, as the specification table states it."""

    name: str
    label: str
    kind: ValueKind
    core: str = ""
    role: str = ""
    codelist: str = ""
    origin: str = ""
    source: str = ""
    derivation: str = ""

    @property
    def is_text(self) -> bool:
        return self.kind in {"text", "iso"}


@dataclass(frozen=True, slots=True)
class DatasetSpec:
    """One dataset in CDISC form: its variables in order, and the keys that make a record unique."""

    name: str
    folder: str
    label: str
    structure_class: str
    structure: str
    keys: tuple[str, ...]
    comment: str
    variables: tuple[Variable, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(variable.name for variable in self.variables)


@dataclass(frozen=True, slots=True)
class Qualifier:
    """One supplemental qualifier of a result (SUPPCP)."""

    name: str
    label: str
    origin: str
    derivation: str


@dataclass(frozen=True, slots=True)
class CodeList:
    """A controlled terminology codelist: term → its NCI code."""

    code: str
    name: str
    extensible: bool
    terms: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ParameterTerms:
    """What a parameter is called in CDISC form, and which markers define its cells by default."""

    parameter: str
    test_code: str
    unit: str
    result_type: str
    description: str
    label: str
    number: int
    category: str
    markers: str
    parent_markers: str


@dataclass(frozen=True, slots=True)
class Specification:
    """The one table that the datasets, their metadata and their checks are made from."""

    datasets: Mapping[str, DatasetSpec]
    qualifiers: tuple[Qualifier, ...]
    codelists: Mapping[str, CodeList]
    parameters: Mapping[str, ParameterTerms]
