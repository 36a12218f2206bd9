"""What becomes of every row of the sample sheet, and why."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from cytotrial.steps.check import check_study, check_unit, join_inventory
from cytotrial.steps.plan import make_plan

Row = dict[str, str]

STAINED = {"FITC-A": "CD3", "PE-A": "FOXP3", "BV421-A": "CD4"}
COLUMNS = (
    "sample_id", "fcs", "panel", "role", "subject", "visit", "collected", "batch", "control_for", "sha256",
    "status", "reason_not_done",
)  # fmt: skip
VISITS = "visit\tvisit_num\ttarget_day\tfirst_day\tlast_day\tbaseline\nW00\t1\t1\t\t\tY\n"
MATRIX = "2,FITC-A,PE-A,1,0.1,0.02,1"


def fcs_bytes(labels: Mapping[str, str] = STAINED, **keywords: str) -> bytes:
    """An FCS 3.1 file of 30 events: FSC-A, the given $PnN with their $PnS, Time.

    The keywords are written with a `$` before them; `seed` alone makes two files differ.
    """
    names = ["FSC-A", *labels, "Time"]
    seed = int(keywords.pop("seed", "0"))
    events = [[seed + 100.0 * k + event for k in range(len(names))] for event in range(30)]
    data = b"".join(struct.pack(f"<{len(names)}f", *event) for event in events)
    size = 2_000
    text = {
        "$BEGINDATA": str(58 + size), "$ENDDATA": str(57 + size + len(data)), "$BYTEORD": "1,2,3,4",
        "$DATATYPE": "F", "$MODE": "L", "$NEXTDATA": "0", "$PAR": str(len(names)), "$TOT": "30",
        "$BEGINSTEXT": "0", "$ENDSTEXT": "0", "$BEGINANALYSIS": "0", "$ENDANALYSIS": "0",
        "$CYT": "Cytometer", "$DATE": "08-JAN-2024", "$TIMESTEP": "0.01",
        **{f"${name}": value for name, value in keywords.items()},
    }  # fmt: skip
    for number, name in enumerate(names, start=1):
        text |= {f"$P{number}N": name, f"$P{number}B": "32", f"$P{number}E": "0,0", f"$P{number}R": "262144"}
        text |= {f"$P{number}S": labels[name]} if labels.get(name) else {}
    body = ("/" + "".join(f"{key}/{value}/" for key, value in text.items())).encode().ljust(size)
    offsets = (58, 57 + size, 58 + size, 57 + size + len(data), 0, 0)
    return b"FCS3.1    " + b"".join(f"{offset:>8}".encode() for offset in offsets) + body + data


@dataclass
class Study:
    """A study in the current folder; its rows and files are those that a test adds."""

    folder: Path
    compensation: str = "controls"
    detectors: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    def add(self, name: str, content: bytes | None = None, **cells: str) -> None:
        """A sample of S001 unless told otherwise; no content means that there is no file."""
        number = len(self.rows)
        drawn = {"subject": f"S{number:03d}", "visit": "W00", "collected": "2024-01-08"}
        row = {"sample_id": name, "fcs": f"{name}.fcs", "panel": "treg", "role": "sample", "batch": "B01"}
        own = {"subject": "", "visit": ""} if cells.get("role", "sample") != "sample" else drawn
        self.rows.append({**row, **own, **cells})
        if content is not None:
            (self.folder / "fcs" / f"{name}.fcs").write_bytes(content)

    def write(self) -> Path:
        subjects = sorted({"S999", *(row["subject"] for row in self.rows)} - {""})
        lines = [COLUMNS, *([row.get(column, "") for column in COLUMNS] for row in self.rows)]
        (self.folder / "samples.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
        (self.folder / "subjects.tsv").write_text(
            "subject\tfirst_dose\n" + "".join(f"{subject}\t2024-01-08\n" for subject in subjects)
        )
        (self.folder / "visits.tsv").write_text(VISITS)
        (self.folder / "gating.yaml").write_text(
            "version: 1.0.0\npopulations:\n  - {name: CD4+, channels: [CD4], gate: {low: 0.5}}\n"
        )
        names = {marker: [marker, *self.detectors.get(marker, "").split()] for marker in STAINED.values()}
        panel = {"markers": names, "gating": "gating.yaml"}
        config: dict[str, Any] = {
            "study": "TRIAL",
            "fcs_dir": "fcs",
            "results": "results",
            "sheets": {name: f"{name}.tsv" for name in ("samples", "subjects", "visits")},
            "panels": {"treg": {**panel, "compensation": self.compensation}},
        }
        path = self.folder / "config.yaml"
        path.write_text(yaml.safe_dump(config))
        return path

    def checked(self) -> dict[str, Row]:
        """sample_id → its row of the inventory."""
        text, _ = check_study(self.write(), as_json=True)
        return {row["sample_id"]: row for row in json.loads(text)["tubes"]}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fcs").mkdir()
    return Study(tmp_path)


def outcome(row: Row) -> tuple[str, str]:
    return row["status"], row["code"]


def test_a_file_with_nothing_wrong_is_ok_and_its_row_says_what_it_is(study: Study) -> None:
    study.add("T1", content := fcs_bytes(BTIM="09:30:00"))
    row = study.checked()["T1"]
    assert outcome(row) == ("ok", "")
    assert row["message"] == ""
    assert (row["events"], row["cytometer"], row["acquired"]) == ("30", "Cytometer", "2024-01-08T09:30:00")
    assert row["fcs_sha256"] == hashlib.sha256(content).hexdigest()


def test_missing_markers_are_told_all_at_once_with_the_names_seen_and_a_near_miss(study: Study) -> None:
    study.add("T1", fcs_bytes({"FITC-A": "CD3", "PE-A": "FOXP-3", "BV421-A": ""}))
    row = study.checked()["T1"]
    assert outcome(row) == ("reject", "MARKER_MISSING")
    assert "marker FOXP3 (looked for FOXP3) is on no channel" in row["message"]
    assert "marker CD4 (looked for CD4) is on no channel" in row["message"]
    assert "the file has FSC-A, FITC-A (CD3), PE-A (FOXP-3), BV421-A, Time" in row["message"]
    assert "did you mean FOXP-3?" in row["message"]


def test_a_marker_on_two_channels_is_rejected_and_both_are_named(study: Study) -> None:
    study.add("T1", fcs_bytes({**STAINED, "APC-A": "CD4"}))
    row = study.checked()["T1"]
    assert row["status"] == "reject"
    assert "MARKER_TWICE" in row["code"].split(";")
    assert "marker CD4 is on 2 channels: BV421-A (CD4), APC-A (CD4)" in row["message"]


def test_a_file_that_is_not_the_one_of_the_sheet_is_rejected_with_both_hashes(study: Study) -> None:
    content = fcs_bytes()
    digest = hashlib.sha256(content).hexdigest()
    study.add("GOOD", content, sha256=digest.upper())
    study.add("OTHER", fcs_bytes(seed="1"), sha256="0" * 64)
    rows = study.checked()
    assert outcome(rows["GOOD"]) == ("ok", "")
    assert outcome(rows["OTHER"]) == ("reject", "SHA256_DIFFERS")
    seen = hashlib.sha256(fcs_bytes(seed="1")).hexdigest()[:12]
    assert f"the file's SHA-256 begins {seen}, the sheet says 000000000000" in rows["OTHER"]["message"]


def test_the_same_content_twice_rejects_both_rows_and_each_names_the_other(study: Study) -> None:
    study.add("T1", fcs_bytes())
    study.add("T2", fcs_bytes())
    study.add("T3", fcs_bytes(seed="1"))
    rows = study.checked()
    assert [outcome(rows[name]) for name in ("T1", "T2", "T3")] == [
        ("reject", "SAME_CONTENT"), ("reject", "SAME_CONTENT"), ("ok", ""),
    ]  # fmt: skip
    assert "the very same bytes as that of T2" in rows["T1"]["message"]
    assert "the very same bytes as that of T1" in rows["T2"]["message"]


@pytest.mark.parametrize(
    ("date", "expected", "said"),
    [
        ("07-JAN-2024", "warn", "acquired on 2024-01-07, before the draw on 2024-01-08"),
        ("08-JAN-2024", "ok", ""),
        ("15-JAN-2024", "ok", ""),  # fixed cells keep for a week
        ("16-JAN-2024", "warn", "acquired on 2024-01-16, 8 days after the draw on 2024-01-08"),
    ],
)
def test_a_tube_is_acquired_on_the_day_of_the_draw_or_in_the_week_after(
    study: Study, date: str, expected: str, said: str
) -> None:
    study.add("T1", fcs_bytes(DATE=date))
    row = study.checked()["T1"]
    assert outcome(row) == (expected, "DATES_DISAGREE" if said else "")
    assert said in row["message"]


@pytest.mark.parametrize(
    ("compensation", "expected"), [("controls", "reject"), ("embedded", "reject"), ("none", "ok")]
)
def test_events_that_were_compensated_before_export_are_not_compensated_again(
    study: Study, compensation: str, expected: str
) -> None:
    study.compensation = compensation
    study.add("T1", fcs_bytes({f"Comp-{name}": label for name, label in STAINED.items()}))
    row = study.checked()["T1"]
    assert row["status"] == expected
    assert ("ALREADY_COMPENSATED" in row["code"].split(";")) == (expected == "reject")


def test_a_panel_that_relies_on_the_files_matrix_rejects_a_file_without_one(study: Study) -> None:
    study.compensation = "embedded"
    study.add("WITH", fcs_bytes(SPILLOVER=MATRIX))
    study.add("WITHOUT", fcs_bytes())
    rows = study.checked()
    assert outcome(rows["WITH"]) == ("ok", "")
    assert outcome(rows["WITHOUT"]) == ("reject", "NO_SPILLOVER")
    assert "set the panel's compensation to controls or to a matrix file" in rows["WITHOUT"]["message"]


@pytest.mark.parametrize(
    ("compensation", "expected"), [("embedded", "reject"), ("controls", "warn"), ("none", "warn")]
)
def test_a_bad_matrix_in_the_file_rejects_it_only_where_that_matrix_is_needed(
    study: Study, compensation: str, expected: str
) -> None:
    study.compensation = compensation
    study.add("T1", fcs_bytes(SPILLOVER="2,FITC-A,PE-A,1,0.5,2,1"))  # determinant 1 - 0.5 × 2 = 0
    row = study.checked()["T1"]
    assert outcome(row) == (expected, "SPILLOVER_INVALID")
    assert "singular" in row["message"]


def test_a_single_stain_needs_its_own_marker_only(study: Study) -> None:
    for marker in STAINED.values():
        labels = {name: label if label == marker else "" for name, label in STAINED.items()}
        study.add(f"SS-{marker}", fcs_bytes(labels), role="single_stain", control_for=marker)
    study.add(
        "SS-WRONG", fcs_bytes({**STAINED, "PE-A": ""}, seed="1"), role="single_stain", control_for="FOXP3"
    )
    study.add("UNSTAINED", fcs_bytes(dict.fromkeys(STAINED, "")), role="unstained")
    study.add("FMO", fcs_bytes({**STAINED, "PE-A": ""}), role="fmo", control_for="FOXP3")
    rows = study.checked()
    assert {name: row["status"] for name, row in rows.items()} == {
        "SS-CD3": "ok", "SS-FOXP3": "ok", "SS-CD4": "ok", "UNSTAINED": "ok",
        "SS-WRONG": "reject", "FMO": "reject",
    }  # fmt: skip
    assert "marker FOXP3" in rows["SS-WRONG"]["message"]


def test_the_marker_that_an_fmo_tube_leaves_out_may_be_known_by_its_detector(study: Study) -> None:
    study.detectors = {"FOXP3": "PE-A"}
    study.add("FMO", fcs_bytes({**STAINED, "PE-A": ""}), role="fmo", control_for="FOXP3")
    study.add("WHOLE", fcs_bytes())
    assert [row["status"] for row in study.checked().values()] == ["ok", "ok"]


def test_a_tube_that_was_not_done_keeps_its_row_and_its_reason(study: Study) -> None:
    study.add("T1", fcs="", collected="", status="NOT_DONE", reason_not_done="blood clotted")
    study.add("T2", fcs_bytes())
    rows = study.checked()
    assert outcome(rows["T1"]) == ("not_done", "NOT_DONE")
    assert rows["T1"]["message"] == "blood clotted"
    assert rows["T2"]["status"] == "ok"


def test_no_file_at_all_and_files_that_are_none_reject_their_own_rows_only(study: Study) -> None:
    study.add("GONE")
    study.add("PAGE", b"<html>please log in</html>")
    study.add("EMPTY", b"")
    study.add("CUT", fcs_bytes()[:-50])
    study.add("PIPE")
    os.mkfifo(study.folder / "fcs" / "PIPE.fcs")
    study.add("FOLDER")
    (study.folder / "fcs" / "FOLDER.fcs").mkdir()
    (study.folder / "elsewhere.fcs").write_bytes(fcs_bytes(seed="2"))
    study.add("LINK")
    (study.folder / "fcs" / "LINK.fcs").symlink_to("../elsewhere.fcs")
    study.add("GOOD", fcs_bytes())
    rows = study.checked()
    assert {name: outcome(row) for name, row in rows.items()} == {
        "GONE": ("reject", "FILE_MISSING"),
        "PAGE": ("reject", "NOT_FCS"),
        "EMPTY": ("reject", "EMPTY_FILE"),
        "CUT": ("reject", "TRUNCATED"),
        "PIPE": ("reject", "NOT_A_REGULAR_FILE"),
        "FOLDER": ("reject", "NOT_A_REGULAR_FILE"),
        "LINK": ("reject", "PATH_LEAVES_ROOT"),
        "GOOD": ("ok", ""),
    }
    assert all("Remedy: " in row["message"] for name, row in rows.items() if name != "GOOD")
    assert "log in" not in rows["PAGE"]["message"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to the administrator")
def test_a_file_that_may_not_be_read_rejects_its_own_row_only(study: Study) -> None:
    study.add("T1", fcs_bytes())
    study.add("T2", fcs_bytes(seed="1"))
    (study.folder / "fcs" / "T1.fcs").chmod(0)
    rows = study.checked()
    assert {name: outcome(row) for name, row in rows.items()} == {
        "T1": ("reject", "PERMISSION_DENIED"),
        "T2": ("ok", ""),
    }


def test_the_reason_for_a_rejection_stands_before_the_warnings(study: Study) -> None:
    study.add("T1", fcs_bytes({"FITC-A": "CD3", "PE-A": "FOXP3", "BV421-A": ""}, DATE="07-JAN-2024"))
    row = study.checked()["T1"]
    assert outcome(row) == ("reject", "MARKER_MISSING;DATES_DISAGREE")
    assert row["message"].index("MARKER_MISSING") < row["message"].index("DATES_DISAGREE")


def every_outcome(study: Study) -> None:
    study.add("T9", fcs_bytes())
    study.add("T1", fcs_bytes(DATE="07-JAN-2024"))
    study.add("T5")
    study.add("T7", fcs="", collected="", status="NOT_DONE", reason_not_done='clotted, "again"')


def test_as_many_rows_come_out_as_went_in_whatever_became_of_them(study: Study) -> None:
    every_outcome(study)
    plan = make_plan(study.write())
    for unit in plan.units:
        check_unit(plan, unit)
    join_inventory(plan)
    rows = rows_of(study.folder / "results" / "check" / "inventory.csv")
    assert [(row["sample_id"], row["status"]) for row in rows] == [
        ("T1", "warn"), ("T5", "reject"), ("T7", "not_done"), ("T9", "ok"),
    ]  # fmt: skip
    assert list(study.checked().values()) == rows


def rows_of(path: Path) -> Sequence[Row]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def cytotrial(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cytotrial", *arguments], capture_output=True, text=True, check=False
    )


def test_the_command_prints_valid_json_and_ends_with_2_if_rows_were_rejected(study: Study) -> None:
    every_outcome(study)
    config = str(study.write())
    done = cytotrial("check", "--config", config, "--json")
    printed = json.loads(done.stdout)
    assert done.returncode == 2
    assert {row["sample_id"]: row["status"] for row in printed["tubes"]} == {
        "T1": "warn", "T5": "reject", "T7": "not_done", "T9": "ok",
    }  # fmt: skip
    assert any("no single-stain control" in warning for warning in printed["warnings"])
    in_words = cytotrial("check", "--config", config)
    assert in_words.returncode == 2
    assert in_words.stdout.rstrip().endswith("4 tubes: 1 ok, 1 warned, 1 rejected, 1 not done")


def test_the_command_ends_with_0_if_no_row_was_rejected(study: Study) -> None:
    study.add("T1", fcs_bytes())
    assert cytotrial("check", "--config", str(study.write())).returncode == 0
