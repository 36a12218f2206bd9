"""From a folder of raw files to a first result, as a technician goes: init, fill in, check, run."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.workflow.study import Study, install_workflow

Row = dict[str, str]

SUBJECTS = {"S001": "PT07", "S002": "PT11", "S900": "PT90"}
"""Subject of the demo's sheet → what is proposed for the name that the lab gives."""

PANEL_WORDS = {"treg": "Tregs", "th17": "Th17", "count": "TruC"}
DECIDED_BY_FILES = ("panel", "role", "subject", "visit", "batch", "control_for")
MEASURED = (
    "collected", "parameter", "value", "unit", "ci_low", "ci_high", "events", "parent_events", "cv_percent",
    "method", "status", "flags",
)  # fmt: skip


@dataclass(frozen=True)
class Lab:
    """A study folder with raw files under a lab's names, and no sheet.

    demo : folder of the demo trial that the files come from
    named : path below `raw` → row of the demo's own sheet
    """

    study: Study
    demo: Path
    named: Mapping[str, Row]

    def cytotrial(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cytotrial", *arguments],
            cwd=self.study.folder,
            capture_output=True,
            text=True,
            check=False,
        )


def rows_of(path: Path, delimiter: str = "\t") -> list[Row]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter=delimiter))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")


def name_in_the_lab(row: Row) -> str:
    """`Run 1/Tregs_Pt 07_wk12 (2).fcs`, `Run 1/Controls/Th17_comp CD4.fcs`: blanks and brackets."""
    word, batch = PANEL_WORDS[row["panel"]], f"Run {int(row['batch'][1:])}"
    if row["subject"]:
        number = SUBJECTS[row["subject"]][2:]
        visit = row["fcs"].split("_")[1]
        when = f"wk{visit[1:]}" if visit.startswith("W") else f"day {visit[1:]}"
        end = {"treg": " (2)", "th17": "_unstim" if row["role"] == "unstimulated" else ""}
        return f"{batch}/{word}_Pt {number}_{when}{end.get(row['panel'], '')}.fcs"
    kind = {"fmo": " FMO ", "single_stain": "_comp ", "unstained": " Unstained"}[row["role"]]
    return f"{batch}/Controls/{word}{kind}{row['control_for']}.fcs"


