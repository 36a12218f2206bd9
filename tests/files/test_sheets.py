"""The sheets: what is read as it stands, and what is refused with line, column, value and remedy."""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path

import openpyxl
import pytest

from cytotrial.files.fcs import inspect_fcs
from cytotrial.files.sheets import (
    SheetResult,
    read_cbc,
    read_clinical,
    read_exposure,
    read_samples,
    read_subjects,
    read_visits,
)
from cytotrial.files.sheets.cells import iso_date, measurement, number, same_name
from cytotrial.terms import Outcome, Role, Tube

HEADER = ["sample_id", "fcs", "panel", "role", "subject", "visit", "collected", "batch"]
ROW = ["T1", "a.fcs", "treg", "sample", "S001", "W00", "2024-01-08", "B01"]


def sheet(folder: Path, *rows: list[str], header: list[str] | None = None, name: str = "samples.tsv") -> Path:
    path = folder / name
    path.write_text("".join("\t".join(row) + "\n" for row in [header or HEADER, *rows]), encoding="utf-8")
    return path


def changed(**cells: str) -> list[str]:
    return [cells.get(column, cell) for column, cell in zip(HEADER, ROW, strict=True)]


def told(result: SheetResult[Tube]) -> list[str]:
    return [str(problem) for problem in result.problems]


def read_text(folder: Path, text: str | bytes, name: str = "samples.csv") -> SheetResult[Tube]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_samples(path)


def test_a_row_of_the_sample_sheet_is_a_tube(tmp_path: Path) -> None:
    header = [
        *HEADER,
        "beads_per_tube",
        "blood_ul",
        "dilution",
        "sha256",
        "status",
        "reason_not_done",
        "freezer",
    ]
    rows = [
        [*ROW, "49850", "50", "2.5", "AB" * 32, "DONE", "", "=F1"],
        ["T2", "", "treg", "sample", "S001", "W06", "", "B01", "", "", "", "", "NOT_DONE", "clotted", ""],
    ]
    result = read_samples(sheet(tmp_path, *rows, header=header))
    assert result.problems == ()
    assert result.rows[0] == Tube(
        "T1", "a.fcs", "treg", Role.SAMPLE, "B01", subject="S001", visit="W00", specimen="S001.W00",
        collected="2024-01-08", beads_per_tube=49850.0, blood_ul=50.0, dilution=2.5, sha256="ab" * 32, line=2,
    )  # fmt: skip
    assert (result.rows[1].status, result.rows[1].reason_not_done, result.rows[1].line) == (
        "NOT_DONE",
        "clotted",
        3,
    )
    assert result.extra["T1"] == {"freezer": "=F1"}


@pytest.mark.parametrize("subject", ["007", "1E5", "TRUE", "NA", "12345678901234567890", "2024-03-01"])
def test_cells_are_text_until_their_column_reads_them(tmp_path: Path, subject: str) -> None:
    result = read_samples(sheet(tmp_path, changed(subject=subject)))
    assert (result.problems, result.rows[0].subject) == ((), subject)


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_separators_line_ends_and_a_byte_order_mark_are_recognised(
    tmp_path: Path, separator: str, newline: str, mark: str
) -> None:
    result = read_text(tmp_path, mark + newline.join([separator.join(HEADER), separator.join(ROW), ""]))
    assert (told(result), [tube.sample_id for tube in result.rows]) == ([], ["T1"])


def test_the_separator_that_excel_states_on_the_first_line_is_used(tmp_path: Path) -> None:
    result = read_text(tmp_path, f"sep=;\n{';'.join(HEADER)}\n{';'.join(ROW)}\n")
    assert (told(result), result.rows[0].line) == ([], 3)


