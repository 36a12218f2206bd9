"""What a spillover matrix leaves in stained samples: found beside markers that share cells, not invented."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cytotrial.science.compensation import Control, SampleSlopes, sample_slopes
from cytotrial.terms import SpilloverMatrix

DETECTORS = ("B1-A", "B2-A", "R1-A", "V1-A")
TRUE = np.array([[1, 0.2, 0, 0.01], [0.02, 1, 0.05, 0], [0, 0.03, 1, 0.1], [0.01, 0, 0.02, 1.0]])
N = 30_000

BRIGHT, PARTNER, ALWAYS, DIM = range(4)
"""On 40 % of cells; on a third of these and a fifth of the others; on all that carry the first; dim on
all that carry the first, whatever its brightness."""


def sample(seed: int = 1, *, dim: float = 150.0) -> Control:
    rng = np.random.default_rng(seed)
    size = rng.lognormal(0, 0.25, N)
    first = rng.random(N) < 0.4
    second = np.where(first, rng.random(N) < 0.33, rng.random(N) < 0.2)
    dyes = np.zeros((4, N))
    dyes[BRIGHT] = first * 9_000 * rng.lognormal(0, 0.4, N)
    dyes[PARTNER] = second * 6_000 * rng.lognormal(0, 0.5, N)
    dyes[ALWAYS] = first * 12_000 * rng.lognormal(0, 0.5, N)
    dyes[DIM] = first * dim * rng.lognormal(0, 0.3, N)
    light = TRUE.T @ dyes + np.array([60.0, 50, 30, 80])[:, None] * size * rng.lognormal(0, 0.3, N)
    values = rng.poisson(light / 4) * 4 + rng.normal(0, 15, light.shape)
    scatter = np.stack([60_000 * size, 25_000 * size * rng.lognormal(0, 0.2, N)])
    return Control("T1", "", values.astype(np.float32), scatter.astype(np.float32))


def slopes(matrix: npt.NDArray[np.float64], tube: Control | None = None) -> SampleSlopes:
    return sample_slopes(tube or sample(), SpilloverMatrix(DETECTORS, matrix), dyes=DETECTORS)


def changed(row: int, column: int, by: float) -> npt.NDArray[np.float64]:
    matrix = TRUE.copy()
    matrix[row, column] += by
    return matrix


def test_the_right_matrix_leaves_no_slope_though_markers_share_cells() -> None:
    found = slopes(TRUE)
    judged = np.isfinite(found.slope)
    assert judged[BRIGHT, PARTNER]
    assert np.abs(found.slope[judged]).max() < 0.012


@pytest.mark.parametrize("by", [-0.05, 0.05])
@pytest.mark.parametrize(("dye", "into"), [(BRIGHT, PARTNER), (PARTNER, DIM), (ALWAYS, PARTNER)])
def test_a_wrong_entry_is_found_with_its_size_and_sign(dye: int, into: int, by: float) -> None:
    # Too small an entry leaves light: the slope rises by what is missing.
    found = slopes(changed(dye, into, by))
    assert found.slope[dye, into] == pytest.approx(-by, abs=0.012)
    assert 0 < found.error[dye, into] < 0.01


def test_a_marker_on_all_bright_cells_says_nothing() -> None:
    found = slopes(TRUE)
    assert np.isnan(found.slope[BRIGHT, ALWAYS])
    assert np.isnan(found.slope[ALWAYS, BRIGHT])


def test_a_dim_marker_on_all_bright_cells_is_not_taken_for_spillover() -> None:
    # 300 on cells of 9,000 looks like 3 % at each of them, but does not grow with their brightness.
    found = slopes(TRUE, sample(dim=300.0))
    assert abs(found.slope[BRIGHT, DIM]) < 0.012


def test_too_much_compensation_is_seen_beneath_a_dim_marker_too() -> None:
    found = slopes(changed(BRIGHT, DIM, 0.08), sample(dim=150.0))
    assert found.slope[BRIGHT, DIM] < -0.03


def test_a_tube_of_few_events_is_not_judged() -> None:
    tube = sample()
    few = Control("T1", "", tube.values[:, :150], tube.scatter[:, :150])  # type: ignore[index]
    assert np.isnan(slopes(TRUE, few).slope).all()


def test_a_detector_that_no_dye_of_the_tube_has_is_judged_as_a_receiver_only() -> None:
    found = sample_slopes(sample(), SpilloverMatrix(DETECTORS, TRUE), dyes=DETECTORS[:2])
    assert np.isnan(found.slope[2:]).all()
    assert np.isfinite(found.slope[BRIGHT, PARTNER])
