"""Levey–Jennings charts of the quality-control donor."""

from __future__ import annotations

import base64

import pandas as pd

from cytotrial.report.drawing import house_style
from cytotrial.report.levey_jennings import draw_charts
from cytotrial.science.tracking import judge_batches


def donor(values: list[float], *, measures: tuple[str, ...] = ("percent",)) -> pd.DataFrame:
    """Rows of qc_donor.csv as they are read: all text."""
    rows = [
        {
            "panel": "treg", "population": "Treg", "measure": measure, "batch": f"B{place}", "acquired": "",
            "tubes": 1, "value": judged.value, "low3": judged.low3, "low2": judged.low2,
            "high2": judged.high2, "high3": judged.high3, "rule": judged.rule,
        }
        for measure in measures
        for place, judged in enumerate(judge_batches(values, establishing=5))
    ]  # fmt: skip
    return pd.DataFrame(rows).fillna("").astype(str)


def drawn(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    with house_style():
        return list(draw_charts(rows))


def test_a_figure_holds_all_measures_of_a_population_and_says_which_batch_is_out():
    rows = donor([5.0, 5.1, 4.9, 5.0, 5.1, 4.9, 7.0], measures=("percent", "position FOXP3+"))
    ((name, uri, words),) = drawn(rows)
    assert name == "treg · Treg"
    assert words == "Out of control: B6 (percent, 1-3s), B6 (position FOXP3+, 1-3s)."
    assert base64.b64decode(uri.split(",")[1]).startswith(b"<?xml")


def test_a_steady_donor_is_said_to_be_in_control():
    assert drawn(donor([5.0, 5.1, 4.9, 5.0, 5.1, 4.9]))[0][2] == "No batch is out of control."


def test_two_batches_are_drawn_without_limits():
    assert drawn(donor([5.0, 5.1]))[0][2] == "No batch is out of control."


def test_the_same_rows_give_the_same_figure():
    rows = donor([5.0, 5.1, 4.9, 5.0, 5.1, 4.9])
    assert drawn(rows) == drawn(rows)
