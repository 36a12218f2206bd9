"""A study as data: configuration and sheets against each other, before anything runs."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cytotrial.errors import ConfigError, CytotrialError
from cytotrial.files.overrides import write_overrides
from cytotrial.files.template import read_template
from cytotrial.files.yaml_strict import read_yaml
from cytotrial.steps.trial import Trial, load_trial

SAMPLES = """\
sample_id fcs panel role subject visit collected batch control_for beads_per_tube blood_ul note
T1 1.fcs count sample S001 W00 2024-01-08 B01 - 50000 50 a
T2 2.fcs treg sample S001 W00 2024-01-08 B01 - - - b
T3 3.fcs treg fmo - - - B01 CD25 - - c
T4 4.fcs treg single_stain - - - B01 CD4 - - d
T5 5.fcs treg single_stain - - - B01 CD25 - - e
T6 6.fcs count sample S001 UNSCHEDULED 2024-03-01 B01 - 50000 50 f
T7 7.fcs treg sample S001 UNSCHEDULED 2024-03-01 B01 - - - g
"""
SUBJECTS = "subject first_dose\nS001 2024-01-08\n"
VISITS = "visit visit_num target_day first_day last_day baseline\nW00 1 1 - 1 Y\nW04 2 29 2 - -\n"
CLINICAL = "subject test collected value unit\nS001 SLEDAI 2024-01-08 4 points\n"
CONFIG: dict[str, Any] = {
    "study": "TRIAL",
    "fcs_dir": "fcs",
    "results": "results",
    "sheets": {"samples": "samples.tsv", "subjects": "subjects.tsv", "visits": "visits.tsv"},
    "panels": {
        "count": {"markers": {"CD4": ["CD4"]}, "gating": "gating.yaml", "compensation": "none"},
        "treg": {
            "markers": {"CD4": ["CD4"], "CD25": ["CD25"]},
            "gating": "gating.yaml",
            "compensation": "controls",
        },
    },
    "parameters": {
        "CD4ABS": {"kind": "absolute", "panel": "count", "population": "CD4+"},
        "TREGPCD4": {"kind": "percent", "panel": "treg", "population": "Treg", "of": "CD4+"},
        "TREGABS": {"kind": "cross_tube", "percent": "TREGPCD4", "count": "CD4ABS"},
    },
}
GATING = "version: 1.0.0\npopulations:\n  - {name: CD4+, channels: [CD4], gate: {low: 0.5}}\n"


def tsv(text: str) -> str:
    """Columns by blanks, an empty cell as a hyphen."""
    return "".join(
        "\t".join("" if cell == "-" else cell for cell in line.split(" ")) + "\n"
        for line in text.splitlines()
    )


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small consistent study in the current folder; its FCS files are not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fcs").mkdir()
    for name, text in [
        ("samples", SAMPLES),
        ("subjects", SUBJECTS),
        ("visits", VISITS),
        ("clinical", CLINICAL),
    ]:
        (tmp_path / f"{name}.tsv").write_text(tsv(text), encoding="utf-8")
    (tmp_path / "gating.yaml").write_text(GATING, encoding="utf-8")
    return tmp_path


def load(**changes: Any) -> Trial:
    Path("config.yaml").write_text(yaml.safe_dump({**CONFIG, **changes}), encoding="utf-8")
    return load_trial(Path("config.yaml"))


def refused(**changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**changes)
    return str(caught.value)


def panel(**changes: Any) -> dict[str, Any]:
    return {**CONFIG["panels"], "treg": {**CONFIG["panels"]["treg"], **changes}}


def edit(name: str, *changes: tuple[str, str]) -> None:
    path = Path(f"{name}.tsv")
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert tsv(old).strip("\n") in text
        text = text.replace(tsv(old).strip("\n"), tsv(new).strip("\n"))
    path.write_text(text, encoding="utf-8")


def test_a_consistent_study_loads_without_a_warning_and_missing_fcs_files_are_no_error(study: Path) -> None:
    trial = load(sheets={**CONFIG["sheets"], "clinical": "clinical.tsv"})
    assert trial.warnings == ()
    assert [tube.sample_id for tube in trial.tubes] == ["T1", "T2", "T3", "T4", "T5", "T6", "T7"]
    assert [visit.visit for visit in trial.visits if visit.baseline] == ["W00"]
    assert (trial.subjects[0].subject, trial.clinical[0].value, trial.cbc) == ("S001", 4.0, ())
    assert trial.extra["T3"] == {"note": "c"}


def test_every_problem_of_every_file_comes_in_one_error_file_by_file(study: Path) -> None:
    edit("samples", ("T1 1.fcs count", "T1 /1.fcs count"), ("S001 W00 2024-01-08", "S0O1 W00 2024-01-08"))
    edit("subjects", ("S001 2024-01-08", "S001 8.1.2024"))
    edit("visits", ("W04 2 29 2", "W04 2 29 5"))
    message = refused(fcs_dir="raw")
    heads = [line for line in message.splitlines() if not line.startswith(" ")]
    assert heads == [
        "config.yaml, 1 problem; nothing was run",
        "samples.tsv, 1 problem; nothing was run",
        "subjects.tsv, 1 problem; nothing was run",
        "visits.tsv, 1 problem; nothing was run",
    ]


def test_a_bad_configuration_does_not_hide_the_problems_of_the_sheets(study: Path) -> None:
    edit("samples", ("T1 1.fcs count", "T1 /1.fcs count"))
    message = refused(stdy="X")
    assert "stdy: unknown key; did you mean 'study'?" in message
    assert 'line 2, column fcs: "/1.fcs" is an absolute path' in message


def test_names_that_the_other_files_do_not_have_are_refused_with_the_nearest_one(study: Path) -> None:
    edit(
        "samples",
        ("T2 2.fcs treg", "T2 2.fcs tregs"),
        ("T3 3.fcs treg fmo - - - B01 CD25", "T3 3.fcs treg fmo - - - B01 CD26"),
        ("T6 6.fcs count sample S001 UNSCHEDULED", "T6 6.fcs count sample s001 UNSCHEDULED"),
        ("T7 7.fcs treg sample S001 UNSCHEDULED", "T7 7.fcs treg sample S001 WO4"),
    )
    edit("clinical", ("S001 SLEDAI", "S002 SLEDAI"))
    message = refused(
        sheets={**CONFIG["sheets"], "clinical": "clinical.tsv"}, report={"profiles": ["S010"], "title": "x"}
    )
    for expected in [
        'line 3, column panel: "tregs" is not one of the configuration\'s panels; did you mean "treg"?',
        'line 4, column control_for: "CD26" is not a marker of panel treg; did you mean "CD25"?',
        'line 7, column subject: "s001" is not in the subject sheet; did you mean "S001"?',
        'line 8, column visit: "WO4" is not in the visit sheet; did you mean "W04"?',
        'line 2, column subject: "S002" is not in the subject sheet; did you mean "S001"?',
        "report.profiles: 'S010' is not in the subject sheet",
    ]:
        assert expected in message


def test_a_sheet_with_problems_of_its_own_is_not_compared_with(study: Path) -> None:
    edit("subjects", ("S001 2024-01-08", "S 001 2024-01-08"))
    message = refused()
    assert "line 2" in message
    assert "is not in the subject sheet" not in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"fcs_dir": "raw"}, "fcs_dir: 'raw' is not a folder"),
        ({"panels": panel(gating="no.yaml")}, "panels.treg.gating: 'no.yaml' does not exist"),
        ({"panels": panel(compensation="control")}, 'nor a file that exists; did you mean "controls"?'),
        ({"panels": panel(compensation="matrix.csv")}, "panels.treg.compensation: 'matrix.csv' is neither"),
        ({"overrides": "no.tsv"}, "overrides: 'no.tsv' does not exist"),
        (
            {"sheets": {**CONFIG["sheets"], "cbc": "cbc.tsv"}},
            "cbc.tsv, 1 problem; nothing was run\n  the file does",
        ),
        ({"results": "fcs/out"}, "results: 'fcs/out' lies inside fcs_dir"),
        ({"results": "./fcs"}, "results: './fcs' is the folder of the raw files"),
        ({"results": "fcs/../../"}, "is or holds the current folder"),
        ({"results": "/"}, "results: '/' is not a folder of its own"),
    ],
)
def test_files_and_folders_that_cannot_be_right_are_refused(
    study: Path, changes: Mapping[str, Any], expected: str
) -> None:
    assert expected in refused(**changes)


def test_an_overrides_file_of_another_form_is_refused_with_the_study(study: Path) -> None:
    write_overrides(Path("overrides.tsv"), ())
    load(overrides="overrides.tsv")
    Path("overrides.tsv").write_text("override_id\tgate\n1\tCD4+\n", encoding="utf-8")
    assert "overrides.tsv, 1 problem; no override is applied\n  line 1:" in refused(overrides="overrides.tsv")


def test_a_draw_without_a_row_for_a_tube_that_its_parameters_need_is_a_warning(study: Path) -> None:
    edit("samples", ("T7 7.fcs treg sample S001 UNSCHEDULED 2024-03-01 B01 - - - g", ""))
    Path("samples.tsv").write_text(Path("samples.tsv").read_text(encoding="utf-8").rstrip("\n") + "\n")
    assert load().warnings == (
        "specimen S001.UNSCHEDULED: no row for a treg sample tube, needed by TREGABS, TREGPCD4",
    )


def test_a_tube_that_was_not_done_has_a_row_and_is_no_warning(study: Path) -> None:
    samples = tsv(SAMPLES).replace("\tnote\n", "\tnote\tstatus\treason_not_done\n")
    lines = [f"{line}\t\t" if number else line for number, line in enumerate(samples.splitlines())]
    lines[7] = lines[7].replace("7.fcs", "")[:-1] + "NOT_DONE\tclotted"
    Path("samples.tsv").write_text("\n".join(lines), encoding="utf-8")
    trial = load()
    assert (trial.tubes[6].status, trial.warnings) == ("NOT_DONE", ())


def test_an_unstimulated_tube_is_missed_where_background_is_subtracted(study: Path) -> None:
    percent = {**CONFIG["parameters"]["TREGPCD4"], "background": True}
    warnings = load(parameters={**CONFIG["parameters"], "TREGPCD4": percent}).warnings
    assert "specimen S001.W00: no row for a treg unstimulated tube, needed by TREGPCD4" in warnings


def test_a_count_tube_without_beads_or_volume_is_a_warning(study: Path) -> None:
    edit("samples", ("B01 - 50000 50 a", "B01 - - 50 a"))
    assert load().warnings == ("samples.tsv, line 2: beads_per_tube empty, so nothing is counted per µL",)


def test_what_the_count_method_needs_of_the_sheets_and_does_not_find_is_a_warning(study: Path) -> None:
    assert load(counts={"method": "volumetric"}).warnings == (
        "samples.tsv, line 2: dilution empty, so nothing is counted per µL",
        "samples.tsv, line 7: dilution empty, so nothing is counted per µL",
    )
    Path("cbc.tsv").write_text(
        "specimen\tlymphocytes_10e9_per_l\tcollected\nS001.W00\t1.2\t2024-01-08\n", encoding="utf-8"
    )
    sheets = {**CONFIG["sheets"], "cbc": "cbc.tsv"}
    assert load(counts={"method": "dual_platform"}, sheets=sheets).warnings == (
        "samples.tsv, line 7: specimen S001.UNSCHEDULED has no blood count, so nothing is counted per µL",
    )


def test_two_platforms_without_blood_counts_are_an_error(study: Path) -> None:
    assert "name their sheet under sheets.cbc" in refused(counts={"method": "dual_platform"})


def test_single_stains_that_do_not_cover_the_panel_are_a_warning_by_batch(study: Path) -> None:
    edit(
        "samples",
        ("T5 5.fcs treg single_stain - - - B01 CD25", "T5 5.fcs treg single_stain - - - B01 CD4"),
        (
            "T7 7.fcs treg sample S001 UNSCHEDULED 2024-03-01 B01",
            "T7 7.fcs treg sample S001 UNSCHEDULED 2024-03-01 B02",
        ),
    )
    assert load().warnings == (
        "panel treg, batch B01: no single-stain control of CD25",
        "panel treg, batch B02: no single-stain control to compensate with",
    )
    assert load(panels=panel(without_fluorochrome=["CD25"])).warnings == (
        "panel treg, batch B02: no single-stain control to compensate with",
    )
    assert load(panels=panel(compensation="embedded")).warnings == ()


def test_a_draw_outside_the_window_of_its_visit_is_a_warning(study: Path) -> None:
    # The first dose is on day 1, 8 January; 9 January is day 2, and the window of W00 ends on day 1.
    edit("samples", ("S001 W00 2024-01-08", "S001 W00 2024-01-09"))
    assert load().warnings == ("specimen S001.W00: drawn on study day 2, the window of W00 is open to 1",)


def test_a_subject_without_first_dose_and_a_blood_count_without_tube_are_warnings(study: Path) -> None:
    edit("subjects", ("S001 2024-01-08", "S001 -"))
    Path("cbc.tsv").write_text("specimen\tlymphocytes_10e9_per_l\nS001.W00\t1.2\nS001.W99\t1.3\n")
    assert load(sheets={**CONFIG["sheets"], "cbc": "cbc.tsv"}).warnings == (
        "no first_dose, so no study day: S001",
        "cbc.tsv, line 3: no tube has the specimen S001.W99",
    )


def test_a_trial_of_a_thousand_tubes_loads_without_pandas(study: Path) -> None:
    header = SAMPLES.splitlines()[0]
    rows = [f"T{i} {i}.fcs count sample S{i:04d} W00 2024-01-08 B01 - 50000 50 -" for i in range(1000)]
    Path("samples.tsv").write_text(tsv("\n".join([header, *rows])), encoding="utf-8")
    subjects = "\n".join(["subject first_dose", *(f"S{i:04d} 2024-01-08" for i in range(1000))])
    Path("subjects.tsv").write_text(tsv(subjects), encoding="utf-8")
    assert len(load().tubes) == 1000
    script = (
        "import sys; from pathlib import Path; from cytotrial.steps.trial import load_trial; "
        "load_trial(Path('config.yaml')); print({'pandas', 'scipy', 'openpyxl'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def our_configuration(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration of the collection under our keys; a key that it lacks is lacking in ours."""
    ours = {
        "study": "TRIAL",
        "fcs_dir": theirs.get("data_root"),
        "results": theirs["out"],
        "sheets": {**CONFIG["sheets"], "samples": theirs["samples"]},
        "panels": {theirs["panel"]: {"markers": {"CD4": ["CD4"]}, "gating": "gating.yaml"}},
        "quality": {"min_events": theirs["min_events"]},
    }
    return {key: value for key, value in ours.items() if value is not None}


