"""What the datasets are made from: the study, its tests, its results and the traces of its tubes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from cytotrial.dataset_terms import DatasetSpec
from cytotrial.science.cdisc.text import ascii_text
from cytotrial.terms import Status, Subject, Visit

Row = dict[str, Any]
"""A record: variable → value. Text "" and numbers None are missing."""

Result = Mapping[str, Any]
"""A row of candidates.csv: one parameter of one specimen, its numbers as float or None,
`flags` and `sample_ids` as tuples of text, `answers` and the like as text."""


@dataclass(frozen=True, slots=True)
class CellTest:
    """How one parameter is described in CP.

    code, name : CPTESTCD and CPTEST; `unit`, `result_type` and the like are terms too
    panel, population : whose gate is counted
    stimulated : the tube was stimulated, with `agents`; an unstimulated tube may stand beside it
    """

    code: str
    name: str
    unit: str
    result_type: str
    description: str
    order: int
    panel: str
    population: str
    markers: str = ""
    sublineage: str = ""
    cell_state: str = ""
    state_markers: str = ""
    stimulated: bool = False
    agents: str = ""
    method: str = ""
    specimen: str = "BLOOD"


@dataclass(frozen=True, slots=True)
class StudyTerms:
    """What all datasets of a study share.

    day1_before_dose : a draw of the day of the first dose counts as before it where a time is missing
    blq : how a value below the limit of quantitation enters ADCP
    treatment : the study drug, as the exposure sheet spells it
    """

    study: str
    subjects: tuple[Subject, ...]
    visits: tuple[Visit, ...]
    country: str = ""
    treatment: str = ""
    laboratory: str = ""
    specimen_condition: str = ""
    by_sponsor: bool = False
    day1_before_dose: bool = True
    blq: Literal["measured", "halflloq", "missing"] = "measured"

    def usubjid(self, subject: str) -> str:
        return f"{self.study}-{subject}"

    @property
    def first_dose(self) -> dict[str, str]:
        """Subject → first dose, ISO 8601; empty if the sheet does not say."""
        return {subject.subject: subject.first_dose for subject in self.subjects}


@dataclass(frozen=True, slots=True)
class TubeTrace:
    """Where a tube's numbers come from: file, gates, and the path to each population.

    fcs_sha, gates_sha : first 16 digits of the SHA-256 of the file and of the tube's rows in gates.csv
    parents : population → the population it was drawn on
    """

    panel: str
    unstimulated: bool
    fcs_sha: str
    gates_sha: str
    parents: Mapping[str, str]


def without_failed(results: Iterable[Result]) -> list[Result]:
    """The results with no value where the quality control failed: attempted, but no result."""
    return [{**row, "value": None} if row["status"] == Status.FAIL.value else row for row in results]


def as_row(spec: DatasetSpec, values: Mapping[str, Any]) -> Row:
    """A whole record: every variable of the dataset in order, missing where `values` has none."""
    row: Row = {}
    for variable in spec.variables:
        value = values.get(variable.name)
        if variable.is_text:
            row[variable.name] = ascii_text(value or "").rstrip()
        else:
            row[variable.name] = float(value) if variable.kind == "number" and value is not None else value
    unknown = values.keys() - row.keys()
    assert not unknown, f"not variables of {spec.name}: {sorted(unknown)}"
    return row
