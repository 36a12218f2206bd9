"""Whole studies from files to values under the methods that need no beads, by the steps themselves."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cytotrial.demo import write_demo
from cytotrial.files.tables import read_table
from cytotrial.steps.check import check_tube
from cytotrial.steps.count import count_specimens
from cytotrial.steps.plan import make_plan
from cytotrial.steps.score import score_gating
from tests.steps.running import run_to_the_joined_tables

TUBES = (
    ("INF041-09", "01"), ("INF041-09", "02"), ("INF105-09", "01"), ("INF105-09", "02"),
    ("INF187-04", "01"), ("INF187-04", "02"), ("ND050-01", ""),
)  # fmt: skip
"""Sample and duplicate of the deposited counting tubes."""

CONFIG = """
study: AURORA
fcs_dir: raw
sheets: {samples: samples.tsv, subjects: subjects.tsv, visits: visits.tsv}
panels:
  count:
    markers: {CD45: [YG1-A]}
    compensation: none
    gating: count.yaml
    material: pbmc
counts: {method: volumetric}
parameters:
  LYMABS: {kind: absolute, panel: count, population: CD45+}
"""
GATING = """
version: 1.0.0
scales: {linear: [CD45]}
populations:
  - {name: CD45+, channels: [CD45], gate: {low: 50000}}
"""


def count_study(config: Path) -> dict[str, dict[str, str]]:
    """Specimen → its row of the first parameter; every step before counting is run."""
    plan = make_plan(config)
    run_to_the_joined_tables(plan, config)
    score_gating(plan)
    count_specimens(plan)
    return {f"{row['specimen']}/{row['parameter']}": row for row in read_table(plan.layout.specimens)}


@pytest.fixture(scope="module")
def aurora(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The seven counting tubes of a spectral cytometer that writes $VOL in microlitres, counted."""
    data = shared / "data" / "volumetric_counts_aurora5L"
    if not data.is_dir():
        pytest.skip("the counting tubes are not on this machine")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("aurora"))
        shutil.copytree(data, "raw", ignore=shutil.ignore_patterns("*.xml", "*.csv", "*.md"))
        samples = "sample_id\tfcs\tpanel\trole\tsubject\tvisit\tcollected\tbatch\tdilution\n"
        for sample, tube in TUBES:
            name = f"{sample}_{tube}" if tube else sample
            file = f"CellCounts5L_AB_01-{name}.fcs"
            samples += (
                "\t".join((name, file, "count", "sample", sample, "V1", "2025-07-01", "B1", "1")) + "\n"
            )
        Path("samples.tsv").write_text(samples, encoding="utf-8")
        subjects = dict.fromkeys(sample for sample, _ in TUBES)
        Path("subjects.tsv").write_text("subject\n" + "\n".join(subjects) + "\n", encoding="utf-8")
        visit = "visit\tvisit_num\ttarget_day\tfirst_day\tlast_day\tbaseline\nV1\t1\t1\t\t\tY\n"
        Path("visits.tsv").write_text(visit, encoding="utf-8")
        Path("config.yaml").write_text(CONFIG, encoding="utf-8")
        Path("count.yaml").write_text(GATING, encoding="utf-8")
        return count_study(Path("config.yaml"))


def test_real_counting_tubes_are_counted_in_their_volume_and_their_unit_is_told(
    aurora: dict[str, dict[str, str]],
):
    # ND050-01: 2,345 CD45-bright events in 30.59 µL (written as 30.59; FCS 3.1 asks for nL) are 77 per µL.
    # Read as nanolitres it would be 77,000.
    row = aurora["ND050-01.V1/LYMABS"]
    assert float(row["volume_nl"]) == 30_590.0
    assert float(row["value"]) == pytest.approx(int(row["events"]) / 30.59, rel=1e-12)
    assert 60 < float(row["value"]) < 90
    flags = row["flags"].split(";")
    assert "TUBE_WARN:VOLUME_IN_MICROLITRES" in flags
    assert "PBMC" in flags
    assert row["status"] == "WARN"


def test_of_real_duplicates_the_one_acquired_last_answers_and_the_other_is_named(
    aurora: dict[str, dict[str, str]],
):
    assert len(aurora) == 4
    duplicated = [row for row in aurora.values() if row["subject"] != "ND050-01"]
    for row in duplicated:
        assert row["sample_ids"] == f"{row['subject']}_02"
        assert {"REPEAT_TUBES:2", f"NOT_USED:{row['subject']}_01"} <= set(row["flags"].split(";"))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    folder = tmp_path_factory.mktemp("dual")
    write_demo(folder / "resources" / "demo", subjects=2, events=6000, seed=11)
    shutil.copytree(repository / "config", folder / "config")
    return folder


