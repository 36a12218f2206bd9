"""Acquisition quality on streams whose disturbances are known."""

from __future__ import annotations

import numpy as np
import pytest

from cytotrial.science.quality import stable_time
from cytotrial.terms import Events


def stream(n: int = 20_000, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Steady acquisition: Poisson arrivals over 100 s and one channel of log-normal signal."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.uniform(0, 100, n)), rng.lognormal(6, 0.5, n)


def events(time: np.ndarray, signal: np.ndarray) -> Events:
    return Events(np.stack([signal, time]).astype(np.float32), ("PE-A", "Time"))


def test_few_steady_tubes_lose_any_event():
    # k = 7 robust SD of 20 to 40 bins: about one clean tube in twenty may be touched.
    touched = sum(stable_time(events(*stream(seed=seed))).removed_percent > 0 for seed in range(40))
    assert touched <= 4


def test_a_stretch_of_shifted_signal_is_masked_with_its_neighbours():
    time, signal = stream()
    clog = (time > 40) & (time < 50)
    result = stable_time(events(time, np.where(clog, 2 * signal, signal)))
    assert not result.keep[clog].any()
    assert result.channels == ("PE-A",)
    # 10 s of 100 s, and at most two bins of 2.5 s on each side.
    assert 10 <= result.removed_percent <= 20


def test_a_stop_of_the_flow_is_seen_in_the_rate():
    time, signal = stream()
    moved = np.where((time > 60) & (time < 70), time + 10, time)  # nothing arrives between 60 and 70 s
    result = stable_time(events(np.sort(moved), signal))
    assert "rate" in result.channels


def test_without_time_the_order_of_events_stands_in_and_is_flagged():
    _, signal = stream()
    signal[8000:10_000] *= 3
    result = stable_time(Events(signal[None].astype(np.float32), ("PE-A",)))
    assert result.flags == ("NO_TIME",)
    assert not result.keep[8000:10_000].any()


def test_a_tube_of_few_events_is_not_judged_and_says_so():
    time, signal = stream(n=100)
    result = stable_time(events(time, signal))
    assert result.keep.all()
    assert result.flags == ("TOO_FEW_FOR_TIME_CHECK",)


@pytest.mark.parametrize("n", [0, 1])
def test_an_empty_tube_is_no_crash(n: int):
    assert stable_time(events(np.zeros(n), np.zeros(n))).keep.size == n


def test_a_tube_that_is_half_beads_is_not_unstable():
    # The median lies in the gap between cells and beads and jumps from bin to bin by chance alone.
    rng = np.random.default_rng(9)
    time, cells = stream(seed=9)
    for share in (0.45, 0.5, 0.55):
        signal = np.where(rng.random(cells.size) < share, 200_000 * rng.normal(1, 0.03, cells.size), cells)
        assert stable_time(events(time, signal)).removed_percent == 0
