"""The report's sections of compensation and of acquisition quality: what their figures and tables say."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lxml import html

from cytotrial.report.acquisition import LEFT, PLOT, TracePicture, draw_trace, removed_table
from cytotrial.report.compensation import (
    PairPicture,
    decade_ticks,
    draw_matrix,
    draw_pair,
    pair_caption,
    worst_of,
)
from cytotrial.report.page import render_report
from tests.report.test_page import TREG, counts_of, rows_of, tables_of

MATRIX = pd.DataFrame(
    [[1.0, 0.25, 0.0], [0.01, 1.0, -0.02], [0.0, 0.6, 1.0]],
    index=["FITC-A", "PE-A", "APC-A"],
    columns=["FITC-A", "PE-A", "APC-A"],
)

PAIR = PairPicture(
    title="treg, B01",
    detector="FITC-A",
    into="PE-A",
    spillover=0.2512,
    residual_slope=0.0123,
    standard_error=0.0061,
    flags=("residual_slope", "imprecise"),
    cofactor=150.0,
    x_range=(-1.0, 6.0),
    y_range=(-1.0, 6.0),
    before=np.eye(12, dtype=np.uint32) * 40,
    after=np.flipud(np.eye(12, dtype=np.uint32)) * 40,
    middles_before=((0.2, 0.1), (4.0, 3.0)),
    middles_after=((0.2, 0.1), (4.0, 0.1)),
    severity=1.23,
)

TRACE = TracePicture(
    sample_id="001.a",
    title="001.a · treg",
    caption="12.0 % of 1000 events removed; DRIFT:PE-A",
    begin=0.0,
    end=100.0,
    has_time=True,
    rate=np.full(50, 20, np.uint32),
    channels=("PE-A",),
    ends=((0.0, 6.0),),
    counts=np.tile(np.arange(8, dtype=np.uint16), (50, 1))[None],
    removed=((30.0, 42.0, ("rate", "signal")),),
)


def acquisition(**changes: object) -> pd.DataFrame:
    row = {
        "sample_id": "001.a",
        "panel": "treg",
        "events": "1000",
        "removed_percent": "12.5",
        "margin_percent": "0.5",
        "rate_percent": "10",
        "signal_percent": "2",
        "isolation_percent": "0",
        "short_run_percent": "0",
        "channels": "rate;PE-A",
        "intervals": "30 to 42 (rate+signal)",
        "drift": "",
        "doublets": "31",
        "time_check": "judged",
        "flags": "",
    }
    steady = {**row, "sample_id": "002.a", "removed_percent": "0", "channels": "", "intervals": ""}
    return pd.DataFrame([steady, {**row, **changes}])


def svg_of(uri: str) -> str:
    return base64.b64decode(uri.split(",")[1]).decode()


def densities_of(svg: str) -> list[str]:
    """The images in a picture, from left to right."""
    return re.findall(r'href="data:image/png;base64,([^"]+)"', svg)


def test_a_heat_map_is_bluer_where_more_spills_and_orange_below_zero() -> None:
    fills = re.findall(r'fill="(rgb[^"]+)"', svg_of(draw_matrix("treg, B01", MATRIX)))
    none_below = re.findall(r'fill="(rgb[^"]+)"', svg_of(draw_matrix("treg, B01", MATRIX.clip(lower=0))))
    # −0.02 is the darkest orange there is: (0.90, 0.62, 0) of 255.
    assert fills.count("rgb(230,158,0)") == int((MATRIX.to_numpy() <= -0.02).sum()) == 1
    assert none_below.count("rgb(230,158,0)") == 0
    # 0.6 / (0.6 + 0.15) = 0.8 of the way from white to blue (0, 0.36, 0.62): (0.2, 0.488, 0.696) of 255
    assert "rgb(51,124,177)" in fills
    assert len(fills) == MATRIX.size


def test_the_axes_of_a_pair_are_labelled_by_decades_as_cytometrists_know_them() -> None:
    places, labels = decade_ticks(150.0, (-3.0, 7.6))
    assert labels == ["-10³", "0", "10³", "10⁴", "10⁵"]
    assert np.sinh(places[3]) * 150 == pytest.approx(10_000)


def test_a_pair_is_drawn_twice_and_what_is_said_under_it_is_in_per_cent() -> None:
    before, after = densities_of(svg_of(draw_pair(PAIR)))
    assert before != after
    swapped = draw_pair(replace(PAIR, before=PAIR.after, after=PAIR.before))
    assert densities_of(svg_of(swapped)) == [after, before]
    assert pair_caption(PAIR) == (
        "treg, B01: FITC-A into PE-A, spillover 25.12 %; known to ±0.61 %; left after compensation 1.23 %; "
        "residual_slope; imprecise"
    )


def test_the_worst_pairs_stand_first_and_no_more_are_shown_than_asked_for() -> None:
    pairs = [replace(PAIR, title=f"B{n}", severity=float(n)) for n in (1, 3, 2)]
    assert [one.title for one in worst_of(pairs, most=2)] == ["B3", "B2"]


@pytest.mark.parametrize(("reasons", "colour"), [(("rate",), "#E69F00"), (("isolation",), "#D55E00")])
def test_what_was_removed_is_shaded_in_the_colour_of_its_reason(
    reasons: tuple[str, ...], colour: str
) -> None:
    shade = re.compile(
        r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" [^>]*fill="(#\w+)" fill-opacity="0.28"/>'
    )
    assert shade.findall(svg_of(draw_trace(replace(TRACE, removed=())))) == []
    boxes = shade.findall(svg_of(draw_trace(replace(TRACE, removed=((30.0, 42.0, reasons),)))))
    assert len(boxes) == 1 + len(TRACE.channels)
    for left, width, fill in boxes:
        # Seconds 30 to 42 of 0 to 100.
        assert float(left) == pytest.approx(LEFT + 0.30 * PLOT, abs=0.01)
        assert float(width) == pytest.approx(0.12 * PLOT, abs=0.01)
        assert fill == colour


def test_a_tube_without_time_is_drawn_over_its_events() -> None:
    assert "event number (the tube has no time)" in svg_of(draw_trace(replace(TRACE, has_time=False)))
    assert "time, s" in svg_of(draw_trace(TRACE))


def test_the_table_of_what_was_removed_gives_share_channels_and_time_and_counts_the_quiet_tubes() -> None:
    table = removed_table(acquisition())
    (row,) = table.groups[0].rows
    assert row[:6] == ("001.a", "treg", "judged", "", "rate; PE-A", "30 to 42 (rate+signal)")
    assert row[6:] == ("1000", "12.50", "0.50", "10.00", "2.00", "0.00", "0.00", "31")
    assert table.notes[0].startswith("1 of 2 gated tubes were steady, have no flag and lost less than 0.1 %")


def test_a_flagged_tube_is_in_the_table_though_nothing_was_removed() -> None:
    table = removed_table(
        acquisition(removed_percent="0", flags="TIME_NOT_JUDGED:300", time_check="not judged", doublets="")
    )
    (row,) = table.groups[0].rows
    assert row[2:4] == ("not judged", "TIME_NOT_JUDGED:300")
    assert row[-1] == "–"


def test_the_page_has_both_sections_with_their_figures_and_tables() -> None:
    tables = tables_of(
        counts_of(TREG),
        spillover={"treg, B01": MATRIX},
        pairs=(PAIR,),
        acquisition=acquisition(),
        traces=(TRACE,),
        compensation_quality=pd.DataFrame([{"panel": "treg", "detector": "FITC-A", "flags": "imprecise"}]),
        compared_matrices=pd.DataFrame([{"panel": "treg", "batch": "B01", "flags": "falls_in_samples"}]),
    )
    page = render_report(tables)
    document = html.fromstring(page)
    for section, kinds in (("acquisition", ["trace"]), ("compensation", ["matrix", "pair"])):
        figures = document.xpath(f"//section[@id='{section}']//figure/@class")
        assert figures == kinds
        assert document.xpath(f"//nav//a[@href='#{section}']")
    assert rows_of(page, "qc-removed")[0][0] == "001.a"
    assert rows_of(page, "quality")[0] == ["treg", "FITC-A", "imprecise"]
    assert rows_of(page, "compared")[0] == ["treg", "B01", "falls_in_samples"]
    assert page == render_report(tables)


def test_a_study_without_matrices_or_quality_has_neither_section() -> None:
    document = html.fromstring(render_report(tables_of(counts_of(TREG))))
    assert document.xpath("//section[@id='acquisition' or @id='compensation']") == []
