"""Apply gates to the events of a tube.

The answers are those of float64 arithmetic throughout, event for event: thresholds are moved to detector
units once, so that no event is transformed; polygons and ellipsoids are decided on tabled transforms, and
the events that lie too near to an edge for that are decided again exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.errors import GateError
from cytotrial.science.transforms import BIEX_RANGE, first_at_or_above, forward, forward_exact
from cytotrial.terms import (
    ROOT,
    TUBE_MATRIX,
    UNCOMPENSATED,
    BoolArray,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Events,
    FloatArray,
    Gate,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    SpilloverMatrix,
)

Float64 = npt.NDArray[np.float64]
Vertices = tuple[tuple[float, float], ...]

_BLOCK = 1 << 13
_CELLS = 64
_FAR = 3
"""A polygon so many times as long as the events' range has cells only where events are."""
_OUTSIDE, _INSIDE, _NEAR_AN_EDGE = 0, 1, 2


class TubeEvents:
    """The events of one tube on whatever axis a gate asks for; compensated once, when first asked.

    Parameters
    ----------
    events : Events
        Detector units, uncompensated.
    matrices : mapping of name to SpilloverMatrix, optional
        What a dimension's `matrix` may name; `tube` is the matrix of the tube's panel and batch. Without a
        `tube` matrix the tube is uncompensated, as Gating-ML asks for files without one.

    Raises
    ------
    GateError
        When an axis is asked for whose channel or detectors the tube does not have, or whose matrix is
        unknown or has no inverse.
    """

    def __init__(
        self, events: Events, matrices: Mapping[str, SpilloverMatrix] = MappingProxyType({})
    ) -> None:
        self._events = events
        self._matrices = matrices
        self._rows = {name: row for row, name in enumerate(events.channels)}
        self._compensated: dict[str, Float64] = {}
        self._scaled: dict[Dimension, FloatArray] = {}
        self._inside: dict[Gate, BoolArray] = {}

    @property
    def channels(self) -> tuple[str, ...]:
        """The $PnN of every channel."""
        return self._events.channels

    @property
    def n_events(self) -> int:
        return self._events.n_events

    @property
    def matrices(self) -> Mapping[str, SpilloverMatrix]:
        """Name → matrix, for what a dimension's `matrix` may name."""
        return self._matrices

    def with_matrices(self, matrices: Mapping[str, SpilloverMatrix]) -> TubeEvents:
        """The same events with further matrices, as another gating names them."""
        return TubeEvents(self._events, {**self._matrices, **matrices})

    def has_matrix(self, name: str) -> bool:
        return name in self._matrices

    def detector_values(self, dimension: Dimension) -> FloatArray:
        """An axis before its transform: compensated as it says, a ratio if it is one; shape (n_events,)."""
        values = self._channel(dimension.channel, dimension.matrix)
        if not dimension.denominator:
            return values
        a, b, c = dimension.ratio
        below = self._channel(dimension.denominator, dimension.matrix).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(a * ((values.astype(np.float64) - b) / (below - c)))

    def axis(self, dimension: Dimension) -> FloatArray:
        """All events on a dimension's scale, shape (n_events,), to 1e-6 of the scale's length."""
        if dimension not in self._scaled:
            self._scaled[dimension] = forward(dimension.transform, self.detector_values(dimension))
        return self._scaled[dimension]

    def axes(self, dimensions: Sequence[Dimension], mask: BoolArray) -> tuple[FloatArray, ...]:
        """The events of a mask on each dimension's scale; only they are transformed."""
        rows = np.flatnonzero(mask)
        return tuple(
            self._scaled[dimension].take(rows)
            if dimension in self._scaled
            else forward(dimension.transform, self.detector_values(dimension).take(rows))
            for dimension in dimensions
        )

    def inside(self, gate: Gate, decide: Callable[[], BoolArray]) -> BoolArray:
        """Which events lie in a gate, decided once: pictures and samples ask again what gating asked."""
        if gate not in self._inside:
            self._inside[gate] = decide()
            self._inside[gate].setflags(write=False)
        return self._inside[gate]

    def exact(self, dimensions: Sequence[Dimension], rows: npt.NDArray[np.intp]) -> Float64:
        """Chosen events on the dimensions' scales in float64, shape (n_rows, n_dimensions)."""
        columns = [forward_exact(d.transform, self.detector_values(d)[rows]) for d in dimensions]
        return np.stack(columns, axis=1)

    def _channel(self, channel: str, matrix: str) -> FloatArray:
        if channel not in self._rows:
            raise GateError(
                f"channel {channel} is not in the tube; it has {', '.join(self.channels)}.",
                hint="Correct the channel in the gating, or the panel's marker names.",
            )
        spillover = self._spillover(matrix)
        if spillover is None or channel not in spillover.detectors[: len(spillover.values)]:
            return _row(self._events.values, self._rows[channel])
        if matrix not in self._compensated:
            self._compensated[matrix] = self._compensate(spillover, matrix)
        return _row(self._compensated[matrix], spillover.detectors.index(channel))

    def _spillover(self, matrix: str) -> SpilloverMatrix | None:
        if matrix == UNCOMPENSATED:
            return None
        if matrix not in self._matrices and matrix != TUBE_MATRIX:
            raise GateError(
                f"spillover matrix {matrix} is not defined; known: {', '.join(self._matrices) or 'none'}."
            )
        return self._matrices.get(matrix)

    def _compensate(self, spillover: SpilloverMatrix, name: str) -> Float64:
        """Compensated, shape (n_fluorochromes, n_events); least squares if there are more detectors."""
        missing = [detector for detector in spillover.detectors if detector not in self._rows]
        if missing:
            raise GateError(
                f"spillover matrix {name} has the detectors {', '.join(missing)}, which the tube has not; "
                f"it has {', '.join(self.channels)}.",
                hint="Use the matrix that belongs to this tube's panel and batch.",
            )
        rows = [self._rows[detector] for detector in spillover.detectors]
        unmix = _inverse(spillover, name).T
        result = np.empty((unmix.shape[0], self.n_events))
        for start in range(0, self.n_events, _BLOCK):
            block = self._events.values[:, start : start + _BLOCK][rows].astype(np.float64)
            np.matmul(unmix, block, out=result[:, start : start + _BLOCK])
        return result


