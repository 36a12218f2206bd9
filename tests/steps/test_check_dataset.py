"""The checks V01 to V22: each finds the error planted in the real files of a small trial, and only it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyreadstat
import pytest

from cytotrial.files.tables import read_table
from cytotrial.files.whole import write_text
from cytotrial.steps.check_dataset import rules
from tests.steps.conftest import DatasetFolder, Rows
from tests.workflow.test_privacy_of_outputs import planted

Trial = DatasetFolder


def measured(rows: Rows, **wanted: Any) -> dict[str, Any]:
    """The first result of a dataset's records that has these values."""
    return next(
        row
        for row in rows
        if row.get("CPSTRESN", row.get("AVAL")) is not None
        and all(row[name] == value for name, value in wanted.items())
    )


def in_cp(change: Callable[[Rows], None]) -> Callable[[Trial], None]:
    def plant(trial: Trial) -> None:
        rows = trial.rows("CP")
        change(rows)
        trial.write("CP", rows)

    plant.__name__ = change.__name__
    return plant


def in_adcp(change: Callable[[Rows], None]) -> Callable[[Trial], None]:
    def plant(trial: Trial) -> None:
        rows = trial.rows("ADCP")
        change(rows)
        trial.write("ADCP", rows)

    plant.__name__ = change.__name__
    return plant


def rewrite(trial: Trial, dataset: str, **changes: Any) -> None:
    """The transport file alone, written by the library with something changed."""
    path = trial.path("results", "dataset", dataset)
    frame, found = pyreadstat.read_xport(str(path), disable_datetime_conversion=True)
    given = {
        "table_name": found.table_name,
        "file_label": found.file_label,
        "column_labels": list(found.column_labels),
        "file_format_version": 5,
        **changes,
    }
    pyreadstat.write_xport(given.pop("frame", frame), str(path), **given)


def wrong_label(trial: Trial) -> None:
    _, found = pyreadstat.read_xport(str(trial.path("results/dataset/adam/adsl.xpt")), metadataonly=True)
    rewrite(trial, "adam/adsl.xpt", column_labels=["Study", *found.column_labels[1:]])


def same_number_twice(trial: Trial) -> None:
    rows = trial.rows("CP")
    first, second = [row for row in rows if row["CPSTAT"] == "NOT DONE"][:2]
    assert first["USUBJID"] == second["USUBJID"]
    lost = (second["USUBJID"], str(second["CPSEQ"]))
    second["CPSEQ"] = first["CPSEQ"]
    trial.write("CP", rows)
    kept = [row for row in trial.rows("SUPPCP") if (row["USUBJID"], row["IDVARVAL"]) != lost]
    trial.write("SUPPCP", kept)


def a_test_of_ones_own(rows: Rows) -> None:
    for row in rows:
        if row["CPTESTCD"] == "LYM":
            row["CPTEST"] = "Lymphs"


def a_unit_that_is_a_synonym(rows: Rows) -> None:
    measured(rows, CPTESTCD="TLYH")["CPORRESU"] = "/uL"


def text_that_is_another_number(rows: Rows) -> None:
    measured(rows, CPTESTCD="TLYH")["CPSTRESC"] = "1"


def not_done_without_a_reason(rows: Rows) -> None:
    next(row for row in rows if row["CPSTAT"])["CPREASND"] = ""


def day_zero(rows: Rows) -> None:
    measured(rows, CPDY=1)["CPDY"] = 0


def a_date_that_does_not_exist(rows: Rows) -> None:
    row = measured(rows)
    row["CPDTC"], row["CPDY"] = "2024-13-45", None


def a_state_without_its_markers(rows: Rows) -> None:
    measured(rows)["CPCELSTA"] = "ACTIVATED"


def a_hyphen_between_markers(rows: Rows) -> None:
    measured(rows)["CPMRKSTR"] = "CD3+ CD4+"


def a_visit_that_is_forgotten(trial: Trial) -> None:
    rows = trial.rows("CP")
    lost = next(row for row in rows if row["CPSTAT"] == "NOT DONE")
    trial.write("CP", [row for row in rows if row is not lost])
    others = [
        row
        for row in trial.rows("SUPPCP")
        if (row["USUBJID"], row["IDVARVAL"]) != (lost["USUBJID"], str(lost["CPSEQ"]))
    ]
    trial.write("SUPPCP", others)