def test_a_quoted_cell_may_hold_the_separator(tmp_path: Path) -> None:
    header = ",".join([*HEADER, "note"])
    result = read_text(tmp_path, f'{header}\n{",".join(ROW)},"late, ""see"" log"\n')
    assert (told(result), result.extra["T1"]["note"]) == ([], 'late, "see" log')


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the sheet is empty; expected a header with sample_id"),
        (",".join(HEADER).encode(), "has a header and no row"),
        (",".join(ROW).encode(), "is not a header: expected the names of columns"),
        (b"PK\x03\x04rest", "is an XLSX workbook"),
        (b"\xd0\xcf\x11\xe0rest", "old Excel workbook"),
        ("sample_id\n".encode("utf-16"), "is UTF-16 text; save it as CSV UTF-8"),
        (
            ",".join(HEADER).encode() + b"\nT1,M\xfcller",
            "line 2: byte 0xfc is not UTF-8; save the sheet as CSV UTF-8",
        ),
        (",".join(HEADER).encode() + b"\nT1,a\0", "line 2: holds a NUL character"),
    ],
)
def test_a_sheet_that_cannot_be_read_says_why_and_what_to_save_it_as(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    result = read_text(tmp_path, content)
    assert result.rows == ()
    assert len(result.problems) == 1
    assert reason in told(result)[0]


def test_a_sheet_that_is_not_there_is_a_problem_and_not_a_crash(tmp_path: Path) -> None:
    assert "does not exist" in told(read_samples(tmp_path / "samples.tsv"))[0]
    assert "not a regular file" in told(read_samples(tmp_path))[0]


def test_the_header_must_be_exact_and_near_misses_are_named(tmp_path: Path) -> None:
    header = ["Sample_ID ", "fsc", "panel", "role", "subjct", "visit", "collected", "batch", "batch", "note"]
    result = read_samples(sheet(tmp_path, [*ROW, "", ""], header=header))
    assert result.rows == ()
    assert told(result) == [
        'line 1, column Sample_ID : must be named "sample_id" exactly (case and blanks count); rename it',
        'line 1, column subjct: must be named "subject" exactly (case and blanks count); rename it',
        "line 1, column batch: is there twice; keep one of them",
        'line 1, column fcs: is missing; is "fsc" meant? Then rename it; the sheet has Sample_ID , fsc, '
        "panel, role, subjct, visit, collected, batch, batch, note",
    ]


def test_short_long_and_empty_rows_and_open_quotes_are_found_and_nothing_shifts(tmp_path: Path) -> None:
    good, other = ",".join(ROW), ",".join(changed(sample_id="T2", fcs="b.fcs"))
    lines = [",".join(HEADER), good, "T3,c.fcs", good + ",x", ",,,", f'"{good}', other, "", ",,,"]
    result = read_text(tmp_path, "\n".join(lines))
    assert told(result) == [
        "line 3: 2 cells, the header has 8; add the missing ones (empty cells count)",
        "line 4: 9 cells, the header has 8; quote a cell that holds the separator, "
        "or remove the cells that are too many",
        "line 5: the row is empty; remove it",
        "line 6: a quotation mark is not closed on this line; a cell stays on one line, "
        "and a quotation mark inside it is doubled",
    ]
    assert [(tube.line, tube.sample_id) for tube in result.rows] == [(2, "T1"), (7, "T2")]


@pytest.mark.parametrize(
    "name",
    ["../evil", "S 1", "S001 ", "-S1", "S1.", "a..b", "S/1", "S;x", "$(x)", "`x`", "S\u202e1", "é", "CON",
     "nul.1", "x" * 65, "{{7}}", "=1+1", "+1", "S*", "'S1"],
)  # fmt: skip
@pytest.mark.parametrize("column", ["sample_id", "subject", "batch", "panel"])
def test_a_name_that_could_act_on_a_file_system_or_a_shell_is_no_id(
    tmp_path: Path, name: str, column: str
) -> None:
    result = read_samples(sheet(tmp_path, changed(**{column: name})))
    assert [(problem.line, problem.column) for problem in result.problems] == [(2, column)]


def test_a_value_is_shown_escaped_and_cut(tmp_path: Path) -> None:
    long = read_samples(sheet(tmp_path, changed(sample_id="S" * 300))).problems[0]
    turned = read_samples(sheet(tmp_path, changed(sample_id="S\u202e1"))).problems[0]
    assert (len(long.value), turned.value) == (60, "S\\u202e1")


def test_ids_are_unique_also_where_only_case_or_leading_zeros_differ(tmp_path: Path) -> None:
    names = ["T1", "T1", "t1", "001", "1"]
    rows = [changed(sample_id=name, fcs=f"{number}.fcs") for number, name in enumerate(names)]
    differs = "in case, blanks or leading zeros only; choose another"
    assert told(read_samples(sheet(tmp_path, *rows))) == [
        'line 3, column sample_id: "T1" is on line 2 too; every row needs its own',
        f'line 4, column sample_id: "t1" differs from line 2 {differs}',
        f'line 6, column sample_id: "1" differs from line 5 {differs}',
    ]
    assert same_name("1E5") != same_name("100000")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/etc/passwd", "is an absolute path"),
        ("../a.fcs", "leaves the folder"),
        ("x/../../a.fcs", "leaves the folder"),
        ("~/a.fcs", "begins with ~"),
        ("data\\a.fcs", "Windows separators"),
        ("C:/a.fcs", "names a drive"),
        ("http://127.0.0.1/a.fcs", "is an address"),
        ("x/", "names a folder"),
        (".", "names a folder"),
        ("x//a.fcs", "empty or '.' folder"),
        ("a.fcs ", "has blanks around it"),
        ("a\u202e.fcs", "holds control characters"),
        ("x" * 401, "is longer than 400"),
    ],
)
def test_a_path_stays_below_the_folder_of_raw_files(tmp_path: Path, path: str, reason: str) -> None:
    problem = told(read_samples(sheet(tmp_path, changed(fcs=path))))
    assert len(problem) == 1
    assert reason in problem[0]
    assert "give a path below fcs_dir" in problem[0]


