"""Gating a unit of a tiny trial: which controls gates look at, and rows that are there whatever fails."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import pytest

from cytotrial.demo import write_demo
from cytotrial.errors import TemplateError
from cytotrial.files.fcs import examine_fcs
from cytotrial.files.tables import read_table
from cytotrial.steps import check
from cytotrial.steps.check import check_unit
from cytotrial.steps.compensate import compensate_batch
from cytotrial.steps.gate import gate_unit
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.steps.strategies import compile_gating
from tests.steps.running import begin_anew, leave_the_batch_alone

FMO_TEMPLATE = """
version: 2.0.0
scales: {linear: [FSC-A, FSC-H, SSC-A, Time]}
populations:
  - {name: T cells, channels: [CD3], gate: {low: 0.45}}
  - {name: CD4+, parent: T cells, channels: [CD4], gate: {low: 0.5}}
  - name: FOXP3+
    parent: CD4+
    channels: [FOXP3]
    find: {finder: control_quantile, quantile: 0.99, control: {role: fmo, marker: FOXP3}}
  - {name: Treg, parent: FOXP3+, channels: [CD25], gate: {low: 0.4}}
"""


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    write_demo(folder / "resources" / "demo", subjects=1, events=3000, seed=5)
    return folder


@pytest.fixture
def here(trial: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trial)
    begin_anew(trial, repository)
    leave_the_batch_alone(Path("config/config.yaml"))
    return trial


def gated(
    *, panel: str, unit: str = "subject.S001"
) -> tuple[Plan, list[dict[str, str]], list[dict[str, str]]]:
    """Run the steps before gating for one unit, then gate it: plan, gates and populations."""
    config = Path("config/config.yaml")
    plan = make_plan(config)
    for name in plan.units_of([*plan.tubes_to_gate(panel, unit), *plan.controls_of(panel, unit)]):
        check_unit(plan, name)
    batches = {tube.batch for tube in plan.tubes_to_gate(panel, unit)}
    for batch in sorted(batches):
        check_unit(plan, f"batch.{batch}")
        compensate_batch(plan, panel=panel, batch=batch)
    compile_gating(config, panel=panel)
    gate_unit(plan, panel=panel, unit=unit)
    layout = plan.layout
    return plan, read_table(layout.unit_gates(panel, unit)), read_table(layout.unit_populations(panel, unit))


def by_tube(rows: list[dict[str, str]]) -> Mapping[str, dict[str, dict[str, str]]]:
    tubes: dict[str, dict[str, dict[str, str]]] = {}
    for row in rows:
        tubes.setdefault(row["sample_id"], {})[row["population"]] = row
    return tubes


def test_every_tube_of_the_unit_has_every_population_whatever_became_of_it(here: Path):
    plan, _, populations = gated(panel="treg")
    tubes = by_tube(populations)
    assert set(tubes) == {tube.sample_id for tube in plan.tubes_to_gate("treg", "subject.S001")}
    assert len({tuple(rows) for rows in tubes.values()}) == 1
    truncated = [rows for rows in tubes.values() if rows["Treg"]["status"] == "NOT_DONE"]
    assert [rows["Treg"]["reason"] for rows in truncated] == ["TRUNCATED"]
    assert truncated[0]["Treg"]["events"] == ""


def test_an_fmo_gate_looks_at_the_fmo_of_its_own_batch(here: Path):
    Path("config/gating/treg.yaml").write_text(FMO_TEMPLATE, encoding="utf-8")
    plan, gates, _ = gated(panel="treg")
    batch = {tube.sample_id: tube.batch for tube in plan.trial.tubes}
    marker = {tube.sample_id: tube.control_for for tube in plan.trial.tubes}
    used = [(row["sample_id"], row["control"]) for row in gates if row["population"] == "FOXP3+"]
    assert used
    for sample, paired in used:
        control, how = paired.split(":")
        assert (batch[control], how) == (batch[sample], "batch")
        assert marker[control] == "FOXP3"


def test_an_fmo_gate_without_its_fmo_is_missing_with_the_reason(here: Path):
    Path("config/gating/treg.yaml").write_text(FMO_TEMPLATE, encoding="utf-8")
    sheet = Path("resources/demo/sheets/samples.tsv")
    text = sheet.read_text(encoding="utf-8")
    kept = [line for line in text.splitlines(keepends=True) if "\tfmo\t" not in line]
    sheet.write_text("".join(kept), encoding="utf-8")
    try:
        _, _, populations = gated(panel="treg")
    finally:
        sheet.write_text(text, encoding="utf-8")
    rows = [tube["FOXP3+"] for tube in by_tube(populations).values() if tube["CD4+"]["events"]]
    assert rows
    assert {row["status"] for row in rows} == {"FAIL"}
    assert all("no control tube" in row["reason"] for row in rows)


def test_the_unstimulated_tube_has_the_il17_gate_of_its_draw(here: Path):
    _, gates, populations = gated(panel="th17")
    role = {row["sample_id"]: (row["specimen"], row["role"]) for row in populations}
    cuts: dict[str, dict[str, str]] = {}
    for row in gates:
        if row["population"] == "Th17":
            specimen, name = role[row["sample_id"]]
            cuts.setdefault(specimen, {})[name] = row["gate"]
    both = [cut for cut in cuts.values() if len(cut) == 2]
    assert both
    assert all(cut["sample"] == cut["unstimulated"] for cut in both)


def test_a_batch_whose_matrix_cannot_be_made_fails_its_tubes_and_no_others(here: Path):
    sheet = Path("resources/demo/sheets/samples.tsv")
    text = sheet.read_text(encoding="utf-8")
    plan = make_plan(Path("config/config.yaml"))
    batches = sorted({tube.batch for tube in plan.tubes_to_gate("treg", "subject.S001")})
    lost = {tube.sample_id for tube in plan.stained_alone("treg", batches[0])}
    kept = [line for line in text.splitlines(keepends=True) if line.split("\t")[0] not in lost]
    sheet.write_text("".join(kept), encoding="utf-8")
    try:
        _, _, populations = gated(panel="treg")
    finally:
        sheet.write_text(text, encoding="utf-8")
    for tube in by_tube(populations).values():
        row = tube["Treg"]
        if row["batch"] == batches[0] and row["status"] != "NOT_DONE":
            assert (row["status"], row["events"]) == ("FAIL", "")
            assert "NO_SPILLOVER_MATRIX" in row["reason"]
        elif row["batch"] != batches[0]:
            assert "NO_SPILLOVER_MATRIX" not in row["reason"]


def test_an_edited_matrix_can_be_handed_back(here: Path):
    plan, _, before = gated(panel="treg")
    batch = plan.tubes_to_gate("treg", "subject.S001")[0].batch
    text = plan.layout.matrix("treg", batch).read_text(encoding="utf-8")
    Path("mine.csv").write_text(text, encoding="utf-8")
    config = Path("config/config.yaml")
    edited = config.read_text(encoding="utf-8").replace(
        "compensation: controls\n    gating: config/gating/treg.yaml",
        "compensation: mine.csv\n    gating: config/gating/treg.yaml",
    )
    config.write_text(edited, encoding="utf-8")
    _, _, after = gated(panel="treg")
    same = [row for row in before if row["batch"] == batch]
    assert same == [row for row in after if row["batch"] == batch]


def test_a_population_that_the_parameters_name_and_the_template_lacks_is_refused_before_gating(here: Path):
    template = Path("config/gating/treg.yaml")
    template.write_text(FMO_TEMPLATE.replace("name: Treg", "name: Tregs"), encoding="utf-8")
    with pytest.raises(
        TemplateError, match=r"population 'Treg', which the parameters name.*did you mean 'Tregs'"
    ):
        compile_gating(Path("config/config.yaml"), panel="treg")


def test_a_control_of_a_marker_that_the_panel_lacks_is_refused_before_gating(here: Path):
    template = Path("config/gating/treg.yaml")
    template.write_text(FMO_TEMPLATE.replace("marker: FOXP3}}", "marker: FoxP3}}"), encoding="utf-8")
    with pytest.raises(
        TemplateError, match="control marker 'FoxP3' is not in the panel; did you mean 'FOXP3'"
    ):
        compile_gating(Path("config/config.yaml"), panel="treg")


@pytest.mark.parametrize(
    ("beside", "message"),
    [
        ("bound: {control: {role: fmo, marker: FoxP3}}", "control marker 'FoxP3' is not in the panel"),
        ("second: {finder: tails}", "gate finder 'tails' does not exist; did you mean 'tail'"),
        (
            "fallback: {finder: tail, tolerence: 1}",
            "tail has no argument 'tolerence'; did you mean 'tolerance'",
        ),
    ],
)
def test_what_stands_beside_a_finder_or_in_its_place_is_checked_before_gating(
    here: Path, beside: str, message: str
):
    find = f"{{finder: negative_offset, offset: 0.2, {beside}}}"
    quantile = "{finder: control_quantile, quantile: 0.99, control: {role: fmo, marker: FOXP3}}"
    assert quantile in FMO_TEMPLATE
    Path("config/gating/treg.yaml").write_text(FMO_TEMPLATE.replace(quantile, find), encoding="utf-8")
    with pytest.raises(TemplateError, match=message):
        compile_gating(Path("config/config.yaml"), panel="treg")


def test_a_matrix_that_lacks_a_dye_of_the_panel_fails_the_tube_and_is_not_gated_uncompensated(here: Path):
    plan, _, _ = gated(panel="treg")
    batch = plan.tubes_to_gate("treg", "subject.S001")[0].batch
    lines = plan.layout.matrix("treg", batch).read_text(encoding="utf-8").splitlines()
    table = [line.split(",") for line in lines if not line.startswith("#")]
    column = table[0].index("PE-A")
    cut = [row[:column] + row[column + 1 :] for row in table if row[0] != "PE-A"]
    Path("mine.csv").write_text("\n".join(",".join(row) for row in cut) + "\n", encoding="utf-8")
    config = Path("config/config.yaml")
    edited = config.read_text(encoding="utf-8").replace(
        "compensation: controls\n    gating: config/gating/treg.yaml",
        "compensation: mine.csv\n    gating: config/gating/treg.yaml",
    )
    config.write_text(edited, encoding="utf-8")
    _, _, populations = gated(panel="treg")
    rows = [tube["Treg"] for tube in by_tube(populations).values() if tube["Treg"]["status"] != "NOT_DONE"]
    assert {row["status"] for row in rows} == {"FAIL"}
    assert all("NOT_IN_MATRIX" in row["reason"] and "CD25 (PE-A)" in row["reason"] for row in rows)


def test_what_a_library_warned_of_while_a_tube_was_read_stands_in_its_status(
    here: Path, monkeypatch: pytest.MonkeyPatch
):
    def warning_reader(*arguments: object, **options: object) -> object:
        warnings.warn("overflow in Jane Doe's file", RuntimeWarning, stacklevel=1)
        return examine_fcs(*arguments, **options)

    monkeypatch.setattr(check, "examine_fcs", warning_reader)
    plan = make_plan(Path("config/config.yaml"))
    tube = next(tube for tube in plan.tubes_to_gate("count", "subject.S001") if tube.status == "DONE")
    row = check.check_tube(plan, tube)
    assert (row["status"], row["code"]) == ("warn", "SOFTWARE_WARNING")
    assert "RuntimeWarning" in row["message"]
    assert "Jane" not in row["message"]


def test_an_unforeseen_error_on_one_tube_rejects_it_and_stops_no_other(
    here: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken_reader(*arguments: object, **options: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setattr(check, "examine_fcs", broken_reader)
    plan = make_plan(Path("config/config.yaml"))
    tube = next(tube for tube in plan.tubes_to_gate("count", "subject.S001") if tube.status == "DONE")
    row = check.check_tube(plan, tube)
    assert (row["status"], row["code"]) == ("reject", "UNFORESEEN")
