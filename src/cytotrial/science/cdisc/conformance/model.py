"""A check: what it demands, of which datasets, and the function that looks for exceptions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cytotrial.dataset_terms import Specification

Rows = Sequence[Mapping[str, Any]]
Verdict = Literal["PASS", "FAIL", "NOT_APPLICABLE"]


@dataclass(frozen=True)
class TrialData:
    """The datasets as they were read back, and what the study planned.

    planned : (USUBJID, VISIT) of every planned contact
    tests : CPTESTCD → CPTEST of every test that the configuration asks for
    """

    specification: Specification
    tables: Mapping[str, Rows]
    planned: Sequence[tuple[str, str]]
    tests: Mapping[str, str]

    def rows(self, dataset: str) -> Rows:
        return self.tables[dataset]


@dataclass(frozen=True)
class Check:
    """One rule.

    applies_to : datasets of which at least one must hold a record
    problems : one sentence for every exception; none if the rule holds
    """

    name: str
    rule: str
    applies_to: tuple[str, ...]
    problems: Callable[[TrialData], Iterable[str]]


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    name: str
    rule: str
    verdict: Verdict
    problems: tuple[str, ...] = ()


def examine(check: Check, data: TrialData) -> Finding:
    """Run a check; it does not apply where none of its datasets holds a record."""
    if not any(data.rows(dataset) for dataset in check.applies_to):
        return Finding(check.name, check.rule, "NOT_APPLICABLE")
    problems = tuple(check.problems(data))
    return Finding(check.name, check.rule, "FAIL" if problems else "PASS", problems)


def where(dataset: str, row: Mapping[str, Any]) -> str:
    """A record in words: its subject and number."""
    number = {"CP": "CPSEQ", "LB": "LBSEQ", "ADCP": "ASEQ"}.get(dataset)
    about = f", {number} {row[number]}" if number else ""
    return f"{dataset}, {row['USUBJID']}{about}"


def repeated(rows: Rows, keys: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The values of some variables that more than one record has."""
    seen: set[tuple[Any, ...]] = set()
    told: set[tuple[Any, ...]] = set()
    for row in rows:
        value = tuple(row[key] for key in keys)
        if value in seen and value not in told:
            told.add(value)
            yield value
        seen.add(value)


def is_close(value: float, expected: float) -> bool:
    """Equal within 1e-9, relative above 1."""
    return abs(value - expected) <= 1e-9 * max(1.0, abs(expected))
