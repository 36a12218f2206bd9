"""The matrix of a batch: judged, handed back, borrowed from another batch, and compared with the others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cytotrial.demo import write_demo
from cytotrial.errors import ConfigError
from cytotrial.files.spillover import read_spillover
from cytotrial.files.tables import read_table
from cytotrial.files.yaml_strict import read_yaml
from cytotrial.steps.check import check_tube, check_unit
from cytotrial.steps.compensate import compensate_batch
from cytotrial.steps.gate import Bench, gate_unit
from cytotrial.steps.judge_matrices import judge_matrices
from cytotrial.steps.matrix_pictures import read_matrix_pictures
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.steps.strategies import compile_gating
from cytotrial.terms import Role
from tests.steps.running import begin_anew, leave_the_batch_alone

CONFIG = Path("config/config.yaml")
SHEET = Path("resources/demo/sheets/samples.tsv")


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compensate")
    write_demo(folder / "resources" / "demo", subjects=1, events=12_000, seed=5)
    return folder


@pytest.fixture
def here(trial: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The trial's folder, with the embedded configuration; what a test changes of the sheet is undone."""
    monkeypatch.chdir(trial)
    begin_anew(trial, repository)
    sheet = SHEET.read_text(encoding="utf-8")
    yield trial
    SHEET.write_text(sheet, encoding="utf-8")


def configure(old: str, new: str) -> None:
    text = CONFIG.read_text(encoding="utf-8")
    assert old in text
    CONFIG.write_text(text.replace(old, new), encoding="utf-8")


TREG = "    compensation: controls\n    gating: config/gating/treg.yaml"


def treg(settings: str) -> None:
    """Other settings of the Treg panel's compensation."""
    configure(TREG, f"{settings}    gating: config/gating/treg.yaml")


def batches(plan: Plan) -> list[str]:
    return sorted({tube.batch for tube in plan.tubes_to_gate("treg", "subject.S001")})


def made(*chosen: str, panel: str = "treg") -> Plan:
    """Check every tube of the panel's batches and make their matrices."""
    plan = make_plan(CONFIG)
    names = chosen or batches(plan)
    for unit in plan.units:
        check_unit(plan, unit)
    for batch in names:
        compensate_batch(plan, panel=panel, batch=batch)
    return plan


def without_controls_of(batch: str) -> None:
    lines = SHEET.read_text(encoding="utf-8").splitlines(keepends=True)
    header = lines[0].rstrip("\n").split("\t")
    kept = [
        line
        for line in lines
        if not (
            (cells := dict(zip(header, line.rstrip("\n").split("\t"), strict=False)))["batch"] == batch
            and cells["panel"] == "treg"
            and cells["role"] == "single_stain"
        )
    ]
    assert len(kept) < len(lines)
    SHEET.write_text("".join(kept), encoding="utf-8")


def figures(plan: Plan, batch: str) -> list[dict[str, str]]:
    return read_table(plan.layout.matrix_quality("treg", batch))


# --- figures ---


def test_every_channel_pair_has_its_figures_and_the_difference_to_the_embedded_matrix(here: Path) -> None:
    plan = made("B01")
    rows = [row for row in figures(plan, "B01") if row["detector"]]
    assert len(rows) == 6 * 5
    for row in rows:
        assert all(row[name] for name in ("residual_slope", "standard_error", "spreading", "widening"))
        assert float(row["condition_number"]) > 1
        assert float(row["difference"]) == pytest.approx(float(row["spillover"]) - float(row["reference"]))


def test_an_embedded_matrix_is_judged_on_the_single_stains_there_are(here: Path) -> None:
    treg("    compensation: embedded\n")
    plan = made("B01")
    rows = [row for row in figures(plan, "B01") if row["detector"]]
    # The reference is now what the single stains say.
    assert all(row["residual_slope"] and row["reference"] for row in rows)


def test_thresholds_are_settings(here: Path) -> None:
    configure("quality:\n", "spillover: {max_widening: 1.5, min_positive_events: 100000}\nquality:\n")
    plan = made("B01")
    (row,) = figures(plan, "B01")
    assert row["flags"] == "REFUSED"
    assert "at least 100000 are needed" in row["message"]
    configure("min_positive_events: 100000", "min_positive_events: 300")
    rows = figures(made("B01"), "B01")
    assert any("widening" in row["flags"].split(";") for row in rows)


def test_the_worst_pairs_are_pictured_before_and_after_with_every_event_in_both(here: Path) -> None:
    plan = made("B01")
    pictures = read_matrix_pictures([plan.layout.matrix_pictures("treg", "B01")])
    assert len(pictures) == plan.trial.settings.spillover.pictured_pairs
    assert [one["severity"] for one in pictures] == sorted(
        (one["severity"] for one in pictures), reverse=True
    )
    for one in pictures:
        assert one["before"].sum() == one["after"].sum() > 1000
        # After compensation the middle of the stained events is level with that of the unstained ones.
        (_, dim), (_, bright) = one["middles_after"]
        assert abs(bright - dim) < 0.5
    assert json.loads(plan.layout.matrix_pictures("treg", "B01").read_text(encoding="utf-8"))