@pytest.fixture(scope="module")
def lab(tiny_demo: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """The demo's files under a lab's names in `raw`, and what `cytotrial init` made of them."""
    folder = tmp_path_factory.mktemp("lab")
    install_workflow(repository, folder)
    rows = rows_of(tiny_demo / "sheets" / "samples.tsv")
    done = [row for row in rows if row["fcs"] and row["subject"] != "QC01"]
    named = {name_in_the_lab(row): row for row in done if (tiny_demo / "fcs" / row["fcs"]).exists()}
    for name, row in named.items():
        path = folder / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((tiny_demo / "fcs" / row["fcs"]).read_bytes())
    made = Lab(Study(folder, "mine/config.yaml"), tiny_demo, named)
    proposed = made.cytotrial("init", "raw", "--output", "mine")
    assert proposed.returncode == 0, proposed.stderr
    (folder / "init.txt").write_text(proposed.stdout, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def filled(lab: Lab) -> Lab:
    """The proposal with every undecided cell filled in from the demo's own sheets."""
    mine = lab.study.path("mine")
    (mine / "as_proposed.tsv").write_bytes((mine / "samples.tsv").read_bytes())
    write_rows(mine / "samples.tsv", [fill(row, lab.named) for row in rows_of(mine / "samples.tsv")])
    rows = rows_of(lab.demo / "sheets" / "subjects.tsv")
    own = {SUBJECTS[row["subject"]]: row for row in rows if row["subject"] in SUBJECTS}
    proposed = [row["subject"] for row in rows_of(mine / "subjects.tsv")]
    write_rows(mine / "subjects.tsv", [{**own[name], "subject": name} for name in proposed])
    (mine / "visits.tsv").write_bytes((lab.demo / "sheets" / "visits.tsv").read_bytes())
    decide_parameters(mine / "config.yaml", lab.study.path("config", "config.yaml"))
    return lab


def fill(row: Row, named: Mapping[str, Row]) -> Row:
    """A row as a technician completes it: the draw, the beads, and what no file tells."""
    own = named[row["fcs"]]
    told = {column: own[column] for column in ("collected", "beads_per_tube", "blood_ul")}
    if own["visit"] == "UNSCHEDULED":  # several such draws of one subject need a name each
        told |= {"visit": "UNSCHEDULED", "specimen": own["specimen"].replace("S900", "PT90")}
    return {**row, "panel": row["panel"] or own["panel"], **told}


def decide_parameters(config: Path, example: Path) -> None:
    """Take the parameters and the panels' references over from the example that every user copies."""
    decided = yaml.safe_load(example.read_text(encoding="utf-8"))
    plain = yaml.safe_load(config.read_text(encoding="utf-8"))
    plain |= {key: decided[key] for key in ("counts", "parameters", "quality")}
    for name, panel in plain["panels"].items():
        panel["reference"] = decided["panels"][name]["reference"]
    config.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")


@pytest.fixture(scope="module")
def first_result(filled: Lab) -> Lab:
    """After `snakemake --configfile mine/config.yaml`."""
    filled.study.run()
    return filled


def test_names_with_blanks_and_brackets_tell_what_the_demos_own_sheet_says(lab: Lab) -> None:
    rows = {row["fcs"]: row for row in rows_of(lab.study.path("mine", "samples.tsv"))}
    assert set(rows) == set(lab.named)
    assert any(" (2).fcs" in name for name in rows)
    for name, row in rows.items():
        own = lab.named[name]
        expected = {**{column: own[column] for column in DECIDED_BY_FILES}, "batch": f"RUN{own['batch'][1:]}"}
        expected["subject"] = SUBJECTS.get(own["subject"], "")
        if own["visit"] == "UNSCHEDULED":  # a day that is no planned visit: the lab decides
            expected["visit"] = row["visit"]
        assert {column: row[column] for column in DECIDED_BY_FILES} == expected, name


def test_what_is_undecided_is_said_and_the_check_asks_for_it_row_by_row(lab: Lab) -> None:
    said = lab.study.path("init.txt").read_text(encoding="utf-8")
    for cell in ("samples.tsv, collected", "beads_per_tube", "subjects.tsv: first_dose", "visits.tsv"):
        assert cell in said
    done = lab.cytotrial("check", "--config", "mine/config.yaml")
    assert done.returncode == 1
    assert "column collected: is empty; a sample needs the date of its draw" in done.stderr
    assert "Traceback" not in done.stderr


def test_init_overwrites_nothing(lab: Lab) -> None:
    mine = lab.study.path("mine")
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    done = lab.cytotrial("init", "raw", "--output", "mine")
    assert done.returncode == 1
    assert "nothing is ever overwritten" in done.stderr
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before


def test_the_check_of_the_filled_sheets_rejects_the_broken_file_alone_and_ends_with_2(filled: Lab) -> None:
    done = filled.cytotrial("check", "--config", "mine/config.yaml")
    assert done.returncode == 2, done.stdout + done.stderr
    rejected = [line for line in done.stdout.splitlines() if " reject " in line]
    assert len(rejected) == 1
    assert "TRUNCATED" in rejected[0]
    n_tubes = len(filled.named)
    assert f"{n_tubes} tubes: {n_tubes - 1} ok, 0 warned, 1 rejected, 0 not done" in done.stdout


def leave_out_the_donor(study: Study) -> None:
    """The lab has no quality-control donor, whose tubes say with the others where a batch has its gates."""
    config = study.path("config", "config.yaml")
    plain = yaml.safe_load(config.read_text(encoding="utf-8"))
    plain.pop("qc_donor")
    config.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    for name in ("samples.tsv", "subjects.tsv", "cbc.tsv"):
        sheet = study.path("resources", "demo", "sheets", name)
        rows = rows_of(sheet)
        sheet.unlink()  # it may be a link to that of other tests
        write_rows(sheet, [row for row in rows if row.get("subject", row.get("specimen", ""))[:4] != "QC01"])


def test_the_first_result_equals_that_of_the_demos_own_sheets(first_result: Lab, study: Study) -> None:
    # The same bytes gated by the same templates: the ids of tubes, subjects and batches change no number.
    leave_out_the_donor(study)
    study.run()
    demo = rows_of(study.path("results", "dataset", "counts.csv"), ",")
    mine = rows_of(first_result.study.path("mine", "results", "dataset", "counts.csv"), ",")
    # S002 missed W12: its rows are in the demo's sheet, and no file could tell `init` about them.
    without_tube = [row for row in mine if row["flags"] == "NO_TUBE_IN_SHEET"]
    assert {(row["subject"], row["visit"]) for row in without_tube} == {("PT11", "W12")}
    expected = [
        (SUBJECTS[row["subject"]], *(row[column] for column in MEASURED))
        for row in demo
        if (row["subject"], row["visit"]) != ("S002", "W12")
    ]
    found = [
        (row["subject"], *(row[column] for column in MEASURED)) for row in mine if row not in without_tube
    ]
    assert sorted(found) == sorted(expected)
    assert len([row for row in mine if row["value"]]) > 50


def test_the_broken_file_is_mended_and_only_its_subject_and_the_batch_it_joins_run_again(
    first_result: Lab,
) -> None:
    inventory = first_result.study.path("mine", "results", "check", "inventory.csv")
    (broken,) = [row for row in rows_of(inventory, ",") if row["status"] == "reject"]
    sheet = {row["sample_id"]: row for row in rows_of(first_result.study.path("mine", "samples.tsv"))}
    row = sheet[broken["sample_id"]]
    whole = next(
        name
        for name, own in first_result.named.items()
        if (own["panel"], own["role"], own["subject"]) == ("treg", "sample", "S001") and name != row["fcs"]
    )
    # Another draw's file stands for the fresh copy; "no checksum" at its end keeps it from being a twin.
    mended = first_result.study.path("raw", whole).read_bytes() + b"0" * 8
    first_result.study.path("raw", row["fcs"]).write_bytes(mended)
    jobs = first_result.study.run()
    alone = {job for job in jobs if job.startswith(("check-unit", "place", "gate count", "gate th17"))}
    assert alone == {
        "check-unit subject.PT07",
        *(f"place {panel} subject.PT07" for panel in ("count", "th17", "treg")),
        *(f"gate {panel} subject.PT07" for panel in ("count", "th17")),
    }
    assert "gate treg subject.PT07" in jobs  # and the tubes of the batch, whose Treg tubes are one more now
    after = {row["sample_id"]: row for row in rows_of(inventory, ",")}
    assert after[broken["sample_id"]]["status"] != "reject"


def test_init_ends_without_a_traceback_on_every_folder_of_real_files(shared: Path, tmp_path: Path) -> None:
    for folder in sorted(path for path in (shared / "data").iterdir() if path.is_dir()):
        done = subprocess.run(
            [sys.executable, "-m", "cytotrial", "init", str(folder), "--output", str(tmp_path / folder.name)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (folder.name, done.stderr)
        assert "Traceback" not in done.stderr
        assert (tmp_path / folder.name / "config.yaml").exists()


def test_every_code_that_the_page_explains_is_one_that_a_file_can_get(repository: Path) -> None:
    page = (repository / "docs" / "your-own-data.md").read_text(encoding="utf-8")
    table = page.partition("The codes you are most likely to meet:")[2].partition("## 4.")[0]
    explained = re.findall(r"`([A-Z][A-Z0-9_]{4,})`", table)
    code = "".join(path.read_text(encoding="utf-8") for path in (repository / "src").rglob("*.py"))
    assert len(explained) > 20
    assert [name for name in explained if f'"{name}"' not in code] == []
