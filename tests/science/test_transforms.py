"""Scales: against the published definitions, against FlowKit, and against themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from flowkit import transforms as flowkit_transforms
from flowutils import transforms as exact
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cytotrial.errors import GateError
from cytotrial.science.transforms import (
    asinh,
    biex,
    check_transform,
    first_at_or_above,
    flowjo_log,
    forward,
    forward_exact,
    hyperlog,
    inverse,
    linear,
    log,
    logicle,
)
from cytotrial.terms import IDENTITY, Transform

SCALES = [
    logicle(),
    logicle(w=0),
    logicle(w=0.91, t=262143),
    logicle(w=0.5, a=-0.5),
    logicle(t=4_194_304, w=0.3, m=6, a=1),
    hyperlog(),
    hyperlog(w=0.01),
    asinh(),
    asinh(m=4, a=1),
    biex(),
    biex(width=-100, neg=1),
    biex(width=-1000, neg=0.5, pos=5, top=4_194_304),
]


def detector_values(*, seed: int = 1, n: int = 200_000) -> np.ndarray:
    """From -262144 to ten times the top, evenly and on a logarithmic scale of both signs."""
    rng = np.random.default_rng(seed)
    even = rng.uniform(-262_144, 2_621_440, n)
    spread = np.sinh(rng.uniform(-13, 15, n)) * rng.choice([1.0, 1e-3], n)
    ends = [0.0, -0.0, 1e-30, -1e-30, 262_144.0, -262_144.0, 2_621_440.0]
    return np.concatenate([even, spread, ends]).astype(np.float32)


def length(scale: Transform) -> float:
    return 4096.0 if scale.kind == "biex" else 1.0


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_the_table_is_right_to_a_millionth_of_the_display(scale: Transform) -> None:
    x = detector_values()
    error = np.abs(forward(scale, x) - forward_exact(scale, x.astype(np.float64)))
    assert error.max() / length(scale) <= 1e-6


@pytest.mark.parametrize(
    "scale", [*SCALES[:9], linear(a=100), log(t=1e4, m=5), flowjo_log(offset=1, decades=4)], ids=str
)
def test_a_value_put_on_a_scale_and_back_is_the_value(scale: Transform) -> None:
    x = detector_values().astype(np.float64)
    if scale.kind.endswith("log") and scale.kind != "hyperlog":
        x = np.abs(x) + 1  # logarithms begin above zero
    back = inverse(scale, forward_exact(scale, x))
    np.testing.assert_allclose(back, x, rtol=1e-9, atol=1e-6)


@given(st.floats(-20_000, 262_144), st.floats(-2000, -2), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_biex_gives_back_every_value_that_is_on_its_scale(x: float, width: float, neg: float) -> None:
    scale = biex(width=width, neg=neg, top=262_144)
    y = forward_exact(scale, np.array([x]))
    if 0 < y[0] < 4096:
        assert inverse(scale, y)[0] == pytest.approx(x, rel=1e-9, abs=1e-6)


@given(
    t=st.floats(100, 1e7),
    m=st.floats(2, 8),
    width=st.floats(0, 1),
    extra=st.floats(0, 1),
    x=st.floats(-1e5, 1e6),
)
@settings(max_examples=200, deadline=None)
def test_logicle_goes_there_and_back_for_every_legal_parameter(
    t: float, m: float, width: float, extra: float, x: float
) -> None:
    w = width * m / 2
    scale = logicle(t=t, m=m, w=w, a=extra * (m - 2 * w))
    x = float(np.clip(x, -t, 10 * t))
    assert inverse(scale, forward_exact(scale, np.array([x])))[0] == pytest.approx(x, rel=1e-6, abs=1e-6 * t)


def test_the_top_of_the_scale_is_one_and_zero_is_where_the_paper_puts_it() -> None:
    # Moore & Parks 2012: T maps to 1, and zero to x1 = (A + W) / (M + A) = 0.5 / 4.5.
    assert forward_exact(logicle(), np.array([262_144.0]))[0] == pytest.approx(1.0)
    assert forward_exact(logicle(), np.array([0.0]))[0] == pytest.approx(0.5 / 4.5)
    # With one further negative decade: (1 + 0.5) / (4.5 + 1).
    assert forward_exact(logicle(a=1), np.array([0.0]))[0] == pytest.approx(1.5 / 5.5)


def test_the_gatingml_formulas_hold_at_values_that_can_be_checked_by_head() -> None:
    assert forward(linear(t=1000, a=0), np.array([250.0]))[0] == 0.25
    assert forward(linear(t=900, a=100), np.array([0.0]))[0] == 0.1
    assert forward(log(t=1000, m=3), np.array([100.0]))[0] == pytest.approx(2 / 3)
    # fasinh: T on 1, zero on A / (M + A).
    assert forward_exact(asinh(t=1000, m=4, a=1), np.array([1000.0, 0.0])) == pytest.approx([1.0, 0.2])
    assert forward(flowjo_log(offset=10, decades=4), np.array([1000.0, 3.0])) == pytest.approx([0.5, 0.0])


@pytest.mark.parametrize(
    ("width", "neg", "pos", "top"),
    [(-10, 0, 4.41854, 262144.000029), (-100, 1, 4.41854, 262144), (-1, 0, 4.5, 1e5), (-1000, 0.5, 5, 4e6)],
)
def test_biex_is_the_lookup_table_that_flowkit_has(width: float, neg: float, pos: float, top: float) -> None:
    theirs = flowkit_transforms.WSPBiexTransform(negative=neg, width=width, positive=pos, max_value=top)
    x = detector_values(n=20_000).astype(np.float64)
    ours = forward_exact(biex(width=width, neg=neg, pos=pos, top=top), x)
    np.testing.assert_allclose(ours, theirs.apply(x), rtol=0, atol=1e-8)


def test_what_is_below_or_above_a_biex_scale_is_on_its_end() -> None:
    ends = np.array([-1e7, 1e9], dtype=np.float32)
    assert list(forward_exact(biex(), ends)) == [0.0, 4096.0]
    assert forward(biex(), ends) == pytest.approx([0.0, 4096.0], abs=1e-3)


def test_the_identity_changes_nothing_and_a_value_that_is_no_number_stays_none() -> None:
    x = np.array([1.5, np.nan], dtype=np.float32)
    assert forward(IDENTITY, x) is x
    assert np.isnan(forward(logicle(), x)[1])


def test_the_shape_of_the_events_is_kept() -> None:
    assert forward(logicle(), np.zeros((3, 5), dtype=np.float32)).shape == (3, 5)
    assert forward(logicle(), np.zeros((0,), dtype=np.float32)).shape == (0,)


@given(st.floats(-1000, 262_144, width=32))
@settings(max_examples=300, deadline=None)
@pytest.mark.parametrize("scale", [logicle(), hyperlog(), asinh(), biex(), linear(a=3)], ids=lambda s: s.kind)
def test_an_event_on_a_threshold_stays_on_its_side_when_the_threshold_is_moved(
    scale: Transform, x: float
) -> None:
    # A gate drawn exactly through an event holds it, and not the next smaller float32, if that lies lower.
    # Nearer to zero than a millionth of a unit every event has the same place in float64.
    assume(x == 0 or abs(x) > 1e-6)
    below = float(np.nextafter(np.float32(x), np.float32(-np.inf)))
    at, lower = forward_exact(scale, np.array([x, below]))
    moved = first_at_or_above(scale, float(at))
    assert x >= moved
    assert below < moved or lower == at


ALL_SCALES = [
    *(logicle(), logicle(w=1.2, a=0.5), logicle(w=0), hyperlog(), asinh(), biex(), linear(a=100)),
    *(log(), flowjo_log(offset=3, decades=4)),
]


@pytest.mark.parametrize("scale", ALL_SCALES, ids=lambda s: s.kind)
def test_events_in_double_precision_whose_place_is_the_threshold_are_at_it(scale: Transform) -> None:
    # As of a file of integers on logarithmic amplifiers: powers of ten, which single precision does not hold,
    # and a cut that was taken from one of them, where many events lie.
    random = np.random.default_rng(4)
    x = np.exp(random.uniform(2, 12, 1500))
    if scale.kind not in {"log", "flowjo_log"}:
        x = np.concatenate([x, -np.exp(random.uniform(-1, 6, 500))])
    for place in forward_exact(scale, x)[::5]:
        moved = first_at_or_above(scale, float(place))
        np.testing.assert_array_equal(x >= moved, forward_exact(scale, x) >= place)


def test_without_a_linear_region_logicle_is_asinh_also_close_to_zero() -> None:
    # With W = 0, Moore & Parks' biexponential is a hyperbolic sine: GatingML's fasinh of the same T, M, A.
    x = np.array([-1e4, -1e-9, -1e-15, 0.0, 1e-30, 1e-12, 1e-3, 5.0, 2e5])
    assert forward_exact(logicle(w=0, a=1), x) == pytest.approx(forward_exact(asinh(a=1), x), abs=1e-12)
    far = np.array([-1e4, 1.0, 5.0, 2e5])  # flowutils converges there
    assert forward_exact(logicle(w=0), far) == pytest.approx(exact.logicle(far, None, w=0), abs=1e-12)


def test_a_threshold_below_the_scale_holds_every_event_and_one_above_it_none() -> None:
    assert first_at_or_above(biex(), 0.0) == -math.inf
    assert first_at_or_above(biex(), 4097.0) == math.inf
    assert first_at_or_above(flowjo_log(offset=1, decades=4), -0.5) == -math.inf


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: logicle(t=0), "t > 0"),
        (lambda: logicle(m=0), "m > 0"),
        (lambda: logicle(w=2.3), "w <= m/2"),
        (lambda: logicle(w=0.5, a=-0.6), "-w <= a"),
        (lambda: logicle(a=4), "a <= m - 2w"),
        (lambda: hyperlog(w=0), "0 < w"),
        (lambda: asinh(a=-1), "0 <= a"),
        (lambda: linear(t=5, a=-5), r"t \+ a > 0"),
        (lambda: biex(width=-0.5), "width <= -1"),
        (lambda: flowjo_log(offset=0, decades=1), "offset > 0"),
        (lambda: logicle(t=math.nan), "not a number"),
    ],
)
def test_a_scale_that_is_not_defined_is_refused_with_the_rule_it_breaks(make: object, rule: str) -> None:
    with pytest.raises(GateError, match=rule):
        make()  # type: ignore[operator]


def test_an_unknown_kind_or_parameter_is_refused_by_name() -> None:
    with pytest.raises(GateError, match="'sqrt' is unknown; known: asinh, biex"):
        forward(Transform("sqrt", (("t", 1.0),)), np.ones(1))
    with pytest.raises(GateError, match="expected a, m, t, w"):
        check_transform(Transform("logicle", (("t", 1.0),)))
