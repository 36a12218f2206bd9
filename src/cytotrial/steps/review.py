"""Write the review page: every tube's gates in pictures, to be looked at, moved, approved and rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cytotrial.files.overrides import (
    HEADER,
    REASONS,
    Override,
    blinded_id,
    digest_of_text,
    entry_digests,
    last_digest,
    read_overrides,
    unblinded,
)
from cytotrial.files.strategy import gate_from_json, read_strategies
from cytotrial.files.tables import read_table
from cytotrial.files.whole import write_text
from cytotrial.report.review import ReviewPage, ReviewTube, render_review
from cytotrial.science.outliers import doubt
from cytotrial.steps.pictures import read_packed
from cytotrial.steps.plan import GATED_ROLES, Plan
from cytotrial.steps.review_cells import (
    Controls,
    Packed,
    Shared,
    by_tube,
    cell_as_plain,
    cells_of,
    line_as_plain,
    lines_of,
    packed_pictures,
    packed_sample,
    sampled_axes,
)
from cytotrial.steps.strategies import strategy_of
from cytotrial.terms import ROOT, BooleanGate, EllipsoidGate, Gate, GatingStrategy, PolygonGate, Role, Tube

Row = Mapping[str, str]
Doubts = dict[tuple[str, str], tuple[float, Sequence[str]]]
NOT_SHOWN = "not shown while blinded"
DOUBTFUL = 0.5
"""A gate with this score or more is flagged on the page."""


def write_review(plan: Plan) -> None:
    """Write review.html."""
    write_text(plan.layout.review, render_review(review_page(plan)))


def review_page(plan: Plan) -> ReviewPage:
    """Everything that the page of a trial shows, from the result files."""
    return _Desk(plan).page()


@dataclass(frozen=True)
class _Results:
    """What the pipeline found out about a tube."""

    gates: Sequence[Row]
    populations: Mapping[str, Row]


class _Desk:
    """All that the page is made from, read once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.settings = plan.trial.settings
        self.blinded = self.settings.review.blinded
        self.axes = Shared()
        self.entries = Shared()
        self.numbers: dict[int, int] = {}
        self.packed = by_tube(read_packed(plan.layout.unit_pictures(*job) for job in plan.gating_jobs))
        self.results = _results(plan)
        self.names = {tube.sample_id: self._name(tube) for tube in plan.trial.tubes}
        self.controls = Controls(plan.trial.tubes, self.packed, self.names)

    def _name(self, tube: Tube) -> str:
        return blinded_id(self.settings.study, tube.sample_id) if self.blinded else tube.sample_id

    @cached_property
    def strategies(self) -> dict[str, Mapping[str, GatingStrategy]]:
        return {panel: read_strategies(self.plan.layout.strategy(panel)) for panel in self.settings.panels}

    def _entries_of(self, strategy: GatingStrategy) -> int:
        """The number of a strategy's entries; told by the strategy itself, for most tubes share theirs."""
        if id(strategy) not in self.numbers:
            self.numbers[id(strategy)] = self.entries.number_of(entry_digests(strategy))
        return self.numbers[id(strategy)]

    @cached_property
    def tubes(self) -> list[Tube]:
        """The tubes that have gates, in the order of the names that the page shows."""
        gated = [tube for tube in self.plan.trial.tubes if self.packed.get(tube.sample_id, _NOTHING).pictures]
        return sorted(gated, key=lambda tube: self.names[tube.sample_id])

    @cached_property
    def overrides(self) -> tuple[Override, ...]:
        return read_overrides(Path(self.settings.overrides)) if self.settings.overrides else ()

    def page(self) -> ReviewPage:
        doubts = self._doubts()
        tubes = [self._tube(tube, doubts) for tube in self.tubes]
        common = {
            "form": "cytotrial.review/1",
            "run": self.settings.results,
            "blinded": self.blinded,
            "doubtful": DOUBTFUL,
            "absent": self._absent(),
            "reasons": REASONS,
            "base": last_digest(self.overrides) if self.overrides else digest_of_text(HEADER),
            "saved": self._saved(),
            "axes": self.axes.values,
            "strategies": self.entries.values,
            "controls": self.controls.as_plain(),
        }
        templates = sorted({tube.about["template"] for tube in tubes})
        return ReviewPage(self.settings.study, templates, common, tubes, self.controls.packed())

    def _absent(self) -> int:
        """Tubes of the sheet that were to be gated and have no gate: rejected, not done or failed."""
        return sum(tube.role in GATED_ROLES for tube in self.plan.trial.tubes) - len(self.tubes)

    @cached_property
    def deciding(self) -> dict[tuple[str, str], Override]:
        """(sample_id, population) → the row of the overrides file that decides, blinded names resolved."""
        by_tube = unblinded(self.overrides, self.names, study=self.settings.study)
        return {(name, row.population): row for name, rows in by_tube.items() for row in rows}

    def _saved(self) -> list[dict[str, str]]:
        """The deciding rows, by the names that the page shows.

        What a person wrote may name a subject: a blinded page does not have it.
        """
        hidden = {"reason_text": NOT_SHOWN, "made_by": NOT_SHOWN} if self.blinded else {}
        columns = ("action", "new_gate", "old_sha", "reason_code", "reason_text", "made_by", "utc")
        return [
            {
                "sample_id": self.names[name],
                "population": population,
                **{column: getattr(row, column) for column in columns},
                **hidden,
            }
            for (name, population), row in self.deciding.items()
            if name in self.names
        ]

    def _doubts(self) -> Doubts:
        """Score and reasons of every gate: from review_scores.csv, or else from place and percentage."""
        path = self.plan.layout.review_scores
        rows = read_table(path) if path.is_file() else []
        if not rows:
            return _outliers(self.tubes, self.results)
        return {
            (row["sample_id"], row["population"]): (
                float(row["score"] or 0),
                [reason for reason in row["reasons"].split(";") if reason],
            )
            for row in rows
        }

    def _tube(self, tube: Tube, doubts: Doubts) -> ReviewTube:
        packed, results = self.packed[tube.sample_id], self.results[tube.sample_id]
        strategy = strategy_of(self.strategies[tube.panel], fcs=tube.fcs)
        borrowed = {p.name for p in strategy.populations if p.from_sample and tube.role is not Role.SAMPLE}
        cells = cells_of(packed.pictures)
        lines = lines_of(packed.pictures, cells)
        about = {
            "id": self.names[tube.sample_id],
            "panel": tube.panel,
            "batch": tube.batch,
            "role": tube.role.value,
            "template": f"{tube.panel}:{strategy.version}",
            "sha256": self.plan.sha256_of(tube),
            "strategy": self._entries_of(strategy),
            "root": int(results.populations[ROOT]["events"]),
            "flags": _flags_of_tube(results),
            "doubt": _doubt_of_tube(tube, doubts),
            "missing": _missing(results),
            "gates": [self._gate(row, results) for row in results.gates],
            "conditions": [] if packed.sample is None else packed.sample["conditions"],
            "sampled": sampled_axes(packed.sample, self.axes),
            "lines": [line_as_plain(line, self.axes) for line in lines],
            "cells": [
                {
                    **cell_as_plain(
                        cell,
                        self.axes,
                        doubt=_doubt_of(cell, tube, doubts),
                        borrowed=not borrowed.isdisjoint(cell["edits"]),
                    ),
                    "controls": self.controls.of_cell(tube, cell),
                }
                for cell in cells
            ],
            **(
                {}
                if self.blinded
                else {"subject": tube.subject, "visit": tube.visit, "visitOrder": self._order(tube)}
            ),
        }
        return ReviewTube(about, packed_pictures(cells, lines), packed_sample(packed.sample))

    def _order(self, tube: Tube) -> float:
        return next((v.visit_num for v in self.plan.trial.visits if v.visit == tube.visit), 1e9)

    def _gate(self, row: Row, results: _Results) -> dict[str, Any]:
        text = self._automatic(row)
        return {
            "population": row["population"],
            "parent": row["parent"],
            "text": text,
            **({} if text == row["gate"] else {"applied": row["gate"]}),
            "origin": row["origin"],
            "confidence": float(row["confidence"]) if row["confidence"] else None,
            "flags": [flag for flag in row["flags"].split(";") if flag],
            "events": int(results.populations[row["population"]]["events"]),
        }

    def _automatic(self, row: Row) -> str:
        """Where the automatic gating had the gate; of one placed by hand its override tells."""
        if row["origin"] != "override":
            return row["gate"]
        override = self.deciding.get((row["sample_id"], row["population"]))
        return row["gate"] if override is None else override.old_gate


