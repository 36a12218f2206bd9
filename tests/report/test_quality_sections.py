"""The report's sections of compensation and of acquisition quality: what their figures and tables say."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from lxml import html
from matplotlib.image import imread

from cytotrial.report.acquisition import TracePicture, draw_trace, removed_table
from cytotrial.report.compensation import (
    PairPicture,
    decade_ticks,
    draw_matrix,
    draw_pair,
    pair_caption,
    worst_of,
)
from cytotrial.report.drawing import house_style
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


def picture_of(uri: str) -> np.ndarray:
    return imread(io.BytesIO(base64.b64decode(uri.split(",")[1])), format="png")[..., :3]


def coloured(image: np.ndarray, colour: tuple[float, float, float], near: float = 0.02) -> int:
    """Pixels of about a colour."""
    return int(np.count_nonzero(np.all(np.abs(image - np.array(colour)) < near, axis=-1)))


def test_a_heat_map_is_bluer_where_more_spills_and_orange_below_zero() -> None:
    with house_style():
        image = picture_of(draw_matrix("treg, B01", MATRIX))
        none_below = picture_of(draw_matrix("treg, B01", MATRIX.clip(lower=0)))
    # −0.02 is the darkest orange there is; without it no pixel has that colour.
    assert coloured(image, (0.90, 0.62, 0.0)) > 500
    assert coloured(none_below, (0.90, 0.62, 0.0)) == 0
    # 0.6 / (0.6 + 0.15) = 0.8 of the way from white to blue
    assert coloured(image, (0.2, 0.488, 0.696)) > 500


def test_the_axes_of_a_pair_are_labelled_by_decades_as_cytometrists_know_them() -> None:
    places, labels = decade_ticks(150.0, (-3.0, 7.6))
    assert labels == ["-10³", "0", "10³", "10⁴", "10⁵"]
    assert np.sinh(places[3]) * 150 == pytest.approx(10_000)


def test_a_pair_is_drawn_twice_and_what_is_said_under_it_is_in_per_cent() -> None:
    with house_style():
        image = picture_of(draw_pair(PAIR))
        half = image.shape[1] // 2
        mirrored = picture_of(draw_pair(replace(PAIR, before=PAIR.after, after=PAIR.before)))
    assert not np.array_equal(image[:, :half], mirrored[:, :half])
    assert pair_caption(PAIR) == (
        "treg, B01: FITC-A into PE-A, spillover 25.12 %; known to ±0.61 %; left after compensation 1.23 %; "
        "residual_slope; imprecise"
    )


def test_the_worst_pairs_stand_first_and_no_more_are_shown_than_asked_for() -> None:
    pairs = [replace(PAIR, title=f"B{n}", severity=float(n)) for n in (1, 3, 2)]
    assert [one.title for one in worst_of(pairs, most=2)] == ["B3", "B2"]


@pytest.mark.parametrize(
    ("reasons", "colour"), [(("rate",), (0.90, 0.62, 0.0)), (("isolation",), (0.84, 0.37, 0.0))]
)
def test_what_was_removed_is_shaded_in_the_colour_of_its_reason(
    reasons: tuple[str, ...], colour: tuple[float, float, float]
) -> None:
    with house_style():
        plain = picture_of(draw_trace(replace(TRACE, removed=())))
        shaded = picture_of(draw_trace(replace(TRACE, removed=((30.0, 42.0, reasons),))))
    changed = np.any(np.abs(plain - shaded) > 0.05, axis=-1)
    # 12 of 100 seconds of about four fifths of the width, over most of the height
    assert 0.04 < changed.mean() < 0.12
    # 28 % of the colour over white
    middle = np.median(shaded[changed & (plain.min(axis=-1) > 0.99)], axis=0)
    assert middle == pytest.approx(0.72 + 0.28 * np.array(colour), abs=0.02)


def test_a_tube_without_time_is_drawn_over_its_events() -> None:
    with house_style():
        assert draw_trace(replace(TRACE, has_time=False)) != draw_trace(TRACE)


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
