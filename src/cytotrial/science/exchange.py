"""Gates in a form that other programs can state.

GatingML has no counterpart for FlowJo's two own scales, the biex and its logarithm. A threshold on them is
the same cut in detector units; a polygon or an ellipse is not, since its edges would become curves.
"""

from __future__ import annotations

import math
from dataclasses import replace

from cytotrial.science.transforms import first_at_or_above
from cytotrial.terms import IDENTITY, BooleanGate, Dimension, Gate, RectangleGate, Transform

FLOWJO_SCALES = frozenset({"biex", "flowjo_log"})
_NARROWEST = 1e-9
_BEYOND = 3e38
"""More than any event has, in single precision too."""


def portable(gate: Gate) -> Gate:
    """The same gate with its thresholds off FlowJo's own scales, and logicle without a linear part as asinh.

    Returns
    -------
    Gate
        Of the same events, event for event. A polygon or ellipsoid on a FlowJo scale stays as it is:
        whoever writes the gate must refuse it.

    Examples
    --------
    >>> axis = Dimension("PE-A", Transform("flowjo_log", (("decades", 4.0), ("offset", 1.0))))
    >>> portable(RectangleGate((axis,), (0.5,), (None,))).low
    (100.0,)
    """
    if isinstance(gate, RectangleGate):
        gate = _in_detector_units(gate)
    if isinstance(gate, BooleanGate):
        return gate
    return replace(gate, dimensions=tuple(map(_as_asinh, gate.dimensions)))  # type: ignore[arg-type]


def _in_detector_units(gate: RectangleGate) -> RectangleGate:
    sides = [
        (replace(axis, transform=IDENTITY), _moved(axis, low), _moved(axis, high))
        if axis.transform.kind in FLOWJO_SCALES
        else (axis, low, high)
        for axis, low, high in zip(gate.dimensions, gate.low, gate.high, strict=True)
    ]
    dimensions, lows, highs = zip(*sides, strict=True)
    return RectangleGate(tuple(dimensions), tuple(lows), tuple(highs))


def _moved(axis: Dimension, limit: float | None) -> float | None:
    """A limit in detector units, finite: beyond the ends of a scale it holds for all events or for none."""
    if limit is None:
        return None
    moved = first_at_or_above(axis.transform, limit)
    return math.copysign(_BEYOND, moved) if math.isinf(moved) else moved


def _as_asinh(axis: Dimension) -> Dimension:
    """A logicle without a linear region is the asinh of the same T, M and A."""
    p = dict(axis.transform.parameters)
    if axis.transform.kind != "logicle" or p["w"] >= _NARROWEST:
        return axis
    return replace(axis, transform=Transform("asinh", (("a", p["a"]), ("m", p["m"]), ("t", p["t"]))))
