"""The report page: the numbers in its tables, and what it must never do."""

from __future__ import annotations

import base64
import dataclasses
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from lxml import html

from cytotrial.errors import DatasetError
from cytotrial.report.page import render_report
from cytotrial.report.pictures import GatePicture
from cytotrial.report.tables import ReportTables
from cytotrial.science.statistics import cell_counts_by_visit, clinical_by_visit, completeness
from cytotrial.terms import IDENTITY, Dimension, RectangleGate
from tests.report.records import candidates_of, recorded

EVIL = '<img src=x onerror=1></script><script>alert("1")</script>'

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
SUBJECTS = pd.DataFrame(
    {
        "subject": ["001", "002", "003", "004"],
        "first_dose": "2024-03-01",
        "sex": "SEX-OF-A-SUBJECT",
        "age": "AGE-OF-A-SUBJECT",
        "site": "SITE-OF-A-SUBJECT",
        "arm": "ARM-OF-A-SUBJECT",
    }
)
# Treg cells/µL: baseline 10, 12, 14, 16; Week 6 20, 24, 28, one not done; Week 12 30 of 40 events, one failed
TREG = {
    ("001", "Baseline"): (10.0, 500, "OK", ""),
    ("002", "Baseline"): (12.0, 500, "OK", ""),
    ("003", "Baseline"): (14.0, 500, "OK", ""),
    ("004", "Baseline"): (16.0, 500, "OK", ""),
    ("001", "Week 6"): (20.0, 500, "OK", ""),
    ("002", "Week 6"): (24.0, 500, "OK", ""),
    ("003", "Week 6"): (28.0, 500, "OK", ""),
    ("004", "Week 6"): (None, None, "NOT_DONE", "HAEMOLYSED"),
    ("001", "UNSCHEDULED"): (21.5, 500, "OK", ""),
    ("001", "Week 12"): (30.0, 40, "WARN", "BELOW_LLOQ"),
    ("002", "Week 12"): (None, None, "FAIL", "TUBE_REJECTED"),
}
DAYS = {"Baseline": 1, "Week 6": 44, "UNSCHEDULED": 60, "Week 12": 130}


def counts_of(records: dict[tuple[str, str], tuple[object, ...]]) -> pd.DataFrame:
    rows = [
        {
            "study": "DEMO",
            "subject": subject,
            "visit": visit,
            "specimen": f"{subject}.{visit}",
            "collected": "2024-04-13",
            "study_day": DAYS[visit],
            "parameter": "TREGABS",
            "value": value,
            "unit": "10^6/L",
            "ci_low": None if value is None else float(value) * 0.9,
            "ci_high": None if value is None else float(value) * 1.1,
            "events": events,
            "parent_events": 20000,
            "cv_percent": 5.0,
            "method": "XTUBE",
            "status": status,
            "flags": flags,
            "gating_version": "1.0.0",
            "sample_ids": f"{subject}.{visit}.treg",
        }
        for (subject, visit), (value, events, status, flags) in records.items()
    ]
    columns = [
        *("study", "subject", "visit", "specimen", "collected", "study_day", "parameter", "value", "unit"),
        *("ci_low", "ci_high", "events", "parent_events", "cv_percent", "method", "status", "flags"),
        *("gating_version", "sample_ids"),
    ]
    return recorded(pd.DataFrame(rows, columns=columns), VISITS)


def inventory_of(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["sample_id", "status", "code", "message"]).assign(
        panel="treg", role="sample"
    )