def test_on_two_platforms_a_simulated_trial_comes_out_as_its_blood_counts_say(
    simulated: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(simulated)
    text = Path("config/config.yaml").read_text(encoding="utf-8")
    Path("config/dual.yaml").write_text(
        text.replace("method: beads", "method: dual_platform").replace("results: results", "results: dual"),
        encoding="utf-8",
    )
    rows = count_study(Path("config/dual.yaml"))
    analyser = {row["specimen"]: row for row in rows_of_sheet("cbc")}
    truth = {row["specimen"]: row for row in read_table(Path("resources/demo/truth/specimens.csv"))}
    compared = 0
    for specimen, true in truth.items():
        lymphocytes, cd4 = rows[f"{specimen}/LYMABS"], rows[f"{specimen}/CD4ABS"]
        if not lymphocytes["value"] or "FEW_PARENTS" in cd4["flags"]:  # tubes of under 400 events
            continue
        assert lymphocytes["method"] == "DUAL"
        assert float(lymphocytes["value"]) == pytest.approx(
            1000 * float(analyser[specimen]["lymphocytes_10e9_per_l"]), rel=1e-12
        )
        # The analyser errs by 3 % (CV), counting of 1,000 CD4+ cells by 2 to 3 %, gating by a few per cent.
        assert float(cd4["value"]) == pytest.approx(float(true["CD4ABS"]), rel=0.2)
        compared += 1
    assert compared >= 15


def rows_of_sheet(name: str) -> list[dict[str, str]]:
    lines = Path(f"resources/demo/sheets/{name}.tsv").read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    return [dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:]]


def recomputed(row: dict[str, str], others: dict[str, dict[str, str]]) -> float:
    """The value of a row of specimens.csv from its own columns; a ratio from the rows of its draw."""
    n = {name: float(cell) for name, cell in row.items() if name in NUMBERS and cell}
    if row["method"] == "RATIO":
        above, below = (others[f"{row['specimen']}/{code}"] for code in ("TH17ABS", "TREGABS"))
        return float(above["value"]) / float(below["value"])
    if row["method"] == "BEAD":
        return n["events"] / n["bead_events"] * n["beads_per_tube"] / n["blood_ul"]
    share = n["events"] / n["parent_events"]
    if "BACKGROUND" in row["method"]:
        share = max(0.0, share - n["background_events"] / n["background_parent_events"])
    return share * (n["parent_value"] if row["method"].startswith("XTUBE") else 100)


NUMBERS = {
    "events", "parent_events", "bead_events", "beads_per_tube", "blood_ul", "background_events",
    "background_parent_events", "parent_value",
}  # fmt: skip


def test_every_value_can_be_worked_out_again_from_its_own_row(
    simulated: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(simulated)
    rows = count_study(Path("config/config.yaml"))
    known = [row for row in rows.values() if row["value"]]
    assert {row["parameter"] for row in known} == {
        "LYMABS", "CD4ABS", "TREGPCD4", "TH17PCD4", "TREGABS", "TH17ABS", "TH17TREG",
    }  # fmt: skip
    for row in known:
        assert recomputed(row, rows) == pytest.approx(float(row["value"]), rel=1e-9)
        assert float(row["ci_low"]) <= float(row["value"]) <= float(row["ci_high"])
        assert (row["lod_events"], row["lloq_events"]) == ("20", "50")


def test_what_a_cytometer_says_of_volume_time_and_lost_events_is_in_the_inventory(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # The Attune file tells $VOL 46000, $BTIM 09:50:15, $ETIM 09:50:30 and $LOST 0; it has no $ABRT.
    monkeypatch.chdir(tmp_path)
    Path("raw").mkdir()
    shutil.copy(shared / "data" / "odd_formats" / "attune_nxt_vol46000_utf8_names.fcs", "raw/a.fcs")
    sheet = "sample_id\tfcs\tpanel\trole\tsubject\tvisit\tcollected\tbatch\n"
    row = "A\ta.fcs\tcount\tsample\tS1\tV1\t2024-01-01\tB1\n"
    Path("samples.tsv").write_text(sheet + row, encoding="utf-8")
    Path("subjects.tsv").write_text("subject\nS1\n", encoding="utf-8")
    visit = "visit\tvisit_num\ttarget_day\tfirst_day\tlast_day\tbaseline\nV1\t1\t1\t\t\tY\n"
    Path("visits.tsv").write_text(visit, encoding="utf-8")
    Path("config.yaml").write_text(CONFIG, encoding="utf-8")
    Path("count.yaml").write_text(GATING, encoding="utf-8")
    plan = make_plan(Path("config.yaml"))
    found = check_tube(plan, plan.trial.tubes[0])
    assert (found["volume_nl"], found["seconds"], found["events_lost"]) == (46_000.0, 15.0, 0)