# --- handed back ---


def test_one_batch_can_have_its_matrix_from_a_file_and_the_others_from_controls(here: Path) -> None:
    plan = made("B01", "B02")
    edited = plan.layout.matrix("treg", "B01").read_text(encoding="utf-8").splitlines()
    values = edited[-1].split(",")
    values[1] = "0.04321"
    Path("mine.csv").write_text("\n".join([*edited[:-1], ",".join(values)]) + "\n", encoding="utf-8")
    before = plan.layout.matrix("treg", "B02").read_bytes()
    treg("    compensation: controls\n    matrix_files: {B01: mine.csv}\n")
    plan = made("B01", "B02")
    matrix = read_spillover(plan.layout.matrix("treg", "B01"))
    assert 0.04321 in matrix.values
    assert matrix.flags == ()
    assert "# origin file" in plan.layout.matrix("treg", "B01").read_text(encoding="utf-8")
    assert plan.layout.matrix("treg", "B02").read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("    matrix_files: {B01: nowhere.csv}\n", r"matrix_files\.B01: 'nowhere\.csv' does not exist"),
        (
            "    matrix_files: {B0l: config/config.yaml}\n",
            r"no tube of batch 'B0l'; did you mean .B0\d",
        ),
        ("    compensation_fallback: nearest\n", "compensation_fallback: Input should be 'none' or"),
    ],
)
def test_a_matrix_file_that_is_not_there_or_of_no_batch_is_refused(
    here: Path, settings: str, words: str
) -> None:
    treg(f"    compensation: controls\n{settings}")
    with pytest.raises(ConfigError, match=words):
        make_plan(CONFIG)


def test_a_fallback_without_anything_to_fall_back_from_is_refused(here: Path) -> None:
    treg("    compensation: none\n    compensation_fallback: nearest_batch\n")
    with pytest.raises(ConfigError, match="compensation_fallback"):
        make_plan(CONFIG)


# --- borrowed ---


def test_without_a_fallback_a_batch_without_controls_is_refused(here: Path) -> None:
    without_controls_of("B01")
    plan = made("B01")
    (row,) = figures(plan, "B01")
    assert (row["flags"], row["detector"]) == ("REFUSED", "")
    assert plan.layout.matrix("treg", "B01").read_text(encoding="utf-8").startswith("refused\n")


def test_a_batch_without_controls_gets_the_matrix_of_the_batch_drawn_nearest_in_time(here: Path) -> None:
    without_controls_of("B01")
    treg("    compensation: controls\n    compensation_fallback: nearest_batch\n")
    plan = made()
    # Week 6 (B02) follows week 0 (B01).
    assert plan.nearest_batches("treg", "B01")[0] == "B02"
    borrowed, lender = (read_spillover(plan.layout.matrix("treg", batch)) for batch in ("B01", "B02"))
    assert np.array_equal(borrowed.values, lender.values)
    assert (borrowed.flags, lender.flags) == (("FALLBACK_MATRIX:B02",), ())
    text = plan.layout.matrix("treg", "B01").read_text(encoding="utf-8")
    assert "# flag FALLBACK_MATRIX:B02" in text
    assert "# origin controls of batch B02" in text
    told = [row for row in figures(plan, "B01") if row["flags"] == "FALLBACK_MATRIX:B02"]
    assert len(told) == 1
    assert "no usable single stain for CD3" in told[0]["message"]


def test_every_value_made_with_a_borrowed_matrix_is_flagged_and_no_other(here: Path) -> None:
    without_controls_of("B01")
    leave_the_batch_alone(CONFIG)
    treg("    compensation: controls\n    compensation_fallback: nearest_batch\n")
    plan = made()
    compile_gating(CONFIG, panel="treg")
    gate_unit(plan, panel="treg", unit="subject.S001")
    rows = read_table(plan.layout.unit_populations("treg", "subject.S001"))
    counted = [row for row in rows if row["events"]]
    assert {row["batch"] for row in counted} > {"B01"}
    for row in counted:
        assert ("FALLBACK_MATRIX:B02" in row["flags"].split(";")) == (row["batch"] == "B01")
        assert row["batch"] != "B01" or row["status"] == "WARN"


def without_embedded_matrix(plan: Plan, batch: str, n_tubes: int | None = None) -> list[Path]:
    """Rename the keyword in a batch's tubes, byte for byte; returns the files."""
    files = [plan.path_of(tube) for tube in plan.samples_of("treg", batch) if tube.status == "DONE"][:n_tubes]
    for path in files:
        content = path.read_bytes()
        assert content.count(b"$SPILLOVER") == 1
        path.write_bytes(content.replace(b"$SPILLOVER", b"OLDSPILLOV"))
    return files


def with_embedded_matrix(files: list[Path]) -> None:
    for path in files:
        path.write_bytes(path.read_bytes().replace(b"OLDSPILLOV", b"$SPILLOVER"))


