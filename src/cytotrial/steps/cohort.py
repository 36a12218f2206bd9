"""The gates and populations of all tubes as the judge of gating needs them: typed, and joined by tube."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from cytotrial.files.tables import as_written
from cytotrial.science.doubt import Measures, farthest, logit
from cytotrial.steps.gates_table import numbers_in
from cytotrial.terms import Role, Tube

Rows = list[dict[str, str]]


@dataclass(frozen=True, eq=False)
class Gated:
    """One gate of one tube.

    place : where the tube by itself has the gate, in numbers whose distances compare; empty of a gate that
        does not move
    depth : of the valley that the gate lies in, or what else its finder is confident by
    above : the populations that it rests on: its parent, and those that a boolean gate joins
    found : whether the gate was found from the parent's events
    """

    tube: Tube
    population: str
    gate: Mapping[str, Any]
    place: tuple[float, ...]
    depth: float | None
    above: tuple[str, ...]
    found: bool
    disagreement: float | None
    similarity: float | None
    events: int | None
    parent_events: int | None

    @property
    def kind(self) -> tuple[str, str]:
        return self.tube.panel, self.population

    def measures(self, *, batch_middle: tuple[float, ...], cohort_z: float | None) -> Measures:
        far = farthest(self.place, batch_middle, depth=self.depth)
        return Measures(far, cohort_z, self.disagreement, self.similarity, self.events, self.parent_events)


@dataclass(frozen=True, eq=False)
class Cohort:
    """All gated tubes of the trial.

    gates : of every tube, in gating order
    populations : (sample_id, population) → its row of populations.csv
    """

    gates: tuple[Gated, ...]
    populations: Mapping[tuple[str, str], Mapping[str, str]]
    samples: frozenset[str] = field(default_factory=frozenset)

    def of_samples(self) -> Iterator[Gated]:
        """The gates of the participants' sample tubes: the cohort that a tube is compared with."""
        return (gate for gate in self.gates if gate.tube.sample_id in self.samples)

    def share(self, sample_id: str, population: str, of: str) -> float | None:
        """Logit of a population's share of another; None where either was not gated."""
        rows = (self.populations.get((sample_id, name)) for name in (population, of))
        events = [int(row["events"]) for row in rows if row is not None and row["events"]]
        return logit(*events) if len(events) == 2 else None


def read_cohort(gates: Rows, populations: Rows, tubes: Iterable[Tube], donors: Iterable[str]) -> Cohort:
    """The joined tables as one cohort.

    Parameters
    ----------
    gates, populations : rows of gating/gates.csv and gating/populations.csv
    donors : subjects that are quality-control donors: their tubes are judged, but are no part of the cohort
    """
    by_name = {tube.sample_id: tube for tube in tubes}
    counted = {key_of_row(row): row for row in populations}
    samples = frozenset(
        tube.sample_id
        for tube in by_name.values()
        if tube.role is Role.SAMPLE and tube.subject not in set(donors)
    )
    return Cohort(
        tuple(_gated(row, by_name[row["sample_id"]], counted.get(key_of_row(row), {})) for row in gates),
        counted,
        samples,
    )


def key_of_row(row: Mapping[str, str]) -> tuple[str, str]:
    """sample_id and population of a row of gates.csv or populations.csv."""
    return row["sample_id"], as_written(row["population"])


def _gated(row: Mapping[str, str], tube: Tube, counted: Mapping[str, str]) -> Gated:
    gate = json.loads(row["gate"])
    comparable = _comparable(gate)
    operands = [str(name) for name, _ in gate.get("operands", ())]
    return Gated(
        tube,
        as_written(row["population"]),
        gate,
        numbers_in(row["position"]) if comparable else (),
        _number(row["confidence"]),
        tuple(dict.fromkeys([as_written(row["parent"]), *operands])),
        bool(row["position"]),
        _number(row["disagreement"]),
        _number(row["similarity"]),
        _whole(counted.get("events", "")),
        _whole(counted.get("parent_events", "")),
    )


def _comparable(gate: Mapping[str, Any]) -> bool:
    """Whether the gate's position is on a display scale or in decades, not in detector units."""
    kinds = {dimension["transform"]["kind"] for dimension in gate.get("dimensions", ())}
    return gate["type"] != "rectangle" or "linear" not in kinds


def _number(text: str) -> float | None:
    return float(text) if text else None


def _whole(text: str) -> int | None:
    return int(text) if text else None