@pytest.mark.parametrize("path", ["week 4/Tregs_Pt 07 (2).fcs", "a.LMD", "2024-01/001", "Größe.fcs"])
def test_the_names_that_labs_give_their_files_are_paths(tmp_path: Path, path: str) -> None:
    result = read_samples(sheet(tmp_path, changed(fcs=path)))
    assert (told(result), result.rows[0].fcs) == ([], path)


def test_one_file_is_one_tube(tmp_path: Path) -> None:
    rows = [changed(), changed(sample_id="T2")]
    assert told(read_samples(sheet(tmp_path, *rows))) == [
        'line 3, column fcs: "a.fcs" is the file of line 2 too; a file is one tube'
    ]


@pytest.mark.parametrize(
    ("cell", "near"),
    [("Sample", "sample"), ("single stain", "single_stain"), ("FMO", "fmo"), ("unstim", "unstimulated")],
)
def test_a_role_that_is_nearly_right_is_suggested_and_not_taken(tmp_path: Path, cell: str, near: str) -> None:
    problem = told(read_samples(sheet(tmp_path, changed(role=cell))))
    assert len(problem) == 1
    assert f'did you mean "{near}"?' in problem[0]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("03/04/2024", "may mean two different dates"),
        ("3.4.2024", "may mean two different dates"),
        ("5-Jan-24", "year of two digits"),
        ("24-01-05", "year of two digits"),
        ("45296", "day number of a spreadsheet"),
        ("2024-01", "has no day"),
        ("2024-01-05 08:30", "has a blank where ISO 8601 has a T"),
        ("2024-02-30", "does not exist"),
        ("2024-01-05T25:00", "does not exist"),
        ("0024-01-05", "not between 1900 and 2100"),
        ("5 January 2024", "is not an ISO 8601 date"),
        ("20240105", "is not an ISO 8601 date"),
    ],
)
def test_a_date_is_iso_8601_and_exists(cell: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        iso_date(cell)


@pytest.mark.parametrize(
    "cell", ["2024-02-29", "2024-01-05T08:30", "2024-01-05T08:30:59", "2024-01-05T08:30+01:00"]
)
def test_iso_dates_and_date_times_are_kept_as_they_are(cell: str) -> None:
    assert iso_date(cell) == cell


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("4,5", "write a decimal point"),
        ("1.000,5", "write a decimal point"),
        ("nan", "leave the cell empty"),
        ("NA", "leave the cell empty"),
        ("inf", "leave the cell empty"),
        ("1e999", "not a finite number"),
        ("50 µL", "without a unit"),
        ("+5", "is not a number"),
        ("0x10", "is not a number"),
        ("٣", "is not a number"),
    ],
)
def test_a_number_has_a_point_and_no_unit(cell: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        number(cell)


def test_amounts_of_a_tube_are_above_zero_and_a_dilution_at_least_one(tmp_path: Path) -> None:
    header = [*HEADER, "beads_per_tube", "blood_ul", "dilution", "sha256", "status"]
    result = read_samples(sheet(tmp_path, [*ROW, "0", "-1", "0.5", "abc", "done"], header=header))
    assert [problem.column for problem in result.problems] == [
        "status", "beads_per_tube", "blood_ul", "dilution", "sha256",
    ]  # fmt: skip
    assert 'did you mean "DONE"?' in told(result)[0]


def test_what_a_row_needs_depends_on_its_role(tmp_path: Path) -> None:
    header = [*HEADER, "control_for", "status", "reason_not_done"]
    rows = [
        ["T1", "1.fcs", "treg", "sample", "", "", "", "B01", "", "", ""],
        ["T2", "2.fcs", "treg", "fmo", "S001", "", "", "B01", "", "", ""],
        ["T3", "3.fcs", "treg", "unstained", "", "", "", "", "CD4", "", ""],
        ["T4", "", "treg", "single_stain", "", "", "", "B01", "CD4", "NOT_DONE", ""],
        ["T5", "", "treg", "isotype", "", "", "", "B01", "CD4", "", "lost"],
    ]
    problems = read_samples(sheet(tmp_path, *rows, header=header)).problems
    assert {(problem.line, problem.column) for problem in problems} == {
        (2, "subject"), (2, "visit"), (2, "collected"), (3, "visit"), (3, "control_for"), (4, "batch"),
        (4, "control_for"), (5, "reason_not_done"), (6, "fcs"), (6, "reason_not_done"),
    }  # fmt: skip


def test_controls_that_belong_to_no_draw_need_neither_subject_nor_visit(tmp_path: Path) -> None:
    header = [*HEADER, "control_for"]
    rows = [
        [f"T{number}", f"{number}.fcs", "treg", role, "", "", "", "B01", marker]
        for number, (role, marker) in enumerate(
            [
                ("fmo", "CD25"),
                ("isotype", "CD25"),
                ("single_stain", "CD4"),
                ("unstained", ""),
                ("unstimulated", ""),
            ]
        )
    ]
    assert told(read_samples(sheet(tmp_path, *rows, header=header))) == []


def test_tubes_of_one_specimen_are_of_one_draw(tmp_path: Path) -> None:
    header = [*HEADER, "specimen"]

    def tube(number: int, specimen: str, **cells: str) -> list[str]:
        return [*changed(sample_id=f"T{number}", fcs=f"{number}.fcs", **cells), specimen]

    rows = [
        tube(1, "D1", collected="2024-01-08T08:00"),
        tube(2, "D1", collected="2024-01-08T08:10"),
        tube(3, "D1", collected="2024-01-09"),
        tube(4, "D1", subject="S002"),
        tube(5, "", visit="UNSCHEDULED", collected="2024-01-08T08:00"),
        tube(6, "", visit="UNSCHEDULED", collected="2024-01-08T20:00"),
        tube(7, "d1"),
    ]
    assert [(p.line, p.column) for p in read_samples(sheet(tmp_path, *rows, header=header)).problems] == [
        (4, "collected"), (5, "subject"), (7, "collected"), (8, "specimen"),
    ]  # fmt: skip


def test_a_visit_may_have_blanks_and_its_specimen_has_none(tmp_path: Path) -> None:
    tube = read_samples(sheet(tmp_path, changed(visit="WEEK 4"))).rows[0]
    assert (tube.visit, tube.specimen) == ("WEEK 4", "S001.WEEK_4")


def test_a_reason_is_text_that_can_be_seen(tmp_path: Path) -> None:
    header = [*HEADER, "status", "reason_not_done"]
    result = read_samples(sheet(tmp_path, [*changed(fcs=""), "NOT_DONE", "lost\u202e"], header=header))
    assert "cannot be seen" in told(result)[0]


def test_five_thousand_rows_keep_their_order_and_lines(tmp_path: Path) -> None:
    rows = [changed(sample_id=f"T{i}", fcs=f"{i}.fcs", subject=f"S{i}") for i in range(5000)]
    result = read_samples(sheet(tmp_path, *rows))
    assert (told(result), len(result.rows), result.rows[4999].line) == ([], 5000, 5001)


def test_a_workbook_is_read_as_it_is_shown(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    page = book.active
    page.append([*HEADER, "blood_ul", "age", None])
    page.append(["T1", "a.fcs", "treg", "sample", 7, True, datetime(2024, 1, 8), "B01", 50.5, 36])
    page.append(["T2", "b.fcs", "treg", "sample", 8, "W06", datetime(2024, 2, 8, 9, 30), "B01", 50, None])
    page["E2"].number_format = "000"
    book.create_sheet("notes").append(["not", "read"])
    path = tmp_path / "samples.xlsx"
    book.save(path)
    result = read_samples(path)
    assert told(result) == []
    first, second = result.rows
    assert (first.subject, first.visit, first.collected, first.blood_ul) == (
        "007",
        "TRUE",
        "2024-01-08",
        50.5,
    )
    assert (second.subject, second.collected, second.blood_ul, second.line) == (
        "8",
        "2024-02-08T09:30",
        50.0,
        3,
    )
    assert result.extra == {"T1": {"age": "36"}, "T2": {"age": ""}}


def test_a_formula_and_a_lost_digit_in_a_workbook_are_refused(tmp_path: Path) -> None:
    for name, subject, reason in [
        ("formula.xlsx", "=A1", 'line 2, column subject: "=A1" looks like a formula'),
        ("digits.xlsx", 12345678901234567890, "line 2: a number has more than 15 digits"),
    ]:
        book = openpyxl.Workbook()
        book.active.append(HEADER)
        book.active.append(["T1", "a.fcs", "treg", "sample", subject, "W00", "2024-01-08", "B01"])
        book.save(tmp_path / name)
        assert reason in told(read_samples(tmp_path / name))[0]


def test_a_text_file_named_as_a_workbook_is_refused(tmp_path: Path) -> None:
    assert "is not a workbook that can be read" in told(read_text(tmp_path, "sample_id\n", "samples.xlsx"))[0]


def test_subjects_are_read_and_their_columns_checked(tmp_path: Path) -> None:
    header = ["subject", "first_dose", "sex", "age", "site", "arm"]
    rows = [
        ["S001", "2024-01-08", "F", "36", "01", "IL-2"],
        ["S002", "", "", "", "", ""],
        ["s001", "8/1/2024", "W", "-3", "", ""],
    ]
    result = read_subjects(sheet(tmp_path, *rows, header=header))
    assert (result.rows[0].age, result.rows[0].site, result.rows[1].first_dose) == ("36", "01", "")
    assert {(problem.line, problem.column) for problem in result.problems} == {
        (4, "subject"), (4, "first_dose"), (4, "sex"), (4, "age"),
    }  # fmt: skip


VISITS = ["visit", "visit_num", "target_day", "first_day", "last_day", "baseline"]


def visits(folder: Path, *rows: str) -> list[str]:
    path = sheet(folder, *(row.split("|") for row in rows), header=VISITS)
    return [str(problem) for problem in read_visits(path).problems]


def test_windows_follow_each_other_over_the_day_that_does_not_exist(tmp_path: Path) -> None:
    # Study days go -2, -1, 1, 2: the window that ends on day -1 is followed by one that begins on day 1.
    rows = ["SCR|0|-7||-1|", "W00|1|1|1|1|Y", "W04|2.1|29|2||N"]
    path = sheet(tmp_path, *(row.split("|") for row in rows), header=VISITS)
    result = read_visits(path)
    assert result.problems == ()
    assert [(row.visit_num, row.first_day, row.last_day, row.baseline) for row in result.rows] == [
        (0.0, None, -1, False), (1.0, 1, 1, True), (2.1, 2, None, False),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            ["A|1|1||1|Y", "B|2|29|3||"],
            "line 3, column first_day: 3 leaves a gap after the window of line 2; expected 2",
        ),
        (
            ["A|1|1||5|Y", "B|2|29|5||"],
            "line 3, column first_day: 5 overlaps the window of line 2; expected 6",
        ),
        (
            ["A|1|1|||Y", "B|2|29|5||"],
            "line 2, column last_day: is empty; only the last visit's window may be open",
        ),
        (
            ["A|1|1||5|Y", "B|2|29|||"],
            "line 3, column first_day: is empty; only the first visit's window may be open",
        ),
        (
            ["A|1|1||1|", "B|2|29|2||"],
            "column baseline: no visit is the baseline; write Y on exactly one row",
        ),
        (["A|1|1||1|Y", "B|2|29|2||Y"], "line 2, column baseline: is Y on 2 rows"),
        (["A|1|0||1|Y"], 'line 2, column target_day: "0" is no study day'),
        (["A|1|29|1|5|Y"], 'line 2, column target_day: "29" lies outside the visit\'s own window'),
        (["A|1|3|5|1|Y"], 'line 2, column first_day: "5" is after last_day 1'),
        (["A|1|1||1|Y", "a|2|29|2||"], 'line 3, column visit: "a" differs from line 2 in case'),
        (["A|1|1||1|Y", "B|1|29|2||"], 'line 3, column visit_num: "1" is that of line 2 too'),
        (
            ["Unscheduled|1|1|||Y"],
            'line 2, column visit: "Unscheduled" is kept for draws that were not planned',
        ),
        (["A|1|1||1|yes"], 'line 2, column baseline: "yes" is not one of Y, N'),
    ],
)
def test_visits_that_leave_doubt_are_refused(tmp_path: Path, rows: list[str], reason: str) -> None:
    assert any(problem.startswith(reason) for problem in visits(tmp_path, *rows))


