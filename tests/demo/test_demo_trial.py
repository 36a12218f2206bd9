"""The simulated trial: its sheets, its truth, its bytes."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import flowio
import numpy as np
import pytest

from cytotrial.demo import write_demo
from cytotrial.demo.cells import NAMES, Kind
from cytotrial.demo.cohort import VISITS, cohort_subject, true_values
from cytotrial.demo.panels import PANELS
from cytotrial.errors import CytotrialError
from cytotrial.files.fcs import inspect_fcs
from cytotrial.files.sheets import (
    read_cbc,
    read_clinical,
    read_exposure,
    read_samples,
    read_subjects,
    read_visits,
)
from cytotrial.terms import Outcome, Role

SUBJECTS, EVENTS, SEED = 2, 2_000, 20170
ID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")

Rows = list[dict[str, str]]


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trial")
    write_demo(folder, subjects=SUBJECTS, events=EVENTS, seed=SEED, labels=True, workers=1)
    return folder


def sheet(trial: Path, name: str) -> Rows:
    with (trial / "sheets" / f"{name}.tsv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def truth(trial: Path, name: str) -> Rows:
    with (trial / "truth" / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def true_events(trial: Path) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = defaultdict(dict)
    for row in truth(trial, "events"):
        table[row["sample_id"]][row["population"]] = int(row["events"])
    return table


def tubes(trial: Path, **wanted: str) -> Rows:
    broken = {row["sample_id"] for row in truth(trial, "draws") if row["artefact"] == "truncated"}
    return [
        row
        for row in sheet(trial, "samples")
        if row["status"] == "DONE"
        and row["sample_id"] not in broken
        and all(row[column] == value for column, value in wanted.items())
    ]


def channels(trial: Path, row: dict[str, str]) -> dict[str, np.ndarray]:
    """The uncompensated values of a tube by $PnN."""
    data = flowio.FlowData(str(trial / "fcs" / row["fcs"]))
    table = np.reshape(np.array(data.events, dtype=np.float64), (-1, data.channel_count))
    return {data.channels[number + 1]["pnn"]: table[:, number] for number in range(data.channel_count)}


def compensated(trial: Path, row: dict[str, str]) -> dict[str, np.ndarray]:
    """The values of a tube by marker, compensated with the true matrix."""
    values = channels(trial, row)
    panel = PANELS[row["panel"]]
    clean = np.column_stack([values[name] for name in panel.dye_detectors]) @ np.linalg.inv(
        true_matrix(trial, row["panel"], row["batch"])
    )
    return values | {marker: clean[:, column] for column, marker in enumerate(panel.markers)}


def true_matrix(trial: Path, panel: str, batch: str) -> np.ndarray:
    with (trial / "truth" / "spillover" / f"{panel}.{batch}.csv").open(encoding="utf-8") as stream:
        return np.array([line[1:] for line in list(csv.reader(stream))[1:]], dtype=float)


def kinds(trial: Path, row: dict[str, str]) -> np.ndarray:
    return np.load(trial / "truth" / "labels" / f"{row['sample_id']}.npy")


def all_bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# --- the bytes ---


def test_the_same_seed_gives_the_same_bytes_whatever_the_number_of_processes(
    trial: Path, tmp_path: Path
) -> None:
    write_demo(tmp_path, subjects=SUBJECTS, events=EVENTS, seed=SEED, labels=True, workers=2)
    assert all_bytes(tmp_path) == all_bytes(trial)


def test_another_seed_gives_other_events_under_the_same_names(trial: Path, tmp_path: Path) -> None:
    write_demo(tmp_path, subjects=1, events=EVENTS, seed=SEED + 1, workers=1)
    row = tubes(trial, subject="S001", visit="W00", panel="count")[0]
    assert (tmp_path / "fcs" / row["fcs"]).read_bytes() != (trial / "fcs" / row["fcs"]).read_bytes()


def test_one_more_subject_changes_no_file_and_no_row_of_the_others(trial: Path, tmp_path: Path) -> None:
    write_demo(tmp_path, subjects=SUBJECTS + 1, events=EVENTS, seed=SEED, labels=True, workers=1)
    larger, smaller = all_bytes(tmp_path / "fcs"), all_bytes(trial / "fcs")
    assert smaller.items() <= larger.items()
    assert any("S003" in name for name in larger)
    for name in ("samples", "subjects", "cbc", "clinical", "exposure"):
        old = (trial / "sheets" / f"{name}.tsv").read_text().splitlines()
        new = (tmp_path / "sheets" / f"{name}.tsv").read_text().splitlines()
        assert set(old) <= set(new), name


def test_no_temporary_file_is_left_behind(trial: Path) -> None:
    assert not [name for name in all_bytes(trial) if Path(name).name.startswith(".")]


def test_a_folder_that_holds_a_trial_is_refused_and_left_alone(trial: Path) -> None:
    before = all_bytes(trial)
    with pytest.raises(CytotrialError, match="exists already"):
        write_demo(trial, subjects=1, events=EVENTS)
    assert all_bytes(trial) == before


@pytest.mark.parametrize(
    ("subjects", "events", "seed"), [(0, 2_000, 1), (900, 2_000, 1), (2, 499, 1), (2, 2_000, -1)]
)
def test_numbers_out_of_range_are_refused_before_anything_is_written(
    tmp_path: Path, subjects: int, events: int, seed: int
) -> None:
    with pytest.raises(CytotrialError, match="expected"):
        write_demo(tmp_path, subjects=subjects, events=events, seed=seed)
    assert not list(tmp_path.iterdir())


def test_the_summary_says_what_was_written(tmp_path: Path) -> None:
    summary = write_demo(tmp_path, subjects=1, events=500, seed=3, workers=1)
    files = all_bytes(tmp_path)
    assert summary.subjects == 2  # one of the cohort, and the one with treatment cycles
    assert summary.tubes == sum(name.endswith(".fcs") for name in files)
    assert (summary.files, summary.n_bytes) == (len(files), sum(map(len, files.values())))


# --- the sheets ---


def test_the_sheets_have_the_columns_of_the_contract(trial: Path) -> None:
    expected = {
        "samples": "sample_id fcs panel role subject visit specimen collected batch control_for "
        "beads_per_tube blood_ul status reason_not_done",
        "subjects": "subject first_dose sex age site arm",
        "visits": "visit visit_num target_day first_day last_day baseline",
        "cbc": "specimen lymphocytes_10e9_per_l wbc_10e9_per_l lymphocyte_percent collected",
        "clinical": "subject test collected value unit",
        "exposure": "subject drug start end dose unit",
    }
    assert {name: " ".join(sheet(trial, name)[0]) for name in expected} == expected


def test_ids_are_legal_and_unique_whatever_their_case(trial: Path) -> None:
    rows = sheet(trial, "samples")
    ids = [row["sample_id"].lower() for row in rows]
    assert len(set(ids)) == len(ids)
    named = [
        row[column]
        for row in rows
        for column in ("sample_id", "subject", "specimen", "visit", "batch")
        if row[column]
    ]
    assert all(ID.fullmatch(name) and ".." not in name for name in named)


def test_every_row_that_was_done_has_its_file_and_every_file_its_row(trial: Path) -> None:
    rows = sheet(trial, "samples")
    listed = [row["fcs"] for row in rows if row["status"] == "DONE"]
    assert sorted(listed) == sorted(name for name in all_bytes(trial / "fcs"))
    assert all(row["fcs"] == "" and row["reason_not_done"] for row in rows if row["status"] == "NOT_DONE")


def test_a_visit_that_was_missed_keeps_its_four_rows_and_its_reason(trial: Path) -> None:
    rows = [row for row in sheet(trial, "samples") if (row["subject"], row["visit"]) == ("S002", "W12")]
    assert [(row["panel"], row["role"], row["status"]) for row in rows] == [
        ("count", "sample", "NOT_DONE"),
        ("treg", "sample", "NOT_DONE"),
        ("th17", "sample", "NOT_DONE"),
        ("th17", "unstimulated", "NOT_DONE"),
    ]
    assert {row["reason_not_done"] for row in rows} == {"subject did not attend"}


def test_visit_windows_are_contiguous_with_one_baseline(trial: Path) -> None:
    visits = sheet(trial, "visits")
    assert [row["visit"] for row in visits if row["baseline"] == "Y"] == ["W00"]
    assert visits[0]["first_day"] == ""
    for earlier, later in pairwise(visits):
        assert int(later["first_day"]) == int(earlier["last_day"]) + 1
    assert [(row["target_day"], row["last_day"]) for row in visits] == [
        ("1", "1"),
        ("43", "64"),
        ("85", "127"),
        ("169", "211"),
    ]


def test_every_draw_at_a_planned_visit_lies_in_its_window(trial: Path) -> None:
    first_dose = {
        row["subject"]: date.fromisoformat(row["first_dose"])
        for row in sheet(trial, "subjects")
        if row["first_dose"]
    }
    windows = {row["visit"]: row for row in sheet(trial, "visits")}
    for row in tubes(trial, role="sample"):
        if row["visit"] in windows:
            day = (datetime.fromisoformat(row["collected"]).date() - first_dose[row["subject"]]).days + 1
            window = windows[row["visit"]]
            assert int(window["first_day"] or -99) <= day <= int(window["last_day"])


def test_every_batch_has_controls_for_every_dye_of_every_panel(trial: Path) -> None:
    batches = {row["batch"] for row in sheet(trial, "samples")}
    assert len(batches) >= 4
    for batch in batches:
        for panel in PANELS.values():
            stains = {
                row["control_for"] for row in tubes(trial, batch=batch, panel=panel.key, role="single_stain")
            }
            assert stains == set(panel.markers)
            assert len(tubes(trial, batch=batch, panel=panel.key, role="unstained")) == 1
        fmo = {(row["panel"], row["control_for"]) for row in tubes(trial, batch=batch, role="fmo")}
        assert fmo == {("treg", "CD25"), ("treg", "FOXP3"), ("th17", "IL-17A")}


def test_controls_of_a_batch_belong_to_nobody_and_unstimulated_tubes_to_a_draw(trial: Path) -> None:
    for row in sheet(trial, "samples"):
        belongs = bool(row["subject"] and row["visit"] and row["specimen"])
        assert belongs == (Role(row["role"]) in {Role.SAMPLE, Role.UNSTIMULATED})


def test_the_analyser_s_lymphocytes_are_within_its_error_of_the_truth(trial: Path) -> None:
    true = {row["specimen"]: float(row["LYMABS"]) / 1_000 for row in truth(trial, "specimens")}
    counted = {row["specimen"]: float(row["lymphocytes_10e9_per_l"]) for row in sheet(trial, "cbc")}
    errors = [counted[specimen] / true[specimen] - 1 for specimen in true]
    assert set(counted) == set(true)
    assert max(map(abs, errors)) < 4.5 * 0.03
    assert 0.015 < np.std(errors) < 0.05  # 3 % CV, seen on some twenty draws


def test_the_followed_subject_improves_over_five_cycles(trial: Path) -> None:
    doses = [row for row in sheet(trial, "exposure") if row["subject"] == "S900"]
    assert len(doses) == 5
    draws = [row for row in truth(trial, "specimens") if row["subject"] == "S900"]
    treg = [float(row["TREGABS"]) for row in draws]
    before, after = treg[0:10:2], treg[1:10:2]
    assert before == sorted(before)
    assert after == sorted(after)
    assert all(low < high for low, high in zip(before, after, strict=True))
    clinical = [row for row in sheet(trial, "clinical") if row["subject"] == "S900"]
    first_and_last = {row["test"]: [] for row in clinical}
    for row in clinical:
        first_and_last[row["test"]].append(float(row["value"]))
    assert [first_and_last["SLEDAI"][end] for end in (0, -1)] == [14, 4]
    assert [first_and_last["PREDNISONE"][end] for end in (0, -1)] == [30, 10]
    assert first_and_last["ANTI-DSDNA"][0] > first_and_last["ANTI-DSDNA"][-1]


def test_the_project_s_own_readers_find_no_fault_with_the_sheets(trial: Path) -> None:
    folder = trial / "sheets"
    assert read_samples(folder / "samples.tsv").problems == ()
    assert read_subjects(folder / "subjects.tsv").problems == ()
    assert read_visits(folder / "visits.tsv").problems == ()
    assert read_cbc(folder / "cbc.tsv").problems == ()
    assert read_clinical(folder / "clinical.tsv").problems == ()
    assert read_exposure(folder / "exposure.tsv").problems == ()


def test_the_strict_reader_refuses_the_broken_tube_and_no_other(trial: Path) -> None:
    broken = {row["sample_id"] for row in truth(trial, "draws") if row["artefact"] == "truncated"}
    for row in sheet(trial, "samples"):
        if row["status"] == "DONE":
            findings = inspect_fcs(trial / "fcs" / row["fcs"], root=trial / "fcs").findings
            outcomes = [finding.outcome for finding in findings]
            assert outcomes == ([Outcome.REJECT] if row["sample_id"] in broken else []), row["fcs"]


# --- the cohort ---


@pytest.mark.parametrize("n_subjects", [2, 3, 12, 13, 40, 82])
@pytest.mark.parametrize(
    ("visit", "parameter", "published"),
    # Jing et al., Ann Rheum Dis 2017;76(Suppl 2):872: medians of the cohort at weeks 0 and 24.
    [
        ("W00", "TREGABS", 12.98),
        ("W24", "TREGABS", 22.1),
        ("W00", "TH17TREG", 0.44),
        ("W24", "TH17TREG", 0.29),
    ],
)
def test_cohort_medians_are_the_published_ones_for_any_number_of_subjects(
    n_subjects: int, visit: str, parameter: str, published: float
) -> None:
    values = [
        true_values(draw.blood)[parameter]
        for index in range(n_subjects)
        for draw in cohort_subject(index, seed=SEED).draws
        if draw.visit == visit and not draw.missed
    ]
    assert np.median(values) == pytest.approx(published, rel=0.025)


def test_subjects_differ_as_patients_do() -> None:
    draws = [
        true_values(draw.blood)
        for index in range(82)
        for draw in cohort_subject(index, seed=SEED).draws
        if not draw.missed
    ]
    low, high = np.percentile(
        [[row["TREGABS"], row["CD4ABS"], row["TREGPCD4"], row["TH17PCD4"]] for row in draws], [5, 95], axis=0
    )
    # Ranges of patients and of 150 healthy people (PMC7397677), as 5th and 95th percentile, loosely.
    assert np.all(low > [5, 150, 1.7, 0.4])
    assert np.all(low < [13, 320, 3.5, 1.0])
    assert np.all(high > [30, 600, 5.5, 2.0])
    assert np.all(high < [65, 1_000, 9, 4])


def test_most_visits_take_place_and_some_are_missed() -> None:
    draws = [draw for index in range(82) for draw in cohort_subject(index, seed=SEED).draws]
    missed = [draw for draw in draws if draw.missed]
    assert 3 <= len(missed) <= 30
    assert not [draw for draw in missed if draw.visit == VISITS[0].visit]


# --- truth and files agree ---


def test_the_truth_has_as_many_events_as_the_file(trial: Path) -> None:
    events = true_events(trial)
    for row in tubes(trial):
        data = flowio.FlowData(str(trial / "fcs" / row["fcs"]))
        assert data.event_count == events[row["sample_id"]]["all"], row["fcs"]


def test_populations_and_doublets_add_up_to_all_events(trial: Path) -> None:
    for counts in true_events(trial).values():
        assert sum(counts[NAMES[kind]] for kind in Kind) == counts["all"]


def test_labels_of_single_events_are_the_counted_truth(trial: Path) -> None:
    events = true_events(trial)
    for row in tubes(trial):
        codes = kinds(trial, row)
        assert {NAMES[kind]: int((codes == kind).sum()) for kind in Kind}.items() <= events[
            row["sample_id"]
        ].items()


def test_one_treg_tube_was_broken_off_while_it_was_copied(trial: Path) -> None:
    broken = [row for row in truth(trial, "draws") if row["artefact"] == "truncated"]
    assert [row["panel"] for row in broken] == ["treg"]
    row = next(row for row in sheet(trial, "samples") if row["sample_id"] == broken[0]["sample_id"])
    content = (trial / "fcs" / row["fcs"]).read_bytes()
    assert int(content[34:42]) > len(content)  # the header's end of data lies behind the end of the file


def test_cells_against_beads_give_the_true_cells_per_microlitre(trial: Path) -> None:
    # Cells and beads are seen in the same share, so that (cells / beads) · (beads per tube / blood)
    # has the relative variance 1/cells + 1/beads (a little less: the tube's beads are counted out).
    events = true_events(trial)
    true = {row["specimen"]: row for row in truth(trial, "specimens")}
    scores = []
    for row in tubes(trial, panel="count", role="sample"):
        seen = events[row["sample_id"]]
        for population, code in (("CD4+", "CD4ABS"), ("lymphocytes", "LYMABS")):
            cells = seen[population] / seen["beads"] * float(row["beads_per_tube"]) / float(row["blood_ul"])
            error = np.sqrt(1 / seen[population] + 1 / seen["beads"])
            scores.append((cells / float(true[row["specimen"]][code]) - 1) / error)
    assert len(scores) >= 30
    assert max(map(abs, scores)) < 4
    assert 0.6 < np.std(scores) < 1.4


def test_doublets_are_rare(trial: Path) -> None:
    for counts in true_events(trial).values():
        assert counts["doublets"] <= 0.02 * counts["all"] + 4 * np.sqrt(0.02 * counts["all"])


# --- the files look like a cytometer's ---


def test_channels_carry_detector_names_and_marker_labels(trial: Path) -> None:
    row = tubes(trial, panel="treg", role="sample")[0]
    data = flowio.FlowData(str(trial / "fcs" / row["fcs"]))
    labels = {channel["pnn"]: channel["pns"] for channel in data.channels.values()}
    assert labels == {
        "FSC-A": "", "FSC-H": "", "SSC-A": "", "FITC-A": "CD4", "PE-A": "CD25", "PerCP-Cy5-5-A": "CD3",
        "APC-A": "FOXP3", "APC-Cy7-A": "Viability", "BV421-A": "CD127", "Time": "",
    }  # fmt: skip
    assert data.text["timestep"] == "0.01"
    assert data.text["spillover"].startswith("6,FITC-A,PE-A,PerCP-Cy5-5-A,APC-A,APC-Cy7-A,BV421-A,1,")
    assert re.fullmatch(r"\d\d-[A-Z]{3}-2024", data.text["date"])
    assert data.text["btim"] < data.text["etim"]
    assert data.text["p4v"] == "480"


def test_values_end_at_the_instrument_s_range_and_reach_below_zero(trial: Path) -> None:
    lowest = 0.0
    for row in tubes(trial, role="sample"):
        values = channels(trial, row)
        assert max(column.max() for column in values.values()) < 262_144
        assert min(values[name].min() for name in ("FSC-A", "FSC-H", "SSC-A", "Time")) >= 0
        lowest = min(lowest, values["APC-A"].min())
    assert -200 < lowest < 0


def test_time_never_runs_backwards(trial: Path) -> None:
    for row in tubes(trial):
        assert np.all(np.diff(channels(trial, row)["Time"]) >= 0)


def test_doublets_have_less_height_for_their_area_than_single_cells(trial: Path) -> None:
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for row in tubes(trial, panel="treg", role="sample"):
        values, codes = channels(trial, row), kinds(trial, row)
        ratio = values["FSC-H"] / values["FSC-A"]
        for is_doublet, found in ratios.items():
            found.extend(ratio[(codes == Kind.DOUBLETS) == is_doublet])
    # Height of a single cell is 0.78 of its area; two equal cells in line have half of that ratio.
    assert np.median(ratios[False]) == pytest.approx(0.78, abs=0.01)
    assert np.median(ratios[True]) < 0.55


def test_beads_are_brighter_than_any_cell_in_both_bead_channels(trial: Path) -> None:
    for row in tubes(trial, panel="count", role="sample"):
        values, codes = channels(trial, row), kinds(trial, row)
        beads, cells = codes == Kind.BEADS, (codes != Kind.BEADS) & (codes != Kind.DOUBLETS)
        assert beads.sum() > 10
        for name, least in (("BV421-A", 50_000), ("PE-A", 50_000)):
            assert values[name][beads].min() > least
            assert np.quantile(values[name][cells], 0.999) < values[name][beads].min()


def test_beads_vary_by_three_per_cent(trial: Path) -> None:
    spread = []
    for row in tubes(trial, panel="count", role="sample"):
        # A drifting or clogged tube smears its beads: that is what the artefact is.
        bright = channels(trial, row)["BV421-A"][kinds(trial, row) == Kind.BEADS]
        low, middle, high = np.percentile(bright, [15.87, 50, 84.13])
        spread.append((high - low) / 2 / middle)
    assert np.median(spread) == pytest.approx(0.03, abs=0.008)


def test_interleukin_17_appears_after_stimulation_only(trial: Path) -> None:
    events = true_events(trial)
    stimulated = [events[row["sample_id"]]["Th17"] for row in tubes(trial, panel="th17", role="sample")]
    resting = [events[row["sample_id"]]["Th17"] for row in tubes(trial, panel="th17", role="unstimulated")]
    assert sum(resting) == 0
    assert np.median(stimulated) >= 3
    for row in tubes(trial, panel="th17", role="unstimulated")[:6]:
        assert (compensated(trial, row)["IL-17A"][kinds(trial, row) < Kind.TH17] > 1_500).mean() < 0.002


def test_cd4_falls_by_what_the_truth_says_after_stimulation(trial: Path) -> None:
    down = {row["sample_id"]: row["cd4_down_log10"] for row in truth(trial, "draws")}
    resting = {row["specimen"]: row for row in tubes(trial, panel="th17", role="unstimulated")}
    for row in tubes(trial, panel="th17", role="sample")[:8]:
        levels = []
        for tube in (row, resting[row["specimen"]]):
            codes = kinds(trial, tube)
            cd4 = (codes >= Kind.CD4_NAIVE) & (codes <= Kind.IL17A_BACKGROUND)
            levels.append(np.median(compensated(trial, tube)["CD4"][cd4]))
        # Staining of a tube varies by 3 %, a clog or drift takes up to 15 %: 0.1 of a decade covers both.
        assert np.log10(levels[1] / levels[0]) == pytest.approx(float(down[row["sample_id"]]), abs=0.1)
        assert 0.2 <= float(down[row["sample_id"]]) <= 0.5


def test_treg_markers_overlap_with_activated_cells_without_a_valley(trial: Path) -> None:
    foxp3: dict[Kind, list[float]] = {Kind.CD4_ACTIVATED: [], Kind.TREG: []}
    for row in tubes(trial, panel="treg", role="sample"):
        values, codes = compensated(trial, row), kinds(trial, row)
        for kind, found in foxp3.items():
            found.extend(values["FOXP3"][codes == kind])
    activated, treg = (np.array(foxp3[kind]) for kind in (Kind.CD4_ACTIVATED, Kind.TREG))
    assert np.median(treg) > 2 * np.median(activated)
    assert 0.03 < (activated > np.quantile(treg, 0.25)).mean() < 0.25


def test_an_fmo_tube_lacks_its_marker_and_has_the_others(trial: Path) -> None:
    for row in tubes(trial, role="fmo"):
        values, codes = compensated(trial, row), kinds(trial, row)
        assert np.median(values[row["control_for"]][codes == Kind.TREG]) < 250
        assert np.median(values["CD3"][codes == Kind.TREG]) > 2_000


# --- spillover ---


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Between the medians of the bright and the dim events of a single stain."""
    bright, dim = x > np.sqrt(x.max() * 1_000), x < 1_000
    return float((np.median(y[bright]) - np.median(y[dim])) / (np.median(x[bright]) - np.median(x[dim])))