def our_template(theirs: Mapping[str, Any]) -> dict[str, Any]:
    """The scale of a configuration of the collection; with us it stands in the gating template."""
    scale = theirs["transform"]
    default = {"kind": scale["type"], **{name: scale[name] for name in "twma"}}
    return {**yaml.safe_load(GATING), "scales": {"default": default}}


def verdict_of(path: Path) -> str:
    """ok, or reject where the file, the study or its gating template is refused."""
    try:
        theirs = read_yaml(path)
        Path("gating.yaml").write_text(yaml.safe_dump(our_template(theirs)), encoding="utf-8")
        Path("config.yaml").write_text(yaml.safe_dump(our_configuration(theirs)), encoding="utf-8")
        load_trial(Path("config.yaml"))
        read_template(Path("gating.yaml"))
    except CytotrialError:
        return "reject"
    return "ok"


def test_every_configuration_of_the_collection_has_its_verdict(shared: Path, study: Path) -> None:
    Path("data").mkdir()
    samples = (
        "sample_id,fcs,panel,role,subject,visit,collected,batch\nT1,1.fcs,P1,sample,S001,W00,2024-01-08,B01\n"
    )
    Path("samples.csv").write_text(samples, encoding="utf-8")
    with (shared / "badinput" / "expected.csv").open(encoding="utf-8", newline="") as stream:
        cases = [row for row in csv.DictReader(stream) if row["kind"] == "config"]
    verdicts = {row["case"]: verdict_of(shared / "badinput" / row["file"]) for row in cases}
    wrong = {row["case"] for row in cases if verdicts[row["case"]] not in {row["class"], row["alt"]}}
    assert (wrong, len(cases)) == (set(), 21)
    assert {case for case, verdict in verdicts.items() if verdict == "ok"} == {"cf_ok", "cf_bom"}
