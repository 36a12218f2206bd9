"""The page's counts for moved gates, beside those of the engine on the same events."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.files.spillover import read_spillover
from cytotrial.files.strategy import gate_from_json, gate_to_json, gate_to_plain
from cytotrial.files.tables import read_table
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.science.gating import GatedTube, StainedTube
from cytotrial.steps.pictures import pictures_of
from cytotrial.steps.review_cells import (
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
from cytotrial.terms import TUBE_MATRIX, BooleanGate, Gate, PlacedGate, PolygonGate, RectangleGate

Move = dict[str, Gate]


def page_counts(
    node: str, tubes: Sequence[GatedTube], moves: Sequence[Sequence[Move]]
) -> list[list[dict[str, dict[str, float]]]]:
    """`events` and `margins` of every population for each move of each tube, by the page's own modules."""
    asked = {
        "tubes": [
            {**_as_the_page_has_it(tube), "moves": [_plain(move) for move in own]}
            for tube, own in zip(tubes, moves, strict=True)
        ]
    }
    done = subprocess.run(
        [node, str(Path(__file__).with_name("review_counts.mjs"))],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    counts: list[list[dict[str, dict[str, float]]]] = json.loads(done.stdout)
    return counts


def tubes_of(folder: Path, *, panels: Sequence[str], each: int) -> Iterator[tuple[str, GatedTube]]:
    """Panel and tube of a run's first sample tubes, gated on all of their events as the result files say."""
    lines = (folder / "resources/demo/sheets/samples.tsv").read_text(encoding="utf-8").splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=False)) for line in lines[1:]]
    gates: dict[str, list[PlacedGate]] = {}
    for row in read_table(folder / "results/gates.csv"):
        gate = PlacedGate(row["population"], row["parent"], gate_from_json(row["gate"]))
        gates.setdefault(row["sample_id"], []).append(gate)
    samples = [row for row in rows if row["role"] == "sample" and row["sample_id"] in gates]
    for panel in panels:
        for row in [row for row in samples if row["panel"] == panel][:each]:
            yield panel, _gated(folder, row, tuple(gates[row["sample_id"]]))


def _gated(folder: Path, row: Mapping[str, str], placed: tuple[PlacedGate, ...]) -> GatedTube:
    root = folder / "resources/demo/fcs"
    header = inspect_fcs(root / row["fcs"], root=root).header
    if header is None:
        raise RuntimeError(f"{row['fcs']} cannot be read")
    matrix = read_spillover(folder / f"results/compensation/{row['panel']}.{row['batch']}.csv")
    events = TubeEvents(read_events(root / row["fcs"], header).events, {TUBE_MATRIX: matrix})
    keep = np.ones(events.n_events, dtype=bool)
    masks = apply_strategy(placed, events, root=keep)
    return GatedTube(StainedTube(row["sample_id"], events, {}, keep), placed, masks)


def _plain(move: Move) -> dict[str, Any]:
    return {population: gate_to_plain(gate) for population, gate in move.items()}


def _as_the_page_has_it(gated: GatedTube) -> dict[str, Any]:
    (packed,) = by_tube(json.loads(json.dumps(pictures_of(gated, control=False)))).values()
    axes, cells = Shared(), cells_of(packed.pictures)
    lines = lines_of(packed.pictures, cells)
    tube = {
        "id": gated.tube.sample_id,
        "root": gated.events_of("root"),
        "flags": [],
        "missing": [],
        "strategy": 0,
        "doubt": {"score": 0.0, "reasons": []},
        "gates": [
            {
                "population": gate.population,
                "parent": gate.parent,
                "text": gate_to_json(gate.gate),
                "events": gated.events_of(gate.population),
                "flags": [],
            }
            for gate in gated.placed
        ],
        "lines": [line_as_plain(line, axes) for line in lines],
        "conditions": packed.sample["conditions"] if packed.sample else [],
        "sampled": sampled_axes(packed.sample, axes),
        "cells": [cell_as_plain(cell, axes, doubt=(0.0, ()), borrowed=False) for cell in cells],
    }
    return {
        "study": {"tubes": [tube], "axes": axes.values, "strategies": [{}], "doubtful": 0.5},
        "pictures": base64.b64encode(packed_pictures(cells, lines)).decode(),
        "sample": base64.b64encode(packed_sample(packed.sample)).decode(),
    }


def exact_counts(gated: GatedTube, move: Move) -> dict[str, int]:
    """The same by the engine, event for event."""
    placed = [replace(gate, gate=move.get(gate.population, gate.gate)) for gate in gated.placed]
    masks = apply_strategy(placed, gated.tube.events, root=gated.masks["root"])
    return {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}


def moves_of(gated: GatedTube, *, seed: int, each: int) -> Iterator[Move]:
    """Every gate moved, as far as a person would: thresholds by up to 0.05 of the scale, areas by 3 %."""
    rng = np.random.default_rng(seed)
    for entry in gated.placed:
        if isinstance(entry.gate, RectangleGate | PolygonGate):
            for _ in range(each):
                yield {entry.population: _shifted(entry, rng)}


def _shifted(entry: PlacedGate, rng: np.random.Generator) -> Gate:
    gate = entry.gate
    assert not isinstance(gate, BooleanGate)
    if isinstance(gate, RectangleGate):
        step = 1.15 / 512
        by = np.round(rng.uniform(-0.05, 0.05) / step) * step
        # On a step of the axis, as the page sets it down.
        low, high = (tuple(_on_step(v, by) for v in side) for side in (gate.low, gate.high))
        return replace(gate, low=low, high=high)
    assert isinstance(gate, PolygonGate)
    across, up = rng.uniform(-0.03, 0.03, 2) * 262_144
    one = int(rng.integers(len(gate.vertices))) if rng.random() < 0.5 else None
    vertices = [
        (x + across, y + up) if one in {None, place} else (x, y) for place, (x, y) in enumerate(gate.vertices)
    ]
    return replace(gate, vertices=tuple(vertices))


def _on_step(value: float | None, by: float) -> float | None:
    return None if value is None else float(-0.1 + np.round((value + by + 0.1) / (1.15 / 512)) * (1.15 / 512))


def errors(
    gated: GatedTube, moves: Sequence[Move], told: Sequence[Mapping[str, Mapping[str, float]]]
) -> Iterator[tuple[str, str, float, float, float]]:
    """Moved gate, population, exact percentage, the page's, and their difference over the stated limit.

    The limit is 0.1 percentage points, 1 % of the value, or the margin that the page itself tells, whichever
    is most; parents of fewer than 50 events are left out.
    """
    for move, counts in zip(moves, told, strict=True):
        exact = exact_counts(gated, move)
        for gate in gated.placed:
            if exact[gate.parent] >= 50:
                right = 100 * exact[gate.population] / exact[gate.parent]
                events = counts["events"]
                page = 100 * events[gate.population] / max(events[gate.parent], 1e-9)
                limit = max(0.1, 0.01 * right, counts["margins"][gate.population])
                yield next(iter(move)), gate.population, right, page, abs(page - right) / limit