def test_blood_counts_give_lymphocytes_or_what_they_are_made_from(tmp_path: Path) -> None:
    header = ["specimen", "lymphocytes_10e9_per_l", "wbc_10e9_per_l", "lymphocyte_percent", "collected"]
    rows = [
        ["D1", "1.25", "", "", ""],
        ["D2", "", "5.1", "25", "2024-01-08"],
        ["D3", "", "5.1", "", ""],
        ["D4", "1250", "", "", ""],
        ["D5", "1,25", "", "130", ""],
        ["D1", "1", "", "", ""],
    ]
    result = read_cbc(sheet(tmp_path, *rows, header=header))
    assert (result.rows[0].lymphocytes_10e9_per_l, result.rows[0].wbc_10e9_per_l) == (1.25, None)
    assert (result.rows[1].lymphocytes_10e9_per_l, result.rows[1].lymphocyte_percent) == (None, 25.0)
    assert [(problem.line, problem.column) for problem in result.problems] == [
        (4, "lymphocytes_10e9_per_l"), (5, "lymphocytes_10e9_per_l"), (6, "lymphocytes_10e9_per_l"),
        (6, "lymphocyte_percent"), (7, "specimen"),
    ]  # fmt: skip
    assert "not cells per µL" in str(result.problems[1])