def qualifier(trial: Trial, row: dict[str, Any], name: str, value: str) -> None:
    rows = trial.rows("SUPPCP")
    key = (row["USUBJID"], str(row["CPSEQ"]), name)
    found = next(other for other in rows if (other["USUBJID"], other["IDVARVAL"], other["QNAM"]) == key)
    found["QVAL"] = value
    trial.write("SUPPCP", rows)


def a_qualifier_of_no_record(trial: Trial) -> None:
    rows = trial.rows("SUPPCP")
    next(row for row in rows if row["QNAM"] == "CPQCFL")["IDVARVAL"] = "9999"
    trial.write("SUPPCP", rows)


def another_source(rows: Rows) -> None:
    row = measured(rows, PARAMCD="LYMABS")
    other = next(
        other
        for other in rows
        if other["USUBJID"] == row["USUBJID"] and other["SRCSEQ"] and other["SPECID"] != row["SPECID"]
    )
    row["SRCSEQ"] = other["SRCSEQ"]


def an_event_too_many(trial: Trial) -> None:
    row = measured(trial.rows("CP"), CPTESTCD="TLYHR")
    events = next(
        other["QVAL"]
        for other in trial.rows("SUPPCP")
        if (other["USUBJID"], other["IDVARVAL"], other["QNAM"])
        == (row["USUBJID"], str(row["CPSEQ"]), "CPNEVT")
    )
    qualifier(trial, row, "CPNEVT", str(int(events) + 1))


def more_than_all(trial: Trial) -> None:
    # 150 of 100: the value follows from its numbers, and yet cannot be. The unstimulated record has no
    # record in ADCP.
    rows = trial.rows("CP")
    row = measured(rows, CPTSTCND="WITHOUT STIMULATING AGENT")
    row["CPORRES"] = row["CPSTRESC"] = "150"
    row["CPSTRESN"] = 150.0
    trial.write("CP", rows)
    qualifier(trial, row, "CPNEVT", "150")
    qualifier(trial, row, "CPNPAR", "100")


def a_file_of_version_8(trial: Trial) -> None:
    rewrite(trial, "sdtm/dm.xpt", file_format_version=8)


def text_that_is_not_ascii(trial: Trial) -> None:
    frame, _ = pyreadstat.read_xport(str(trial.path("results/dataset/sdtm/dm.xpt")))
    frame["SITEID"] = "Zürich"
    rewrite(trial, "sdtm/dm.xpt", frame=frame)
    for form, old in (("json", '"02"'), ("json", '"01"')):
        path = trial.path("results/dataset/sdtm", f"dm.{form}")
        path.write_text(path.read_text(encoding="utf-8").replace(old, '"Z\\u00fcrich"'), encoding="utf-8")


def two_baselines(rows: Rows) -> None:
    row = next(row for row in rows if row["CHG"] is not None)
    row |= {"ABLFL": "Y", "CHG": None, "PCHG": None, "R2BASE": None}


def another_base(rows: Rows) -> None:
    # On a record without a change, so that only the baseline is wrong.
    measured(rows, ABLFL="Y", PARAMCD="LYMABS")["BASE"] = 1.0


def a_change_that_is_off(rows: Rows) -> None:
    next(row for row in rows if row["CHG"] is not None)["CHG"] += 0.001


def two_answers(rows: Rows) -> None:
    first, second = [row for row in rows if row["PARAMCD"] == "LYMABS" and row["ANL01FL"] == "Y"][:2]
    for name in ("AVISIT", "AVISITN", "AWTARGET", "AWTDIFF", "AWLO", "AWHI", "AWRANGE", "ADY", "ADT"):
        second[name] = first[name]


def windows_that_overlap(rows: Rows) -> None:
    for row in rows:
        if row["AVISIT"] == "W06":
            row["AWHI"] = 65


