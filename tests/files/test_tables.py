"""Result tables: exact numbers, no formulas, no half files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cytotrial.errors import CytotrialError
from cytotrial.files.tables import concatenate, read_table, write_parquet, write_table


def test_numbers_read_back_exactly_and_absent_values_are_empty(tmp_path: Path):
    path = tmp_path / "t.csv"
    write_table(path, ["a", "b", "c"], [{"a": 0.1 + 0.2, "b": 3.0, "c": None}])
    (row,) = read_table(path)
    assert float(row["a"]) == 0.1 + 0.2
    assert (row["b"], row["c"]) == ("3", "")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "＝1"])
def test_text_that_a_spreadsheet_would_run_is_neutralised_and_numbers_are_not(tmp_path: Path, text: str):
    path = tmp_path / "t.csv"
    write_table(path, ["text", "number"], [{"text": text, "number": -1.5}])
    (row,) = read_table(path)
    assert row["text"] == f"'{text}"
    assert row["number"] == "-1.5"


def test_a_row_that_lacks_a_column_is_an_error_and_leaves_no_file(tmp_path: Path):
    with pytest.raises(KeyError):
        write_table(tmp_path / "t.csv", ["a", "b"], [{"a": 1}])
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_was_cut_is_refused_with_its_line(tmp_path: Path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n", encoding="utf-8")
    with pytest.raises(CytotrialError, match="line 3: 1 cells, the header has 2"):
        read_table(path)


def test_joined_tables_are_sorted_and_keep_their_rows(tmp_path: Path):
    write_table(tmp_path / "1.csv", ["id", "x"], [{"id": "b", "x": 1}, {"id": "b", "x": 2}])
    write_table(tmp_path / "2.csv", ["id", "x"], [{"id": "a", "x": 3}])
    concatenate(
        tmp_path / "all.csv", [tmp_path / "1.csv", tmp_path / "2.csv"], columns=["id", "x"], sort_by=["id"]
    )
    assert [(row["id"], row["x"]) for row in read_table(tmp_path / "all.csv")] == [
        ("a", "3"),
        ("b", "1"),
        ("b", "2"),
    ]


def test_parquet_and_csv_hold_the_same(tmp_path: Path):
    import pyarrow.parquet as pq  # noqa: PLC0415

    rows = [{"id": "a", "value": "12.5", "events": "7"}, {"id": "b", "value": "", "events": None}]
    write_parquet(tmp_path / "t.parquet", {"id": "text", "value": "number", "events": "integer"}, rows)
    assert pq.read_table(tmp_path / "t.parquet").to_pylist() == [
        {"id": "a", "value": 12.5, "events": 7},
        {"id": "b", "value": None, "events": None},
    ]


def test_parquet_is_the_same_bytes_each_time(tmp_path: Path):
    for name in ("1", "2"):
        write_parquet(tmp_path / name, {"id": "text"}, [{"id": "a"}])
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_quotes_and_commas_survive(tmp_path: Path):
    write_table(tmp_path / "t.csv", ["a"], [{"a": 'he said "no", twice'}])
    with (tmp_path / "t.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream))[1] == ['he said "no", twice']
