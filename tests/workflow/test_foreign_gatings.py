"""GatingML and FlowJo workspaces of others as the gating of a panel, by the real Snakemake, and out again."""

from __future__ import annotations

from pathlib import Path

import flowio
import flowkit
import numpy as np
import pytest

from cytotrial.errors import TemplateError
from cytotrial.files.flowjo import flowjo_counts, read_workspace
from cytotrial.files.gatingml import read_gatingml
from cytotrial.files.tables import read_table
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.terms import Events, PlacedGate
from tests.workflow.small_study import small_study
from tests.workflow.study import Study
from tests.workflow.study_commands import cytotrial, done


def counted(study: Study, sample_id: str = "T0") -> dict[str, int]:
    rows = read_table(study.path("results/populations.csv"))
    return {row["population"]: int(row["events"]) for row in rows if row["sample_id"] == sample_id}


@pytest.fixture(scope="module")
def compliance(shared: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """ISAC's compliance file: every kind of gate, scale and matrix of GatingML 2.0 in one document."""
    data = shared / "data" / "flowkit_gatingml_reference"
    study = small_study(
        repository,
        tmp_path_factory.mktemp("gatingml"),
        files=[data / "data1.fcs"],
        markers={"CD4": "FL1-H", "CD8": "FL2-H"},
        gating=data / "gml" / "gml_all_gates.xml",
    )
    study.run()
    return study


def test_gatingml_with_its_own_matrices_and_scales_gates_a_panel_as_the_standard_says(
    compliance: Study, shared: Path
) -> None:
    # Truth: one 0 or 1 for each event and gate, published with the standard.
    truth = shared / "data" / "flowkit_gatingml_reference" / "truth"
    counts = counted(compliance)
    assert counts.pop("root") == 13_367
    assert len(counts) == 49
    for name, events in counts.items():
        assert events == int(np.loadtxt(truth / f"Results_{name}.txt").sum()), name


def test_every_kind_of_gate_comes_out_again_as_gatingml_that_flowkit_applies_to_the_same_events(
    compliance: Study,
) -> None:
    printed = done(compliance, "export-gates", "--check")
    assert "FlowKit finds the same events in all 49 populations" in printed
    rows = read_table(compliance.path("results/gatingml/check.csv"))
    assert {row["events_that_differ"] for row in rows} == {"0"}
    assert {row["population"]: int(row["events"]) for row in rows} == {
        name: n for name, n in counted(compliance).items() if name != "root"
    }


def test_what_was_exported_is_the_gating_of_a_panel_again(
    compliance: Study, repository: Path, shared: Path, tmp_path: Path
) -> None:
    again = small_study(
        repository,
        tmp_path,
        files=[shared / "data" / "flowkit_gatingml_reference" / "data1.fcs"],
        markers={"CD4": "FL1-H"},
        gating=compliance.path("results/gatingml/T0.xml"),
    )
    again.run()
    assert counted(again) == counted(compliance)


# A workspace of FlowJo with a spillover matrix of its own


@pytest.fixture(scope="module")
def lavage(shared: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    data = shared / "data" / "flowsom_mouse_bal_flowjo"
    study = small_study(
        repository,
        tmp_path_factory.mktemp("lavage"),
        files=[data / "68983.fcs"],
        markers={"CD4": "CD4", "CD8": "CD8"},
        gating=data / "gating.wsp",
    )
    study.run()
    return study


def test_a_workspace_brings_its_own_matrix_and_has_flowjos_counts(lavage: Study) -> None:
    # Truth: the counts that FlowJo 10.5.3 stored. The panel itself says compensation: none.
    stored = flowjo_counts(lavage.path("data/gating.wsp"))["68983.fcs"]
    counts = counted(lavage)
    assert len(stored) == 15
    for name, events in stored.items():
        assert abs(counts[name] - events) <= max(5, 0.01 * events), name  # FlowJo decides on display bins


def test_a_polygon_on_flowjos_biex_is_not_exported_and_the_message_names_it(lavage: Study) -> None:
    printed = done(lavage, "export-gates", "--check", code=2)
    assert "0 tubes written" in printed
    assert "T0 was not written" in printed
    assert "T cells/gd T cells: a polygon on the scale FlowJo's biex (APC-Cy7-A, APC-A)" in printed
    assert not lavage.path("results/gatingml/T0.xml").exists()


def test_a_run_agrees_with_the_workspace_it_was_gated_by_in_every_event(lavage: Study) -> None:
    done(lavage, "agreement", "data/gating.wsp")
    rows = read_table(lavage.path("results/agreement.tubes.csv"))
    assert len(rows) == 15
    assert {row["f1"] for row in rows} == {"1"}
    counts = {row["population"]: int(row["flowjo_count"]) for row in rows}
    assert counts == flowjo_counts(lavage.path("data/gating.wsp"))["68983.fcs"]


def test_a_workspace_of_another_file_is_noticed_by_flowjos_counts(lavage: Study, tmp_path: Path) -> None:
    text = lavage.path("data/gating.wsp").read_text(encoding="utf-8")
    stored = f'count="{flowjo_counts(lavage.path("data/gating.wsp"))["68983.fcs"]["Lymphocytes"]}"'
    assert stored in text
    changed = text.replace(stored, 'count="9000"')
    (tmp_path / "other.wsp").write_text(changed, encoding="utf-8")
    printed = done(lavage, "agreement", str(tmp_path / "other.wsp"), code=2)
    assert "is this the file that the workspace was made with?" in printed


# A template of ours on real tissues, out as GatingML and against the authors' workspace

TISSUE = """
version: 1.0.0
name: tissue
scales: {default: {kind: logicle, t: 262144, w: 1.0, m: 4.5, a: 0}}
populations:
  - {name: T cells, channels: [CD3], find: {finder: density_minimum, bounds: [0.3, 0.75], fallback: 0.5}}
  - name: CD4
    parent: T cells
    channels: [CD4, CD8]
    gate: {polygon: [[0.42, -0.2], [1.0, -0.2], [1.0, 0.62], [0.62, 0.5], [0.42, 0.4]]}
  - name: CD127+
    parent: CD4
    channels: [CD127, CD25]
    gate: {ellipse: {mean: [0.45, 0.3], covariance: [[0.02, 0.001], [0.001, 0.02]], distance_square: 2.0}}
  - {name: CD127-, parent: CD4, gate: {not: CD127+}}
"""


@pytest.fixture(scope="module")
def tissues(shared: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    data = shared / "data" / "flowatlas_treg_foxp3"
    template = tmp_path_factory.mktemp("template") / "tissue.yaml"
    template.write_text(TISSUE, encoding="utf-8")
    study = small_study(
        repository,
        tmp_path_factory.mktemp("tissues"),
        files=[
            data / f"{name}.fcs" for name in ("390C_Liver_026", "423_Donor_Lung_032", "428_Donor_Lung_029")
        ],
        markers={name: name for name in ("CD3", "CD4", "CD8", "CD25", "CD127")},
        gating=template,
    )
    study.run()
    return study


def test_gates_found_on_tissues_are_flowkits_in_every_event(tissues: Study) -> None:
    printed = done(tissues, "export-gates", "--check")
    assert "3 tubes written" in printed
    assert "FlowKit finds the same events in all 12 populations" in printed
    assert all(counted(tissues, f"T{i}")["CD4"] > 200 for i in range(3))


def test_tissues_are_compared_with_their_authors_gates_whatever_these_are_called_in_each_tube(
    tissues: Study, shared: Path
) -> None:
    workspace = shared / "data" / "flowatlas_treg_foxp3" / "workspace_dev.wsp"
    names = {"T cells": ("T cells", "non-B/T cells"), "CD4": ("T cells/CD4", "non-B/T cells/CD4")}
    mapping = [f"{ours}={theirs}" for ours, paths in names.items() for theirs in paths]
    printed = done(
        tissues, "agreement", str(workspace), *(part for text in mapping for part in ("--map", text)), code=2
    )
    assert "not compared: the manual gating of 390C_BM_027.fcs" in printed  # the study has three of its tubes
    rows = read_table(tissues.path("results/agreement.tubes.csv"))
    stored = flowjo_counts(workspace)
    files = {"T0": "390C_Liver_026.fcs", "T1": "423_Donor_Lung_032.fcs", "T2": "428_Donor_Lung_029.fcs"}
    assert len(rows) == 6
    for row in rows:
        truth = stored[files[row["sample_id"]]][row["manual_population"]]
        assert int(row["flowjo_count"]) == truth
        assert abs(int(row["manual_events"]) - truth) <= max(5, 0.05 * truth)
        assert float(row["f1"]) > 0.8


# Workspaces on synthetic points


@pytest.mark.parametrize(
    ("workspace", "flowjo"),
    [("single_ellipse_51_events.wsp", {"ellipse1": 51}), ("simple_poly_and_rect.wsp", {})],
)
def test_small_workspaces_of_every_shape_gate_and_come_out_again(
    shared: Path, repository: Path, tmp_path: Path, workspace: str, flowjo: dict[str, int]
) -> None:
    data = shared / "data" / "flowkit_simple_wsp"
    study = small_study(
        repository,
        tmp_path,
        files=[data / "data_set_simple_line_100.fcs"],
        markers={"A": "channel_A", "B": "channel_B"},
        gating=data / workspace,
    )
    study.run()
    counts = counted(study)
    for name, events in flowjo.items():
        assert abs(counts[name] - events) <= 1, name  # FlowJo decides on 256 bins of its display
    assert f"in all {len(counts) - 1} populations" in done(study, "export-gates", "--check")


def test_a_workspace_on_logicle_scales_holds_the_events_that_flowkit_finds(
    shared: Path, tmp_path: Path
) -> None:
    # The workspace's own files are not published: events are made up, spread over all its channels.
    path = shared / "data" / "flowkit_simple_wsp" / "8_color_ICS.wsp"
    name = "101_DEN084Y5_15_E03_009_clean.fcs"
    channels, values = made_up(path, name)
    with (tmp_path / name).open("wb") as stream:
        flowio.create_fcs(stream, values.ravel().tolist(), channels)
    strategy = read_workspace(path)[name]
    gates = [PlacedGate(p.name, p.parent, p.gate) for p in strategy.populations if p.gate is not None]
    events = Events(np.ascontiguousarray(values.T), tuple(channels))
    masks = apply_strategy(gates, TubeEvents(events, dict(strategy.matrices)))
    theirs = flowkit.Workspace(str(path), fcs_samples=[str(tmp_path / name)], load_missing_file_data=True)
    theirs.analyze_samples(sample_id=name, use_mp=False)
    assert len(gates) == 14
    for gate in gates:
        *above, last = gate.population.split("/")
        found = theirs.get_gate_membership(name, last, gate_path=("root", *above))
        np.testing.assert_array_equal(masks[gate.population], found, err_msg=gate.population)
    assert masks["Time"].any()


def made_up(workspace: Path, sample: str) -> tuple[list[str], np.ndarray]:
    """The channels that a workspace's gates look at and its matrix has, and 50,000 events all over them."""
    strategy = read_workspace(workspace)[sample]
    axes = [d.channel for p in strategy.populations for d in getattr(p.gate, "dimensions", ())]
    detectors = [name for matrix in strategy.matrices.values() for name in matrix.detectors]
    channels = list(dict.fromkeys([*axes, *detectors]))
    random = np.random.default_rng(8)
    scatter = random.uniform(0, 262_144, (50_000, len(channels)))
    stained = np.exp(random.uniform(0, np.log(262_144), scatter.shape)) - random.exponential(
        80, scatter.shape
    )
    values = np.where([name in detectors for name in channels], stained, scatter)
    if "Time" in channels:
        values[:, channels.index("Time")] = np.linspace(0, 100, 50_000)
    return channels, values.astype(np.float32)


# What is neither


def test_gates_of_another_program_in_another_xml_are_refused_with_what_was_expected(shared: Path) -> None:
    with pytest.raises(TemplateError, match=r"the root element is 'script'.*Gating-ML of .* was expected"):
        read_gatingml(shared / "data" / "labkey_8color_ics_trial" / "quv-analysis.xml")


def test_no_bad_gating_file_makes_a_traceback_or_a_result(lavage: Study, shared: Path) -> None:
    folder = shared / "badinput"
    bad = sorted([*folder.glob("gatingml/*.xml"), *folder.glob("wsp/*.wsp")])
    assert len(bad) == 72
    for path in bad[::6]:  # each is read in tests/files; here a few go through the command
        run = cytotrial(lavage, "agreement", str(path))
        assert run.returncode == 1, path.name
        assert "Traceback" not in run.stderr, path.name
        assert path.name in run.stderr, path.name
