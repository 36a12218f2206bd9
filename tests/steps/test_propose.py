"""A study proposed from a lab's folder: what names and channels tell, and what is left to the lab."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from cytotrial.demo import write_demo
from cytotrial.errors import ConfigError
from cytotrial.steps.naming import marker_in, parts_of
from cytotrial.steps.propose import Proposal, propose_study
from cytotrial.steps.trial import load_trial
from cytotrial.terms import Role
from tests.steps.fcs_by_hand import TH17, TREG, labelled, write_fcs


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def lab(folder: Path) -> Path:
    """Two panels, names as labs give them, and the controls of one batch."""
    dated = {"$DATE": "08-JAN-2024", "$BTIM": "09:30:00"}
    for name in ("Tregs_Pt 07_wk12 (2).fcs", "Tregs_Pt 07_wk00.FCS", "sub/Tregs_pt11_wk 0.fcs"):
        write_fcs(folder / name, keywords={**dated, "PATIENT NAME": "Doe^Jane"})
    for name in ("Th17_Pt 07_wk12.fcs", "Th17_Pt 07_wk12_unstim.fcs", "Th17_PT7_week0.LMD"):
        write_fcs(folder / name, TH17, keywords=dated)
    write_fcs(
        folder / "Controls" / "Tregs FMO CD25.fcs", labelled(TREG, "CD3", "FOXP3", "CD4"), keywords=dated
    )
    for marker in ("CD3", "FOXP3", "CD25", "CD4"):
        write_fcs(folder / "Controls" / f"comp_{marker}.fcs", labelled(TREG, marker), keywords=dated)
    write_fcs(folder / "Controls" / "Unstained.fcs", labelled(TREG), keywords=dated)
    return folder


def proposed(folder: Path, output: Path, **options: str) -> tuple[Proposal, dict[str, dict[str, str]]]:
    proposal = propose_study(folder, output=output, **options)
    return proposal, {row["fcs"]: row for row in rows_of(output / "samples.tsv")}


def test_names_as_labs_give_them_become_subject_visit_panel_and_role(tmp_path: Path) -> None:
    proposal, rows = proposed(lab(tmp_path / "lab"), tmp_path / "study")
    columns = ("panel", "role", "subject", "visit", "batch", "control_for")
    assert {path: tuple(row[column] for column in columns) for path, row in rows.items()} == {
        "Tregs_Pt 07_wk12 (2).fcs": ("treg", "sample", "PT07", "W12", "2024-01-08", ""),
        "Tregs_Pt 07_wk00.FCS": ("treg", "sample", "PT07", "W00", "2024-01-08", ""),
        "sub/Tregs_pt11_wk 0.fcs": ("treg", "sample", "PT11", "W00", "2024-01-08", ""),
        "Th17_Pt 07_wk12.fcs": ("th17", "sample", "PT07", "W12", "2024-01-08", ""),
        "Th17_Pt 07_wk12_unstim.fcs": ("th17", "unstimulated", "PT07", "W12", "2024-01-08", ""),
        "Th17_PT7_week0.LMD": ("th17", "sample", "PT07", "W00", "2024-01-08", ""),
        "Controls/Tregs FMO CD25.fcs": ("treg", "fmo", "", "", "2024-01-08", "CD25"),
        "Controls/comp_CD3.fcs": ("treg", "single_stain", "", "", "2024-01-08", "CD3"),
        "Controls/comp_FOXP3.fcs": ("treg", "single_stain", "", "", "2024-01-08", "FOXP3"),
        "Controls/comp_CD25.fcs": ("treg", "single_stain", "", "", "2024-01-08", "CD25"),
        "Controls/comp_CD4.fcs": ("treg", "single_stain", "", "", "2024-01-08", "CD4"),
        "Controls/Unstained.fcs": ("treg", "unstained", "", "", "2024-01-08", ""),
    }
    assert [row["subject"] for row in rows_of(tmp_path / "study" / "subjects.tsv")] == ["PT07", "PT11"]
    # Week n begins on study day 7 n + 1; the windows are the protocol's and stay empty.
    visits = rows_of(tmp_path / "study" / "visits.tsv")
    assert [(row["visit"], row["target_day"], row["baseline"], row["last_day"]) for row in visits] == [
        ("W00", "1", "Y", ""), ("W12", "85", "", ""),
    ]  # fmt: skip
    assert proposal.unreadable == ()


def test_the_configuration_names_the_markers_and_leaves_open_what_files_do_not_tell(
    tmp_path: Path,
) -> None:
    proposal, _ = proposed(lab(tmp_path / "lab"), tmp_path / "study")
    config = yaml.safe_load((tmp_path / "study" / "config.yaml").read_text(encoding="utf-8"))
    treg, th17 = config["panels"]["treg"], config["panels"]["th17"]
    # The FMO tube has no label on APC-A: its channel of CD25 is known by the detector.
    assert treg["markers"] == {"CD3": ["CD3"], "FOXP3": ["FOXP3"], "CD25": ["CD25", "APC-A"], "CD4": ["CD4"]}
    assert (treg["compensation"], th17["compensation"], th17["gating"]) == ("controls", None, None)
    assert config["fcs_dir"] == (tmp_path / "lab").as_posix()
    said = proposal.in_words()
    for line in ("config.yaml, panels.th17.compensation", "panels.th17.gating", "samples.tsv, collected"):
        assert line in said
    with pytest.raises(ConfigError, match=r"panels\.th17\.compensation"):
        load_trial(tmp_path / "study" / "config.yaml")


def test_a_proposal_loads_once_the_undecided_cells_are_filled(tmp_path: Path) -> None:
    proposed(lab(tmp_path / "lab"), study := tmp_path / "study")
    (study / "gating.yaml").write_text(
        "version: 1.0.0\npopulations:\n  - {name: a, channels: [CD4], gate: {low: 1}}\n"
    )
    config = yaml.safe_load((study / "config.yaml").read_text(encoding="utf-8"))
    for panel in config["panels"].values():
        panel |= {"gating": str(study / "gating.yaml"), "compensation": panel["compensation"] or "none"}
    (study / "config.yaml").write_text(yaml.safe_dump({**config, "results": str(tmp_path / "results")}))
    samples = (study / "samples.tsv").read_text(encoding="utf-8")
    for visit in ("W00", "W12"):
        samples = samples.replace(f"{visit}\t\t", f"{visit}\t2024-01-08\t")
    (study / "samples.tsv").write_text(samples, encoding="utf-8")
    visits = (study / "visits.tsv").read_text(encoding="utf-8")
    (study / "visits.tsv").write_text(
        visits.replace("1\t\t\tY", "1\t\t1\tY").replace("85\t\t\t", "85\t2\t\t")
    )
    trial = load_trial(study / "config.yaml")
    assert (len(trial.tubes), len(trial.subjects), trial.extra["T00001"]["acquired"][:10]) == (
        12,
        2,
        "2024-01-08",
    )


def test_no_text_of_a_file_that_could_name_a_person_is_copied(tmp_path: Path) -> None:
    secret = {"PATIENT NAME": "Doe^Jane", "$OP": "Miller", "TUBE NAME": "Unstained Doe", "$SRC": "Jane"}
    write_fcs(tmp_path / "lab" / "001.fcs", keywords=secret)
    write_fcs(tmp_path / "lab" / "S002_W00.fcs", keywords=secret | {"TUBE NAME": "Tube 1"})
    proposal, rows = proposed(tmp_path / "lab", tmp_path / "study")
    written = "".join(path.read_text(encoding="utf-8") for path in proposal.written) + proposal.in_words()
    assert not any(word in written for word in ("Doe", "Jane", "Miller"))
    # The role alone is told by the tube's name in the file.
    assert (rows["001.fcs"]["role"], rows["S002_W00.fcs"]["role"]) == ("unstained", "sample")


def test_a_pattern_comes_before_everything_else(tmp_path: Path) -> None:
    for name in ("a-x1-base", "a-x2-late", "iso-x1-base"):
        write_fcs(tmp_path / "lab" / f"{name}.fcs")
    proposal, rows = proposed(
        tmp_path / "lab", tmp_path / "study", pattern=r"(?P<panel>\w+)-(?P<subject>x\d)-(?P<visit>\w+)\.fcs$"
    )
    assert [(row["panel"], row["subject"], row["visit"]) for path, row in rows.items() if path[0] == "a"] == [
        ("a", "x1", "base"), ("a", "x2", "late"),
    ]  # fmt: skip
    assert "3 of 3 files match" in proposal.in_words()


@pytest.mark.parametrize(
    ("pattern", "reason"), [("(", "no regular expression"), ("(?P<subjekt>x)", "subjekt"), ("x", "none")]
)
def test_a_pattern_that_cannot_be_used_is_refused(tmp_path: Path, pattern: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        propose_study(lab(tmp_path / "lab"), pattern=pattern, output=tmp_path / "study")


@pytest.mark.parametrize(("subjects", "execution"), [(39, None), (82, {"shards": 8})])
def test_a_wide_trial_is_cut_into_jobs_of_some_ten_subjects(
    tmp_path: Path, subjects: int, execution: dict[str, int] | None
) -> None:
    for number in range(1, subjects + 1):
        write_fcs(tmp_path / "lab" / f"S{number:03d}_W00_treg.fcs")
    proposed(tmp_path / "lab", tmp_path / "study")
    written = yaml.safe_load((tmp_path / "study" / "config.yaml").read_text(encoding="utf-8"))
    assert written.get("execution") == execution


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    propose_study(lab(tmp_path / "lab"), output=tmp_path / "study")
    before = {path.name: path.read_bytes() for path in (tmp_path / "study").iterdir()}
    with pytest.raises(ConfigError, match=r"samples\.tsv.*there already"):
        propose_study(tmp_path / "lab", output=tmp_path / "study")
    assert {path.name: path.read_bytes() for path in (tmp_path / "study").iterdir()} == before


def test_a_folder_without_fcs_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no FCS file"):
        propose_study(tmp_path, output=tmp_path / "study")
    with pytest.raises(ConfigError, match="is not a folder"):
        propose_study(tmp_path / "nowhere", output=tmp_path / "study")


def test_unreadable_files_keep_a_row_and_unwritable_names_are_told(tmp_path: Path) -> None:
    folder = lab(tmp_path / "lab")
    (folder / "Tregs_Pt 09_wk00.fcs").write_bytes((folder / "Tregs_Pt 07_wk00.FCS").read_bytes()[:-9])
    write_fcs(folder / "=1+1.fcs")
    write_fcs(folder / "._hidden.fcs")
    write_fcs(folder / "060909.001")
    proposal, rows = proposed(folder, tmp_path / "study")
    assert proposal.unreadable == (("Tregs_Pt 09_wk00.fcs", "TRUNCATED"),)
    assert (rows["Tregs_Pt 09_wk00.fcs"]["subject"], rows["Tregs_Pt 09_wk00.fcs"]["panel"]) == (
        "PT09",
        "treg",
    )
    assert [name for name, _ in proposal.left_out] == ["=1+1.fcs"]
    assert "060909.001" in rows
    assert len(rows) == 14


def test_progress_counts_every_file(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    propose_study(
        lab(tmp_path / "lab"),
        output=tmp_path / "study",
        progress=lambda done, all_: seen.append((done, all_)),
    )
    assert seen == [(number, 12) for number in range(1, 13)]


@pytest.mark.parametrize(
    ("path", "role", "subject", "visit", "batch"),
    [
        ("Tregs_Pt 07_wk12 (2).fcs", None, ("PT", "07"), ("W", "12"), None),
        ("001-012/Day 15/tube_001.fcs", None, ("001-012", ""), ("D", "15"), None),
        ("2024-01-08/run3/S001_V2.fcs", None, ("S", "001"), ("V", "2"), ("RUN", "3")),
        ("C1D15 patient7b.fcs", None, ("PT", "7b"), ("C01D", "15"), None),
        ("Gates_PTLG021_Unstim_Control_2.fcs", Role.UNSTIMULATED, ("PTLG", "021"), None, None),
        ("Compensation/Compensation-Unstained.fcs", Role.UNSTAINED, None, None, None),
        ("Compensation/APC-Cy7.fcs", Role.SINGLE_STAIN, None, None, None),
        ("Controls/S003_isotype.fcs", Role.ISOTYPE, ("S", "003"), None, None),
        ("S004_screening.fcs", None, ("S", "004"), ("SCREENING", ""), None),
        ("B02/Jane Doe baseline CD25 BV421.fcs", None, None, ("BASELINE", ""), ("B", "02")),
        ("Specimen_001_D01_S12.fcs", None, ("S", "12"), ("D", "01"), None),
    ],
)
def test_what_a_path_says(
    path: str,
    role: Role | None,
    subject: tuple[str, str] | None,
    visit: tuple[str, str] | None,
    batch: tuple[str, str] | None,
) -> None:
    parts = parts_of(path)
    said = [(part.kind, part.number) if part else None for part in (parts.subject, parts.visit, parts.batch)]
    assert (parts.role, said) == (role, [subject, visit, batch])


def test_a_well_of_a_plate_is_no_day() -> None:
    assert parts_of("Specimen_001_D01_S12.fcs", wells=True).visit is None


def test_the_longest_name_of_a_marker_wins() -> None:
    names = {"APC": "CD4", "APCCY7": "CD19", "IL17A": "IL-17A"}
    assert marker_in("comp/Compensation-APC-Cy7 beads.fcs", names) == "CD19"
    assert marker_in("FMO IL-17A.fcs", names) == "IL-17A"
    assert marker_in("FMO.fcs", names) == ""


def test_the_demo_trial_is_told_from_its_folder_as_its_own_sheet_has_it(tmp_path: Path) -> None:
    write_demo(tmp_path / "demo", subjects=2, events=500, workers=1)
    own = {row["fcs"]: row for row in rows_of(tmp_path / "demo" / "sheets" / "samples.tsv") if row["fcs"]}
    _, rows = proposed(tmp_path / "demo" / "fcs", tmp_path / "study")
    assert len(rows) >= 100
    there = {path for path in own if (tmp_path / "demo" / "fcs" / path).exists()}
    assert set(rows) == there
    for path, row in rows.items():
        expected = own[path]
        for column in ("panel", "role", "subject", "batch", "control_for"):
            assert row[column] == expected[column], (path, column)
        if expected["visit"] != "UNSCHEDULED":
            assert row["visit"] == expected["visit"]


def test_single_stains_without_a_name_are_told_by_their_one_label(shared: Path, tmp_path: Path) -> None:
    # The folder L02 holds the compensation controls, L04 the samples (source: its README).
    _, rows = proposed(shared / "data" / "labkey_8color_ics_trial", tmp_path / "study")
    stained = {path: row["control_for"] for path, row in rows.items() if row["role"] == "single_stain"}
    assert set(stained.values()) == {"CD3", "CD4", "CD8", "Vi L/D", "TNFa", "IFNg"}
    assert all(path.startswith("L02-060120-QUV-JS/") for path in stained)


def test_every_folder_of_real_files_gets_a_row_per_file(shared: Path, tmp_path: Path) -> None:
    for folder in sorted(path for path in (shared / "data").iterdir() if path.is_dir()):
        proposal, rows = proposed(folder, tmp_path / folder.name)
        assert len(rows) == len(proposal.tubes) >= 1
        names = [row["sample_id"] for row in rows.values()]
        assert len(set(names)) == len(names)
