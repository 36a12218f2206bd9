"""The sample of events by which the review page counts below a moved gate."""

from __future__ import annotations

import numpy as np

from cytotrial.science.event_sample import passing, populations_of, sample_events
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.terms import BooleanGate, Dimension, Events, PlacedGate, RectangleGate


def threshold(channel: str, low: float) -> RectangleGate:
    return RectangleGate((Dimension(channel),), (low,), (None,))


TREE = (
    PlacedGate("T cells", "root", threshold("CD3", 0.5)),
    PlacedGate("CD4+", "T cells", threshold("CD4", 0.5)),
    PlacedGate("CD25+", "CD4+", threshold("CD25", 0.9)),
    PlacedGate("CD25-", "CD4+", BooleanGate("not", (("CD25+", False),))),
)


def tube(n: int = 20_000) -> TubeEvents:
    """Events evenly spread on three axes: half T cells, half of these CD4+, a tenth of these CD25+."""
    values = np.random.default_rng(1).random((3, n))
    return TubeEvents(Events(values, ("CD3", "CD4", "CD25")))


def test_every_population_has_its_exact_number_of_events_from_the_patterns_alone():
    events = tube()
    root = np.arange(events.n_events) % 7 != 0
    sample = sample_events(TREE, events, root, per_population=100)
    assert sample is not None
    members = populations_of(TREE, passing(sample.conditions, sample.patterns))
    truth = apply_strategy(TREE, events, root=root)
    counts = {name: int(sample.totals[mask].sum()) for name, mask in members.items()}
    assert counts == {name: int(mask.sum()) for name, mask in truth.items()}


def test_a_rare_population_is_kept_whole_with_all_that_fail_one_gate_of_it():
    events = tube(2_000)
    sample = sample_events(TREE, events, np.ones(2_000, bool), per_population=700)
    assert sample is not None
    # CD25+ is 2.5 % of 2,000 = 50 events; those that fail only one of its three gates are some 550 more.
    fails = 3 - sum(((sample.patterns >> np.uint64(bit)) & np.uint64(1)).astype(int) for bit in range(3))
    assert (sample.kept[fails <= 1] == sample.totals[fails <= 1]).all()
    assert (sample.kept[fails == 3] < sample.totals[fails == 3]).all()


def test_the_sample_grows_with_the_number_of_populations_and_not_of_events():
    sizes = []
    for n in (20_000, 80_000):
        sample = sample_events(TREE, tube(n), np.ones(n, bool), per_population=500)
        assert sample is not None
        sizes.append(sample.rows.size)
    assert sizes[1] < 1.1 * sizes[0] < 1.1 * 4 * 2 * 500


def test_the_rows_of_a_pattern_have_it_and_are_spread_over_the_acquisition():
    events = tube()
    sample = sample_events(TREE, events, np.ones(events.n_events, bool), per_population=200)
    assert sample is not None
    start = 0
    for pattern, kept in zip(sample.patterns, sample.kept, strict=True):
        rows = sample.rows[start : start + kept]
        passes = events.detector_values(Dimension("CD3"))[rows] >= 0.5
        assert (passes == bool(pattern & np.uint64(1))).all()
        assert (np.diff(rows) > 0).all()
        start += kept
    assert start == sample.rows.size


def test_a_tube_without_events_has_an_empty_sample():
    sample = sample_events(TREE, tube(10), np.zeros(10, bool), per_population=100)
    assert sample is not None
    assert sample.rows.size == 0


def test_a_tree_with_more_gates_than_bits_has_no_sample():
    many = [PlacedGate(f"P{i}", "root", threshold("CD3", 0.5)) for i in range(61)]
    assert sample_events(many, tube(10), np.ones(10, bool), per_population=100) is None