def test_clinical_values_are_numbers_limits_or_words(tmp_path: Path) -> None:
    assert [measurement(cell) for cell in ("12.5", "<10", "NEGATIVE")] == [12.5, "<10", "NEGATIVE"]
    header = ["subject", "test", "collected", "value", "unit"]
    rows = [["S001", "SLEDAI", "2024-01-08", cell, "points"] for cell in ("4", "4,5", "NA", "", "=1+1")]
    result = read_clinical(sheet(tmp_path, *rows, header=header))
    assert result.rows[0].value == 4.0
    assert [(problem.line, problem.column) for problem in result.problems] == [
        (3, "value"), (4, "value"), (5, "value"), (6, "value"),
    ]  # fmt: skip


def test_a_dose_ends_after_it_begins(tmp_path: Path) -> None:
    header = ["subject", "drug", "start", "end", "dose", "unit"]
    rows = [
        ["S001", "INTERLEUKIN-2", "2024-01-08", "", "1.5", "10^6 IU/d"],
        ["S001", "PREDNISONE", "2024-01-08", "2024-01-07", "-5", "mg/d"],
    ]
    result = read_exposure(sheet(tmp_path, *rows, header=header))
    assert (result.rows[0].dose, result.rows[0].end) == (1.5, "")
    assert [(problem.line, problem.column) for problem in result.problems] == [(3, "end"), (3, "dose")]


