"""Gates that reference tubes teach: learnt from what an expert kept, found again on tubes that have moved."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.path import Path

from cytotrial.errors import GateError
from cytotrial.science.batches import Batch
from cytotrial.science.finders import Example, View, find_gate, is_learnt, learn_gate
from cytotrial.science.finders.learning import cut_of
from cytotrial.terms import Dimension, PolygonGate

CD3 = Dimension("CD3")
SCATTER = (Dimension("FSC-A"), Dimension("SSC-A"))


def two_peaks(*, shift: float = 0.0, seed: int = 1, n: int = 6000) -> np.ndarray:
    """Peaks at 0.2 and 0.7; the expert's cut is at 0.45, off the middle of the empty stretch by nothing."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(0.2, 0.05, n), rng.normal(0.7, 0.05, n // 2)]) + shift


def example(values: np.ndarray, inside: np.ndarray, batch: str = "B1") -> Example:
    return Example(View((CD3,), (values,)), inside, batch)


def learnt_valley(cut: float = 0.45) -> dict[str, object]:
    tubes = [two_peaks(shift=s, seed=i) for i, s in enumerate((-0.02, 0.0, 0.02))]
    examples = [example(v, v >= cut + s) for v, s in zip(tubes, (-0.02, 0.0, 0.02), strict=True)]
    return dict(learn_gate("reference_valley", examples, {}))


def low(found: object) -> float:
    return float(found.gate.low[0])  # type: ignore[attr-defined]


def test_an_experts_threshold_is_read_back_from_the_events_he_kept():
    values = np.linspace(0, 1, 1001)
    assert cut_of(values, values >= 0.3) == pytest.approx(0.3, abs=0.001)
    assert cut_of(values, values < 0.3, keep="below") == pytest.approx(0.3, abs=0.001)


@pytest.mark.parametrize("shift", [-0.08, 0.0, 0.05, 0.1])
def test_the_reference_cut_follows_a_tube_that_is_brighter_or_dimmer(shift: float):
    view = View((CD3,), (two_peaks(shift=shift, seed=9),), reference=learnt_valley())
    found = find_gate("reference_valley", view, {})
    assert low(found) == pytest.approx(0.45 + shift, abs=0.03)
    assert found.similarity is not None
    assert found.similarity > 0.95
    assert found.flags == ()


def test_a_tube_unlike_the_reference_keeps_the_reference_cut_and_is_flagged():
    flat = np.random.default_rng(3).uniform(0.0, 1.0, 8000)
    found = find_gate("reference_valley", View((CD3,), (flat,), reference=learnt_valley()), {})
    assert low(found) == pytest.approx(0.45, abs=0.02)
    assert found.flags == ("LOW_SIMILARITY",)


def test_a_tube_unlike_the_reference_follows_its_batch_where_there_is_one():
    flat = np.random.default_rng(3).uniform(0.0, 1.0, 8000)
    view = View((CD3,), (flat,), reference=learnt_valley(), batch=Batch((0.50,), (0.01,), 8))
    # Its own cut is worth an error of 0.12 against a spread of 0.01 between tubes: all but the batch's.
    assert low(find_gate("reference_valley", view, {})) == pytest.approx(0.50, abs=0.005)


def test_without_a_reference_the_valley_between_the_bounds_is_taken():
    found = find_gate("reference_valley", View((CD3,), (two_peaks(),)), {"bounds": (0.3, 0.6)})
    assert low(found) == pytest.approx(0.45, abs=0.06)
    with pytest.raises(GateError, match="neither a reference nor bounds"):
        find_gate("reference_valley", View((CD3,), (two_peaks(),)), {})


def test_a_marker_that_came_off_the_surface_shows_as_a_shallow_valley():
    rng = np.random.default_rng(5)
    merged = np.concatenate([rng.normal(0.38, 0.09, 6000), rng.normal(0.52, 0.09, 4000)])
    view = View((CD3,), (merged,), reference=learnt_valley())
    found = find_gate("reference_valley", view, {"min_similarity": 0.0})
    deep = find_gate("reference_valley", View((CD3,), (two_peaks(),), reference=learnt_valley()), {})
    assert found.confidence is not None
    assert deep.confidence is not None
    assert found.confidence < 0.3
    assert deep.confidence > 0.95


def test_what_is_learnt_is_plain_data_that_a_file_can_hold():
    constants = learnt_valley()
    assert json.loads(json.dumps(constants)) == constants
    assert is_learnt("reference_valley")
    assert not is_learnt("density_minimum")


def test_the_offset_from_the_negative_is_the_median_of_the_experts():
    rng = np.random.default_rng(6)
    negatives = [rng.normal(centre, 0.02, 4000) for centre in (0.28, 0.30, 0.33)]
    tubes = [np.concatenate([n, rng.uniform(0.4, 0.8, 2000)]) for n in negatives]
    examples = [
        example(tube, tube >= centre + 0.15) for tube, centre in zip(tubes, (0.28, 0.30, 0.33), strict=True)
    ]
    learnt = learn_gate("negative_offset", examples, {})
    assert learnt["offset"] == pytest.approx(0.15, abs=0.015)
    view = View((CD3,), (tubes[0] + 0.05,), reference=learnt)
    assert low(find_gate("negative_offset", view, {"offset": 99.0})) == pytest.approx(0.48, abs=0.015)


def test_a_noisy_tube_is_drawn_further_towards_its_batch_than_a_large_one():
    rng = np.random.default_rng(7)
    batch = Batch((0.50,), (0.002,), 10)
    moved = []
    for n in (100, 20_000):
        view = View((CD3,), (rng.normal(0.30, 0.05, n),), batch=batch)
        found = find_gate("negative_offset", view, {"offset": 0.15})
        moved.append((low(found) - found.position[0]) / (0.50 - found.position[0]))
    assert moved[0] > 0.8
    assert moved[1] < moved[0]