_NOTHING = Packed((), None, None)


def _results(plan: Plan) -> dict[str, _Results]:
    """Gates and populations of every tube; with the events of what is held back from the dataset, too."""
    gates: dict[str, list[Row]] = {}
    for row in read_table(plan.layout.gates):
        gates.setdefault(row["sample_id"], []).append(row)
    held = {
        (row["sample_id"], row["population"]): row["events"]
        for row in read_table(plan.layout.joined_populations)
    }
    populations: dict[str, dict[str, Row]] = {}
    for row in read_table(plan.layout.populations):
        name, population = row["sample_id"], row["population"]
        populations.setdefault(name, {})[population] = {**row, "events": held[name, population]}
    return {name: _Results(gates.get(name, ()), rows) for name, rows in populations.items()}


def _missing(results: _Results) -> list[list[str]]:
    """Populations whose gate could not be placed, each with the reason."""
    return [[row["population"], row["reason"]] for row in results.populations.values() if row["events"] == ""]


def _flags_of_tube(results: _Results) -> list[str]:
    """Flags of the whole tube: those of its root population."""
    return [flag for flag in results.populations[ROOT]["flags"].split(";") if flag]


def _doubt_of(cell: Mapping[str, Any], tube: Tube, doubts: Doubts) -> tuple[float, Sequence[str]]:
    """The worst score among the gates that a cell shows."""
    names = dict.fromkeys([cell["population"], *cell["edits"]])
    return max((doubts.get((tube.sample_id, name), (0.0, ())) for name in names), key=lambda found: found[0])