INVENTORY = inventory_of(
    ("001.a", "ok", "", ""),
    ("002.a", "ok", "", ""),
    ("003.a", "warn", "LOW_EVENTS", "813 events, expected 1000"),
    ("002.c", "reject", "DATA_TRUNCATED", "the file ends early"),
    ("003.c", "reject", "NO_CD25", "marker CD25 is not in the file"),
    ("004.b", "not_done", "NOT_DONE", "haemolysed"),
)
POPULATIONS = pd.DataFrame(
    columns=[
        *("sample_id", "subject", "visit", "panel", "role", "population", "parent", "events"),
        *("parent_events", "percent_of_parent", "status", "flags"),
    ]
)
GATES = pd.DataFrame(
    [("001.a", "CD4", "{}", "override", "", 0.9), ("002.a", "CD4", "{}", "template", "", 0.9)],
    columns=["sample_id", "population", "gate", "origin", "control", "confidence"],
)
WIDE = pd.DataFrame(
    {
        "subject": ["001", "002", "001"],
        "visit": ["Baseline", "Baseline", "Week 6"],
        "TREGABS": [10.0, 12.0, 20.0],
        "SLEDAI": ["8", "12", "4"],
        "Crithidia": ["positive", "positive", "negative"],
        "arm": "ARM-OF-A-SUBJECT",
    }
)


def tables_of(counts: pd.DataFrame, **changes: object) -> ReportTables:
    tables = ReportTables(
        study="DEMO",
        title="Treg cells",
        inventory=INVENTORY,
        populations=POPULATIONS,
        gates=GATES,
        counts=counts,
        candidates=candidates_of(counts, VISITS),
        visit_wide=WIDE,
        visits=VISITS,
        subjects=SUBJECTS,
        cell_counts=cell_counts_by_visit(counts, VISITS, n_planned=4),
        completeness=completeness(counts, subjects=SUBJECTS["subject"], visits=VISITS["visit"]),
        limits={"TREGABS": (20, 50)},
    )
    return dataclasses.replace(tables, **changes)  # type: ignore[arg-type]


