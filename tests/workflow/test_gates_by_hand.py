"""A gate placed by hand in a real run: what runs again, what is marked, and what the report shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cytotrial.files.overrides import Override, write_overrides
from cytotrial.files.tables import read_table
from cytotrial.steps.plan import make_plan
from cytotrial.steps.trace import trace
from tests.steps.test_overriding import higher, override
from tests.workflow.few import install_few
from tests.workflow.study import Study

FILE = "config/overrides.tsv"
AFTER_GATING = [
    *("adam", "check-dataset", "collect", "count", "database", "dataset", "define"),
    *("report", "review", "score", "sdtm"),
]


@pytest.fixture(scope="module")
def overridden(
    tiny_demo: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Study, Override, list[str], dict[str, str]]:
    """A study that was run, and run again with the CD4+ gate of one tube moved.

    The study, the override, the jobs of the second run, and the tube's CD4+ row before it.
    """
    study = install_few(tiny_demo, repository, tmp_path_factory.mktemp("by_hand"))
    study.run()
    before = {
        (row["sample_id"], row["population"]): row
        for row in read_table(study.path("results/populations.csv"))
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(study.folder)
        plan = make_plan(Path("config/config.yaml"))
        samples = {tube.sample_id for tube in plan.trial.tubes if tube.visit == "W00"}
        gates = [row for row in read_table(plan.layout.gates) if row["sample_id"] in samples]
        row = override(plan, gates, "CD4+", new_gate=higher(gates, "CD4+", 0.05), panel="count")
        write_overrides(Path(FILE), [row])
    return study, row, study.run(), before[row.sample_id, "CD4+"]


Overridden = tuple[Study, Override, list[str], dict[str, str]]


def test_only_the_tubes_own_gating_job_and_what_follows_runs_again(overridden: Overridden):
    study, row, jobs, _ = overridden
    sheet = study.path("resources/demo/sheets/samples.tsv").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in sheet if row.sample_id in line.split("\t")]
    subject = next(cell for cell in line.split("\t") if re.fullmatch(r"S[0-9]{3}", cell))
    assert jobs == sorted([f"gate count subject.{subject}", *AFTER_GATING])


def test_the_value_is_marked_down_to_the_wide_table(overridden: Overridden):
    study, row, _, _ = overridden
    counts = read_table(study.path("results/dataset/counts.csv"))
    touched = [entry for entry in counts if "OVERRIDE:CD4+" in entry["flags"].split(";")]
    assert {entry["parameter"] for entry in touched} >= {"CD4ABS"}
    assert {entry["sample_ids"] for entry in touched} == {row.sample_id}
    wide = read_table(study.path("results/dataset/visit_wide.csv"))
    marked = {(entry["subject"], entry["visit"]): entry["by_hand"] for entry in wide if entry["by_hand"]}
    (entry,) = [entry for entry in touched if entry["parameter"] == "CD4ABS"]
    assert list(marked) == [(entry["subject"], entry["visit"])]
    assert "CD4ABS" in marked[entry["subject"], entry["visit"]].split(";")


def test_the_listing_has_the_gate_and_the_value_before_and_after(overridden: Overridden):
    study, row, _, before = overridden
    listed = {entry["measure"]: entry for entry in read_table(study.path("results/tables/l2_overrides.csv"))}
    gate, value = listed["percent_of_parent"], listed["CD4ABS"]
    assert (gate["override_id"], gate["made_by"], gate["utc"]) == ("R1", "Ada", row.utc)
    assert gate["before"] == before["percent_of_parent"]
    populations = read_table(study.path("results/populations.csv"))
    (after,) = [p for p in populations if (p["sample_id"], p["population"]) == (row.sample_id, "CD4+")]
    assert gate["after"] == after["percent_of_parent"]
    counts = read_table(study.path("results/dataset/counts.csv"))
    (counted,) = [
        entry for entry in counts if (entry["sample_ids"], entry["parameter"]) == (row.sample_id, "CD4ABS")
    ]
    assert value["after"] == counted["value"]
    assert float(value["before"]) > float(value["after"])


def test_the_report_tells_who_when_why_and_every_listing_has_its_table(overridden: Overridden):
    study, row, _, _ = overridden
    page = study.path("results/report.html").read_text(encoding="utf-8")
    assert f"R1 · move CD4+ · tube {row.sample_id}" in page
    assert f"made by Ada, {row.utc}; not reviewed by another · TOO_LOW: cuts the negatives" in page
    names = {path.name for path in study.path("results/tables").glob("l*.csv")}
    assert names == {
        "l1_tubes.csv", "l1_values.csv", "l1_populations.csv", "l2_overrides.csv", "l3_visit_mapping.csv",
        "l4_values_by_visit.csv",
    }  # fmt: skip


def test_the_trace_of_the_value_tells_who_moved_the_gate_when_and_why(
    overridden: Overridden, monkeypatch: pytest.MonkeyPatch
):
    study, row, _, before = overridden
    counts = read_table(study.path("results/dataset/counts.csv"))
    (value,) = [
        entry for entry in counts if (entry["sample_ids"], entry["parameter"]) == (row.sample_id, "CD4ABS")
    ]
    monkeypatch.chdir(study.folder)
    told = trace(Path("config/config.yaml"), value["subject"], value["visit"], "CD4ABS")
    (line,) = [line for line in told.splitlines() if line.startswith("  by hand")]
    assert f"R1, move CD4+ by Ada, {row.utc}, not reviewed; TOO_LOW: cuts the negatives" in line
    assert f"before {float(before['percent_of_parent']):.4g} %" in line
