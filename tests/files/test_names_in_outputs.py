"""Names in the keywords of raw files, looked for in outputs; the finding itself tells no name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cytotrial.files.names_in_outputs import Outputs, forbidden_values, names_found


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "cp.csv"


def findings(table: Path, text: str, values: dict[str, str], own_words: tuple[str, ...] = ()) -> list[str]:
    table.write_text(text, encoding="utf-8")
    sets = {keyword: {value} for keyword, value in values.items()}
    return list(names_found(sets, Outputs([table]), own_words=own_words))


def test_a_value_in_any_case_is_found_and_not_told(table: Path):
    found = findings(table, "S1,by DOE^JANE\n", {"PATIENT NAME": "Doe^Jane"})
    assert found == ["cp.csv holds the value of the FCS keyword PATIENT NAME"]


def test_the_surname_alone_is_found(table: Path):
    assert findings(table, "S1,Mrs quillfeather\n", {"PATIENT NAME": "Quillfeather, Ophelia"})


def test_what_the_studys_own_sheets_say_is_no_finding(table: Path):
    values = {"SAMPLE ID": "S001.W00"}
    assert findings(table, "S001.W00,13\n", values)
    assert findings(table, "S001.W00,13\n", values, own_words=("S001.W00",)) == []


def test_a_record_number_inside_a_measured_value_is_chance(table: Path):
    values = {"PATIENT ID": "5551234"}
    assert findings(table, "S1,0.1555123498\n", values) == []
    assert findings(table, "S1,5551234\n", values)


def test_a_keyword_that_no_list_knows_is_not_named_as_it_may_be_a_name_itself(table: Path):
    found = findings(table, "born in Zedelgem 1961\n", {"OPHELIA QUILLFEATHER": "born in Zedelgem 1961"})
    assert found == ["cp.csv holds the value of an FCS keyword outside the standard"]


def test_technical_keywords_and_single_words_are_no_names(tmp_path: Path):
    pairs = {
        "$CYT": "LSRFortessa X-50", "SETTINGS": "Cytometer", "CREATOR": "BD FACSDiva 8.0.1",
        "EXPORT TIME": "2024-01-08T09:50:00", "$OP": "Administrator", "PATIENT NAME": "Doe^Jane",
        "VENDOR NOTE": "born in Zedelgem",
    }  # fmt: skip
    text = "/" + "".join(f"{key}/{value}/" for key, value in pairs.items())
    header = f"FCS3.1    {58:>8}{57 + len(text):>8}{0:>8}{0:>8}{0:>8}{0:>8}"
    path = tmp_path / "a.fcs"
    path.write_bytes((header + text).encode())
    assert set(forbidden_values(path, root=tmp_path)) == {"$OP", "PATIENT NAME", "VENDOR NOTE"}


def test_a_file_that_is_none_has_no_values(tmp_path: Path):
    path = tmp_path / "a.fcs"
    path.write_bytes(b"not an FCS file")
    assert forbidden_values(path, root=tmp_path) == {}
    assert forbidden_values(tmp_path / "absent.fcs", root=tmp_path) == {}