def _row(values: npt.NDArray[Any], row: int) -> FloatArray:
    channel: FloatArray = values[row]
    return channel


def _inverse(spillover: SpilloverMatrix, name: str) -> Float64:
    values = np.asarray(spillover.values, dtype=np.float64)
    square = values.shape[0] == values.shape[1]
    try:
        return np.asarray(np.linalg.inv(values) if square else np.linalg.pinv(values), dtype=np.float64)
    except np.linalg.LinAlgError:
        raise GateError(f"spillover matrix {name} has no inverse: two of its rows are alike.") from None


def contains(gate: Gate, events: TubeEvents) -> BoolArray:
    """Which events lie in a gate, its parent not yet looked at.

    Parameters
    ----------
    gate : RectangleGate, PolygonGate or EllipsoidGate
        With the tube's own $PnN as channels. Boolean gates need other populations: see `apply_strategy`.
    events : TubeEvents

    Returns
    -------
    ndarray of bool, shape (n_events,), read only
        Rectangles: low <= value < high. Polygons: an odd number of windings; an event on a left or lower
        edge is inside, one on a right or upper edge is not, as for rectangles. Ellipsoids: edge included.
        An event that is not a number is in no bounded gate.

    Raises
    ------
    GateError
        If the tube lacks a channel or matrix, or the gate is boolean or degenerate.

    References
    ----------
    Spidlen J et al. ISAC's Gating-ML 2.0 data exchange standard for gating description.
    Cytometry A 2015;87A:683-687.
    """
    return events.inside(gate, lambda: _decide(gate, events))


def _decide(gate: Gate, events: TubeEvents) -> BoolArray:
    if isinstance(gate, RectangleGate):
        return _in_rectangle(gate, events)
    if isinstance(gate, PolygonGate):
        return _in_polygon(gate, events)
    if isinstance(gate, EllipsoidGate):
        return _in_ellipsoid(gate, events)
    raise GateError("a boolean gate holds other populations, not a region of its own.")


def apply_strategy(
    placed: Iterable[PlacedGate], events: TubeEvents, *, root: BoolArray | None = None
) -> dict[str, BoolArray]:
    """The events of every population, each within its parent.

    Parameters
    ----------
    placed : iterable of PlacedGate
        Parents, and the populations that boolean gates name, before those that need them.
    events : TubeEvents
    root : ndarray of bool, shape (n_events,), optional
        The events to begin with; all of them by default.

    Returns
    -------
    dict of population to ndarray of bool, shape (n_events,)
        `root` first, then in the order of the gates.

    Raises
    ------
    GateError
        If a gate names a population that does not come before it, or the tube lacks a channel or matrix.
    """
    masks: dict[str, BoolArray] = {ROOT: np.ones(events.n_events, dtype=bool) if root is None else root}
    for entry in placed:
        for name in (entry.parent, *operands(entry.gate)):
            if name not in masks:
                raise GateError(f"population {entry.population} needs {name}, which does not come before it.")
        gate = entry.gate
        inside = combine(gate, masks) if isinstance(gate, BooleanGate) else contains(gate, events)
        masks[entry.population] = masks[entry.parent] & inside
    return masks