def treg_tube(*, gain: float, seed: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """FOXP3, CD25, CD127 of 10,000 conventional and 500 regulatory cells, and which are regulatory."""
    rng = np.random.default_rng(seed)
    n, n_treg = 10_000, 500
    foxp3 = np.concatenate([rng.normal(0.2, 0.03, n), rng.normal(0.7, 0.03, n_treg)]) * gain
    foxp3[:200] = np.linspace(0.25, 0.65, 200) * gain  # activated cells, without a valley
    cd25 = np.concatenate([rng.normal(0.3, 0.03, n), rng.normal(0.8, 0.03, n_treg)])
    cd127 = np.concatenate([rng.normal(0.7, 0.05, n), rng.normal(0.3, 0.05, n_treg)])
    return (foxp3, cd25, cd127), np.arange(n + n_treg) >= n


def test_the_fraction_between_landmarks_is_the_one_the_expert_used():
    dimensions = (Dimension("FOXP3"), Dimension("CD25"), Dimension("CD127"))
    arguments = {"fraction": 0.9, "landmarks": ("high", "low")}
    examples = []
    for seed, gain in enumerate((0.9, 1.0, 1.1)):
        values, _ = treg_tube(gain=gain, seed=seed)
        examples.append(Example(View(dimensions, values), values[0] >= gain * 0.40, "B1"))
    learnt = learn_gate("landmark_fraction", examples, arguments)
    # (0.40 − 0.20) / (0.70 − 0.20) of the way.
    assert learnt["fraction"] == pytest.approx(0.4, abs=0.02)
    view = View(dimensions, treg_tube(gain=1.2, seed=9)[0], reference=learnt)
    assert low(find_gate("landmark_fraction", view, arguments)) == pytest.approx(1.2 * 0.40, abs=0.015)


def scatter_tube(*, gain: tuple[float, float] = (1.0, 1.0), seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Lymphocytes about (60,000, 15,000), granulocytes about (110,000, 90,000), debris."""
    rng = np.random.default_rng(seed)
    x = np.exp(
        np.concatenate(
            [rng.normal(11.0, 0.12, 6000), rng.normal(11.6, 0.15, 3000), rng.normal(9.6, 0.4, 1500)]
        )
    )
    y = np.exp(
        np.concatenate([rng.normal(9.6, 0.18, 6000), rng.normal(11.4, 0.2, 3000), rng.normal(8.6, 0.5, 1500)])
    )
    return x * gain[0], y * gain[1]


def box(x: np.ndarray, y: np.ndarray, gain: tuple[float, float]) -> np.ndarray:
    return (x > 36_000 * gain[0]) & (x < 92_000 * gain[0]) & (y > 6_000 * gain[1]) & (y < 34_000 * gain[1])


def kept_by(gate: PolygonGate, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return Path(gate.vertices).contains_points(np.column_stack([x, y]))


def learnt_polygon() -> dict[str, object]:
    examples = []
    for seed, gain in enumerate(((1.0, 1.0), (1.1, 0.9), (0.92, 1.08), (1.0, 1.15))):
        x, y = scatter_tube(gain=gain, seed=seed)
        examples.append(Example(View(SCATTER, (x, y)), box(x, y, gain), "B1"))
    return dict(learn_gate("reference_polygon", examples, {}))


@pytest.mark.parametrize("gain", [(1.0, 1.0), (1.25, 1.0), (0.85, 1.3)])
def test_the_lymphocyte_polygon_follows_the_scatter_gain(gain: tuple[float, float]):
    x, y = scatter_tube(gain=gain, seed=20)
    found = find_gate("reference_polygon", View(SCATTER, (x, y), reference=learnt_polygon()), {})
    assert isinstance(found.gate, PolygonGate)
    kept, expert = kept_by(found.gate, x, y), box(x, y, gain)
    assert 2 * np.sum(kept & expert) / (kept.sum() + expert.sum()) > 0.98
    assert found.position == pytest.approx(np.log10(gain), abs=0.02)


def test_the_shift_of_the_polygon_has_an_error_of_the_right_size():
    # The SD over tubes that differ by chance alone, against the mean of what each tube says of itself.
    reference = learnt_polygon()
    found = [
        find_gate("reference_polygon", View(SCATTER, scatter_tube(seed=50 + i), reference=reference), {})
        for i in range(20)
    ]
    true = np.std([f.position for f in found], axis=0)
    told = np.mean([f.position_se for f in found], axis=0)
    assert np.all(told / true < 3)
    assert np.all(told / true > 1 / 3)


def test_a_polygon_moves_no_farther_than_it_may_and_says_so():
    x, y = scatter_tube(gain=(1.0, 2.5), seed=21)
    found = find_gate("reference_polygon", View(SCATTER, (x, y), reference=learnt_polygon()), {})
    assert abs(found.position[1]) <= 0.21
    assert set(found.flags) & {"GATE_AT_BOUND", "LOW_SIMILARITY"}


def test_without_a_reference_the_templates_polygon_stands_as_it_is():
    corners = [[0, 0], [1, 0], [1, 1]]
    found = find_gate("reference_polygon", View(SCATTER, scatter_tube()), {"polygon": corners})
    assert found.gate == PolygonGate(SCATTER, ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)))


def test_reference_tubes_without_events_in_the_gate_teach_nothing():
    values = two_peaks()
    with pytest.raises(GateError, match="none of 1 reference tubes has 20 events"):
        learn_gate("reference_valley", [example(values, np.zeros(values.size, bool))], {})