def a_ratio_of_other_counts(rows: Rows) -> None:
    row = measured(rows, PARAMCD="TH17TREG")
    group = [
        other for other in rows if (other["USUBJID"], other["PARAMCD"]) == (row["USUBJID"], row["PARAMCD"])
    ]
    for other in group:  # the change from baseline stays right
        other["AVAL"] = 2 * other["AVAL"]
        other["BASE"] = None if other["BASE"] is None else 2 * other["BASE"]
        other["CHG"] = None if other["CHG"] is None else 2 * other["CHG"]


def a_table_that_differs(trial: Trial) -> None:
    path = trial.path("results/dataset/sdtm/dm.csv")
    text = path.read_text(encoding="utf-8")
    assert ",F," in text
    write_text(path, text.replace(",F,", ",M,", 1))  # with a seal: a hand that edits it is found by that


def a_name_from_a_raw_file(trial: Trial) -> None:
    raw = trial.path("resources/demo/fcs")
    real = raw.resolve()
    raw.unlink()
    raw.mkdir()
    for source in real.rglob("*.fcs"):
        target = raw / source.relative_to(real)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    chosen = next(path for path in sorted(raw.rglob("*.fcs")) if "treg" in path.name)
    content = chosen.read_bytes()
    chosen.unlink()
    chosen.write_bytes(planted(content, {"PATIENT NAME": "Quillfeather^Ophelia"}))
    rows = trial.rows("CP")
    next(row for row in rows if row["CPSTAT"])["CPREASND"] = "Mrs Quillfeather did not come"
    trial.write("CP", rows)


def a_variable_that_is_not_listed(trial: Trial) -> None:
    path = trial.path("results/dataset/adam/define.xml")
    text = path.read_text(encoding="utf-8")
    shorter = re.sub(r' *<ItemRef ItemOID="IT.ADSL.SEX"[^>]*/>\n', "", text)
    assert shorter != text
    path.write_text(shorter, encoding="utf-8")


def an_attribute_that_no_schema_knows(trial: Trial) -> None:
    path = trial.path("results/dataset/sdtm/define.xml")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('Mandatory="Yes"', 'Mandatory="Surely"', 1), encoding="utf-8")


PLANTED: list[tuple[str, Callable[[Trial], None], str]] = [
    ("V01", wrong_label, "ADSL: STUDYID / Study / text stands where"),
    ("V02", same_number_twice, "CP: more than one record has USUBJID"),
    ("V03", in_cp(a_test_of_ones_own), "CP: LYM, 'Lymphs'|CPTEST 'Lymphs'"),
    ("V04", in_cp(a_unit_that_is_a_synonym), "CPORRESU '/uL' is no controlled unit"),
    ("V05", in_cp(text_that_is_another_number), "is not CPSTRESC '1'"),
    ("V06", in_cp(not_done_without_a_reason), "CPSTAT 'NOT DONE' with CPREASND ''"),
    ("V07", in_cp(day_zero), "CPDY is 0, expected 1"),
    ("V07", in_cp(a_date_that_does_not_exist), "CPDTC '2024-13-45' is no ISO 8601 date"),
    ("V08", in_cp(a_state_without_its_markers), "CPCELSTA 'ACTIVATED' with CPCSMRKS ''"),
    ("V09", in_cp(a_hyphen_between_markers), r"CPMRKSTR 'CD3\+ CD4\+' is no marker string"),
    ("V10", a_qualifier_of_no_record, "no record CPSEQ 9999 in CP"),
    ("V10", in_adcp(another_source), "of specimen .* in CP"),
    ("V11", a_visit_that_is_forgotten, "no record of .* at visit"),
    ("V12", an_event_too_many, "but SUPPCP gives"),
    ("V13", more_than_all, "150.0 %.*150 events of 100"),
    ("V14", a_file_of_version_8, "dm.xpt is no SAS transport file of version 5"),
    ("V15", in_adcp(two_baselines), "2 records have ABLFL = Y"),
    ("V15", in_adcp(another_base), "BASE is not the same on every record"),
    ("V16", in_adcp(a_change_that_is_off), "CHG is .*, expected"),
    ("V17", in_adcp(two_answers), "more than one record has ANL01FL = Y"),
    ("V18", in_adcp(windows_that_overlap), "the windows of W06 and W12 overlap"),
    ("V19", in_adcp(a_ratio_of_other_counts), "but TH17ABS / TREGABS is"),
    ("V20", a_table_that_differs, "dm.csv, record .*, SEX: 'M', in xpt 'F'"),
    ("V21", a_name_from_a_raw_file, "holds the value of the FCS keyword PATIENT NAME"),
    ("V22", a_variable_that_is_not_listed, "define.xml, ADSL: differs from adsl.xpt in SEX"),
    ("V22", an_attribute_that_no_schema_knows, "define.xml is not valid"),
]


