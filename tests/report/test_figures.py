"""Figures: where points stand, where lines break, what a gate's outline is."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from cytotrial.report.drawing import house_style, new_figure
from cytotrial.report.figures import draw_course, subject_course
from cytotrial.report.pictures import LEFT, SIDE_X, SIDE_Y, TOP, GatePicture, draw_gate, gate_outline
from cytotrial.report.profile import choose_subjects, draw_profile, study_day
from cytotrial.report.tables import ReportTables, prepare
from cytotrial.science.statistics import cell_counts_by_visit, completeness
from cytotrial.terms import (
    IDENTITY,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    PolygonGate,
    RectangleGate,
)
from tests.report.records import candidates_of, recorded

X, Y = Dimension("PE-A"), Dimension("SSC-A")
UNIT = (0.0, 1.0)

VISITS = pd.DataFrame(
    {
        "visit": ["Baseline", "Week 6", "Week 12"],
        "visit_num": [0, 6, 12],
        "target_day": [1, 43, 85],
        "first_day": [None, 2, 65],
        "last_day": [1, 64, 127],
        "baseline": ["Y", "", ""],
    }
)


def counts_of(values: list[float | None]) -> pd.DataFrame:
    """One subject at three visits; a missing value is not done, on an unknown day."""
    rows = pd.DataFrame(
        {
            "subject": "001",
            "visit": VISITS["visit"],
            "specimen": VISITS["visit"],
            "collected": "",
            "study_day": [
                day if value is not None else None for day, value in zip([1, 40, 90], values, strict=True)
            ],
            "parameter": "TREGABS",
            "value": values,
            "unit": "10^6/L",
            "ci_low": 1.0,
            "ci_high": 30.0,
            "events": 500,
            "parent_events": 20000,
            "cv_percent": 5.0,
            "method": "XTUBE",
            "status": ["NOT_DONE" if value is None else "OK" for value in values],
            "flags": "",
            "gating_version": "1",
            "sample_ids": "",
        }
    )
    return recorded(rows, VISITS)


def test_a_missing_visit_breaks_the_line_at_its_target_day():
    course = subject_course(counts_of([10.0, None, 12.0]), VISITS)
    assert course["day"].tolist() == [1, 43, 90]
    assert course["value"].isna().tolist() == [False, True, False]


def test_a_failed_value_is_not_drawn():
    counts = counts_of([10.0, 11.0, 12.0])
    counts.loc[1, "status"] = "FAIL"
    assert subject_course(counts, VISITS)["value"].isna().tolist() == [False, True, False]


def test_a_course_of_zeros_can_be_drawn():
    counts = counts_of([0.0, 0.0, 0.0])
    summary = cell_counts_by_visit(counts, VISITS, n_planned=1)
    with house_style():
        uri = draw_course("TREGABS", counts, summary, VISITS, lloq_events=50)
    assert uri.startswith("data:image/svg+xml;base64,")


@pytest.mark.parametrize(
    ("collected", "first_dose", "day"),
    [
        ("2024-03-01", "2024-03-01", 1),  # the day of the first dose is day 1
        ("2024-02-29T08:00", "2024-03-01T09:00", -1),  # there is no day 0
        ("2024-03-02T23:59", "2024-03-01", 2),
    ],
)
def test_study_days_have_no_day_0(collected: str, first_dose: str, day: int):
    assert study_day(collected, first_dose) == day


def test_without_a_first_dose_there_is_no_study_day():
    assert np.isnan(study_day("2024-03-01", ""))


def report_of(counts: pd.DataFrame, **more: object) -> ReportTables:
    empty = pd.DataFrame(
        columns=["sample_id", "population", "origin", "status", "code", "message", "parent", "flags"]
    )
    numbers = ["events", "parent_events", "percent_of_parent"]
    return prepare(
        ReportTables(
            study="DEMO",
            title="t",
            inventory=empty,
            populations=empty.reindex(columns=[*empty.columns, *numbers]),
            gates=empty,
            counts=counts,
            candidates=candidates_of(counts, VISITS),
            visit_wide=pd.DataFrame(columns=["subject", "visit"]),
            visits=VISITS,
            subjects=pd.DataFrame({"subject": ["001"], "first_dose": ["2024-03-01"]}),
            cell_counts=cell_counts_by_visit(counts, VISITS, n_planned=1),
            completeness=completeness(counts, subjects=["001"], visits=VISITS["visit"]),
            **more,  # type: ignore[arg-type]
        )
    )


def test_the_subject_with_the_most_draws_is_profiled_unless_another_is_named():
    more = pd.concat([counts_of([1.0, None, None]), counts_of([1.0, 2.0, 3.0]).assign(subject="002")])
    assert choose_subjects(report_of(more.reset_index(drop=True))) == ("002",)
    assert choose_subjects(report_of(more.reset_index(drop=True), profiles=("001",))) == ("001",)


def test_a_profile_is_drawn_from_text_gaps_and_open_doses():
    clinical = pd.DataFrame(
        [
            ("001", "SLEDAI", "2024-03-01", "8", "score"),
            ("001", "SLEDAI", "2024-04-12", "", "score"),
            ("001", "anti-dsDNA ELISA", "2024-03-01", "120", "IU/mL"),
            ("001", "anti-dsDNA ELISA", "2024-04-12", "<10", "IU/mL"),
            ("001", "Crithidia", "2024-03-01", "positive", ""),
        ],
        columns=["subject", "test", "collected", "value", "unit"],
    )
    exposure = pd.DataFrame(
        [
            ("001", "IL-2 $", "2024-03-01", "", "1.5", "MIU"),
            ("001", "Prednisone", "2024-03-01", "2024-04-01", "5", "mg"),
        ],
        columns=["subject", "drug", "start", "end", "dose", "unit"],
    )
    tables = report_of(counts_of([10.0, None, 12.0]), clinical=clinical, exposure=exposure)
    with house_style():
        full, bare = draw_profile("001", tables), draw_profile("002", tables)
    assert full.startswith("data:image/svg+xml")
    # Treg, SLEDAI, dsDNA, prednisone are four panels; a subject without data has one empty panel
    heights = [float(_svg(uri).split('height="')[1].split("pt")[0]) for uri in (full, bare)]
    assert heights == [pytest.approx(72 * (0.85 + 1.3 * 4)), pytest.approx(72 * (0.85 + 1.3))]


def _svg(uri: str) -> str:
    return base64.b64decode(uri.split(",")[1]).decode()


def test_a_threshold_is_a_line_across_the_picture():
    gate = RectangleGate((X,), (0.5,), (None,))
    assert [line.tolist() for line in gate_outline(gate, x_range=UNIT, y_range=UNIT)] == [
        [[0.5, 0], [0.5, 1]]
    ]


def test_an_open_side_of_a_rectangle_ends_at_the_axis():
    gate = RectangleGate((X, Y), (0.4, None), (None, 0.7))
    (line,) = gate_outline(gate, x_range=UNIT, y_range=UNIT)
    assert line.tolist() == [[0.4, 0], [1, 0], [1, 0.7], [0.4, 0.7], [0.4, 0]]


def test_a_polygon_is_closed():
    gate = PolygonGate((X, Y), ((0, 0), (1, 0), (0, 1)))
    (line,) = gate_outline(gate, x_range=UNIT, y_range=UNIT)
    assert line[0].tolist() == line[-1].tolist()


def test_every_point_of_an_ellipse_has_the_gates_mahalanobis_distance():
    mean, covariance = np.array([0.3, 0.6]), np.array([[0.04, 0.01], [0.01, 0.02]])
    gate = EllipsoidGate((X, Y), tuple(mean), tuple(map(tuple, covariance)), 4.0)
    (line,) = gate_outline(gate, x_range=UNIT, y_range=UNIT)
    away = line - mean
    assert np.einsum("ij,jk,ik->i", away, np.linalg.inv(covariance), away) == pytest.approx(4.0)


def test_a_boolean_gate_has_no_outline():
    assert gate_outline(BooleanGate("not", (("CD4", False),)), x_range=UNIT, y_range=UNIT) == []


def gate_picture(gate: Gate, counts: np.ndarray, *, name: str = "CD4") -> str:
    drawn = GatePicture(
        "s",
        name,
        "root",
        "x",
        "y",
        IDENTITY,
        IDENTITY,
        UNIT,
        UNIT,
        counts.astype(np.uint32),
        gate,
        None,
        0,
        0,
    )
    return _svg(draw_gate(drawn))


def density_of(svg: str) -> np.ndarray:
    """The colours of the bins, the first row on top."""
    (png,) = re.findall(r'href="data:image/png;base64,([^"]+)"', svg)
    return np.asarray(imread(io.BytesIO(base64.b64decode(png)), format="png"))[..., :3]


def test_events_stand_where_x_runs_right_and_y_runs_up():
    # One filled quarter: high x, low y, so coloured pixels are right of and below the middle
    counts = np.zeros((10, 10))
    counts[5:, :5] = 100
    pixels = density_of(gate_picture(BooleanGate("not", (("CD4", False),)), counts))
    coloured = np.ptp(pixels, axis=2) > 0.3
    expected = np.zeros((10, 10), dtype=bool)
    expected[5:, 5:] = True
    assert np.array_equal(coloured, expected)


def test_a_picture_without_events_shows_the_gate_alone():
    svg = gate_picture(RectangleGate((X,), (0.5,), (None,)), np.zeros((10, 10)))
    assert density_of(svg).min() == 1.0
    # A threshold in the middle of the axis: one black line from the top of the plot to its bottom.
    middle, top, bottom = LEFT + SIDE_X / 2, TOP, TOP + SIDE_Y
    assert f'<polyline points="{middle:g},{bottom:g} {middle:g},{top:g}" fill="none" stroke="#000"' in svg


def test_names_in_a_picture_are_text_and_not_markup():
    drawn = gate_picture(RectangleGate((X,), (0.5,), (None,)), np.zeros((10, 10)), name="<b>&CD4")
    assert "&lt;b&gt;&amp;CD4" in drawn
    assert "<b>" not in drawn


def test_a_users_own_matplotlib_settings_do_not_reach_the_page():
    with house_style():
        assert new_figure(1, 1).get_size_inches().tolist() == [1, 1]
        import matplotlib  # noqa: PLC0415

        assert matplotlib.rcParams["text.parse_math"] is False
    assert matplotlib.rcParams["text.parse_math"] is True
