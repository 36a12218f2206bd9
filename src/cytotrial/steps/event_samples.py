"""A sample of a tube's events as plain data, by which the review page counts while a gate is dragged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cytotrial.files.packing import deflated, pack_numbers
from cytotrial.science.event_sample import EventSample, sample_events
from cytotrial.science.gating import GatedTube
from cytotrial.terms import BooleanGate, Dimension

PER_POPULATION = 900
"""Events kept of those that one moved gate can bring into a population or take from it (docs/review.md)."""

LEVELS = 256
"""Places on an axis that a sampled event can have: one byte."""


class Scale(Protocol):
    """An axis with its ends."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    def steps(self, gated: GatedTube, rows: npt.NDArray[np.intp], *, steps: int) -> npt.NDArray[np.intp]: ...


def sample_of(gated: GatedTube, axis_of: Callable[[Dimension, GatedTube], Scale]) -> dict[str, Any] | None:
    """The sample of a tube, or None for a tube with more gates than a sample can tell apart.

    Returns
    -------
    dict
        `conditions`: populations with gates of their own, bit by bit; `axes`: channel, matrix and
        ends; `groups`: for every pattern its number, its events in the tube and in the sample;
        `levels`: for every axis the byte of each sampled event, pattern by pattern.
    """
    sample = sample_events(
        gated.placed, gated.tube.events, gated.masks["root"], per_population=PER_POPULATION
    )
    if sample is None:
        return None
    dimensions = _dimensions_of(gated)
    axes = [axis_of(dimension, gated) for dimension in dimensions]
    levels = [axis.steps(gated, sample.rows, steps=LEVELS).astype(np.uint8) for axis in axes]
    group = np.repeat(np.arange(sample.kept.size), sample.kept)
    order = np.lexsort(np.stack([*reversed(levels), group]))
    return {
        "sample_id": gated.tube.sample_id,
        "conditions": list(sample.conditions),
        "axes": [
            {"channel": d.channel, "matrix": d.matrix, "kind": d.transform.kind, "low": a.low, "high": a.high}
            for d, a in zip(dimensions, axes, strict=True)
        ],
        "groups": deflated(_groups(sample)),
        "levels": deflated(b"".join(level[order].tobytes() for level in levels)),
    }


def _dimensions_of(gated: GatedTube) -> list[Dimension]:
    """Every axis that a gate of the tube looks at, once; ratios have none of their own."""
    gates = [entry.gate for entry in gated.placed if not isinstance(entry.gate, BooleanGate)]
    dimensions = [dimension for gate in gates for dimension in gate.dimensions if not dimension.denominator]
    return list(dict.fromkeys(dimensions))


def _groups(sample: EventSample) -> bytes:
    """How many groups; then pattern, events and sampled events of each, as numbers of variable length."""
    columns = np.stack([sample.patterns.astype(np.int64), sample.totals, sample.kept], axis=1)
    return pack_numbers(np.concatenate([[len(columns)], columns.ravel()]))
