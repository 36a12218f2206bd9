"""A polygon that reference tubes taught, moved as a whole to where the tube's own density has it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.batches import towards_batch
from cytotrial.science.densities import usual_range
from cytotrial.science.finders.learning import Known, rounded, usable
from cytotrial.science.finders.registry import (
    AT_BOUND,
    LOW_SIMILARITY,
    Example,
    Found,
    NoReferenceError,
    View,
    learns,
    registered,
)
from cytotrial.science.planes import N_CELLS, Overlay, Plane, Template, cells_inside, outline, smooth_plane
from cytotrial.terms import FloatArray, PolygonGate

_SMALLEST = 200
"""Events in the parent from which a plane has a shape."""
_SMOOTHING = 1.5
"""Cells; of 128 over the range of the reference tubes."""
_RING = 8.0
"""Cells around the polygon within which agreement counts, falling off as a Gaussian."""


@registered("reference_polygon", uses_batch=True)
def find_reference_polygon(
    view: View,
    *,
    polygon: Sequence[Sequence[float]] | None = None,
    scale: str = "log",
    max_shift: tuple[float, float] = (0.15, 0.20),
    min_similarity: float = 0.85,
    max_move: float = 0.06,
) -> Found:
    """The reference tubes' polygon, moved by the shift that lays the tube's density over theirs.

    The plane's density (log10 of both axes for scatter), 128 × 128 cells, is compared with the pooled
    density of the reference tubes, weighted to the polygon and its surroundings; the shift is bounded,
    and the polygon is moved, not reshaped. A tube that does not look like the reference gets the polygon
    unmoved, or where its batch has it. Without a reference it is the template's polygon as it stands.

    Parameters
    ----------
    view : View
        Two dimensions. `view.reference` as `learn_reference_polygon` made it.
    polygon : list of [x, y], optional
        On the gate's scale; needed where there is no reference.
    scale : `log` or `linear`
        How the axes are compared: scatter changes by factors (`log`), a display scale by shifts.
    max_shift : (x, y)
        Decades for `log`, else units of the gate's scale.
    min_similarity : float
        Cosine of the square roots of both densities below which the shift is not believed.
    max_move : float
        The most by which the batch may move the shift.

    Returns
    -------
    Found
        `position` is the shift on both axes, in decades or units of the scale.

    References
    ----------
    Hahne F et al. Cytometry A 2010;77A:121 (per-channel landmarks); Kuglin CD, Hines DC. Proc IEEE Conf
    Cybern Soc 1975:163 (two images registered by the correlation of their spectra).
    """
    if view.reference is None:
        if polygon is None:
            raise NoReferenceError("there is neither a reference nor a polygon in the template.")
        return Found(_gate(view, np.asarray(polygon, dtype=np.float64)))
    if view.n_events < _SMALLEST:
        raise GateError(f"{view.n_events} events in the parent; its shape needs {_SMALLEST}.")
    plane, template, corners = _model(Known(view.reference))
    x, y = (_on(scale, values) for values in view.values)
    density = smooth_plane(plane.counts_of(x, y), cells=_SMOOTHING)
    laid = template.lay_over(density, max_shift=max_shift, n_events=view.n_events)
    own, error, flags = _believed(laid, max_shift, min_similarity)
    shift = np.array(towards_batch(own, error, view.batch, max_move=max_move))
    return Found(
        _gate(view, _off(scale, corners + shift)),
        flags=flags,
        position=own,
        position_se=error,
        similarity=laid.similarity,
    )


def _believed(
    laid: Overlay, max_shift: tuple[float, float], least: float
) -> tuple[tuple[float, float], tuple[float, float], tuple[str, ...]]:
    """The shift, its error and its flags: no shift at all where the two are not alike."""
    if laid.similarity < least:
        return (0.0, 0.0), max_shift, (LOW_SIMILARITY,)
    return laid.shift, laid.error, (AT_BOUND,) if laid.at_end else ()


@lru_cache(maxsize=16)
def _model(known: Known) -> tuple[Plane, Template, FloatArray]:
    constants = known.constants
    (x0, y0), (x1, y1) = constants["low"], constants["high"]
    plane = Plane((x0, y0), (x1, y1))
    corners = np.asarray(constants["polygon"], dtype=np.float64)
    share = np.zeros(N_CELLS**2)
    share[np.asarray(constants["cells"], dtype=np.intp)] = constants["height"]
    density = smooth_plane(share.reshape(N_CELLS, N_CELLS), cells=_SMOOTHING)
    about = smooth_plane(cells_inside(plane, corners) * 1.0, cells=_RING)
    return plane, Template(plane, density, about / max(float(about.max()), 1e-12)), corners


def _on(scale: str, values: FloatArray) -> FloatArray:
    if scale == "linear":
        return values
    if scale != "log":
        raise GateError(f"scale: '{scale}' is neither log nor linear.")
    return np.log10(np.maximum(values, np.float32(1.0)))


def _off(scale: str, corners: FloatArray) -> FloatArray:
    return corners if scale == "linear" else 10.0**corners


def _gate(view: View, corners: FloatArray) -> PolygonGate:
    x, y = view.dimensions
    return PolygonGate((x, y), tuple((float(a), float(b)) for a, b in corners))


@learns("reference_polygon")
def learn_reference_polygon(
    examples: Sequence[Example],
    *,
    scale: str = "log",
    max_shift: tuple[float, float] = (0.15, 0.20),
    **_: object,
) -> dict[str, Any]:
    """Pooled density of the reference tubes, laid over one another, and the outline of what was kept.

    Tubes are first laid over the one in the middle, then over their mean. Any expert gate teaches it:
    the polygon is the outline of the cells most of whose events were kept.

    Returns
    -------
    dict
        `low`, `high` : ends of the plane; `cells`, `height` : its filled cells and the share of events in
        each; `polygon` : corners. On log10 axes for `scale: log`.
    """
    tubes = usable(examples, n_inside=50, n_events=_SMALLEST)
    points = [tuple(_on(scale, values) for values in tube.view.values) for tube in tubes]
    plane = _plane_of(points, max_shift)
    shifts = np.zeros((len(tubes), 2))
    for _round in range(2):
        counts = [plane.counts_of(x - s[0], y - s[1]) for (x, y), s in zip(points, shifts, strict=True)]
        inside = [
            plane.counts_of((x - s[0])[tube.inside], (y - s[1])[tube.inside])
            for (x, y), s, tube in zip(points, shifts, tubes, strict=True)
        ]
        shifts += _shifts_to_the_mean(plane, counts, inside, max_shift)
    shifts -= np.median(shifts, axis=0)
    counts = [plane.counts_of(x - s[0], y - s[1]) for (x, y), s in zip(points, shifts, strict=True)]
    inside = [
        plane.counts_of((x - s[0])[tube.inside], (y - s[1])[tube.inside])
        for (x, y), s, tube in zip(points, shifts, tubes, strict=True)
    ]
    return _constants(plane, counts, inside)


def _plane_of(points: Sequence[tuple[FloatArray, ...]], max_shift: tuple[float, float]) -> Plane:
    ends = np.array([[usual_range(axis, margin=0.02) for axis in pair] for pair in points])
    low, high = ends[:, :, 0].min(axis=0) - max_shift, ends[:, :, 1].max(axis=0) + max_shift
    return Plane((float(low[0]), float(low[1])), (float(high[0]), float(high[1])))


def _shifts_to_the_mean(
    plane: Plane, counts: Sequence[FloatArray], inside: Sequence[FloatArray], max_shift: tuple[float, float]
) -> FloatArray:
    each = [smooth_plane(tube / tube.sum(), cells=_SMOOTHING) for tube in counts]
    about = smooth_plane(np.sum(inside, axis=0), cells=_RING)
    template = Template(plane, np.mean(each, axis=0), about / about.max())
    return np.array([template.lay_over(tube, max_shift=max_shift, n_events=1).shift for tube in each])


def _constants(plane: Plane, counts: Sequence[FloatArray], inside: Sequence[FloatArray]) -> dict[str, Any]:
    corners = outline(plane, np.sum(counts, axis=0), np.sum(inside, axis=0))
    if len(corners) < 3:
        raise GateError("the events that the expert kept make no region on these two axes.")
    share = np.mean([tube / tube.sum() for tube in counts], axis=0).ravel()
    filled = np.flatnonzero(share > 1e-6)
    return {
        "low": list(plane.low),
        "high": list(plane.high),
        "polygon": [rounded(corner) for corner in corners],
        "cells": [int(cell) for cell in filled],
        "height": rounded(share[filled], digits=4),
    }