def _doubt_of_tube(tube: Tube, doubts: Doubts) -> dict[str, Any]:
    """Score and reasons of the tube as a whole."""
    score, reasons = doubts.get((tube.sample_id, ROOT), (0.0, ()))
    return {"score": score, "reasons": list(reasons)}


def _outliers(tubes: Sequence[Tube], results: Mapping[str, _Results]) -> Doubts:
    """Scores of every population's gates, among the tubes of one panel and role."""
    groups: dict[tuple[str, Role, str], list[tuple[Tube, Row]]] = {}
    for tube in tubes:
        for row in results[tube.sample_id].gates:
            groups.setdefault((tube.panel, tube.role, row["population"]), []).append((tube, row))
    doubts: Doubts = {}
    for members in groups.values():
        found = doubt(
            [_position(gate_from_json(row["gate"])) for _, row in members],
            [_percent(results[tube.sample_id], row["population"]) for tube, row in members],
            [tube.batch for tube, _ in members],
            confidences=[float(row["confidence"]) if row["confidence"] else None for _, row in members],
            flags=[[flag for flag in row["flags"].split(";") if flag] for _, row in members],
        )
        for (tube, row), score in zip(members, found, strict=True):
            doubts[tube.sample_id, row["population"]] = score
    return doubts


def _percent(results: _Results, population: str) -> float | None:
    text = results.populations[population]["percent_of_parent"]
    return float(text) if text else None


def _position(gate: Gate) -> float | None:
    """One number for where a gate is: its first limit, or the middle of an area's first axis."""
    if isinstance(gate, BooleanGate):
        return None
    if isinstance(gate, EllipsoidGate):
        return gate.mean[0]
    if isinstance(gate, PolygonGate):
        return sum(x for x, _ in gate.vertices) / len(gate.vertices)
    return next((limit for limit in (*gate.low, *gate.high) if limit is not None), None)