SHARED_COLUMNS = {"subject_id": "subject", "file": "fcs", "collection_date": "collected"}
DECIDED_WITH_THE_FILE = {"sh_file_case"}


def in_our_columns(content: bytes) -> bytes:
    """A sheet of the collection with our names of columns, and the columns role and batch appended."""
    if content.startswith(b"PK"):
        return content
    newline = b"\r" if b"\n" not in content else b"\n"
    separator = b";" if b";" in content.split(newline)[0] else b","
    return newline.join(_with_role_and_batch(line, separator) for line in content.split(newline))


def _with_role_and_batch(line: bytes, separator: bytes) -> bytes:
    if not line or line.startswith(b"sep="):
        return line
    if b"sample_id" not in line.lower():
        return separator.join([line, b"sample", b"B1"])
    for theirs, ours in SHARED_COLUMNS.items():
        line = line.replace(theirs.encode(), ours.encode())
    return separator.join([line, b"role", b"batch"])


def test_every_sheet_of_the_collection_has_its_verdict_and_names_the_place(
    shared: Path, tmp_path: Path
) -> None:
    with (shared / "badinput" / "expected.csv").open(encoding="utf-8", newline="") as stream:
        cases = [row for row in csv.DictReader(stream) if row["kind"] == "sheet"]
    wrong = []
    for case in cases:
        if case["case"] in DECIDED_WITH_THE_FILE:
            continue
        content = in_our_columns((shared / "badinput" / case["file"]).read_bytes())
        result = read_text(tmp_path, content, f"{case['case']}.csv")
        verdict = "reject" if result.problems else "ok"
        keyword = SHARED_COLUMNS.get(case["keyword"], case["keyword"])
        places = {problem.column.strip().lower() for problem in result.problems}
        places |= {f"line {problem.line}" for problem in result.problems}
        is_place = keyword in HEADER or keyword.startswith("line")
        if verdict not in {case["class"], case["alt"]} or (
            verdict == "reject" and is_place and keyword not in places
        ):
            wrong.append((case["case"], verdict, places))
    assert (wrong, len(cases)) == ([], 58)


def test_a_file_named_in_another_case_is_rejected_when_the_file_is_looked_at(
    shared: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.fcs").write_bytes((shared / "badinput" / "fcs" / "v_fcs31_f32_le.fcs").read_bytes())
    if (tmp_path / "A.FCS").exists():
        pytest.skip("this file system does not tell a.fcs from A.FCS")
    assert inspect_fcs(tmp_path / "A.FCS", root=tmp_path).outcome is Outcome.REJECT
