"""Gates on events small enough to check by head, and against exact arithmetic on many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from flowutils import gating as exact_gating
from flowutils import transforms as exact_transforms

from cytotrial.errors import GateError
from cytotrial.science.gates import TubeEvents, apply_strategy, contains
from cytotrial.science.transforms import asinh, biex, forward_exact, log, logicle
from cytotrial.terms import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Events,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    SpilloverMatrix,
)

X, Y = Dimension("X"), Dimension("Y")


def tube(**channels: Sequence[float]) -> TubeEvents:
    values = np.array(list(channels.values()), dtype=np.float32)
    return TubeEvents(Events(values, tuple(channels)))


def rectangle(low: float | None, high: float | None, dimension: Dimension = X) -> RectangleGate:
    return RectangleGate((dimension,), (low,), (high,))


def placed(name: str, gate: Any, parent: str = "root") -> PlacedGate:
    return PlacedGate(name, parent, gate)


def test_an_event_on_the_lower_limit_is_inside_and_one_on_the_upper_is_not() -> None:
    assert list(contains(rectangle(10, 20), tube(X=[9, 10, 15, 20]))) == [False, True, True, False]


def test_an_open_side_has_no_limit() -> None:
    assert list(contains(rectangle(None, 0), tube(X=[-1e9, -1, 0]))) == [True, True, False]
    assert list(contains(rectangle(None, None), tube(X=[-1, 1]))) == [True, True]


def test_a_limit_between_two_float32_values_parts_them() -> None:
    # 0.1 lies between two neighbouring float32 values; rounded to float32 it would be the upper one.
    above = np.float32(0.1)
    below = np.nextafter(above, np.float32(0))
    assert float(below) < 0.1 < float(above)
    assert list(contains(rectangle(0.1, None), tube(X=[below, above]))) == [False, True]
    assert list(contains(rectangle(None, 0.1), tube(X=[below, above]))) == [True, False]


def test_a_threshold_on_a_scale_is_met_by_the_event_it_was_drawn_through() -> None:
    scale = logicle()
    limit = float(forward_exact(scale, np.array([1000.0]))[0])
    dimension = Dimension("X", scale)
    assert list(contains(rectangle(limit, None, dimension), tube(X=[999.9999, 1000, 1000.0001]))) == [
        False,
        True,
        True,
    ]


def test_a_value_that_has_no_logarithm_is_in_no_bounded_gate() -> None:
    # log10 of -5 is not a number; of 0 it is -inf, which is below every upper limit (GatingML flog).
    on_log = Dimension("X", log(t=1000, m=3))
    assert list(contains(rectangle(None, 0.5, on_log), tube(X=[-5, 0, 1, 500]))) == [False, True, True, False]


def test_everything_below_a_biex_scale_lies_on_its_end_and_so_in_a_gate_that_begins_there() -> None:
    # As FlowJo draws it: events off the scale are piled up on the axis.
    on_biex = Dimension("X", biex())
    assert list(contains(rectangle(0, 2000, on_biex), tube(X=[-1e8, 0, 1e6]))) == [True, True, False]


def test_a_polygon_is_inside_where_its_windings_are_odd() -> None:
    # A pentagram's centre is wound around twice: by the even-odd rule it is outside.
    star = tuple((float(np.sin(k * 4 * np.pi / 5)), float(np.cos(k * 4 * np.pi / 5))) for k in range(5))
    events = tube(X=[0, 0, 3], Y=[0, 0.8, 3])
    assert list(contains(PolygonGate((X, Y), star), events)) == [False, True, False]


def test_a_gates_corner_and_edge_are_decided_as_the_reference_decides_them() -> None:
    square = ((0.0, 0.0), (0.0, 4.0), (4.0, 4.0), (4.0, 0.0))
    points = np.array([(x, y) for x in (-1, 0, 2, 4, 5) for y in (-1, 0, 2, 4, 5)], dtype=np.float64)
    found = contains(PolygonGate((X, Y), square), tube(X=points[:, 0], Y=points[:, 1]))
    np.testing.assert_array_equal(found, exact_gating.points_in_polygon(np.array(square), points))


def test_an_ellipse_holds_its_edge() -> None:
    # Half axes 2 and 1: (2, 0) and (0, 1) are at Mahalanobis distance 1, (2, 1) is at the square root of 2.
    ellipse = EllipsoidGate((X, Y), (0.0, 0.0), ((4.0, 0.0), (0.0, 1.0)), 1.0)
    assert list(contains(ellipse, tube(X=[2, 0, 2, 0], Y=[0, 1, 1, 0]))) == [True, True, False, True]


def test_an_event_that_is_not_a_number_is_in_no_polygon_and_no_ellipse() -> None:
    events = tube(X=[np.nan, 0.5, np.inf], Y=[0.5, np.nan, 0.5])
    triangle = PolygonGate((X, Y), ((0.0, 0.0), (0.0, 2.0), (2.0, 0.0)))
    assert not contains(triangle, events).any()
    assert not contains(EllipsoidGate((X, Y), (0.5, 0.5), ((1.0, 0.0), (0.0, 1.0)), 9.0), events).any()


def test_a_tube_without_events_has_no_event_in_any_gate() -> None:
    empty = tube(X=[], Y=[])
    triangle = PolygonGate((X, Y), ((0.0, 0.0), (0.0, 2.0), (2.0, 0.0)))
    ellipse = EllipsoidGate((X, Y), (0.5, 0.5), ((1.0, 0.0), (0.0, 1.0)), 9.0)
    assert [contains(gate, empty).size for gate in (rectangle(0, 1), triangle, ellipse)] == [0, 0, 0]


def test_compensation_takes_the_spill_of_one_dye_out_of_the_others_detector() -> None:
    # 100 units of FITC of which 20 % are seen in PE: raw (100, 20), compensated (100, 0).
    matrix = SpilloverMatrix(("FITC", "PE"), np.array([[1.0, 0.2], [0.0, 1.0]]))
    events = TubeEvents(
        Events(np.array([[100.0], [20.0], [5.0]], dtype=np.float32), ("FITC", "PE", "FSC")), {"tube": matrix}
    )
    on = [Dimension(name, matrix="tube") for name in ("FITC", "PE", "FSC")]
    assert [float(events.axis(d)[0]) for d in on] == pytest.approx([100, 0, 5])
    assert float(events.axis(Dimension("PE"))[0]) == 20


def test_a_tube_without_a_matrix_is_uncompensated_but_a_named_matrix_must_be_there() -> None:
    events = tube(X=[3])
    assert float(events.axis(Dimension("X", matrix="tube"))[0]) == 3
    assert not events.has_matrix("tube")
    with pytest.raises(GateError, match="spillover matrix M1 is not defined; known: none"):
        events.axis(Dimension("X", matrix="M1"))


def test_a_matrix_with_a_detector_that_the_tube_has_not_is_refused_by_name() -> None:
    matrix = SpilloverMatrix(("X", "PE-A"), np.eye(2))
    events = TubeEvents(Events(np.ones((1, 1), dtype=np.float32), ("X",)), {"tube": matrix})
    with pytest.raises(GateError, match="detectors PE-A, which the tube has not; it has X"):
        events.axis(Dimension("X", matrix="tube"))


def test_a_channel_that_the_tube_has_not_is_refused_by_name() -> None:
    with pytest.raises(GateError, match="channel CD4 is not in the tube; it has X"):
        contains(rectangle(0, 1, Dimension("CD4")), tube(X=[1]))


def test_a_ratio_axis_is_the_quotient_of_its_two_channels() -> None:
    # GatingML fratio with A = 2, B = 1, C = 0: 2 · (7 - 1) / 3 = 4.
    ratio = Dimension("X", denominator="Y", ratio=(2.0, 1.0, 0.0))
    events = tube(X=[7, 7], Y=[3, 0])
    assert float(events.axis(ratio)[0]) == 4
    assert list(contains(rectangle(4, 4.1, ratio), events)) == [True, False]


def test_a_child_is_counted_within_its_parent_and_a_boolean_gate_within_its_own() -> None:
    gates = [
        placed("A", rectangle(2, 8)),
        placed("A1", rectangle(None, 5), "A"),
        placed("not A1", BooleanGate("not", (("A1", False),)), "A"),
        placed("A1 or far", BooleanGate("or", (("A1", False), ("A", True)))),
        placed("A but not A1", BooleanGate("and", (("A", False), ("A1", True)))),
    ]
    masks = apply_strategy(gates, tube(X=[1, 2, 4, 6, 9]))
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {
        "root": 5,
        "A": 3,  # 2, 4, 6
        "A1": 2,  # 2, 4; 1 is not in A
        "not A1": 1,  # 6
        "A1 or far": 4,  # 1, 2, 4, 9
        "A but not A1": 1,  # 6
    }


def test_events_left_out_at_the_root_are_in_no_population() -> None:
    masks = apply_strategy(
        [placed("all", rectangle(0, None))], tube(X=[1, 2, 3]), root=np.array([True, False, True])
    )
    assert masks["all"].sum() == 2


def test_a_gate_whose_parent_comes_later_is_refused() -> None:
    with pytest.raises(GateError, match="population B needs A, which does not come before it"):
        apply_strategy([placed("B", rectangle(0, 1), "A"), placed("A", rectangle(0, 1))], tube(X=[1]))


def test_a_boolean_gate_has_no_region_of_its_own() -> None:
    with pytest.raises(GateError, match="boolean gate"):
        contains(BooleanGate("not", (("A", False),)), tube(X=[1]))


def test_masked_axes_are_the_axis_at_the_mask() -> None:
    events = tube(X=[1, 10, 100], Y=[5, 6, 7])
    dimension = Dimension("X", asinh())
    mask = np.array([True, False, True])
    before = events.axes((dimension, Y), mask)[0]
    np.testing.assert_array_equal(events.axis(dimension)[mask], before)
    np.testing.assert_array_equal(events.axes((dimension,), mask)[0], before)


# Against exact float64 arithmetic on 300,000 simulated events, compensated, on logicle scales.

SPILL = np.array([[1, 0.21, 0.03], [0.02, 1, 0.35], [0.0, 0.07, 1]], dtype=np.float64)
DETECTORS = ("A", "B", "C")


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    rng = np.random.default_rng(7)
    dyes = np.where(rng.random((300_000, 3)) < 0.6, rng.normal(0, 120, (300_000, 3)), 0)
    dyes += rng.lognormal(6.5, 1.6, (300_000, 3)) * (rng.random((300_000, 3)) < 0.5)
    return np.asarray((dyes @ SPILL).T, dtype=np.float32)


def exact_axes(raw: np.ndarray) -> np.ndarray:
    compensated = np.linalg.solve(SPILL.T, raw.astype(np.float64))
    return np.stack([exact_transforms.logicle(row, None, t=262144, m=4.5, w=0.5, a=0) for row in compensated])


def wavy(n: int, *, size: float = 0.2) -> tuple[tuple[float, float], ...]:
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius = size * (1 + 0.3 * np.sin(5 * angle))
    return tuple(
        (float(0.35 + r * np.cos(a)), float(0.4 + r * np.sin(a))) for a, r in zip(angle, radius, strict=True)
    )


@pytest.mark.parametrize(
    "vertices",
    [wavy(7), wavy(128), wavy(40, size=1e-4), ((0.1, 0.12), (0.9, 0.8), (0.9, 0.1), (0.1, 0.9))],
    ids=["seven vertices", "128 vertices", "a speck", "a bow tie"],
)
def test_polygons_hold_the_same_events_as_exact_arithmetic(
    many: np.ndarray, vertices: tuple[tuple[float, float], ...]
) -> None:
    events = TubeEvents(Events(many, DETECTORS), {"tube": SpilloverMatrix(DETECTORS, SPILL)})
    a, b = Dimension("A", logicle(), "tube"), Dimension("B", logicle(), "tube")
    truth = exact_gating.points_in_polygon(np.array(vertices), exact_axes(many)[:2].T.copy())
    np.testing.assert_array_equal(contains(PolygonGate((a, b), vertices), events), truth)


def test_polygons_on_linear_scales_far_from_zero_hold_the_same_events_as_exact_arithmetic() -> None:
    # Eight events a unit, and a polygon four units wide at 250,000: the worst a float32 grid can meet.
    rng = np.random.default_rng(3)
    raw = rng.uniform(249_990, 250_010, (2, 100_000)).astype(np.float32)
    triangle = ((249_998.3, 249_997.9), (250_001.7, 249_999.2), (250_000.1, 250_002.3))
    found = contains(PolygonGate((X, Y), triangle), TubeEvents(Events(raw, ("X", "Y"))))
    truth = exact_gating.points_in_polygon(np.array(triangle), raw.T.astype(np.float64).copy())
    np.testing.assert_array_equal(found, truth)
    assert truth.sum() > 1000


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("far", [-4e7, -900.0, 40.0, 8e6])
def test_a_polygon_with_a_corner_far_beyond_all_events_holds_those_of_exact_arithmetic(
    axis: int, far: float
) -> None:
    rng = np.random.default_rng(7)
    raw = np.concatenate([rng.normal(20, 6, (2, 20_000)), rng.uniform(-2000, 2000, (2, 500))], axis=1)
    values = raw.astype(np.float32)
    corners = [(10.0, 12.0), (25.0, 9.0), (31.0, 24.0), (22.0, 33.0), (9.0, 27.0)]
    corners[2 * axis] = (far, 18.0) if axis == 0 else (21.0, far)
    events = TubeEvents(Events(values, ("X", "Y")))
    found = contains(PolygonGate((X, Y), tuple(corners)), events)
    truth = exact_gating.points_in_polygon(np.array(corners), values.T.astype(np.float64).copy())
    np.testing.assert_array_equal(found, truth.astype(bool))
    assert 1000 < found.sum() < 20_400


def test_rectangles_hold_the_same_events_as_exact_arithmetic(many: np.ndarray) -> None:
    events = TubeEvents(Events(many, DETECTORS), {"tube": SpilloverMatrix(DETECTORS, SPILL)})
    on = tuple(Dimension(name, logicle(), "tube") for name in DETECTORS)
    gate = RectangleGate(on, (0.11, None, 0.2), (0.6, 0.5, None))
    a, b, c = exact_axes(many)
    np.testing.assert_array_equal(contains(gate, events), (a >= 0.11) & (a < 0.6) & (b < 0.5) & (c >= 0.2))


def test_ellipsoids_hold_the_same_events_as_exact_arithmetic(many: np.ndarray) -> None:
    events = TubeEvents(Events(many, DETECTORS), {"tube": SpilloverMatrix(DETECTORS, SPILL)})
    on = tuple(Dimension(name, logicle(), "tube") for name in DETECTORS)
    mean, covariance = (0.4, 0.4, 0.3), ((0.02, 0.01, 0.0), (0.01, 0.03, 0.002), (0.0, 0.002, 0.01))
    truth = exact_gating.points_in_ellipsoid(np.array(covariance), np.array(mean), 2.0, exact_axes(many).T)
    np.testing.assert_array_equal(contains(EllipsoidGate(on, mean, covariance, 2.0), events), truth)