def picture(**changes: object) -> GatePicture:
    plain = GatePicture(
        sample_id="001.a",
        population="CD4",
        parent="lymphocytes",
        x_label="CD4 (PE-A)",
        y_label="SSC-A",
        x_transform=IDENTITY,
        y_transform=IDENTITY,
        x_range=(0.0, 1.0),
        y_range=(0.0, 1.0),
        counts=np.arange(64, dtype=np.uint32).reshape(8, 8),
        gate=RectangleGate((Dimension("PE-A"),), (0.5,), (None,)),
        percent_of_parent=40.0,
        events=40,
        parent_events=100,
        x_ticks=((0.2, "0"), (0.6, "10^4")),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def rows_of(page: str, table: str) -> list[list[str]]:
    """The rows of the body of a table, as lists of cell texts."""
    body = html.fromstring(page).xpath(f"//table[@id='{table}']/tbody/tr")
    return [[" ".join(cell.text_content().split()) for cell in row.xpath("th|td")] for row in body]


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(tables_of(counts_of(TREG), pictures=(picture(),)))


def test_table_1_holds_the_numbers_of_every_planned_visit(page: str):
    group, baseline, week6, week12 = rows_of(page, "t1")
    assert group == ["Regulatory T cells (Treg), cells/µL (TREGABS)"]
    # Quartiles of 10, 12, 14, 16: 11.5, 13, 14.5
    assert baseline[:7] == ["Baseline", "4", "4/4", "13.0 [11.5, 14.5]", "0/4", "0/4", "0/4"]
    # Week 6: 20, 24, 28; changes 10, 12, 14; ratios 2, 2, 2; exact P of three rises 2/8; Holm over one visit
    assert week6[:8] == ["Week 6", "4", "3/4", "24.0 [22.0, 26.0]", "0/3", "1/4", "0/4", "3/4"]
    assert week6[8:] == ["12.0 [11.0, 13.0]", "12.0 (no CI)", "2.00", "0.250 (exact; n = 3)", "0.250"]
    # Week 12: one value of 40 events, one failed, two without a record
    assert week12[:8] == ["Week 12", "4", "1/4", "30.0 [30.0, 30.0]", "1/1", "0/4", "1/4", "1/4"]


def test_one_pair_has_a_change_but_no_p_value(page: str):
    week12 = rows_of(page, "t1")[3]
    assert week12[8] == "20.0 [20.0, 20.0]"
    assert week12[11:] == ["–", "–"]


def test_baseline_has_no_change_from_itself(page: str):
    assert rows_of(page, "t1")[1][7:] == ["–"] * 6


def test_an_unscheduled_draw_is_in_the_listings_but_not_in_table_1(page: str):
    assert not any("UNSCHEDULED" in cell for row in rows_of(page, "t1") for cell in row)
    mapped = [row for row in rows_of(page, "l3") if row[1] == "UNSCHEDULED"]
    assert mapped == [
        [
            *("001", "UNSCHEDULED", "001.UNSCHEDULED", "2024-04-13", "–", "OUTSIDE_WINDOW", "0/1"),
            *("60", "–", "–", "–"),
        ]
    ]


def test_the_state_of_every_subject_at_every_visit_is_shown(page: str):
    states = {row[0]: row[1:] for row in rows_of(page, "t3")}
    assert states["001"] == ["D", "D", "W"]
    assert states["002"] == ["D", "D", "F 0/1 TUBE_REJECTED"]
    assert states["004"] == ["D", "N 0/1 HAEMOLYSED", "."]
    assert [states[letter][1] for letter in "DWFN."] == ["3/4", "0/4", "0/4", "1/4", "0/4"]


def test_every_tube_that_is_not_ok_is_listed_with_its_reason(page: str):
    listed = {(row[0], row[3], row[4], row[5]) for row in rows_of(page, "l1-tubes")}
    assert listed == {
        ("002.c", "reject", "DATA_TRUNCATED", "the file ends early"),
        ("003.c", "reject", "NO_CD25", "marker CD25 is not in the file"),
        ("003.a", "warn", "LOW_EVENTS", "813 events, expected 1000"),
        ("004.b", "not_done", "NOT_DONE", "haemolysed"),
    }


def test_rows_in_are_rows_out(page: str):
    panel, total = rows_of(page, "tubes")
    assert panel == ["treg", "sample", "6", "2", "1", "2", "1"]
    assert total == ["all", "", "6", "2", "1", "2", "1"]


def test_flagged_and_missing_values_are_listed_with_their_events(page: str):
    listed = [(row[0], row[1], *row[5:8], *row[9:11], row[12]) for row in rows_of(page, "l1-values")]
    assert listed == [
        ("001", "Week 12", "WARN", "BELOW_LLOQ", "detected, not quantifiable", "yes", "30", "40"),
        ("002", "Week 12", "FAIL", "TUBE_REJECTED", "", "no", "–", "–"),
        ("004", "Week 6", "NOT_DONE", "HAEMOLYSED", "", "no", "–", "–"),
    ]


def test_every_draw_is_listed_with_the_visit_of_its_day_and_how_far_it_is_from_the_target():
    counts = counts_of(TREG)
    candidates = candidates_of(counts, VISITS)
    early = candidates["specimen"] == "001.Week 12"
    candidates.loc[early, ["analysis_visit", "target_day", "days_from_target"]] = ["Week 6", 43, 17]
    rows = rows_of(render_report(tables_of(counts, candidates=candidates)), "l3")
    moved = next(row for row in rows if row[:2] == ["001", "Week 12"])
    assert moved[4:7] == ["Week 6", "–", "1/1"]
    assert moved[8:] == ["43", "17", "2 to 64"]


def test_a_check_of_the_dataset_that_failed_stands_first():
    checks = pd.DataFrame(
        [["V01", "Columns", "PASS", "0", ""], ["V16", "Changes", "FAIL", "1", "ADCP, S1: CHG is 2"]],
        columns=["check", "rule", "status", "problems", "detail"],
    )
    rows = rows_of(render_report(tables_of(counts_of(TREG), checks=checks)), "dataset-checks")
    assert rows == [
        ["V16", "FAIL", "Changes", "1", "ADCP, S1: CHG is 2"],
        ["V01", "PASS", "Columns", "0", ""],
    ]


def override_rows(**changes: object) -> pd.DataFrame:
    """An override of one gate and the value that rests on it: 100 of 1,000 events become 80."""
    about = {
        "override_id": "R1", "outcome": "applied", "why": "", "utc": "2026-01-01T00:00:00Z", "made_by": "Ada",
        "reviewed_by": "Bea", "reviewed_utc": "2026-01-02T00:00:00Z", "sample_id": "001.a", "subject": "001",
        "visit": "Baseline", "specimen": "001.Baseline", "panel": "treg", "population": "FOXP3+",
        "parent": "CD4+", "action": "move", "reason_code": "TOO_LOW", "reason_text": "cuts the negatives",
        "events_before": 100, "parent_events_before": 1000, "events_after": 80, "parent_events_after": 1000,
    }  # fmt: skip
    gate = {**about, "measure": "percent_of_parent", "unit": "%", "before": 10.0, "after": 8.0}
    value = {**about, "measure": "TREGABS", "unit": "10^6/L", "before": 20.0, "after": 16.0}
    return pd.DataFrame([{**gate, **changes}, {**value, **changes}])


def test_a_gate_placed_by_hand_is_listed_with_who_when_why_and_what_it_changed():
    head, gate, value = rows_of(render_report(tables_of(counts_of(TREG), overrides=override_rows())), "l2")
    assert head == [
        "R1 · move FOXP3+ · tube 001.a (001, Baseline) · applied · made by Ada, 2026-01-01T00:00:00Z; "
        "reviewed by Bea, 2026-01-02T00:00:00Z · TOO_LOW: cuts the negatives"
    ]
    assert gate == ["FOXP3+, % of CD4+", "%", "10", "8", "-2", "100", "1000", "80", "1000"]
    assert value[:5] == ["TREGABS", "cells/µL", "20", "16", "-4"]


def test_a_flagged_value_names_the_overrides_that_it_rests_on():
    rests = override_rows().assign(specimen="001.Week 12", measure=["percent_of_parent", "TREGABS"])
    rows = rows_of(render_report(tables_of(counts_of(TREG), overrides=rests)), "l1-values")
    assert {tuple(row[:2]): row[-1] for row in rows} == {
        ("001", "Week 12"): "R1", ("002", "Week 12"): "–", ("004", "Week 6"): "–",
    }  # fmt: skip


def test_a_population_that_was_taken_out_has_nothing_after():
    gone = override_rows(action="exclude", after=None, events_after=None, parent_events_after=None)
    _, gate, _ = rows_of(render_report(tables_of(counts_of(TREG), overrides=gone)), "l2")
    assert gate[2:] == ["10", "–", "–", "100", "1000", "–", "–"]


def test_an_override_that_does_not_stand_is_listed_with_the_reason():
    why = "the automatic gate has another place than when the override was made"
    page = render_report(tables_of(counts_of(TREG), overrides=override_rows(outcome="stale", why=why)))
    assert f"STALE, not applied: {why}" in rows_of(page, "l2")[0][0]


def test_clinical_values_are_measured_or_counted():
    units = {"SLEDAI": "score", "Crithidia": ""}
    clinical = clinical_by_visit(WIDE, VISITS, units=units, n_planned=4)
    rows = rows_of(render_report(tables_of(counts_of(TREG), clinical_by_visit=clinical)), "t2")
    assert rows[1][:4] == ["Baseline", "4", "2/4", "10.0 [9.0, 11.0]"]
    assert rows[2][4:6] == ["1/4", "-4.0 [-4.0, -4.0]"]
    # Clopper-Pearson of 2/2: lower limit 0.025^(1/2) = 15.8 %
    assert rows[5][3] == "2/2, 100.0 (15.8 to 100.0) %"


def test_markup_in_ids_and_comments_is_shown_and_not_run():
    counts = counts_of(TREG).replace({"flags": {"BELOW_LLOQ": EVIL}, "subject": {"002": EVIL}})
    inventory = inventory_of(("a", "reject", EVIL, EVIL))
    evil = picture(population=EVIL, x_label="$x$_{", flags=(EVIL,))
    tables = tables_of(counts, inventory=inventory, pictures=(evil,), title=EVIL, methods={EVIL: EVIL})
    page = render_report(tables)
    document = html.fromstring(page)
    assert document.xpath("//script|//*[@onerror]|//img[@src='x']") == []
    assert rows_of(page, "l1-tubes")[0][-1] == EVIL
    assert EVIL in document.xpath("//h1")[0].text_content()


def test_the_page_asks_for_nothing_from_anywhere(page: str):
    document = html.fromstring(page)
    policy = document.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert all(source.startswith("data:image/") for source in document.xpath("//@src"))
    assert all(link.startswith("#") for link in document.xpath("//@href"))
    assert not re.search(r"https?:|url\(|@import", page)


def test_figures_hold_no_link_and_no_date(page: str):
    sources = html.fromstring(page).xpath("//img/@src")
    drawings = [base64.b64decode(s.split(",")[1]).decode() for s in sources if s.startswith("data:image/svg")]
    assert len(drawings) == 4
    for drawing in drawings:
        assert "dc:date" not in drawing
        assert re.findall(r'href="(?!#|data:image/png;base64,)', drawing) == []


def test_the_same_tables_give_the_same_bytes(page: str):
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": None}):
        again = render_report(tables_of(counts_of(TREG), pictures=(picture(),)))
    assert again == page


def as_read_from_csv(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(frame.to_csv(index=False)), dtype=str, keep_default_na=False)


def test_tables_read_as_text_give_the_same_page(page: str):
    made = ["analysis", "lod_events", "lloq_events", "quantifiable", "lloq_value"]
    counts = recorded(as_read_from_csv(counts_of(TREG).drop(columns=made)), VISITS)
    plain = tables_of(counts, pictures=(picture(),))
    names = (
        *("inventory", "populations", "gates", "visit_wide", "visits", "subjects", "cell_counts"),
        "completeness",
    )
    text = {name: as_read_from_csv(getattr(plain, name)) for name in names}
    assert render_report(dataclasses.replace(plain, **text)) == page


def test_the_page_does_not_hang_on_the_order_of_a_hash(page: str):
    made = "render_report(tables_of(counts_of(TREG), pictures=(picture(),)))"
    code = f"from tests.report.test_page import *; print({made}, end='')"
    here = Path(__file__).parents[2]
    paths = os.pathsep.join([str(here), str(here / "src")])
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True, cwd=here
    )
    assert run.stdout.decode("utf-8") == page


