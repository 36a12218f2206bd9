"""Two published studies, from raw files to tables by the real Snakemake, against the counts of others.

The configurations and sheets are those of config/examples; the FCS files, the FlowJo workspace and the
reference counts are not part of the repository.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cytotrial.files.spillover import read_spillover
from cytotrial.files.tables import read_table
from cytotrial.science.gating import gate_tube
from cytotrial.steps.gate import Bench
from cytotrial.steps.plan import make_plan
from cytotrial.terms import SpilloverMatrix
from tests.workflow.cytolib_gates import gating_template, gatingml, identifier
from tests.workflow.study import Study, install_workflow
from tests.workflow.study_commands import done

Counted = Mapping[tuple[str, str], int]
"""(sample_id, population) → events."""


def study_of(example: str, data: Path, repository: Path, folder: Path, names: Mapping[str, str]) -> Study:
    """A clone of the workflow, with data/<example> holding an example's files: pattern → name there."""
    if not data.is_dir():
        pytest.skip(f"the data of {example} are not on this machine")
    install_workflow(repository, folder)
    target = folder / "data" / example
    target.mkdir(parents=True)
    for pattern, name in names.items():
        for source in sorted(data.glob(pattern)):
            goal = target / (name or source.name)
            shutil.copytree(source, goal) if source.is_dir() else shutil.copy(source, goal)
    return Study(folder, f"config/examples/{example}/config.yaml")


def variant(study: Study, name: str, *changes: tuple[str, str]) -> Study:
    """The same study under another configuration, with results of its own; each change must apply."""
    text = study.path(study.configfile).read_text(encoding="utf-8")
    example = study.configfile.split("/")[-2]
    for old, new in (*changes, (f"results: results/{example}", f"results: results/{name}")):
        assert old in text, f"{old!r} is not in {study.configfile}"
        text = text.replace(old, new)
    configfile = f"config/examples/{example}/{name}.yaml"
    study.path(configfile).write_text(text, encoding="utf-8")
    return replace(study, configfile=configfile)


def inventory(study: Study, results: str) -> dict[str, dict[str, str]]:
    return {row["sample_id"]: row for row in read_table(study.path(results, "check/inventory.csv"))}


def populations(study: Study, results: str) -> dict[tuple[str, str], dict[str, str]]:
    rows = read_table(study.path(results, "populations.csv"))
    return {(row["sample_id"], row["population"]): row for row in rows}


def counted(study: Study, results: str) -> Counted:
    return {key: int(row["events"]) for key, row in populations(study, results).items()}


def reference_counts(study: Study, table: Path, column: str, named: Callable[[str], str]) -> Counted:
    """A reference's counts by our ids: its file names are the sheet's, `named` makes our name of its path."""
    sheet = study.path(study.configfile).parent / "samples.tsv"
    with sheet.open(encoding="utf-8", newline="") as stream:
        ids = {Path(row["fcs"]).name: row["sample_id"] for row in csv.DictReader(stream, delimiter="\t")}
    rows = read_table(table)
    return {(ids[row["fcs_file"]], named(row["path"])): int(float(row[column])) for row in rows}


# --- FlowAtlas: organ-donor tissues, exported compensated, gated in FlowJo 10.7.1 ------------------------


@pytest.fixture(scope="module")
def flowatlas_data(shared: Path) -> Path:
    return shared / "data" / "flowatlas_treg_foxp3"


