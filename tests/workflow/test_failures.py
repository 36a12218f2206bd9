"""What is wrong is said; what is not wrong goes on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.workflow.study import Study


@pytest.fixture(scope="module")
def whole(study: Study) -> Study:
    study.run()
    return study


def rows_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=delimiter))


def refusal(study: Study) -> str:
    done = study.snakemake()
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_every_row_of_the_sheet_is_accounted_for(whole: Study):
    sheet = rows_of(whole.path("resources/demo/sheets/samples.tsv"), "\t")
    inventory = rows_of(whole.path("results/check/inventory.csv"))
    assert [row["sample_id"] for row in inventory] == sorted(row["sample_id"] for row in sheet)
    assert {row["status"] for row in inventory} >= {"ok", "reject", "not_done"}


def test_the_tube_whose_copy_broke_off_is_a_rejected_row_and_a_value_not_done(whole: Study):
    rejected = [
        row for row in rows_of(whole.path("results/check/inventory.csv")) if row["status"] == "reject"
    ]
    assert len(rejected) == 1
    (row,) = rejected
    values = [
        value
        for value in rows_of(whole.path("results/dataset/counts.csv"))
        if row["sample_id"] in value["sample_ids"] and value["parameter"] == "TREGABS"
    ]
    assert values
    assert {(value["value"], value["status"]) for value in values} == {("", "NOT_DONE")}
    assert all(f"TUBE_REJECTED:{row['code']}" in value["flags"] for value in values)


def test_a_missing_file_rejects_its_tube_and_leaves_no_old_result(whole: Study):
    row = next(
        row
        for row in rows_of(whole.path("results/check/inventory.csv"))
        if row["status"] == "ok"
        and row["panel"] == "treg"
        and row["role"] == "sample"
        and row["subject"] == "S001"
    )
    sheet = rows_of(whole.path("resources/demo/sheets/samples.tsv"), "\t")
    fcs = next(line["fcs"] for line in sheet if line["sample_id"] == row["sample_id"])
    path = whole.path("resources/demo/fcs", fcs)
    content = path.read_bytes()
    path.unlink()
    try:
        whole.run()
        after = {line["sample_id"]: line for line in rows_of(whole.path("results/check/inventory.csv"))}
        assert after[row["sample_id"]]["status"] == "reject"
        gone = [
            line
            for line in rows_of(whole.path("results/populations.csv"))
            if line["sample_id"] == row["sample_id"]
        ]
        assert gone
        assert {line["events"] for line in gone} == {""}
        others = [
            line
            for line in rows_of(whole.path("results/dataset/counts.csv"))
            if line["subject"] == "S002" and line["parameter"] == "TREGABS" and line["value"]
        ]
        assert others
    finally:
        path.write_bytes(content)


def test_a_file_that_is_not_fcs_rejects_its_tube_only(whole: Study):
    sheet = rows_of(whole.path("resources/demo/sheets/samples.tsv"), "\t")
    line = next(row for row in sheet if row["panel"] == "count" and row["role"] == "sample" and row["fcs"])
    path = whole.path("resources/demo/fcs", line["fcs"])
    content = path.read_bytes()
    path.write_bytes(b"<html>log in to download</html>")
    try:
        whole.run()
        after = {row["sample_id"]: row for row in rows_of(whole.path("results/check/inventory.csv"))}
        assert after[line["sample_id"]]["status"] == "reject"
        assert "log in" not in after[line["sample_id"]]["message"]
    finally:
        path.write_bytes(content)


def test_an_unknown_key_is_refused_with_the_nearest_known_one(whole: Study):
    whole.edit("config/config.yaml", "quality:\n", "qualty:\n")
    try:
        message = refusal(whole)
        assert "qualty: unknown key; did you mean 'quality'?" in message
        assert "config/config.yaml, 1 problem; nothing was run" in message
    finally:
        whole.edit("config/config.yaml", "qualty:\n", "quality:\n")


def test_all_problems_of_a_sheet_are_told_at_once_with_their_lines(whole: Study):
    path = whole.path("resources/demo/sheets/samples.tsv")
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    first = lines[1].split("\t")
    panel = lines[0].split("\t").index("panel")
    second = lines[2].split("\t")
    first[panel], second[panel] = "tregg", "th71"
    path.write_text(
        "\n".join([lines[0], "\t".join(first), "\t".join(second), *lines[3:]]) + "\n", encoding="utf-8"
    )
    try:
        message = refusal(whole)
        assert "line 2" in message
        assert "line 3" in message
        assert "tregg" in message
        assert "treg" in message
    finally:
        path.write_text(text, encoding="utf-8")


def test_settings_on_the_command_line_are_refused(whole: Study):
    done = whole.snakemake("--config", "study=OTHER")
    assert done.returncode == 1
    assert "--configfile" in done.stdout + done.stderr


def test_the_workflow_passes_snakemakes_own_lint(whole: Study):
    done = whole.snakemake("--lint")
    assert done.returncode == 0, done.stdout + done.stderr
