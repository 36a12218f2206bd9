"""What jobs hand on to jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from cytotrial.errors import CytotrialError
from cytotrial.files.entries import read_entries, write_entries

FORM = "cytotrial.test/1"


def test_entries_come_back_and_the_order_in_which_they_were_made_leaves_no_trace(tmp_path: Path):
    write_entries(tmp_path / "a.json", FORM, {"B": [1, 0.5], "A": {"y": "µ", "x": None}})
    write_entries(tmp_path / "b.json", FORM, {"A": {"x": None, "y": "µ"}, "B": [1, 0.5]})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_entries(tmp_path / "a.json", FORM, lambda entry: entry)["A"] == {"x": None, "y": "µ"}


def test_no_entry_is_a_file_too(tmp_path: Path):
    write_entries(tmp_path / "a.json", FORM, {})
    assert read_entries(tmp_path / "a.json", FORM, dict) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"form": "cytotrial.other/1", "entries": {}}'])
def test_a_file_of_another_form_is_refused_with_what_to_do(tmp_path: Path, text: str):
    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(CytotrialError, match="run snakemake again"):
        read_entries(tmp_path / "a.json", FORM, dict)