def test_a_file_without_an_embedded_matrix_is_rejected_unless_a_fallback_is_configured(here: Path) -> None:
    treg("    compensation: embedded\n")
    plan = make_plan(CONFIG)
    files = without_embedded_matrix(plan, "B01", 1)
    try:
        (tube,) = [tube for tube in plan.samples_of("treg", "B01") if plan.path_of(tube) == files[0]]
        assert check_tube(plan, tube)["status"] == "reject"
        configure(
            "    compensation: embedded\n",
            "    compensation: embedded\n    compensation_fallback: nearest_batch\n",
        )
        plan = made("B01")
        row = check_tube(plan, tube)
        assert (row["status"], row["code"]) == ("warn", "NO_SPILLOVER")
        matrix = Bench(plan, "treg")._matrix(tube, None)
        assert matrix is not None
        # Other tubes of the batch have a matrix: that is the nearest there is.
        assert matrix.flags == ("FALLBACK_MATRIX:B01",)
    finally:
        with_embedded_matrix(files)


def test_a_batch_without_any_embedded_matrix_gets_that_of_the_nearest_batch(here: Path) -> None:
    treg("    compensation: embedded\n    compensation_fallback: nearest_batch\n")
    files = without_embedded_matrix(make_plan(CONFIG), "B01")
    try:
        plan = made("B01", "B02")
        matrix = read_spillover(plan.layout.matrix("treg", "B01"))
        assert matrix.flags == ("FALLBACK_MATRIX:B02",)
        assert np.array_equal(matrix.values, read_spillover(plan.layout.matrix("treg", "B02")).values)
    finally:
        with_embedded_matrix(files)


def test_the_nearest_batch_is_that_of_the_nearest_first_draw_and_by_name_where_dates_are_alike(
    here: Path,
) -> None:
    plan = make_plan(CONFIG)
    first = {
        batch: min(tube.collected[:10] for tube in plan.samples_of("treg", batch) if tube.collected)
        for batch in batches(plan)
    }
    order = plan.nearest_batches("treg", "B02")
    days = [
        abs(np.datetime64(first[other]) - np.datetime64(first["B02"])) for other in order if other in first
    ]
    assert days == sorted(days)
    assert "B02" not in order


# --- compared ---


def test_a_matrix_that_takes_too_much_is_seen_in_the_samples_and_beside_the_other_batches(here: Path) -> None:
    # CD3 (PerCP-Cy5.5) spills into APC-Cy7, where live cells carry nothing: 0.07 too much pulls them down.
    every = [batch for panel, batch in make_plan(CONFIG).matrices if panel == "treg"]
    plan = made(*every)
    text = plan.layout.matrix("treg", "B01").read_text(encoding="utf-8")
    table = [line.split(",") for line in text.splitlines() if not line.startswith("#")]
    column = table[0].index("APC-Cy7-A")
    (row,) = (line for line in table if line[0] == "PerCP-Cy5-5-A")
    row[column] = str(float(row[column]) + 0.07)
    Path("wrong.csv").write_text("\n".join(map(",".join, table)) + "\n", encoding="utf-8")
    judge_matrices(plan, panel="treg")
    pair = {"detector": "PerCP-Cy5-5-A", "into": "APC-Cy7-A"}
    sound = [r for r in read_table(plan.layout.matrices_compared("treg")) if pair.items() <= r.items()]
    assert {r["flags"] for r in sound} == {""}
    treg("    compensation: controls\n    matrix_files: {B01: wrong.csv}\n")
    plan = made(*every)
    judge_matrices(plan, panel="treg")
    rows = read_table(plan.layout.matrices_compared("treg"))
    found = {r["batch"]: r for r in rows if pair.items() <= r.items()}
    assert found["B01"]["flags"] == "differs_between_batches;falls_in_samples"
    assert float(found["B01"]["sample_slope"]) == pytest.approx(-0.07, abs=0.02)
    assert float(found["B01"]["difference_to_middle"]) > 0.05
    assert {r["flags"] for batch, r in found.items() if batch != "B01"} == {""}


def test_the_tubes_in_which_slopes_are_measured_do_not_change_when_a_subject_is_added(here: Path) -> None:
    plan = make_plan(CONFIG)
    chosen = plan.tubes_for_slopes("treg")
    wanted = plan.trial.settings.spillover.sample_tubes
    assert {tube.role for tube in chosen} == {Role.SAMPLE}
    per_batch = [sum(tube.batch == batch for tube in chosen) for batch in {tube.batch for tube in chosen}]
    assert max(per_batch) <= wanted
    assert read_yaml(CONFIG)["study"] == "DEMO-IL2"
    # Chosen by a hash of the tube's own id: the order of the sheet plays no part.
    lines = SHEET.read_text(encoding="utf-8").splitlines(keepends=True)
    SHEET.write_text("".join([lines[0], *reversed(lines[1:])]), encoding="utf-8")
    again = make_plan(CONFIG).tubes_for_slopes("treg")
    assert [tube.sample_id for tube in again] == [tube.sample_id for tube in chosen]
