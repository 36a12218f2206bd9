"""A gate whose place the template states: what other finders fall back to."""

from __future__ import annotations

from collections.abc import Sequence

from cytotrial.errors import GateError
from cytotrial.science.finders.registry import Found, View, registered
from cytotrial.terms import EllipsoidGate, Gate, PolygonGate, RectangleGate

Limits = float | Sequence[float | None] | None


@registered("fixed")
def find_fixed(
    view: View,
    *,
    low: Limits = None,
    high: Limits = None,
    polygon: Sequence[Sequence[float]] | None = None,
    mean: Sequence[float] | None = None,
    covariance: Sequence[Sequence[float]] | None = None,
    distance_square: float | None = None,
) -> Found:
    """The geometry of the template's arguments, whatever the tube holds.

    Parameters
    ----------
    low, high : float, or a list with one entry (or none) for each dimension
        A rectangle.
    polygon : list of [x, y]
        Corners of a polygon on two dimensions.
    mean, covariance, distance_square
        An ellipse: Mahalanobis distance² from the mean up to `distance_square`.

    Raises
    ------
    GateError
        If the arguments state no geometry, or two, or one of other dimensions.
    """
    rectangle = low is not None or high is not None
    if rectangle + (polygon is not None) + (mean is not None) != 1:
        raise GateError("fixed needs one geometry: low and/or high, or polygon, or mean with covariance.")
    return Found(
        _rectangle(view, low, high)
        if rectangle
        else _polygon(view, polygon)
        if polygon is not None
        else _ellipse(view, mean, covariance, distance_square)
    )


def _rectangle(view: View, low: Limits, high: Limits) -> Gate:
    n = len(view.dimensions)
    return RectangleGate(view.dimensions, _limits(low, n), _limits(high, n))


def _limits(limit: Limits, n: int) -> tuple[float | None, ...]:
    if not isinstance(limit, Sequence):
        return (limit,) * n
    if len(limit) != n:
        raise GateError(f"fixed has {len(limit)} limits for {n} dimensions.")
    return tuple(limit)


def _polygon(view: View, corners: Sequence[Sequence[float]]) -> Gate:
    if len(view.dimensions) != 2 or len(corners) < 3 or any(len(corner) != 2 for corner in corners):
        raise GateError("a fixed polygon needs two dimensions and at least three corners of two numbers.")
    x, y = view.dimensions
    return PolygonGate((x, y), tuple((float(a), float(b)) for a, b in corners))


def _ellipse(
    view: View,
    mean: Sequence[float] | None,
    covariance: Sequence[Sequence[float]] | None,
    distance_square: float | None,
) -> Gate:
    n = len(view.dimensions)
    if mean is None or covariance is None or distance_square is None:
        raise GateError("a fixed ellipse needs mean, covariance and distance_square.")
    if len(mean) != n or len(covariance) != n or any(len(row) != n for row in covariance):
        raise GateError(f"a fixed ellipse on {n} dimensions needs {n} means and {n} × {n} covariances.")
    rows = tuple(tuple(map(float, row)) for row in covariance)
    return EllipsoidGate(view.dimensions, tuple(map(float, mean)), rows, float(distance_square))
