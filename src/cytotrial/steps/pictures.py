"""Small, binned pictures of gates: what report and review draw, made while the events are at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.files.packing import deflated, inflated, pack_counts, unpack_counts
from cytotrial.files.strategy import gate_from_plain, gate_to_plain
from cytotrial.files.whole import read_text, text_stream
from cytotrial.science.gating import GatedTube
from cytotrial.science.transforms import BIEX_RANGE, forward
from cytotrial.steps.control_curves import STEPS, curves_of
from cytotrial.steps.event_samples import sample_of
from cytotrial.terms import (
    IDENTITY,
    ROOT,
    BooleanGate,
    Dimension,
    Gate,
    PlacedGate,
    RectangleGate,
    Transform,
)

BINS_OF_THRESHOLD, BINS_OF_RECTANGLE, BINS_OF_AREA = 128, 256, 512
"""Bins of a picture's side, powers of 2. The more an edge runs through bins, the finer they must be; a
threshold is counted on its own axis and needs the picture only to be looked at."""

DISPLAY_RANGE = (-0.1, 1.05)
LINEAR_TOP = 262_144.0
SIDE_SCATTER = "SSC-A"


@dataclass(frozen=True, slots=True)
class Axis:
    """One side of a picture: a dimension and the ends of its scale that are shown."""

    dimension: Dimension
    low: float
    high: float

    def steps(self, gated: GatedTube, rows: npt.NDArray[np.intp], *, steps: int) -> npt.NDArray[np.intp]:
        """The bin of chosen events, from 0; those beyond the ends are in the outermost, as on a cytometer."""
        position = forward(
            self.dimension.transform, gated.tube.events.detector_values(self.dimension).take(rows)
        )
        position -= self.low
        position *= steps / (self.high - self.low)
        np.fmax(position, 0, out=position)  # what is not a number is in the first bin
        return np.fmin(position, steps - 1, out=position).astype(np.intp)


def axis_of(dimension: Dimension, gated: GatedTube) -> Axis:
    """The whole of a scale, or of a linear channel's range."""
    low, high = DISPLAY_RANGE
    if dimension.transform.kind == "biex":
        return Axis(dimension, low * BIEX_RANGE, high * BIEX_RANGE)
    if dimension.transform != IDENTITY:
        return Axis(dimension, low, high)
    values = gated.tube.events.axes((dimension,), gated.masks[ROOT])[0]
    highest = float(values.max()) if values.size else 0.0
    return Axis(dimension, 0.0, max(LINEAR_TOP, highest) if highest > 1024 else 1024.0)


def _nearer(axis: Axis, gated: GatedTube, rows: npt.NDArray[np.intp]) -> Axis:
    """A linear axis beside a threshold, cut to a half or a quarter if hardly an event lies higher.

    No gate is on it, so that it only has to be looked at: lymphocytes have little side scatter.
    """
    if axis.dimension.transform != IDENTITY or not rows.size:
        return axis
    values = gated.tube.events.detector_values(axis.dimension).take(rows)
    for part in (4, 2):
        if np.count_nonzero(values > axis.high / part) <= 0.005 * rows.size:
            return replace(axis, high=axis.high / part)
    return axis


def pictures_of(gated: GatedTube, *, control: bool) -> list[dict[str, Any]]:
    """What report and review draw of a tube: its gates, a sample of its events, a control's curves."""
    seen = Seen(gated)
    drawn = [picture_of(gate, gated, seen) for gate in gated.placed]
    beside = [sample_of(gated, axis_of), curves_of(gated, axis_of) if control else None]
    return [entry for entry in (*drawn, *beside) if entry is not None]


class Seen:
    """Where the events of a tube's populations lie on the axes of its pictures; each is worked out once.

    Gates on one population share its events, and often an axis: side scatter stands beside every threshold.
    """

    def __init__(self, gated: GatedTube) -> None:
        self._gated = gated
        self._steps: dict[tuple[str, Axis], npt.NDArray[np.uint16]] = {}

    def steps(self, population: str, axis: Axis, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.uint16]:
        """The bin of each event of a population (`rows` of the tube) on an axis, out of STEPS."""
        if (population, axis) not in self._steps:
            found = axis.steps(self._gated, rows, steps=STEPS)
            self._steps[population, axis] = found.astype(np.uint16)
        return self._steps[population, axis]


