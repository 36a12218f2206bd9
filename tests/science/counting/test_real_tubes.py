"""Counting on files of real instruments: volumes of five makers, duplicates, and beads counted piecewise."""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from cytotrial.errors import CountError
from cytotrial.files.fcs import FcsHeader, acquisition_seconds, inspect_fcs, read_events
from cytotrial.science.counting import check_flow_rate, count_against_beads, count_in_volume
from cytotrial.terms import Count

AURORA = "volumetric_counts_aurora5L"
METERED = (
    f"{AURORA}/CellCounts5L_AB_01-ND050-01.fcs",
    "odd_formats/accuri_c6plus_vol25016.fcs",
    "odd_formats/attune_nxt_vol46000_utf8_names.fcs",
    "odd_formats/cyflow_cube8.fcs",
    "odd_formats/miltenyi_fcs3.1_duplicate_names.fcs",
)
"""Cytek, BD, Thermo Fisher, Sysmex Partec, Miltenyi: every maker whose $VOL is at hand."""


def header_of(path: Path) -> FcsHeader:
    header = inspect_fcs(path).header
    assert header is not None
    return header


@pytest.mark.parametrize("file", METERED)
def test_the_volume_of_five_makers_fits_the_time_it_took_and_in_another_unit_would_not(
    shared: Path, file: str
):
    header = header_of(shared / "data" / file)
    assert header.volume_nl is not None
    seconds = acquisition_seconds(header.keyword("$BTIM"), header.keyword("$ETIM"))
    assert seconds is not None
    check_flow_rate(header.volume_nl, seconds=seconds)
    for factor in (1000.0, 0.001):
        with pytest.raises(CountError, match="in another unit"):
            check_flow_rate(header.volume_nl * factor, seconds=seconds)


def test_events_per_microlitre_are_those_that_the_depositors_list(shared: Path):
    # total_event_rate.csv: all events over $VOL, which this instrument writes in µL.
    with (shared / "data" / AURORA / "total_event_rate.csv").open(encoding="utf-8") as stream:
        listed = {
            row["fcs_file"]: float(row["events_per_vol_unit(all events)"]) for row in csv.DictReader(stream)
        }
    assert len(listed) == 7
    for name, per_ul in listed.items():
        header = header_of(shared / "data" / AURORA / name)
        assert header.volume_nl is not None
        counted = count_in_volume(header.n_events, volume_nl=header.volume_nl, dilution=1)
        assert counted.value == pytest.approx(per_ul, rel=1e-9)


CD45_BRIGHT = 50_000.0
"""Detector units of YG1-A (PE): between the dim and the bright events of all seven tubes."""


def leukocytes_per_ul(path: Path) -> Count:
    header = header_of(path)
    bright = read_events(path, header).events.row("YG1-A") > CD45_BRIGHT
    assert header.volume_nl is not None
    return count_in_volume(int(bright.sum()), volume_nl=header.volume_nl, dilution=1)


def test_duplicates_of_one_sample_may_differ_by_more_than_counting_explains(shared: Path):
    # Two pairs agree within their intervals; the third differs by a fifth or more, at a counting CV of 3 %.
    # What the pipette adds is therefore a setting, and is never inside the interval.
    apart = {}
    for sample in ("INF041-09", "INF105-09", "INF187-04"):
        first, second = (
            leukocytes_per_ul(shared / "data" / AURORA / f"CellCounts5L_AB_01-{sample}_0{tube}.fcs")
            for tube in (1, 2)
        )
        error = np.hypot(first.cv_percent, second.cv_percent) / 100
        apart[sample] = abs(np.log(second.value / first.value)) / error
    assert apart["INF041-09"] < 2
    assert apart["INF187-04"] < 4
    assert apart["INF105-09"] > 5


def test_beads_counted_in_pieces_of_an_acquisition_hold_the_whole_within_their_intervals(shared: Path):
    # Six kinds of beads in one tube: each counted against each other in 20 pieces of the acquisition, 300
    # counts. Exact limits hold 95 % or more; that a piece is part of the whole adds about half a per cent.
    path = shared / "data" / "beads_dako_6peak" / "beads1.fcs"
    events = read_events(path, header_of(path)).events
    brightness = np.arcsinh(events.row("APC-A") / 50)
    kinds = np.digitize(brightness, np.array([3.2, 5.35, 6.45, 7.3, 8.06]))
    whole = np.bincount(kinds, minlength=6)
    assert whole.min() > 400
    held = []
    for piece in np.array_split(kinds, 20):
        seen = np.bincount(piece, minlength=6)
        for a, b in combinations(range(6), 2):
            count = count_against_beads(int(seen[a]), int(seen[b]), beads_per_tube=5000, blood_ul=50)
            held.append(count.ci_low <= 100 * whole[a] / whole[b] <= count.ci_high)
    assert len(held) == 300
    assert 0.94 <= np.mean(held) <= 0.99