@pytest.fixture(scope="module")
def flowatlas(flowatlas_data: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    names = {"*.fcs": "", "workspace_dev.wsp": "workspace.wsp"}
    study = study_of("flowatlas", flowatlas_data, repository, tmp_path_factory.mktemp("flowatlas"), names)
    study.run()
    return study


@pytest.fixture(scope="module")
def flowatlas_reference(flowatlas: Study, flowatlas_data: Path) -> Callable[[str], Counted]:
    table = flowatlas_data / "expected" / "counts_flowjo_vs_flowkit.csv"
    return lambda column: reference_counts(flowatlas, table, column, lambda path: path.removeprefix("root/"))


def verdicts(study: Study, results: str) -> dict[str, str]:
    return {row["check"]: row["status"] for row in read_table(study.path(results, "dataset/checks.csv"))}


def test_the_dataset_of_the_tissues_passes_every_check(flowatlas: Study) -> None:
    assert verdicts(flowatlas, "results/flowatlas") == {f"V{n:02}": "PASS" for n in range(1, 23)}
    rows = read_table(flowatlas.path("results/flowatlas/dataset/adam/adcp.csv"))
    assert {row["PARAMCD"] for row in rows} == {"TREGPCD4", "TH17PCD4"}
    assert {
        row["CPMRKSTR"] for row in read_table(flowatlas.path("results/flowatlas/dataset/sdtm/cp.csv"))
    } == {
        "CD3+CD4+CD25+FOXP3+/CD3+CD4+",
        "",  # this study tells Th17 by chemokine receptors, not by IL-17A
    }


def test_every_population_of_every_tissue_holds_as_many_events_as_flowjo_stored(
    flowatlas: Study, flowatlas_reference: Callable[[str], Counted]
) -> None:
    # Truth: the counts that FlowJo stored in the workspace. FlowJo asks on which of its bins of a plot an
    # event falls, so that a polygon's or ellipse's edge is a staircase: hence the tolerance.
    flowjo, ours = flowatlas_reference("flowjo_count"), counted(flowatlas, "results/flowatlas")
    assert ours.keys() == flowjo.keys()
    assert len(flowjo) == 241
    off = {key: (ours[key], n) for key, n in flowjo.items() if abs(ours[key] - n) > max(5, 0.05 * n)}
    assert off == {}


def test_what_is_left_between_flowjo_and_us_is_flowjos_bins_and_not_our_reading(
    flowatlas: Study, flowatlas_reference: Callable[[str], Counted]
) -> None:
    # Truth: FlowKit 1.3.2 on the same workspace, which applies the gates without bins as we do.
    assert counted(flowatlas, "results/flowatlas") == flowatlas_reference("flowkit_count")


def test_where_no_polygon_was_drawn_the_counts_are_flowjos_to_the_event(
    flowatlas: Study, flowatlas_reference: Callable[[str], Counted]
) -> None:
    # The limits of a rectangle cut events, not bins.
    flowjo, ours = flowatlas_reference("flowjo_count"), counted(flowatlas, "results/flowatlas")
    parents = {key: row["parent"] for key, row in populations(flowatlas, "results/flowatlas").items()}
    shapes = {
        (row["sample_id"], row["population"]): json.loads(row["gate"])["type"]
        for row in read_table(flowatlas.path("results/flowatlas/gates.csv"))
    }
    plain = {key for key in shapes if shapes_above(key, shapes, parents) == {"rectangle"}}
    assert len(plain) == 15
    assert {key: ours[key] for key in plain} == {key: flowjo[key] for key in plain}


def shapes_above(
    key: tuple[str, str], shapes: Mapping[tuple[str, str], str], parents: Mapping[tuple[str, str], str]
) -> set[str]:
    """The shapes of a population's gate and of those of its ancestors."""
    sample_id, name = key
    found = set()
    while name != "root":
        found.add(shapes[sample_id, name])
        name = parents[sample_id, name]
    return found


def test_three_stainings_share_a_workspace_and_each_marker_is_read_off_its_own_detector(
    flowatlas: Study,
) -> None:
    # CD4 is on 355 670_30 in donor 390C, on 355 820_60 in the others (where 390C has CD45).
    rows = populations(flowatlas, "results/flowatlas")
    for (sample_id, name), row in rows.items():
        if name.endswith("T cells/CD4"):
            sister = rows[sample_id, name.removesuffix("4") + "8"]
            assert median_of(row, "CD4") > 3 * median_of(sister, "CD4"), sample_id
            assert median_of(sister, "CD8") > 3 * median_of(row, "CD8"), sample_id


def median_of(row: Mapping[str, str], marker: str) -> float:
    return float(dict(pair.split("=") for pair in row["median_intensities"].split("|"))[marker])


def test_the_dataset_gives_the_treg_percentage_that_flowjos_counts_give(
    flowatlas: Study, flowatlas_reference: Callable[[str], Counted]
) -> None:
    values = {
        (row["subject"], row["visit"]): row
        for row in read_table(flowatlas.path("results/flowatlas/dataset/counts.csv"))
        if row["parameter"] == "TREGPCD4"
    }
    flowjo = flowatlas_reference("flowjo_count")
    for sample_id in ("423-Ileum", "423-Liver", "423-Lung", "428-Ileum", "428-Lung"):
        subject, tissue = sample_id.split("-")
        parent = "non-B/T cells/CD4"
        percent = 100 * flowjo[sample_id, f"{parent}/Treg"] / flowjo[sample_id, parent]
        assert float(values[subject, tissue.upper()]["value"]) == pytest.approx(percent, rel=0.02, abs=0.1)
    assert values["390C", "LUNG"]["status"] == "NOT_DONE"  # the parameter names one panel
    assert values["390C", "LUNG"]["flags"] == "NO_TUBE:with-CD19"


def test_the_raw_unstained_tube_is_accounted_for_and_gated_by_nobody(flowatlas: Study) -> None:
    row = inventory(flowatlas, "results/flowatlas")["403C-unstained"]
    assert (row["status"], row["events"]) == ("warn", "26001")
    assert "403C-unstained" not in {sample_id for sample_id, _ in populations(flowatlas, "results/flowatlas")}


@pytest.fixture(scope="module")
def compensated_twice(flowatlas: Study) -> Study:
    """The configuration that a lab writes by mistake: compensation for files that need none."""
    sheet = "config/examples/flowatlas/samples.tsv"
    mistaken = sheet.replace("samples", "mistaken")
    shutil.copy(flowatlas.path(sheet), flowatlas.path(mistaken))
    flowatlas.edit(mistaken, "unstained\t\t\t\t403C", "sample\t403C\tBM\t2019-01-10\t403C")
    none, gating = "    compensation: none\n", "    gating: data/flowatlas/workspace.wsp\n"
    study = variant(
        flowatlas,
        "mistaken",
        ("samples: " + sheet, "samples: " + mistaken),
        ("[CD45]\n" + none, "[CD45]\n    compensation: embedded\n"),
        ("[CD19]\n" + none, "[CD19]\n    compensation: controls\n"),
        ("time_bins: false", "time_bins: true"),
    )
    assert study.path(study.configfile).read_text(encoding="utf-8").count(none + gating) == 1
    study.run()
    return study


def test_files_that_were_exported_compensated_are_not_compensated_again(compensated_twice: Study) -> None:
    rows = inventory(compensated_twice, "results/mistaken")
    for sample_id, row in rows.items():
        if not sample_id.startswith("403C"):
            assert row["status"] == "reject", sample_id
            assert row["code"].startswith("ALREADY_COMPENSATED"), sample_id
            assert "set compensation: none for this panel" in row["message"]
    values = read_table(compensated_twice.path("results/mistaken/dataset/counts.csv"))
    assert {row["value"] for row in values} == {""}


def test_what_is_wrong_with_one_panel_does_not_touch_another(compensated_twice: Study) -> None:
    rows = populations(compensated_twice, "results/mistaken")
    assert int(rows["403C-Lung", "T cells/CD4/Treg"]["events"]) > 0
    assert rows["390C-Lung", "T cells/CD4/Treg"]["events"] == ""
    assert rows["390C-Lung", "T cells/CD4/Treg"]["reason"].startswith("ALREADY_COMPENSATED")


def test_a_raw_tube_in_the_sheet_as_a_stained_one_is_rejected_for_its_markers(
    compensated_twice: Study,
) -> None:
    row = inventory(compensated_twice, "results/mistaken")["403C-unstained"]
    assert (row["status"], row["code"].split(";")[0]) == ("reject", "MARKER_MISSING")
    assert "marker FOXP3 (looked for Foxp3) is on no channel" in row["message"]


def test_a_check_over_time_of_a_file_without_time_says_so(compensated_twice: Study) -> None:
    assert "NO_TIME" in populations(compensated_twice, "results/mistaken")["403C-Lung", "root"]["flags"]


# --- CytoExploreR: activated mouse splenocytes, raw, gated by cytolib -------------------------------------


@pytest.fixture(scope="module")
def cytoexplorer_data(shared: Path) -> Path:
    return shared / "data" / "cytoexplorer_mouse_activation"


@pytest.fixture(scope="module")
def cytoexplorer(
    cytoexplorer_data: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    names = {"samples": "", "compensation_controls": "", "Compensation-Spillover-Matrix.csv": "matrix.csv"}
    folder = tmp_path_factory.mktemp("cytoexplorer")
    study = study_of("cytoexplorer", cytoexplorer_data, repository, folder, names)
    dump = (cytoexplorer_data / "expected" / "gates_transforms_compensation.json").read_text(encoding="utf-8")
    gating_set = json.loads(dump)["Activation_1.fcs"]  # all four tubes have the same gates
    data = study.path("data", "cytoexplorer")
    (data / "gates.yaml").write_text(gating_template(gating_set, name="Activation"), encoding="utf-8")
    (data / "gates.xml").write_text(gatingml(gating_set), encoding="utf-8")
    study.run()
    return study


@pytest.fixture(scope="module")
def cytolib(cytoexplorer: Study, cytoexplorer_data: Path) -> Counted:
    table = cytoexplorer_data / "expected" / "counts_cytolib_vs_flowkit.csv"
    return reference_counts(cytoexplorer, table, "cytolib_count", lambda path: path.split("/")[-1])


def test_without_parameters_the_checks_of_the_files_hold_and_those_of_results_do_not_apply(
    cytoexplorer: Study,
) -> None:
    found = verdicts(cytoexplorer, "results/cytoexplorer")
    assert {check for check, verdict in found.items() if verdict == "PASS"} == {
        "V01", "V02", "V07", "V14", "V20", "V21", "V22",
    }  # fmt: skip
    assert set(found.values()) == {"PASS", "NOT_APPLICABLE"}


def without_root(counts: Counted) -> Counted:
    return {key: events for key, events in counts.items() if key[1] != "root"}


def test_every_population_of_the_raw_files_holds_exactly_cytolibs_events(
    cytoexplorer: Study, cytolib: Counted
) -> None:
    # Truth: counts of the GatingSet that cytolib wrote: embedded matrix, logicle, hand-drawn gates.
    assert len(cytolib) == 40
    assert without_root(counted(cytoexplorer, "results/cytoexplorer")) == cytolib


def test_the_populations_hold_the_very_same_events_as_cytolibs(
    cytoexplorer: Study, cytoexplorer_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Truth: rows of the file in each population (`root|Cells|...`); all but the boolean gate are stored.
    monkeypatch.chdir(cytoexplorer.folder)
    plan = make_plan(Path(cytoexplorer.configfile))
    checked = inventory(cytoexplorer, "results/cytoexplorer")
    bench = Bench(plan, "activation")
    compared = 0
    for tube in plan.samples_of("activation", "2018-05-17"):
        loaded = bench.load(tube, checked[tube.sample_id])
        masks = gate_tube(loaded.strategy, loaded.stained, controls={}, borrowed={}).masks
        stored = np.load(cytoexplorer_data / "expected" / f"{Path(tube.fcs).stem}_event_indices.npz")
        for path in stored.files:
            np.testing.assert_array_equal(np.flatnonzero(masks[path.split("|")[-1]]), np.sort(stored[path]))
            compared += 1
    assert compared == 4 * 9


def test_the_same_gates_as_gatingml_give_the_same_counts(cytoexplorer: Study, cytolib: Counted) -> None:
    study = variant(cytoexplorer, "gatingml", ("gates.yaml", "gates.xml"))
    study.run()
    expected = {(sample_id, identifier(name)): events for (sample_id, name), events in cytolib.items()}
    assert without_root(counted(study, "results/gatingml")) == expected


def test_cytolibs_gates_come_out_as_gatingml_that_flowkit_applies_to_the_same_events(
    cytoexplorer: Study,
) -> None:
    # Polygons, ellipses, rectangles and a NOT on compensated logicle axes, with the file's own matrix inside.
    printed = done(cytoexplorer, "export-gates", "--check")
    assert "4 tubes written" in printed
    assert "FlowKit finds the same events in all 40 populations" in printed


def test_a_study_without_parameters_is_gated_and_reported_with_an_empty_dataset(
    cytoexplorer: Study,
) -> None:
    assert read_table(cytoexplorer.path("results/cytoexplorer/dataset/counts.csv")) == []
    assert cytoexplorer.path("results/cytoexplorer/report.html").stat().st_size > 10_000


def made_matrix(study: Study, results: str) -> SpilloverMatrix:
    return read_spillover(study.path(results, "compensation/activation.2018-05-17.csv"))


def largest_difference(one: SpilloverMatrix, other: SpilloverMatrix) -> float:
    """Over the detectors of the first."""
    at = [other.detectors.index(detector) for detector in one.detectors]
    return float(np.max(np.abs(one.values - other.values[np.ix_(at, at)])))


def assert_lineages_agree(ours: Counted, reference: Counted) -> None:
    """Bright markers hardly move with the matrix; CD69+, a dim one, does."""
    for (sample_id, name), events in reference.items():
        if name in {"Live Cells", "T Cells", "CD4 T Cells", "CD8 T Cells"}:
            assert ours[sample_id, name] == pytest.approx(events, rel=0.02), (sample_id, name)


def test_single_stains_give_a_matrix_near_the_instruments_own(cytoexplorer: Study, cytolib: Counted) -> None:
    study = variant(cytoexplorer, "controls", ("compensation: embedded", "compensation: controls"))
    study.run()
    estimated, embedded = made_matrix(study, "results/controls"), made_matrix(study, "results/cytoexplorer")
    # The embedded, the hand-edited and CytoExploreR's matrices of these files differ by up to 0.08.
    assert 0 < largest_difference(estimated, embedded) < 0.03
    assert_lineages_agree(counted(study, "results/controls"), cytolib)


def test_a_matrix_file_is_used_to_its_last_digit(cytoexplorer: Study, cytolib: Counted) -> None:
    study = variant(
        cytoexplorer, "matrix", ("compensation: embedded", "compensation: data/cytoexplorer/matrix.csv")
    )
    study.run()
    with study.path("data/cytoexplorer/matrix.csv").open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    made = made_matrix(study, "results/matrix")
    assert list(made.detectors) == header[1:]
    np.testing.assert_array_equal(made.values, np.array([row[1:] for row in rows], dtype=float))
    assert_lineages_agree(counted(study, "results/matrix"), cytolib)
