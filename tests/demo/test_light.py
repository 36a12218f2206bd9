"""The physics of the simulated cytometer, on its own."""

from __future__ import annotations

import numpy as np
import pytest

from cytotrial.demo.cells import Kind
from cytotrial.demo.chance import generator, mirrored_normal
from cytotrial.demo.light import Conditions, Optics, Stain, Stretch, acquire, arrival_times, coincide, detect
from cytotrial.demo.panels import DETECTORS, PANELS, TREG, base_spillover


@pytest.mark.parametrize("light", [50.0, 1_000.0, 40_000.0])
@pytest.mark.parametrize("gain", [0.8, 1.2])
def test_the_variance_of_a_detector_follows_poisson_s_law_and_its_noise(light: float, gain: float) -> None:
    # gain² · light / photo-electrons per unit + noise²; 40,000 events know a variance to 0.7 %.
    rng = generator(1, "variance", str(light), str(gain))
    for name, detector in DETECTORS.items():
        values = detect(np.full((40_000, 1), light), detectors=(name,), gain=np.array([gain]), rng=rng)
        expected = gain**2 * light / detector.photoelectrons_per_unit + detector.noise_sd**2
        assert values.var() == pytest.approx(expected, rel=0.04)
        assert values.mean() == pytest.approx(gain * light, rel=0.01)


def test_light_beyond_the_range_is_recorded_at_its_end() -> None:
    values = detect(np.full((10, 1), 1e6), detectors=("PE-A",), gain=np.ones(1), rng=generator(1, "end"))
    assert np.all(values == 262_143)


def test_doublets_add_areas_and_light_but_not_heights() -> None:
    n = 1_000
    scatter = np.tile([60_000.0, 46_800.0, 20_000.0], (n, 1))
    events, both, light, members = coincide(
        np.full(n, Kind.B, np.uint8), scatter, np.full((n, 2), 100.0), share=0.1, rng=generator(1, "pairs")
    )
    n_pairs = members.shape[1]
    assert events.size == n - n_pairs
    assert 25 < n_pairs < 80  # a tenth of 500 possible pairs
    assert np.all(both[:n_pairs, 0] == 120_000)
    assert np.all(both[:n_pairs, 1] < 1.13 * 46_800)
    assert np.all(light[:n_pairs] == 200)
    assert np.all(light[n_pairs:] == 100)


def test_events_arrive_at_the_stated_rate_and_slower_in_a_clog() -> None:
    times = arrival_times(20_000, per_second=1_000, stretch=Stretch(), rng=generator(1, "rate"))
    assert times[-1] * 0.01 == pytest.approx(20, rel=0.04)
    clog = Stretch("clog", 0.4, 0.5, rate=0.25, signal=0.7)
    times = arrival_times(20_000, per_second=1_000, stretch=clog, rng=generator(1, "rate"))
    assert (times[9_999] - times[8_000]) == pytest.approx(4 * (times[7_999] - times[6_000]), rel=0.1)


def test_a_drift_grows_to_its_full_size_at_the_end_of_the_tube() -> None:
    kinds = np.full(20_000, Kind.CD4_NAIVE, np.uint8)
    optics = Optics(base_spillover(TREG), np.ones(6), (1.0, 1.0), 1.0)
    drift = Conditions(0.0, 1_000.0, Stretch("drift", 0.0, 1.0, signal=0.8))
    acquired = acquire(kinds, TREG, Stain(TREG.markers, {}), optics, drift, rng=generator(1, "drift"))
    cd4 = acquired.values[:, 3]
    assert np.median(cd4[-1_000:]) / np.median(cd4[:1_000]) == pytest.approx(0.8, rel=0.05)


def test_an_unstained_cell_shows_its_autofluorescence_only() -> None:
    kinds = np.full(20_000, Kind.CD4_NAIVE, np.uint8)
    optics = Optics(base_spillover(TREG), np.ones(6), (1.0, 1.0), 1.0)
    acquired = acquire(
        kinds, TREG, Stain((), {}), optics, Conditions(0.0, 1_000.0), rng=generator(1, "unstained")
    )
    seen = np.median(acquired.values[:, 3:9], axis=0)
    assert seen == pytest.approx([DETECTORS[name].autofluorescence for name in TREG.detectors], rel=0.08)


def test_nothing_spills_more_than_it_shines_in_its_own_detector() -> None:
    for panel in PANELS.values():
        matrix = base_spillover(panel)
        assert np.all(np.diag(matrix) == 1)
        assert np.all((matrix >= 0) & (matrix <= 1))
        assert np.linalg.cond(matrix) < 3


@pytest.mark.parametrize("dimension", [0, 7, 19])
def test_the_median_over_the_first_subjects_is_near_zero_for_any_number_of_them(dimension: int) -> None:
    deviates = [mirrored_normal(index, dimension=dimension, seed=5) for index in range(201)]
    assert all(abs(np.median(deviates[:n])) <= 0.02 for n in range(1, 202))
    assert np.std(deviates) == pytest.approx(1.0, abs=0.12)


def test_generators_depend_on_their_names_alone() -> None:
    assert generator(1, "a", "b").random() == generator(1, "a", "b").random()
    assert generator(1, "a", "b").random() != generator(1, "ab").random()
    assert generator(1, "a").random() != generator(2, "a").random()