def operands(gate: Gate) -> tuple[str, ...]:
    """The populations that a boolean gate names; none for the other gates."""
    return tuple(name for name, _ in gate.operands) if isinstance(gate, BooleanGate) else ()


def combine(gate: BooleanGate, masks: Mapping[str, BoolArray]) -> BoolArray:
    """A boolean gate's AND, OR or NOT of populations.

    Examples
    --------
    >>> masks = {"CD4": np.array([True, True, False]), "CD25": np.array([True, False, False])}
    >>> combine(BooleanGate("and", (("CD4", False), ("CD25", True))), masks)
    array([False,  True, False])
    """
    parts = [~masks[name] if complement else masks[name] for name, complement in gate.operands]
    if gate.operator == "not":
        return ~parts[0]
    reduce = np.logical_and.reduce if gate.operator == "and" else np.logical_or.reduce
    return np.asarray(reduce(parts))


# Rectangles


def _in_rectangle(gate: RectangleGate, events: TubeEvents) -> BoolArray:
    inside = np.ones(events.n_events, dtype=bool)
    for dimension, low, high in zip(gate.dimensions, gate.low, gate.high, strict=True):
        if low is None and high is None:
            continue
        values = events.detector_values(dimension)
        lowest = _detector_limit(dimension, low)
        if lowest > -math.inf:
            inside &= values >= _in_type_of(values, lowest)
        if high is not None:
            inside &= values < _in_type_of(values, first_at_or_above(dimension.transform, high))
    return inside


def _detector_limit(dimension: Dimension, low: float | None) -> float:
    """The lower limit in detector units; a logarithm has no value below zero, so no event there is inside."""
    if low is None:
        return 0.0 if dimension.transform.kind == "log" else -math.inf
    return first_at_or_above(dimension.transform, low)


def _in_type_of(values: FloatArray, limit: float) -> np.floating[Any]:
    """The limit for a comparison in the values' own type that decides as float64 would: rounded up."""
    if values.dtype != np.float32:
        return np.float64(limit)
    with np.errstate(over="ignore"):
        rounded = np.float32(limit)
    return rounded if rounded >= limit else np.nextafter(rounded, np.float32(np.inf))


# Polygons: a grid over the polygon says of each cell that it is inside, outside, or near an edge.


Pair = tuple[float, float]


class _Grid:
    """A polygon's cells on a plane, with a ring of outer cells that reaches to infinity.

    `low` and `high` are the corners of the plane that is cut into cells: the polygon's own, or less of it.

    Attributes
    ----------
    cells : ndarray of uint8, shape ((n_cells + 2)²,): outside, inside, or near an edge
    scale, shift : per axis; cell = value · scale + shift, held between 0 and n_cells + 1
    """

    def __init__(self, vertices: Vertices, slack: Pair, low: Pair, high: Pair) -> None:
        corners = np.asarray(vertices, dtype=np.float64)
        length, middle = np.subtract(high, low), np.add(high, low) / 2
        size = np.maximum(length / (_CELLS - 2), 4 * np.asarray(slack))
        origin = middle - size * (_CELLS / 2 + 1)
        self.scale, self.shift = 1 / size, -origin / size
        edges: Float64 = (corners - origin) / size
        centres: Float64 = np.indices((_CELLS + 2, _CELLS + 2), dtype=np.float64).reshape(2, -1).T + 0.5
        self.cells = _points_in_polygon(edges, centres).astype(np.uint8)
        self.cells[_near_an_edge(edges, centres, reach=0.5 + np.asarray(slack) / size + 1e-3)] = _NEAR_AN_EDGE
        self._leave_open(edges)

    def _leave_open(self, edges: Float64) -> None:
        """Outer cells on a side where the polygon goes on: what lies there is decided event by event."""
        plane = self.cells.reshape(_CELLS + 2, _CELLS + 2)
        for axis, outer in enumerate((plane, plane.T)):
            if edges[:, axis].min() < 1:
                outer[0] = _NEAR_AN_EDGE
            if edges[:, axis].max() > _CELLS + 1:
                outer[-1] = _NEAR_AN_EDGE

    def look_up(self, x: FloatArray, y: FloatArray) -> npt.NDArray[np.uint8]:
        """The cell of every event; what is not a number is in cell 0, outside."""
        cell = self._index(x, 0)
        cell *= _CELLS + 2
        cell += self._index(y, 1)
        return self.cells.take(cell, mode="clip")

    def _index(self, values: FloatArray, axis: int) -> npt.NDArray[np.int32]:
        cell = values.astype(np.float32)
        cell *= np.float32(self.scale[axis])
        cell += np.float32(self.shift[axis])
        np.fmin(cell, np.float32(_CELLS + 1), out=cell)
        np.fmax(cell, np.float32(0), out=cell)
        return cell.astype(np.int32)