def test_single_stains_give_back_the_true_spillover(trial: Path) -> None:
    errors = []
    for row in tubes(trial, role="single_stain"):
        panel, true = PANELS[row["panel"]], true_matrix(trial, row["panel"], row["batch"])
        values, codes = channels(trial, row), kinds(trial, row)
        alike = np.isin(codes, (Kind.COMPENSATION_BEADS, Kind.STAINED_COMPENSATION_BEADS))
        alike |= (codes >= Kind.B) & (codes <= Kind.IL17A_BACKGROUND)  # one autofluorescence: lymphocytes
        own = panel.markers.index(row["control_for"])
        x = values[panel.dye_detectors[own]][alike]
        for other, name in enumerate(panel.dye_detectors):
            errors.append(slope(x, values[name][alike]) - true[own, other])
    assert np.median(np.abs(errors)) < 0.001
    assert np.max(np.abs(errors)) < 0.01


def test_the_operator_s_matrix_is_near_the_truth_and_not_the_truth(trial: Path) -> None:
    row = tubes(trial, panel="treg", role="sample")[0]
    text = flowio.FlowData(str(trial / "fcs" / row["fcs"])).text["spillover"].split(",")
    embedded = np.array(text[7:], dtype=float).reshape(6, 6)
    true = true_matrix(trial, "treg", row["batch"])
    large = (true > 0.005) & (true < 1)
    relative = np.abs(embedded[large] / true[large] - 1)
    assert np.all(np.diag(embedded) == 1)
    assert np.count_nonzero(relative > 0.15) == 2
    assert 0.005 < np.median(relative) < 0.06


def test_batches_differ_in_gain_and_staining_within_the_stated_bounds(trial: Path) -> None:
    factors = truth(trial, "batches")
    for kind, most in (("gain", 0.2), ("staining", 0.15), ("background", 0.25)):
        logs = np.log([float(row["factor"]) for row in factors if row["kind"] == kind])
        assert np.abs(logs).max() <= most + 1e-12
        assert logs.std() > most / 6
