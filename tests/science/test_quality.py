"""Acquisition quality on streams whose disturbances are known."""

from __future__ import annotations

import numpy as np
import pytest

from cytotrial.errors import GateError
from cytotrial.science.quality import AcquisitionQuality, assess_acquisition
from cytotrial.terms import Events

N = 20_000
PER_SECOND = 200.0


def signal(n: int = N, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).lognormal(7, 0.5, n)


def arrivals(n: int = N, *, seed: int = 0, slow: np.ndarray | None = None, factor: float = 1.0) -> np.ndarray:
    """A Poisson stream of 200 events per second, at `factor` of that where `slow`."""
    gaps = np.random.default_rng(seed + 1000).exponential(1 / PER_SECOND, n)
    return np.cumsum(gaps if slow is None else np.where(slow, gaps / factor, gaps))


def tube(time: np.ndarray | None, **channels: np.ndarray) -> Events:
    """Channels by their name, `_` for `-`."""
    columns = {name.replace("_", "-"): values for name, values in channels.items()}
    if time is not None:
        columns["Time"] = time
    return Events(np.stack(list(columns.values())).astype(np.float32), tuple(columns))


def assess(events: Events, **settings: object) -> AcquisitionQuality:
    channels = [name for name in events.channels if name != "Time"]
    return assess_acquisition(events, time_channel="Time", signal_channels=channels, **settings)  # type: ignore[arg-type]


def stretch(begin: int, end: int, n: int = N) -> np.ndarray:
    place = np.arange(n)
    return (place >= begin) & (place < end)


def test_a_steady_tube_keeps_every_event_and_has_no_flag():
    found = assess(tube(arrivals(), PE_A=signal()))
    assert found.keep.all()
    assert (found.removed_percent, found.flags, found.intervals, found.drift) == (0.0, (), (), ())


def test_a_stretch_of_shifted_signal_is_removed_and_little_else():
    off = stretch(8_000, 10_000)
    found = assess(tube(arrivals(), PE_A=np.where(off, 2 * signal(), signal())))
    assert not found.keep[off].any()
    # Bins are made of half bins of 75 events; a bin at either edge is partly affected, and its neighbours
    # share events with it: at most 4 half bins on each side.
    assert np.count_nonzero(~found.keep[~off]) <= 8 * 75
    assert found.channels == ("PE-A",)
    assert found.percent["rate"] == 0.0


def test_a_shift_in_one_of_many_channels_names_that_channel():
    off = stretch(8_000, 10_000)
    others = {f"V{i}_A": signal(seed=i) for i in range(1, 6)}
    found = assess(tube(arrivals(), PE_A=np.where(off, 2 * signal(), signal()), **others))
    assert found.channels == ("PE-A",)


def test_a_fall_of_the_flow_rate_is_removed_though_the_signal_is_steady():
    off = stretch(12_000, 14_000)
    found = assess(tube(arrivals(slow=off, factor=0.3), PE_A=signal()))
    assert not found.keep[off].any()
    assert found.channels == ("rate",)
    assert found.percent["rate"] == pytest.approx(found.removed_percent)


def test_a_pause_in_which_nothing_arrives_takes_only_the_events_beside_it():
    time = arrivals()
    time[10_000:] += 20.0
    found = assess(tube(time, PE_A=signal()))
    assert found.channels == ("rate",)
    # The pause lies in one half bin or between two: three bins at most, four half bins of 75 events.
    assert 0 < np.count_nonzero(~found.keep) <= 4 * 76
    assert not found.keep[9_999]


def test_a_removed_stretch_is_told_in_events_and_in_seconds():
    off = stretch(8_000, 10_000)
    time = arrivals()
    (interval,) = assess(tube(time, PE_A=np.where(off, 2 * signal(), signal()))).intervals
    assert interval.first <= 8_000
    assert interval.stop >= 10_000
    assert interval.begin == pytest.approx(time[interval.first], rel=1e-5)
    assert interval.end == pytest.approx(time[interval.stop - 1], rel=1e-5)
    assert "signal" in interval.reasons


def test_percent_by_reason_sum_to_what_was_removed():
    off = stretch(8_000, 10_000)
    values = np.where(off, 2 * signal(), signal())
    values[::50] = 262_143
    found = assess(tube(arrivals(slow=off, factor=0.3), PE_A=values), ranges={"PE-A": 262_143.0})
    # Every fiftieth event is off scale: 2 %.
    assert found.percent["margin"] == pytest.approx(2.0)
    assert sum(found.percent.values()) == pytest.approx(found.removed_percent)
    assert found.removed_percent == pytest.approx(100 * np.mean(~found.keep))
    assert found.steady[~off][0]


def test_a_signal_that_steps_for_good_loses_the_smaller_part():
    late = stretch(13_000, N)
    found = assess(tube(arrivals(), PE_A=np.where(late, 0.5 * signal(), signal())))
    assert not found.keep[late].any()
    assert np.mean(found.keep[~late]) > 0.97
    assert found.percent["isolation"] + found.percent["signal"] == pytest.approx(found.removed_percent)


