"""Gate finders on data whose right answer is known from how it was made."""

from __future__ import annotations

import numpy as np
import pytest

from cytotrial.errors import GateError, TemplateError
from cytotrial.science.densities import deepest_valley, density
from cytotrial.science.finders import View, check_finders, find_gate, finder_names
from cytotrial.terms import (
    Dimension,
    EllipsoidGate,
    Find,
    GatingStrategy,
    PolygonGate,
    Population,
    RectangleGate,
)

CD4 = Dimension("CD4")


def two_peaks(n_low: int = 5000, n_high: int = 5000, *, seed: int = 1) -> np.ndarray:
    """Peaks at 0.2 and 0.8 with SD 0.05: between equal peaks the valley is at 0.5 by symmetry."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(0.2, 0.05, n_low), rng.normal(0.8, 0.05, n_high)])


def cut(name: str, view: View, **arguments: object) -> float:
    low = find_gate(name, view, arguments).gate.low[0]
    assert low is not None
    return low


def test_the_valley_between_two_equal_peaks_is_in_the_middle():
    assert cut("density_minimum", View((CD4,), (two_peaks(),)), bounds=(0.3, 0.7)) == pytest.approx(
        0.5, abs=0.05
    )


def test_a_valley_is_found_though_one_peak_is_fifty_times_smaller():
    found = cut("density_minimum", View((CD4,), (two_peaks(10_000, 200),)), bounds=(0.3, 0.7))
    assert 0.35 < found < 0.7


def test_without_a_valley_there_is_an_error_and_no_arbitrary_cut():
    values = np.random.default_rng(2).normal(0.5, 0.1, 5000)
    with pytest.raises(GateError, match="no valley"):
        find_gate("density_minimum", View((CD4,), (values,)), {"bounds": (0.3, 0.7)})


def test_a_valley_outside_the_bounds_does_not_count():
    with pytest.raises(GateError, match=r"between 0\.6 and 0\.7"):
        find_gate("density_minimum", View((CD4,), (two_peaks(),)), {"bounds": (0.6, 0.7)})


def test_keeping_what_is_below_gives_an_upper_limit():
    gate = find_gate(
        "density_minimum", View((CD4,), (two_peaks(),)), {"bounds": (0.3, 0.7), "keep": "below"}
    ).gate
    assert gate.low == (None,)
    assert gate.high[0] is not None


def test_the_control_quantile_is_the_controls_and_not_the_tubes():
    # 0..999 evenly: 99.5 % lie below 994 (linear interpolation: 0.995 · 999 = 994.005).
    control = (np.arange(1000.0),)
    view = View((CD4,), (np.full(50, 5.0),), control)
    assert cut("control_quantile", view, quantile=0.995) == pytest.approx(994.005)


def test_a_small_control_cannot_carry_a_high_quantile_and_is_flagged():
    # 100 events · 0.5 % is half an event: median + 3 · 1.4826 · MAD answers instead.
    control = (np.arange(100.0),)
    found = find_gate("control_quantile", View((CD4,), control, control), {"quantile": 0.995})
    assert found.flags == ("CONTROL_TOO_SMALL",)
    assert found.gate.low[0] == pytest.approx(49.5 + 3 * 1.4826 * 25)


def test_a_gate_that_needs_a_control_refuses_to_do_without():
    with pytest.raises(GateError, match="no control tube"):
        find_gate("control_quantile", View((CD4,), (np.arange(100.0),)), {})


def test_the_own_negative_moves_with_the_tube():
    rng = np.random.default_rng(3)
    values = rng.normal(0.30, 0.03, 5000)
    first = cut("negative_offset", View((CD4,), (values,)), offset=0.2)
    moved = cut("negative_offset", View((CD4,), (values + 0.07,)), offset=0.2)
    assert first == pytest.approx(0.5, abs=0.01)
    assert moved - first == pytest.approx(0.07, abs=1e-6)


def test_the_landmark_cut_moves_and_stretches_with_staining():
    # Negatives at 0.2, regulatory cells at 0.7; CD127 is low on the latter. Half way is 0.45.
    rng = np.random.default_rng(4)
    n, n_treg = 10_000, 500
    foxp3 = np.concatenate([rng.normal(0.2, 0.03, n), rng.normal(0.7, 0.03, n_treg)])
    cd25 = np.concatenate([rng.normal(0.3, 0.03, n), rng.normal(0.8, 0.03, n_treg)])
    cd127 = np.concatenate([rng.normal(0.7, 0.05, n), rng.normal(0.3, 0.05, n_treg)])
    dimensions = (Dimension("FOXP3"), Dimension("CD25"), Dimension("CD127"))
    sides = ("high", "low")
    plain = cut("landmark_fraction", View(dimensions, (foxp3, cd25, cd127)), fraction=0.5, landmarks=sides)
    stretched = cut(
        "landmark_fraction",
        View(dimensions, (1.1 * foxp3 + 0.05, cd25, cd127)),
        fraction=0.5,
        landmarks=sides,
    )
    assert plain == pytest.approx(0.45, abs=0.01)
    assert stretched == pytest.approx(1.1 * plain + 0.05, abs=1e-9)


def test_landmarks_need_enough_events():
    values = tuple(np.linspace(0, 1, 100) for _ in range(3))
    with pytest.raises(GateError, match="needs 400"):
        find_gate(
            "landmark_fraction",
            View((CD4, CD4, CD4), values),
            {"fraction": 0.5, "landmarks": ("high", "low")},
        )


def test_cd127_is_cut_below_for_it_is_low_on_regulatory_cells():
    rng = np.random.default_rng(6)
    cd127 = np.concatenate([rng.normal(0.7, 0.03, 10_000), rng.normal(0.3, 0.03, 500)])
    cd25 = np.concatenate([rng.normal(0.3, 0.03, 10_000), rng.normal(0.8, 0.03, 500)])
    view = View((Dimension("CD127"), Dimension("CD25")), (cd127, cd25))
    gate = find_gate(
        "landmark_fraction", view, {"fraction": 0.5, "landmarks": ("high",), "keep": "below"}
    ).gate
    assert gate.high[0] == pytest.approx(0.5, abs=0.01)


def test_a_marker_that_is_not_in_the_tube_gives_no_landmarks():
    rng = np.random.default_rng(7)
    noise = rng.normal(0.2, 0.03, 10_000)
    cd25 = np.concatenate([rng.normal(0.3, 0.03, 9500), rng.normal(0.8, 0.03, 500)])
    falling = noise - 0.1 * (cd25 > 0.5)
    with pytest.raises(GateError, match="wrong side"):
        find_gate(
            "landmark_fraction", View((CD4, CD4), (falling, cd25)), {"fraction": 0.5, "landmarks": ("high",)}
        )


def test_singlets_are_kept_and_doublets_are_not():
    # A doublet's area is the sum of two, its height that of one: half the ratio of a singlet.
    rng = np.random.default_rng(5)
    area = rng.uniform(50_000, 120_000, 20_000)
    height = area * rng.normal(0.9, 0.02, area.size)
    doublet_area = rng.uniform(100_000, 240_000, 1000)
    doublet_height = doublet_area * rng.normal(0.5, 0.02, doublet_area.size)
    view = View(
        (Dimension("FSC-A"), Dimension("FSC-H")),
        (np.concatenate([area, doublet_area]), np.concatenate([height, doublet_height])),
    )
    gate = find_gate("singlets", view, {}).gate
    assert isinstance(gate, PolygonGate)
    (x0, low0), (x1, low1), (_, high1), _ = gate.vertices
    low, high = low1 / x1, high1 / x1
    assert low0 / x0 == pytest.approx(low)
    kept = np.mean((height / area > low) & (height / area < high))
    assert kept > 0.998
    assert np.mean(doublet_height / doublet_area > low) < 0.001


def test_a_tail_ends_where_the_density_falls_no_more():
    # A normal peak of SD 0.05 at 0.3 on a flat background up to 1: its slope is below 1 % of the steepest
    # beyond 3.8 SD, at 0.49.
    rng = np.random.default_rng(8)
    values = np.concatenate([rng.normal(0.3, 0.05, 50_000), rng.uniform(0.0, 1.0, 500)])
    assert cut("tail", View((CD4,), (values,)), tolerance=0.02) == pytest.approx(0.47, abs=0.03)
    mirrored = find_gate("tail", View((CD4,), (1 - values,)), {"tolerance": 0.02, "side": "left"})
    assert mirrored.gate.low[0] == pytest.approx(1 - 0.47, abs=0.03)


def test_a_fixed_gate_is_where_the_template_says():
    view = View((CD4, Dimension("CD8")), (np.zeros(3), np.zeros(3)))
    assert find_gate("fixed", view, {"low": [0.5, None], "high": 0.9}).gate == RectangleGate(
        view.dimensions, (0.5, None), (0.9, 0.9)
    )
    ellipse = {"mean": [0.1, 0.2], "covariance": [[1, 0], [0, 1]], "distance_square": 4}
    assert find_gate("fixed", view, ellipse).gate == EllipsoidGate(
        view.dimensions, (0.1, 0.2), ((1.0, 0.0), (0.0, 1.0)), 4.0
    )
    with pytest.raises(GateError, match="one geometry"):
        find_gate("fixed", view, {"low": 0.5} | ellipse)
    with pytest.raises(GateError, match="3 limits for 2 dimensions"):
        find_gate("fixed", view, {"low": [0.1, 0.2, 0.3]})


def beads_and_cells(n_beads: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Beads at 0.9 and 0.85 with a CV of 3 % (0.003 on the logicle), pairs 0.067 higher; dim cells."""
    rng = np.random.default_rng(9)
    x = [
        rng.normal(0.3, 0.1, 20_000),
        rng.normal(0.9, 0.003, n_beads),
        rng.normal(0.967, 0.002, n_beads // 50),
    ]
    y = [
        rng.normal(0.3, 0.1, 20_000),
        rng.normal(0.85, 0.003, n_beads),
        rng.normal(0.917, 0.002, n_beads // 50),
    ]
    return np.concatenate(x), np.concatenate(y)


def test_single_beads_are_gated_and_neither_cells_nor_pairs_of_beads():
    x, y = beads_and_cells()
    gate = find_gate("beads", View((CD4, Dimension("CD8")), (x, y)), {"above": (0.7, 0.7)}).gate
    assert isinstance(gate, RectangleGate)
    inside = (x >= gate.low[0]) & (x < gate.high[0]) & (y >= gate.low[1]) & (y < gate.high[1])
    assert np.mean(inside[20_000:21_000]) > 0.99
    assert not inside[:20_000].any()
    assert not inside[21_000:].any()


def test_bright_debris_is_not_taken_for_beads():
    rng = np.random.default_rng(10)
    view = View((CD4, Dimension("CD8")), (rng.uniform(0.7, 1, 500), rng.uniform(0.7, 1, 500)))
    with pytest.raises(GateError, match="Are these beads"):
        find_gate("beads", view, {"above": (0.7, 0.7)})
    with pytest.raises(GateError, match="beads need 50"):
        find_gate("beads", View(view.dimensions, beads_and_cells(20)), {"above": (0.7, 0.7)})


def test_an_empty_valley_is_cut_in_its_middle():
    values = np.concatenate([np.full(100, 0.1), np.full(100, 0.9)]) + np.linspace(-0.01, 0.01, 200)
    valley = deepest_valley(density(values, adjust=0.1), low=0.2, high=0.8)
    assert valley is not None
    assert valley[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("finder", "arguments", "message"),
    [
        ("density_minimun", {}, "did you mean 'density_minimum'"),
        ("density_minimum", {"bound": (0, 1)}, "did you mean 'bounds'"),
        ("density_minimum", {}, "needs the argument 'bounds'"),
    ],
)
def test_a_misspelt_finder_or_argument_is_refused_with_a_suggestion(
    finder: str, arguments: dict[str, object], message: str
):
    population = Population("CD4+", "root", find=Find(finder, (CD4,), arguments))
    with pytest.raises(TemplateError, match=message):
        check_finders(GatingStrategy("t", "1", "t.yaml", (population,)))


def test_every_gate_finder_is_documented(repository):
    page = (repository / "docs" / "gating.md").read_text(encoding="utf-8")
    assert [name for name in finder_names() if f"`{name}`" not in page] == []