_grid = lru_cache(maxsize=256)(_Grid)


def _in_polygon(gate: PolygonGate, events: TubeEvents) -> BoolArray:
    x, y = gate.dimensions
    values = (events.axis(x), events.axis(y))
    (low_x, high_x), (low_y, high_y) = (_cut_into_cells(gate.vertices, values, axis) for axis in (0, 1))
    slack = (_slack(x, gate.vertices, 0), _slack(y, gate.vertices, 1))
    cells = _grid(gate.vertices, slack, (low_x, low_y), (high_x, high_y)).look_up(*values)
    inside = np.asarray(cells == _INSIDE)
    unsure = np.flatnonzero(cells == _NEAR_AN_EDGE)
    if unsure.size:
        inside[unsure] = _points_in_polygon(
            np.asarray(gate.vertices, np.float64), events.exact(gate.dimensions, unsure)
        )
    return inside


def _cut_into_cells(vertices: Vertices, values: tuple[FloatArray, FloatArray], axis: int) -> Pair:
    """From where to where an axis is cut into cells: over the polygon, or where nearly all events are.

    A polygon may have a corner far beyond all events; cells as wide as that would tell nothing.
    """
    places = [vertex[axis] for vertex in vertices]
    low, high = min(places), max(places)
    some = values[axis][:: max(1, values[axis].size // 2_000)]
    known = some[np.isfinite(some)]
    if not known.size:
        return low, high
    first, last = (float(place) for place in np.quantile(known, [0.005, 0.995]))
    cut_low, cut_high = max(low, first), min(high, last)
    far = high - low > _FAR * (last - first) and cut_low < cut_high
    return (cut_low, cut_high) if far else (low, high)


def _slack(dimension: Dimension, points: Sequence[Sequence[float]], axis: int) -> float:
    """More than a tabled, float32 axis can be wrong about an event near the gate."""
    length = BIEX_RANGE if dimension.transform.kind == "biex" else 1.0
    return 4e-6 * max(length, *(abs(point[axis]) for point in points))


def _points_in_polygon(vertices: Float64, points: Float64) -> BoolArray:
    """Exactly: an odd number of windings, shape (n_points,), by flowutils (BSD licence)."""
    from flowutils import gating  # noqa: PLC0415

    return np.asarray(gating.points_in_polygon(vertices, np.ascontiguousarray(points)), dtype=bool)


def _near_an_edge(corners: Float64, centres: Float64, *, reach: Float64) -> BoolArray:
    """Which boxes (centre ± reach) an edge of the polygon passes through: no axis separates the two."""
    touched = np.zeros(len(centres), dtype=bool)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = np.minimum(start, end) - reach, np.maximum(start, end) + reach
        beside = ((centres >= low) & (centres <= high)).all(axis=1)
        (dx, dy), (px, py) = end - start, (centres[beside] - start).T
        touched[beside] |= np.abs(px * dy - py * dx) <= reach[0] * abs(dy) + reach[1] * abs(dx)
    return touched


# Ellipsoids


def _in_ellipsoid(gate: EllipsoidGate, events: TubeEvents) -> BoolArray:
    try:
        precision = np.linalg.inv(np.asarray(gate.covariance, dtype=np.float64))
    except np.linalg.LinAlgError:
        raise GateError("an ellipsoid gate's covariance has no inverse.") from None
    points = np.stack([events.axis(d).astype(np.float64) for d in gate.dimensions])
    distance = _squared_distance(points, gate, precision)
    inside = distance <= gate.distance_square
    unsure = np.flatnonzero(np.abs(distance - gate.distance_square) <= _distance_slack(gate, precision))
    if unsure.size:
        exact = _squared_distance(events.exact(gate.dimensions, unsure).T, gate, precision)
        inside[unsure] = exact <= gate.distance_square
    return np.asarray(inside)


def _squared_distance(points: Float64, gate: EllipsoidGate, precision: Float64) -> Float64:
    away = points - np.asarray(gate.mean)[:, np.newaxis]
    with np.errstate(invalid="ignore"):
        return np.asarray(((precision @ away) * away).sum(axis=0))


def _distance_slack(gate: EllipsoidGate, precision: Float64) -> float:
    """How wrong a squared distance near the edge can be: its gradient there times the axes' slack.

    A region that is no ellipsoid is unbounded, and so is the gradient: all its events are decided exactly.
    """
    if not np.allclose(precision, precision.T) or np.linalg.eigvalsh(precision).min() <= 0:
        return math.inf
    slack = [_slack(d, (gate.mean,), i) for i, d in enumerate(gate.dimensions)]
    steepest = 2 * math.sqrt(gate.distance_square * np.linalg.norm(precision, 2))
    return 2 * steepest * math.hypot(*slack)
