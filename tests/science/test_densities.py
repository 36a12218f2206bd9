"""Short cuts of gate finding: the same numbers as the plain way, sooner."""

from __future__ import annotations

import numpy as np

from cytotrial.science.densities import heights_of, resampled, smoothed
from cytotrial.science.finders.landmarks import _rank


def test_ranks_by_halves_of_the_bits_are_the_ranks_of_a_stable_sort():
    rng = np.random.default_rng(3)
    values = rng.normal(0.1, 0.3, 5_000).astype(np.float32)
    values[::5] = values[::5].round(1)  # many equal ones
    values[:4] = [0.0, -0.0, -np.inf, np.inf]
    expected = np.empty(values.size)
    expected[np.argsort(values, kind="stable")] = np.arange(values.size)
    np.testing.assert_array_equal(_rank(values), expected)
    np.testing.assert_array_equal(_rank(values.astype(np.float64)), expected)


def test_rows_smoothed_together_are_the_densities_of_each():
    counts = np.random.default_rng(4).poisson(20.0, (3, 520)) * 1.0
    counts[1] = 0.0
    together = heights_of(counts, width=0.0025, bandwidth=0.012)
    for row, height in zip(counts, together, strict=True):
        alone = smoothed(row, low=-0.25, high=1.05, bandwidth=0.012, n_events=1)
        np.testing.assert_allclose(height, alone.height, atol=1e-12)
    # An even density stays even to its ends: the mirrored edge loses no area.
    flat = heights_of(np.ones((1, 520)), width=0.0025, bandwidth=0.012)
    np.testing.assert_allclose(flat, 1 / 1.3)
    assert not together[1].any()


def test_redrawn_counts_are_always_the_same_and_vary_as_poissons_law_says():
    counts = np.full(520, 400.0)
    rows = resampled(counts)
    np.testing.assert_array_equal(rows, resampled(counts))
    assert rows.shape == (16, 520)
    assert abs(rows.mean() - 400) < 1
    assert abs(rows.std() - 20) < 1