def picture_of(gate: PlacedGate, gated: GatedTube, seen: Seen) -> dict[str, Any] | None:
    """The parent's events in bins on the gate's own scales, as plain data.

    Returns
    -------
    dict or None
        None for a gate that has no picture: boolean gates other than AND of one or two thresholds
        on one parent, ratios and gates on more than two channels. `edits` names the populations whose
        gates a person moves in the picture: the operands of an AND, else the population itself.
    """
    shape = _drawable(gate, gated)
    if shape is None:
        return None
    drawn, across, up, edits = shape
    rows = np.flatnonzero(gated.masks[gate.parent])
    x, y = axis_of(across, gated), axis_of(up, gated)
    if len(_dimensions(drawn)) == 1:
        y = _nearer(y, gated, rows)
    x_steps, y_steps = (seen.steps(gate.parent, axis, rows) for axis in (x, y))
    bins = _bins_for(drawn)
    coarser = (STEPS // bins).bit_length() - 1
    column, row = ((steps >> coarser).astype(np.int32) for steps in (x_steps, y_steps))
    counts = np.bincount(column * bins + row, minlength=bins * bins)
    markers = {channel: marker for marker, channel in gated.tube.channels.items()}
    return {
        "sample_id": gated.tube.sample_id,
        "population": gate.population,
        "parent": gate.parent,
        "x": _axis_as_plain(x, markers, _count_steps(x_steps)),
        "y": _axis_as_plain(y, markers, _count_steps(y_steps)),
        "bins": bins,
        "counts": deflated(pack_counts(counts)),
        "gate": gate_to_plain(drawn),
        "edits": list(edits),
        "events": gated.events_of(gate.population),
        "parent_events": int(rows.size),
        "flags": list(gate.flags),
    }


def _bins_for(gate: Gate) -> int:
    if not isinstance(gate, RectangleGate):
        return BINS_OF_AREA
    return BINS_OF_THRESHOLD if len(gate.dimensions) == 1 else BINS_OF_RECTANGLE


def _dimensions(gate: Gate) -> tuple[Dimension, ...]:
    return () if isinstance(gate, BooleanGate) else gate.dimensions


def _count_steps(steps: npt.NDArray[np.uint16]) -> str:
    return deflated(pack_counts(np.bincount(steps, minlength=STEPS)))


_Drawable = tuple[Gate, Dimension, Dimension, tuple[str, ...]]


def _drawable(entry: PlacedGate, gated: GatedTube) -> _Drawable | None:
    """What to draw on which two axes, and whose gates it shows: a threshold gets side scatter beside it."""
    parts = _parts(entry, gated)
    if parts is None:
        return None
    names = tuple(part.population for part in parts)
    dimensions = [dimension for part in parts for dimension in _dimensions(part.gate)]
    if not 1 <= len(dimensions) <= 2 or any(dimension.denominator for dimension in dimensions):
        return None
    gate = parts[0].gate if len(parts) == 1 else _corner(parts)
    if len(dimensions) == 2:
        return gate, dimensions[0], dimensions[1], names
    return gate, dimensions[0], _beside(dimensions[0], gated), names


def _parts(entry: PlacedGate, gated: GatedTube) -> list[PlacedGate] | None:
    """The gates whose region an entry is: itself, or an AND's thresholds that its parent does not imply."""
    if not isinstance(entry.gate, BooleanGate):
        return [entry]
    placed = {other.population: other for other in gated.placed}
    implied = set(_lineage(entry.parent, placed))
    names = [name for name, _ in entry.gate.operands if name not in implied]
    parts = [placed[name] for name in names if name in placed]
    plain = entry.gate.operator == "and" and not any(complement for _, complement in entry.gate.operands)
    fitting = all(_threshold_within(part, implied) for part in parts)
    distinct = len({part.gate.dimensions[0] for part in parts if isinstance(part.gate, RectangleGate)})
    whole = plain and fitting and len(parts) == len(names) == distinct
    return parts if whole and 1 <= len(parts) <= 2 else None


def _threshold_within(part: PlacedGate, implied: set[str]) -> bool:
    """Whether a gate is a threshold whose own parent the picture's parent lies in."""
    one = isinstance(part.gate, RectangleGate) and len(part.gate.dimensions) == 1
    return one and part.parent in implied


def _lineage(population: str, placed: Mapping[str, PlacedGate]) -> Iterator[str]:
    """A population and all those it lies in, root last."""
    name = population
    while name in placed:
        yield name
        name = placed[name].parent
    yield ROOT


def _corner(parts: Sequence[PlacedGate]) -> RectangleGate:
    """The rectangle that two thresholds on different channels leave."""
    first, second = (part.gate for part in parts)
    assert isinstance(first, RectangleGate)
    assert isinstance(second, RectangleGate)
    return RectangleGate(
        first.dimensions + second.dimensions, first.low + second.low, first.high + second.high
    )


def _beside(x: Dimension, gated: GatedTube) -> Dimension:
    """The second axis of a threshold's picture: side scatter, or else the tube's first channel."""
    names = gated.tube.events.channels
    other = SIDE_SCATTER if SIDE_SCATTER in names and x.channel != SIDE_SCATTER else names[0]
    return Dimension(other) if other == SIDE_SCATTER else replace(x, channel=other)


def _axis_as_plain(axis: Axis, markers: Mapping[str, str], counts: str) -> dict[str, Any]:
    channel, transform = axis.dimension.channel, axis.dimension.transform
    marker = markers.get(channel, "")
    return {
        "channel": channel,
        "marker": marker,
        "label": f"{marker} ({channel})" if marker and marker != channel else channel,
        "matrix": axis.dimension.matrix,
        "kind": transform.kind,
        "parameters": dict(transform.parameters),
        "low": axis.low,
        "high": axis.high,
        "ticks": [[position, label] for position, label in ticks(transform, low=axis.low, high=axis.high)],
        "counts": counts,
    }


@lru_cache(maxsize=256)
def ticks(transform: Transform, *, low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Axis ticks as flow users know them: decades with minor ticks between, or round linear numbers.

    Examples
    --------
    >>> [label for _, label in ticks(IDENTITY, low=0, high=262144) if label]
    ['0', '50K', '100K', '150K', '200K', '250K']
    """
    if transform == IDENTITY:
        step = 50_000 if high > 10_000 else 200
        count = int(high // step) + 1
        return tuple(
            (float(step * i), f"{step * i // 1000}K" if step >= 1000 and i else str(step * i))
            for i in range(count)
        )
    values, labels = [0.0], ["0"]
    for decade in range(2, 6):
        for digit in range(1, 10):
            for sign in (1, -1):
                values.append(float(sign * digit * 10**decade))
                labels.append(f"{'-' if sign < 0 else ''}10^{decade}" if digit == 1 and decade > 2 else "")
    positions = forward(transform, np.array(values, dtype=np.float32))
    pairs = sorted(zip(map(float, positions), labels, strict=True))
    return tuple((round(position, 5), label) for position, label in pairs if low <= position <= high)


def write_pictures(path: Path, pictures: Sequence[Mapping[str, Any]]) -> None:
    """One JSON document, a picture or an event sample a line."""
    with pictures_file(path) as write:
        write(pictures)


@contextmanager
def pictures_file(path: Path) -> Iterator[Callable[[Sequence[Mapping[str, Any]]], None]]:
    """A file of pictures to which each tube's are written as they are made: none is held in memory."""
    with text_stream(path) as stream:
        separators = chain(["\n"], repeat(",\n"))
        stream.write("[")

        def write(pictures: Sequence[Mapping[str, Any]]) -> None:
            for picture in pictures:
                stream.write(next(separators))
                stream.write(json.dumps(picture, sort_keys=True, separators=(",", ":")))

        yield write
        stream.write("]\n" if next(separators) == "\n" else "\n]\n")


def read_packed(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Pictures and event samples of several units as they were written, those of each unit by sample_id."""
    units = (json.loads(read_text(path)) for path in paths)
    return [entry for unit in units for entry in sorted(unit, key=lambda entry: str(entry["sample_id"]))]


def read_pictures(paths: Iterable[Path], *, tubes: Container[str] | None = None) -> list[dict[str, Any]]:
    """The pictures of several units: `counts` as arrays of 128 × 128 bins, `gate` as a gate.

    `tubes` are the sample ids to read, by default all.
    """
    return [
        {
            **picture,
            "counts": _coarse(unpack_counts(inflated(picture["counts"]), picture["bins"] ** 2)),
            "gate": gate_from_plain(picture["gate"]),
        }
        for picture in read_packed(paths)
        if "population" in picture and (tubes is None or picture["sample_id"] in tubes)
    ]


def _coarse(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    side = BINS_OF_THRESHOLD
    factor = int(np.sqrt(counts.size)) // side
    return np.asarray(counts.reshape(side, factor, side, factor).sum(axis=(1, 3)), dtype=np.uint32)