def test_a_steady_climb_is_flagged_as_drift_and_nothing_is_removed():
    climb = signal() * np.linspace(1.0, 1.2, N)
    found = assess(tube(arrivals(), PE_A=climb, FITC_A=signal(seed=5)))
    assert found.drift == ("PE-A",)
    assert found.flags == ("DRIFT:PE-A",)
    assert found.keep.all()


def test_a_short_good_stretch_between_two_bad_ones_goes_with_them():
    # 3 half bins of 75 events between two disturbed stretches: 2 to 4 bins, fewer than 5.
    off = stretch(8_025, 9_975) | stretch(10_200, 12_000)
    found = assess(tube(arrivals(), PE_A=np.where(off, 2.5 * signal(), signal())))
    assert not found.keep[8_025:12_000].any()
    assert len(found.intervals) == 1


def test_without_time_the_order_of_events_stands_in_and_is_flagged():
    off = stretch(8_000, 10_000)
    events = tube(None, PE_A=np.where(off, 2 * signal(), signal()))
    for name in (None, "Time"):
        found = assess_acquisition(events, time_channel=name, signal_channels=["PE-A"])
        assert found.flags == ("NO_TIME",)
        assert not found.keep[off].any()
        assert found.intervals[0].begin == found.intervals[0].first


def test_a_time_that_stands_still_is_no_time():
    assert assess(tube(np.full(N, 7.0), PE_A=signal())).flags == ("NO_TIME",)


def test_events_out_of_order_are_judged_in_order_and_masked_where_they_stand():
    off = stretch(8_000, 10_000)
    time, values = arrivals(), np.where(off, 2 * signal(), signal())
    shuffled = np.random.default_rng(3).permutation(N)
    found = assess(tube(time[shuffled], PE_A=values[shuffled]))
    assert found.flags == ("TIME_NOT_SORTED",)
    assert not found.keep[off[shuffled]].any()
    assert np.mean(found.keep[~off[shuffled]]) > 0.97


def test_a_clock_that_starts_anew_goes_on_from_where_it_was():
    off = stretch(14_000, 16_000)
    time = arrivals()
    time[10_000:] -= time[10_000]
    found = assess(tube(time, PE_A=np.where(off, 2 * signal(), signal())))
    assert "TIME_NOT_SORTED" in found.flags
    assert not found.keep[off].any()
    assert np.mean(found.keep[~off]) > 0.95


def test_a_clock_too_coarse_for_a_rate_is_flagged_and_the_rate_not_judged():
    off = stretch(12_000, 14_000)
    seconds = np.floor(arrivals(slow=off, factor=0.3))
    found = assess(tube(seconds, PE_A=signal()))
    assert found.flags == ("TIME_TOO_COARSE",)
    assert found.keep.all()


def test_events_at_the_end_of_the_scale_are_counted_and_masked():
    values = signal()
    values[:30] = 262_143.0
    found = assess(tube(arrivals(), PE_A=values), ranges={"PE-A": 262_143.0})
    assert found.margin_events == {"PE-A": 30}
    assert np.count_nonzero(~found.keep) == 30
    assert found.steady.all()


def test_a_channel_without_a_known_end_has_no_event_off_its_upper_end():
    values = signal()
    values[:30] = 262_143.0
    assert assess(tube(arrivals(), PE_A=values)).margin_events == {}


def test_zero_is_the_lower_end_of_a_channel_that_never_falls_below_it():
    clipped = np.maximum(signal() - 500, 0.0)
    restored = signal() - 500
    found = assess(tube(arrivals(), FSC_A=clipped, PE_A=restored))
    assert found.margin_events == {"FSC-A": int(np.count_nonzero(clipped == 0))}


def test_bright_cells_and_beads_stay_if_only_scatter_is_masked():
    bright, large = signal(), 20 * signal(seed=2)
    bright[:30], large[30:50] = 262_143.0, 262_143.0
    events = tube(arrivals(), **{"FSC_A": np.minimum(large, 262_143.0), "PE_A": bright})
    ranges = {"PE-A": 262_143.0, "FSC-A": 262_143.0}
    found = assess(events, ranges=ranges, margin_channels=["FSC-A"])
    assert found.keep[:30].all()
    assert not found.keep[30:50].any()
    assert found.margin_events["PE-A"] == 30


def test_a_channel_with_more_than_a_tenth_off_scale_is_flagged():
    values = signal()
    values[::8] = 262_143.0
    found = assess(tube(arrivals(), PE_A=values), ranges={"PE-A": 262_143.0})
    # One event in eight.
    assert found.flags == ("MARGIN_EVENTS:PE-A:12.5%",)


def test_doublets_are_counted_and_kept():
    rng = np.random.default_rng(4)
    height = rng.lognormal(11, 0.1, N)
    area = height * 1.25 * (1 + 0.02 * rng.normal(size=N))
    area[::50] *= 1.8
    found = assess(tube(arrivals(), FSC_A=area, FSC_H=height))
    # 400 doublets; beyond 4 SD of a normal ratio lie 3 in 100,000 singlets, one event at most here.
    assert 400 <= found.doublets <= 405
    assert found.keep.all()
    assert assess(tube(arrivals(), FSC_A=area)).doublets is None


