"""The pages of agreement and comparison: self-contained, escaped, the same for the same tables."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cytotrial.report.agreement import AgreementPage, render_agreement
from cytotrial.report.comparison import ComparisonPage, MovedTube, render_comparison
from cytotrial.report.pictures import GatePicture
from cytotrial.science.agreement_summary import Wanted, summarise
from cytotrial.science.comparison import compare_populations, compare_values, summarise_moves
from cytotrial.terms import IDENTITY, Dimension, RectangleGate

HOSTILE = '<img src=x onerror="alert(1)">'


def tube(sample_id: str, percent: float, manual: float, f1: float | None = 0.9) -> dict[str, Any]:
    return {
        "sample_id": sample_id,
        "panel": "treg",
        "batch": "B1",
        "population": HOSTILE,
        "manual_population": "T/Treg",
        "of": "CD4+",
        "manual_of": "T",
        "events": 50,
        "of_events": 1000,
        "percent": percent,
        "manual_events": 45,
        "manual_of_events": 1000,
        "manual_percent": manual,
        "difference": percent - manual,
        "ratio": percent / manual if manual else None,
        "precision": 0.9,
        "recall": 0.9,
        "f1": f1,
        "manual_events_in_file": 46,
        "flowjo_count": None,
        "masked_percent": 2.0,
    }


def agreement_page(*tubes: dict[str, Any], wanted: Wanted | None = None) -> AgreementPage:
    rows = tubes or (tube("T1", 5, 4), tube("T2", 6, 6), tube("T3", 3, 3.5), tube("T4", 9, 8.5))
    return AgreementPage(
        {"Study": HOSTILE},
        tuple(summarise(rows, wanted or Wanted())),
        tuple(rows),
        (f"not compared: {HOSTILE}",),
    )


def picture(events: int) -> GatePicture:
    return GatePicture(
        sample_id="T1",
        population="Treg",
        parent="CD4+",
        x_label=HOSTILE,
        y_label="SSC-A",
        x_transform=IDENTITY,
        y_transform=IDENTITY,
        x_range=(0, 1024),
        y_range=(0, 1024),
        counts=np.ones((96, 96), dtype=np.uint32),
        gate=RectangleGate((Dimension("PE-A"),), (500.0,), (None,)),
        percent_of_parent=events / 10,
        events=events,
        parent_events=1000,
        x_ticks=(),
        y_ticks=(),
        flags=(HOSTILE,),
    )


def comparison_page() -> ComparisonPage:
    def value(subject: str, number: str) -> dict[str, str]:
        keys = {
            "parameter": "TREGPCD4",
            "unit": "%",
            "visit": "W0",
            "specimen": "D",
            "status": "OK",
            "flags": "",
        }
        return {**keys, "subject": subject, "value": number}

    def population(events: str) -> dict[str, str]:
        return {
            "panel": "treg",
            "sample_id": "T1",
            "population": "Treg",
            "parent": "CD4+",
            "events": events,
            "parent_events": "1000",
            "percent_of_parent": str(int(events) / 10),
            "status": "OK",
        }

    values = compare_values(
        [value(HOSTILE, "4"), value("S2", "5"), value("S3", "6")],
        [value(HOSTILE, "5"), value("S2", "5.5"), value("S3", "")],
    )
    populations = compare_populations([population("50")], [population("80")])
    summary = [
        {**row, "kind": "parameter", "name": row["parameter"], "of": ""}
        for row in summarise_moves(values, ("parameter", "unit"))
    ]
    moved = {**populations[0], "factor": 1.6}
    return ComparisonPage(
        facts={"Old": HOSTILE},
        doubts=("results holds no manifest.json",),
        differences=((f"panel treg: {HOSTILE}", "0.55", "0.6"),),
        summary=tuple(summary),
        values=tuple(values),
        visits=(),
        populations=tuple(populations),
        moved=(
            MovedTube(moved, ("Treg",), (("Treg", picture(50), picture(80)), ("gone", picture(50), None))),
        ),
        least_events=20,
    )


PAGES = {
    "agreement": lambda: render_agreement(agreement_page()),
    "comparison": lambda: render_comparison(comparison_page()),
}


@pytest.mark.parametrize("page", list(PAGES))
def test_a_page_needs_nothing_but_itself_and_runs_no_script(page: str) -> None:
    text = PAGES[page]()
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text
    assert "<script" not in text
    assert "http" not in re.sub(r"data:image/[^\"]*|http-equiv", "", text)


@pytest.mark.parametrize("page", list(PAGES))
def test_names_that_look_like_markup_are_shown_as_text(page: str) -> None:
    text = PAGES[page]()
    assert HOSTILE not in text
    assert "&lt;img src=x onerror=" in text


@pytest.mark.parametrize("page", list(PAGES))
def test_the_same_tables_give_the_same_bytes(page: str) -> None:
    assert PAGES[page]() == PAGES[page]()


@pytest.mark.parametrize("page", list(PAGES))
def test_every_picture_says_in_words_what_it_shows(page: str) -> None:
    images = re.findall(r"<img [^>]*>", PAGES[page]())
    assert images
    assert all(re.search(r'alt="[^"]{10,}"', image) for image in images)


def test_the_page_of_agreement_holds_every_tube_and_every_doubt() -> None:
    text = render_agreement(agreement_page())
    assert all(f">{name}<" in text for name in ("T1", "T2", "T3", "T4"))
    assert "Look at this first" in text
    assert "not compared: &lt;img" in text


def test_a_verdict_is_shown_only_where_one_was_asked_for() -> None:
    assert "Verdict" not in render_agreement(agreement_page())
    judged = render_agreement(agreement_page(wanted=Wanted(ccc=0.999)))
    assert "Verdict" in judged
    assert "CCC too low" in judged


def test_one_tube_and_a_value_of_zero_make_a_page_with_dashes_not_an_error() -> None:
    text = render_agreement(agreement_page(tube("T1", 0.0, 0.0, None)))
    assert ">–<" in text
    svg = base64.b64decode(re.findall(r"data:image/svg\+xml;base64,([^\"]+)", text)[0])
    assert svg.startswith(b"<?xml")


def test_a_gate_that_one_run_lacks_is_said_to_be_absent() -> None:
    assert "New: no such gate." in render_comparison(comparison_page())


def test_a_run_that_moved_nothing_says_so() -> None:
    page = replace(comparison_page(), moved=(), summary=(), values=(), differences=())
    text = render_comparison(page)
    assert "No tube moved." in text
    assert "No row." in text
