"""Small, binned pictures of gates: what the report draws, made while the events are at hand."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cytotrial.files.strategy import gate_from_plain, gate_to_plain
from cytotrial.files.whole import read_text, write_text
from cytotrial.science.gating import GatedTube
from cytotrial.science.transforms import forward
from cytotrial.terms import (
    IDENTITY,
    BoolArray,
    BooleanGate,
    Dimension,
    Gate,
    PlacedGate,
    RectangleGate,
    Transform,
)

BINS = 96
DISPLAY_RANGE = (-0.1, 1.05)
LINEAR_TOP = 262_144.0
SIDE_SCATTER = "SSC-A"


def picture_of(gate: PlacedGate, gated: GatedTube) -> dict[str, Any] | None:
    """The parent's events in 96 × 96 bins on the gate's own scales, as plain data.

    Returns
    -------
    dict or None
        None for a gate that has no picture: boolean gates other than AND of two thresholds
        on one parent, ratios and gates on more than two channels.
    """
    shape = _drawable(gate.gate, gated)
    if shape is None:
        return None
    drawn, x, y = shape
    parent = gated.masks[gate.parent]
    counts = _binned(gated, x, y, parent)
    markers = {channel: marker for marker, channel in gated.tube.channels.items()}
    return {
        "sample_id": gated.tube.sample_id,
        "population": gate.population,
        "parent": gate.parent,
        "x": _axis(x, gated, markers),
        "y": _axis(y, gated, markers),
        "counts": base64.b64encode(zlib.compress(counts.astype("<u4").tobytes(), 6)).decode("ascii"),
        "gate": gate_to_plain(drawn),
        "events": gated.events_of(gate.population),
        "parent_events": int(np.count_nonzero(parent)),
        "flags": list(gate.flags),
    }


def _drawable(gate: Gate, gated: GatedTube) -> tuple[Gate, Dimension, Dimension] | None:
    """What to draw on which two axes: a threshold gets side scatter beside it."""
    if isinstance(gate, BooleanGate):
        corner = _corner(gate, gated)
        return None if corner is None else (corner, corner.dimensions[0], corner.dimensions[1])
    dimensions = gate.dimensions
    if len(dimensions) > 2 or any(dimension.denominator for dimension in dimensions):
        return None
    if len(dimensions) == 2:
        return gate, dimensions[0], dimensions[1]
    x = dimensions[0]
    names = gated.tube.events.channels
    other = SIDE_SCATTER if SIDE_SCATTER in names and x.channel != SIDE_SCATTER else names[0]
    y = Dimension(other) if other == SIDE_SCATTER else replace(x, channel=other)
    return gate, x, y


def _corner(gate: BooleanGate, gated: GatedTube) -> RectangleGate | None:
    """The rectangle of an AND of two thresholds on different channels."""
    placed = {entry.population: entry.gate for entry in gated.placed}
    parts = [placed.get(name) for name, complement in gate.operands if not complement]
    thresholds = [part for part in parts if isinstance(part, RectangleGate) and len(part.dimensions) == 1]
    if gate.operator != "and" or len(thresholds) != 2 or len(gate.operands) != 2:
        return None
    first, second = thresholds
    return RectangleGate(
        first.dimensions + second.dimensions, first.low + second.low, first.high + second.high
    )


def _binned(gated: GatedTube, x: Dimension, y: Dimension, parent: BoolArray) -> np.ndarray:
    """Events per bin; those beyond the ends are counted in the outermost bins, as on a cytometer."""
    rows = np.flatnonzero(parent)
    across, up = (_bins(gated, axis, rows) for axis in (x, y))
    across *= BINS
    across += up
    return np.bincount(across, minlength=BINS * BINS).reshape(BINS, BINS)


def _bins(gated: GatedTube, axis: Dimension, rows: np.ndarray) -> np.ndarray:
    """The bin of chosen events on one axis, from 0."""
    low, high = _range(axis, gated)
    position = forward(axis.transform, gated.tube.events.detector_values(axis).take(rows)) - low
    position *= BINS / (high - low)
    return np.clip(position, 0, BINS - 1, out=position).astype(np.intp)


def _range(axis: Dimension, gated: GatedTube) -> tuple[float, float]:
    if axis.transform != IDENTITY:
        return DISPLAY_RANGE
    values = gated.tube.events.axes((axis,), gated.masks["root"])[0]
    return 0.0, max(LINEAR_TOP, float(values.max())) if values.size and values.max() > 1024 else 1024.0


def _axis(axis: Dimension, gated: GatedTube, markers: Mapping[str, str]) -> dict[str, Any]:
    marker = markers.get(axis.channel, "")
    low, high = _range(axis, gated)
    return {
        "channel": axis.channel,
        "label": f"{marker} ({axis.channel})" if marker and marker != axis.channel else axis.channel,
        "kind": axis.transform.kind,
        "parameters": dict(axis.transform.parameters),
        "low": low,
        "high": high,
        "ticks": [[position, label] for position, label in ticks(axis.transform, low=low, high=high)],
    }


def ticks(transform: Transform, *, low: float, high: float) -> list[tuple[float, str]]:
    """Axis ticks as flow users know them: decades with minor ticks between, or round linear numbers.

    Examples
    --------
    >>> [label for _, label in ticks(IDENTITY, low=0, high=262144) if label]
    ['0', '50K', '100K', '150K', '200K', '250K']
    """
    if transform == IDENTITY:
        step = 50_000 if high > 10_000 else 200
        count = int(high // step) + 1
        return [
            (float(step * i), f"{step * i // 1000}K" if step >= 1000 and i else str(step * i))
            for i in range(count)
        ]
    values, labels = [0.0], ["0"]
    for decade in range(2, 6):
        for digit in range(1, 10):
            for sign in (1, -1):
                values.append(float(sign * digit * 10**decade))
                labels.append(f"{'-' if sign < 0 else ''}10^{decade}" if digit == 1 and decade > 2 else "")
    positions = forward(transform, np.array(values, dtype=np.float32))
    pairs = sorted(zip(map(float, positions), labels, strict=True))
    return [(round(position, 5), label) for position, label in pairs if low <= position <= high]


def write_pictures(path: Path, pictures: Sequence[Mapping[str, Any]]) -> None:
    """One JSON document, a picture a line."""
    lines = ",\n".join(json.dumps(picture, sort_keys=True, separators=(",", ":")) for picture in pictures)
    write_text(path, f"[\n{lines}\n]\n" if pictures else "[]\n")


def read_pictures(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The pictures of several units, with `counts` as arrays and `gate` as a gate."""
    pictures = [picture for path in paths for picture in json.loads(read_text(path))]
    return [
        {
            **picture,
            "counts": np.frombuffer(zlib.decompress(base64.b64decode(picture["counts"])), "<u4").reshape(
                BINS, BINS
            ),
            "gate": gate_from_plain(picture["gate"]),
        }
        for picture in pictures
    ]