def test_age_sex_site_and_arm_are_nowhere(page: str):
    assert "OF-A-SUBJECT" not in page


def test_a_study_without_a_subject_still_has_a_report():
    nobody = counts_of({})
    page = render_report(
        tables_of(
            nobody,
            inventory=INVENTORY.iloc[:0],
            gates=GATES.iloc[:0],
            visit_wide=WIDE.iloc[:0],
            subjects=SUBJECTS.iloc[:0],
            completeness=completeness(nobody, subjects=[], visits=VISITS["visit"]),
            clinical=pd.DataFrame(columns=["subject", "test", "collected", "value", "unit"]),
            exposure=pd.DataFrame(columns=["subject", "drug", "start", "end", "dose", "unit"]),
        )
    )
    assert rows_of(page, "t1") == []
    assert "No value at a planned visit." in page
    assert rows_of(page, "tubes") == [["all", "", "0", "0", "0", "0", "0"]]


def test_a_study_in_which_nothing_was_done_says_so_for_every_subject():
    nothing = {key: (None, None, "NOT_DONE", "FREEZER") for key in TREG if key[1] != "UNSCHEDULED"}
    page = render_report(tables_of(counts_of(nothing)))
    states = {row[0]: row[1:] for row in rows_of(page, "t3")}
    assert states["001"] == ["N 0/1 FREEZER"] * 3
    assert [row[2] for row in rows_of(page, "t1")[1:]] == ["0/4", "0/4", "0/4"]
    assert "No draw with a value." in page


def test_missing_columns_are_all_named_at_once():
    counts = counts_of(TREG).drop(columns=["analysis", "events"])
    tables = dataclasses.replace(tables_of(counts_of(TREG)), counts=counts)
    with pytest.raises(DatasetError, match=r"2 problems") as caught:
        render_report(tables)
    assert "column 'analysis' is missing" in str(caught.value)
    assert "column 'events' is missing" in str(caught.value)
