"""One database file for questions: what is in it, and that it is the same for the same tables."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cytotrial.errors import DatasetError
from cytotrial.files.database import read_database, rows_of_table
from cytotrial.files.tables import as_written, read_table
from tests.steps.conftest import DatasetFolder

TABLES = {
    "adcp", "adsl", "candidates", "checks", "clinical", "counts", "gates", "inventory", "populations",
    "subjects", "visit_wide", "visits",
}  # fmt: skip
VIEWS = {"change_from_baseline", "flagged_tubes", "latest_visit"}


def ask(trial: DatasetFolder, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(trial.path("results/dataset/trial.duckdb")), read_only=True) as connection:
        return connection.execute(query).fetchall()


def content_of(path: Path) -> dict[str, Any]:
    """Everything a reader can see of a database: tables, kinds, rows in order, views."""
    tables, views = read_database(path)
    rows = {name: [row for part in rows_of_table(path, name) for row in part] for name in tables}
    return {"tables": tables, "views": views, "rows": rows}


def test_it_holds_the_tidy_tables_the_analysis_datasets_and_the_views(trial: DatasetFolder):
    tables, views = read_database(trial.path("results/dataset/trial.duckdb"))
    assert (set(tables), set(views)) == (TABLES, VIEWS)
    assert tables["counts"]["value"] == "number"
    assert tables["adcp"]["adt"] == "date"
    assert tables["visits"]["baseline"] == "boolean"


@pytest.mark.parametrize("name", ["counts", "candidates", "visit_wide", "populations", "gates", "inventory"])
def test_a_table_holds_what_its_file_holds(trial: DatasetFolder, name: str):
    folder = {"populations": "", "gates": "", "inventory": "check/"}.get(name, "dataset/")
    rows = read_table(trial.path(f"results/{folder}{name}.csv"))
    stored = ask(trial, f"SELECT * FROM {name} ORDER BY rowid")
    assert len(stored) == len(rows)
    for row, cells in zip(rows, stored, strict=True):
        for text, cell in zip(row.values(), cells, strict=True):
            known = as_written(text) if isinstance(cell, str) else float(text) if text else None
            assert cell == known, (name, text, cell)


def test_the_analysis_dataset_is_that_of_the_transport_file(trial: DatasetFolder):
    rows = trial.rows("ADCP")
    stored = ask(trial, "SELECT * FROM adcp ORDER BY rowid")
    assert [tuple(None if cell == "" else cell for cell in row.values()) for row in rows] == stored


def test_the_change_from_baseline_is_one_query(trial: DatasetFolder):
    expected = sorted(
        (row["USUBJID"], row["PARAMCD"], row["AVISIT"], row["AVAL"] - row["BASE"])
        for row in trial.rows("ADCP")
        if row["ANL01FL"] == "Y" and row["CHG"] is not None
    )
    assert expected
    assert sorted(ask(trial, "SELECT usubjid, paramcd, avisit, chg FROM change_from_baseline")) == expected


def test_the_latest_visit_of_a_subject_is_its_last_with_an_answer(trial: DatasetFolder):
    latest: dict[tuple[str, str], float] = {}
    for row in trial.rows("ADCP"):
        if row["ANL01FL"] == "Y":
            key = (row["USUBJID"], row["PARAMCD"])
            latest[key] = max(latest.get(key, 0.0), row["AVISITN"])
    stored = ask(trial, "SELECT usubjid, paramcd, avisitn FROM latest_visit")
    assert {(subject, parameter): number for subject, parameter, number in stored} == latest


def test_every_tube_that_is_not_simply_ok_is_flagged(trial: DatasetFolder):
    inventory = read_table(trial.path("results/check/inventory.csv"))
    expected = [(row["sample_id"], row["status"]) for row in inventory if row["status"] != "ok"]
    assert {status for _, status in expected} >= {"reject", "not_done"}
    assert ask(trial, "SELECT sample_id, status FROM flagged_tubes") == expected


def test_the_same_tables_give_the_same_content_though_not_the_same_bytes(trial: DatasetFolder):
    path = trial.path("results/dataset/trial.duckdb")
    before, first = content_of(path), hashlib.sha256(path.read_bytes()).hexdigest()
    assert trial.command("database").exit_code == 0
    assert content_of(path) == before
    # If this fails, DuckDB writes reproducible files: let the file into the promise of equal bytes then.
    assert hashlib.sha256(path.read_bytes()).hexdigest() != first


def test_a_file_that_is_no_database_is_refused_in_words(tmp_path: Path):
    path = tmp_path / "trial.duckdb"
    with pytest.raises(DatasetError, match="is not there"):
        read_database(path)
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(DatasetError, match="is no database"):
        read_database(path)