@pytest.mark.parametrize("n", [0, 1, 100, 1_574])
def test_a_tube_of_few_events_is_not_judged_over_time_and_says_so(n: int):
    # 20 bins need 21 half bins of 75 events: 1,575.
    found = assess(tube(arrivals(n), PE_A=signal(n)))
    assert found.keep.all()
    assert found.keep.size == n
    assert f"TIME_NOT_JUDGED:{n}" in found.flags
    assert found.time_check == "not judged"


@pytest.mark.parametrize("n", [1_575, 7_574])
def test_a_tube_of_fewer_than_a_hundred_bins_is_hardly_judged_and_says_so(n: int):
    # 100 bins need 101 half bins of 75 events: 7,575.
    found = assess(tube(arrivals(n), PE_A=signal(n)))
    assert found.flags == (f"TIME_HARDLY_JUDGED:{n}",)
    assert found.time_check == "hardly judged"


def test_a_tube_of_a_hundred_bins_is_judged():
    found = assess(tube(arrivals(7_575), PE_A=signal(7_575)))
    assert (found.flags, found.time_check, found.trace) == ((), "judged", None)


def test_what_was_removed_is_handed_on_as_a_small_trace_that_holds_every_event():
    off = stretch(8_000, 10_000)
    time = arrivals()
    found = assess(tube(time, FSC_A=signal(seed=3), PE_A=np.where(off, 2 * signal(), signal())))
    trace = found.trace
    assert trace.channels[0] == "PE-A"
    assert (trace.begin, trace.end) == (pytest.approx(time[0], rel=1e-5), pytest.approx(time[-1], rel=1e-5))
    assert trace.rate.sum() == N
    assert trace.counts.shape == (2, trace.rate.size, 48)
    assert trace.counts.sum(axis=(1, 2)).tolist() == [N, N]
    # Where the signal doubles the events lie higher: by ln 2 on the arcsinh scale.
    low, high = trace.ends[0]
    levels = low + (np.arange(48) + 0.5) / 48 * (high - low)
    place = (np.arange(trace.rate.size) + 0.5) / trace.rate.size
    middle = (trace.counts[0] @ levels) / trace.counts[0].sum(axis=1)
    inside = (place > 0.42) & (place < 0.48)
    assert np.median(middle[inside]) - np.median(middle[place < 0.38]) == pytest.approx(np.log(2), abs=0.1)


def test_a_tube_without_time_has_its_trace_over_the_order_of_events():
    trace = assess(tube(None, PE_A=signal())).trace
    assert not trace.has_time
    assert (trace.begin, trace.end) == (0, N - 1)


def test_a_channel_without_spread_is_no_obstacle():
    assert assess(tube(arrivals(), PE_A=signal(), FITC_A=np.zeros(N))).steady.all()
    assert assess(tube(arrivals(), FITC_A=np.full(N, 3.0))).steady.all()


def test_a_channel_that_is_not_in_the_tube_is_an_error_that_names_it():
    with pytest.raises(GateError, match="channel APC-A is not in the tube; it has PE-A, Time"):
        assess_acquisition(tube(arrivals(), PE_A=signal()), time_channel="Time", signal_channels=["APC-A"])


def test_the_same_events_give_the_same_answer():
    off = stretch(8_000, 10_000)
    events = tube(arrivals(), PE_A=np.where(off, 2 * signal(), signal()))
    first, second = assess(events), assess(events)
    assert np.array_equal(first.keep, second.keep)
    assert (first.intervals, first.percent, first.flags) == (second.intervals, second.percent, second.flags)


def test_a_tube_that_is_half_beads_is_not_unsteady():
    # The median lies in the gap between cells and beads and jumps from bin to bin by chance alone;
    # the peaks of cells and beads stand still.
    rng = np.random.default_rng(9)
    for share in (0.45, 0.5, 0.55):
        beads = 200_000 * rng.normal(1, 0.03, N)
        values = np.where(rng.random(N) < share, beads, signal(seed=9))
        assert assess(tube(arrivals(), PE_A=values)).steady.all()


def test_a_rare_population_that_comes_in_by_chance_removes_nothing():
    # 0.5 % positive: less than one event in a bin of 150.
    for seed in range(5):
        rng = np.random.default_rng(seed)
        values = np.where(rng.random(N) < 0.005, 50_000.0, signal(seed=seed))
        assert assess(tube(arrivals(seed=seed), PE_A=values)).steady.all()


def test_a_middle_population_that_is_a_peak_in_some_bins_only_removes_nothing():
    # Beads, lymphocytes and granulocytes on forward scatter: the middle peak is about a third as high as the
    # first, so that chance decides in each bin whether it counts.
    lost = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        kind = rng.choice(3, 40_000, p=[0.4, 0.3, 0.3])
        values = np.array([34e3, 60e3, 110e3])[kind] * np.exp(
            np.array([0.05, 0.13, 0.13])[kind] * rng.normal(size=kind.size)
        )
        lost.append(np.mean(~assess(tube(arrivals(40_000, seed=seed), FSC_A=values)).steady))
    assert np.mean(lost) < 0.001
