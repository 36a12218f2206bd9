"""A folder of bad, odd and hostile FCS files, a table of what must become of each, and the right numbers."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Container
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _pytest.mark import ParameterSet

from cytotrial.files.fcs import FcsReport, examine_fcs, finding_line, inspect_fcs, read_events
from tests.conftest import _shared_folder
from tests.files.test_fcs import NAMES, fcs_bytes

FOLDER = _shared_folder() / "badinput"
TODAY = date(2026, 6, 1)


def cases(kind: str, *, among: Container[str] | None = None) -> list[ParameterSet]:
    """The rows of one kind (with a case in `among`), or one skipped case where the folder is absent."""
    table = FOLDER / "expected.csv"
    if not table.is_file():
        reason = "the folder of bad input files is not on this machine (set CYTOTRIAL_SHARED)"
        return [pytest.param({}, marks=pytest.mark.skip(reason=reason), id="absent")]
    with table.open(encoding="utf-8", newline="") as rows:
        found = [row for row in csv.DictReader(rows) if row["kind"] == kind]
    return [pytest.param(row, id=row["case"]) for row in found if among is None or row["case"] in among]


@cache
def truth() -> dict[str, Any]:
    path = FOLDER / "truth.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def allowed(case: dict[str, str]) -> set[str]:
    return {case["class"], *filter(None, case["alt"].split(";"))}


def lines(report: FcsReport) -> str:
    return "\n".join(finding_line(finding, file=report.file) for finding in report.findings)


@pytest.mark.parametrize("case", cases("fcs"))
def test_each_bad_file_is_read_reported_or_refused_as_the_table_demands(case):
    report = examine_fcs(FOLDER / case["file"], root=FOLDER, today=TODAY)
    assert report.outcome in allowed(case), f"{case['why']}\n{lines(report)}"
    if report.outcome == "ok":
        assert not report.findings
        return
    assert all(f"file={Path(case['file']).name}" in line for line in lines(report).splitlines())
    assert all(finding.remedy for finding in report.findings)
    assert case["keyword"].lower() in lines(report).lower()


@pytest.mark.parametrize("case", cases("fcs", among=truth()))
def test_what_is_read_has_the_numbers_and_names_that_were_written(case):
    path = FOLDER / case["file"]
    report = inspect_fcs(path, today=TODAY)
    expected = truth()[case["case"]]
    if report.header is None:
        assert "reject" in allowed(case)
        return
    result = read_events(path, report.header)
    values = np.array(expected["scaled"], dtype=np.float64).reshape(-1, len(expected["channels"])).T
    finite = np.isfinite(values).all(axis=0)
    assert report.header.names == tuple(expected["channels"])
    assert report.header.n_events == expected["n"]
    assert result.n_nonfinite == np.count_nonzero(~finite)
    np.testing.assert_allclose(result.events.values, values[:, finite], rtol=1e-6)
    if "pns" in expected:
        labels = [channel.label for channel in report.header.channels]
        assert labels[: len(expected["pns"])] == expected["pns"]
    if report.header.spillover is not None and "spill" in expected:
        check_matrix(report, expected["spill"].replace("\n", ""))


def check_matrix(report: FcsReport, written: str) -> None:
    assert report.header is not None
    assert report.header.spillover is not None
    items = written.split(",")
    n = int(items[0])
    coefficients = np.array(items[n + 1 : n + 1 + n * n], dtype=np.float64).reshape(n, n)
    found = report.header.spillover.detectors
    assert sorted(found) == sorted(items[1 : n + 1])
    order = [found.index(name) for name in items[1 : n + 1]]
    np.testing.assert_array_equal(report.header.spillover.values[np.ix_(order, order)], coefficients)


def make_folder(path: Path) -> None:
    path.mkdir()


def make_link_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_unreadable(path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may read every file, so there is no permission to deny")
    path.write_bytes(fcs_bytes())
    path.chmod(0)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_sparse(path: Path) -> None:
    """Three gigabytes without content, whose HEADER claims 100 MB of TEXT."""
    path.write_bytes(b"FCS3.1    " + b"".join(b"%8d" % n for n in (58, 99_999_999, 0, 0, 0, 0)))
    os.truncate(path, 3 << 30)


def make_far_data(path: Path) -> None:
    """DATA beyond byte 99,999,999: HEADER can only say 0, and TEXT tells the place."""
    data = np.arange(96, dtype="<f4").tobytes()
    begin = 100_000_000
    offsets = {"$BEGINDATA": str(begin), "$ENDDATA": str(begin + len(data) - 1)}
    head = fcs_bytes(b"", n_events=24, changes=offsets, header_data=(0, 0), tail=b"")
    with path.open("wb") as file:
        file.write(head)
        file.seek(begin)
        file.write(data)


SPECIAL: dict[str, Callable[[Path], None]] = {
    "z_directory": make_folder,
    "z_symlink_loop": make_link_loop,
    "z_mode000": make_unreadable,
    "z_fifo": make_pipe,
    "z_sparse_3g": make_sparse,
    "z_large_gap_valid": make_far_data,
}
OUTCOMES = dict.fromkeys(SPECIAL, "reject") | {"z_large_gap_valid": "ok"}
KEYWORDS = {"z_mode000": "permissions", "z_sparse_3g": "file size", "z_large_gap_valid": ""}


@pytest.mark.parametrize("case", SPECIAL)
def test_what_is_no_ordinary_file_neither_blocks_nor_fills_memory(tmp_path, case):
    path = tmp_path / f"{case}.fcs"
    SPECIAL[case](path)
    report = examine_fcs(path, root=tmp_path, today=TODAY)
    assert report.outcome == OUTCOMES[case], lines(report)
    assert KEYWORDS.get(case, "path") in lines(report)
    if report.header is not None:
        assert report.header.names == NAMES
        assert read_events(path, report.header).events.values[0].tolist() == list(range(0, 96, 4))


@pytest.mark.parametrize("case", cases("special"))
def test_the_special_cases_of_the_table_are_made_here_with_the_same_outcome(case):
    assert OUTCOMES[case["case"]] in allowed(case)