def test_every_check_has_an_error_planted_here():
    assert {check for check, *_ in PLANTED} == set(rules()) == {f"V{number:02}" for number in range(1, 23)}


def test_a_real_trial_passes_every_check(trial: Trial):
    done = trial.command("check-dataset")
    assert (done.exit_code, done.output.strip()) == (0, "22 checks passed")
    assert trial.failed() == {}


@pytest.mark.parametrize(
    ("check", "plant", "said"), PLANTED, ids=[f"{check} {plant.__name__}" for check, plant, _ in PLANTED]
)
def test_a_planted_error_is_found_by_its_check(
    trial: Trial, check: str, plant: Callable[[Trial], None], said: str
):
    plant(trial)
    failed = trial.failed()
    assert set(failed) == {check}
    assert re.search(said, failed[check])


def test_text_that_is_not_ascii_is_found_in_the_file(trial: Trial):
    text_that_is_not_ascii(trial)
    assert "SITEID holds characters that are not printable ASCII" in trial.failed()["V14"]


def test_a_failed_check_ends_with_1_and_says_what_and_what_to_do(trial: Trial):
    in_adcp(a_change_that_is_off)(trial)
    done = trial.command("check-dataset")
    message = str(done.exception)
    assert done.exit_code == 1
    assert "checks.csv, 1 problem; the dataset is not fit to be handed on" in message
    assert "V16 (CHG, PCHG and R2BASE follow" in message
    assert "docs/trial-dataset.md" in message


def test_of_a_dataset_that_failed_no_database_is_made(trial: Trial):
    trial.path("results/dataset/trial.duckdb").unlink()
    in_adcp(a_change_that_is_off)(trial)
    trial.command("check-dataset", "--record")
    done = trial.command("database")
    assert done.exit_code == 1
    assert "V16" in str(done.exception)
    assert not trial.path("results/dataset/trial.duckdb").exists()


def test_the_value_of_a_forbidden_keyword_is_never_told(trial: Trial):
    a_name_from_a_raw_file(trial)
    done = trial.command("check-dataset")
    said = str(done.exception) + done.output
    written = trial.path("results/dataset/checks.csv").read_text(encoding="utf-8")
    assert "PATIENT NAME" in said
    assert "uillfeather" not in said + written
    assert "Ophelia" not in said + written


def test_a_dataset_that_is_missing_is_told_by_name(trial: Trial):
    trial.path("results/dataset/adam/adcp.xpt").unlink()
    done = trial.command("check-dataset")
    assert done.exit_code == 1
    assert "adcp.xpt is not there" in str(done.exception)


def test_without_parameters_the_checks_of_results_do_not_apply(trial: Trial, tmp_path: Path):
    config = trial.path("config/config.yaml")
    text = config.read_text(encoding="utf-8")
    text = re.sub(r"(?ms)^parameters:\n.*?(?=^#|^\S)", "", text)
    text = re.sub(r"(?m)^  tests:\n(    .*\n)*", "", text)
    config.write_text(text, encoding="utf-8")
    for command in ("count", "dataset", "sdtm", "adam", "define"):
        done = trial.command(command)
        assert done.exit_code == 0, done.exception
    done = trial.command("check-dataset")
    assert done.exit_code == 0, done.exception
    rows = read_table(trial.path("results/dataset/checks.csv"))
    idle = {row["check"] for row in rows if row["status"] == "NOT_APPLICABLE"}
    assert idle == {f"V{n:02}" for n in (6, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19)}
    assert pd.read_csv(trial.path("results/dataset/sdtm/dm.csv")).shape[0] == 3
