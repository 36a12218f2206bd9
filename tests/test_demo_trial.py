"""The whole pipeline on the whole demo trial, against the truth that the simulation wrote."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from statistics import median

import pytest
from click.testing import CliRunner

from cytotrial.cli import cli
from cytotrial.demo import write_demo
from cytotrial.files.database import read_database, rows_of_table
from cytotrial.files.tables import read_table
from tests.workflow.study import Study, install_workflow

VISITS = ("W00", "W06", "W12", "W24")


@pytest.fixture(scope="module")
def demo(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """The embedded demo trial, as `make demo` writes it, run to the end."""
    folder = tmp_path_factory.mktemp("demo")
    install_workflow(repository, folder)
    write_demo(folder / "resources" / "demo")
    study = Study(folder)
    study.run()
    yield study
    shutil.rmtree(folder / "resources")


def pairs(study: Study, parameter: str, visit: str) -> list[tuple[float, float]]:
    """Counted and true value of every subject that has one at the visit."""
    with study.path("resources/demo/truth/specimens.csv").open(encoding="utf-8") as stream:
        truth = {row["specimen"]: row for row in csv.DictReader(stream)}
    return [
        (float(row["value"]), float(truth[row["specimen"]][parameter]))
        for row in read_table(study.path("results/dataset/counts.csv"))
        if (row["parameter"], row["visit"]) == (parameter, visit) and row["value"]
    ]


@pytest.mark.parametrize("visit", VISITS)
@pytest.mark.parametrize(("parameter", "tolerance"), [("CD4ABS", 0.03), ("TREGABS", 0.10), ("TH17ABS", 0.10)])
def test_the_median_of_a_visit_is_the_true_one(demo: Study, parameter: str, tolerance: float, visit: str):
    values = pairs(demo, parameter, visit)
    assert len(values) >= 11
    counted, true = (median(column) for column in zip(*values, strict=True))
    assert counted == pytest.approx(true, rel=tolerance)


def test_treg_rise_and_the_ratio_falls_as_published(demo: Study):
    # Median Treg 12.98 → 22.1 cells/µL and Th17/Treg 0.44 → 0.29 from week 0 to week 24.
    def medians(parameter: str) -> tuple[float, float]:
        return tuple(median(value for value, _ in pairs(demo, parameter, visit)) for visit in ("W00", "W24"))

    assert medians("TREGABS") == (pytest.approx(12.98, rel=0.1), pytest.approx(22.1, rel=0.1))
    assert medians("TH17TREG") == (pytest.approx(0.44, rel=0.15), pytest.approx(0.29, rel=0.15))


def test_intervals_hold_the_truth_about_as_often_as_they_say_where_counting_decides(demo: Study):
    # CD4/µL: gating adds little to the counting error that the 95 % interval states.
    truth = {(row["specimen"]): row for row in read_table(demo.path("resources/demo/truth/specimens.csv"))}
    rows = [
        row
        for row in read_table(demo.path("results/dataset/counts.csv"))
        if row["parameter"] == "CD4ABS" and row["value"]
    ]
    held = [
        float(row["ci_low"]) <= float(truth[row["specimen"]]["CD4ABS"]) <= float(row["ci_high"])
        for row in rows
    ]
    assert sum(held) / len(held) >= 0.8


def test_every_subject_and_visit_has_a_row_for_every_parameter(demo: Study):
    rows = read_table(demo.path("results/dataset/counts.csv"))
    subjects = {row["subject"] for row in rows}
    keys = {(row["subject"], row["visit"], row["parameter"]) for row in rows}
    parameters = {row["parameter"] for row in rows}
    assert len(subjects) == 13
    assert {(s, v, p) for s in subjects for v in VISITS for p in parameters} <= keys
    missing = [row for row in rows if row["value"] == ""]
    assert missing
    assert all(row["flags"] and row["status"] in {"FAIL", "NOT_DONE"} for row in missing)


def test_prednisone_of_the_visit_stands_beside_the_counts(demo: Study):
    wide = read_table(demo.path("results/dataset/visit_wide.csv"))
    doses = {
        visit: [float(row["PREDNISONE"]) for row in wide if row["visit"] == visit and row["PREDNISONE"]]
        for visit in VISITS
    }
    assert median(doses["W00"]) == pytest.approx(17.2, rel=0.1)
    assert median(doses["W24"]) == pytest.approx(8.87, rel=0.1)


def test_parquet_and_csv_hold_the_same_dataset(demo: Study):
    import pandas as pd  # noqa: PLC0415

    from_csv = pd.read_csv(
        demo.path("results/dataset/counts.csv"), keep_default_na=False, na_values={"value": [""]}
    )
    from_parquet = pd.read_parquet(demo.path("results/dataset/counts.parquet"))
    assert list(from_csv.columns) == list(from_parquet.columns)
    pd.testing.assert_series_equal(from_csv["value"], from_parquet["value"])


def test_the_same_inputs_give_the_same_bytes(demo: Study, tmp_path: Path, repository: Path):
    first = {path.relative_to(demo.folder): content_of(path) for path in results_of(demo)}
    shutil.rmtree(demo.path("results"))
    demo.run()
    second = {path.relative_to(demo.folder): content_of(path) for path in results_of(demo)}
    assert [str(name) for name in first if first[name] != second.get(name)] == []
    assert first.keys() == second.keys()


def results_of(study: Study) -> list[Path]:
    """Every result but the manifest, which has a clock in it, and the seal of the database's own identity."""
    files = [path for path in study.path("results").rglob("*") if path.is_file()]
    apart = ("manifest.json", "trial.duckdb.sha256")
    return sorted(
        path for path in files if path.name[0] != "." and not any(name in path.name for name in apart)
    )


def content_of(path: Path) -> bytes:
    """The bytes of a file; of a DuckDB file, which has an identity of its own, all that a reader can see."""
    if path.suffix != ".duckdb":
        return path.read_bytes()
    tables, views = read_database(path)
    rows = {name: [row for part in rows_of_table(path, name) for row in part] for name in tables}
    return repr((tables, views, rows)).encode()


def test_the_trial_dataset_passes_every_check(demo: Study):
    checks = read_table(demo.path("results/dataset/checks.csv"))
    assert {row["check"]: row["status"] for row in checks} == {f"V{n:02}": "PASS" for n in range(1, 23)}


def test_the_summary_accounts_for_every_tube(demo: Study, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(demo.folder)
    said = CliRunner().invoke(cli, ["summary"]).output
    assert "380 tubes: 369 ok, 0 warned, 1 rejected, 10 not done" in said
    assert "results/report.html" in said


def test_the_report_is_one_page_without_any_address(demo: Study):
    page = demo.path("results/report.html").read_text(encoding="utf-8")
    assert "http://" not in page
    assert "https://" not in page
    assert "TUBE_REJECTED" in page


def test_check_says_which_rows_are_rejected_by_its_exit_code(demo: Study, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(demo.folder)
    done = CliRunner().invoke(cli, ["check"])
    assert done.exit_code == 2
    assert "TRUNCATED" in done.output
