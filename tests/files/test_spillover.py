"""Spillover matrices as files: what is read, what is refused with which words, and the exact round trip."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest

from cytotrial.errors import CompensationError
from cytotrial.files.spillover import already_compensated, read_spillover, write_spillover
from cytotrial.terms import SpilloverMatrix

CHANNELS = ("FSC-A", "SSC-A", "FL1-A", "FL2-A", "FL3-A", "Time")
PLAIN = [[1.0, 0.1, 0.01], [0.02, 1.0, 0.2], [0.003, 0.04, 1.0]]

MTX = """<?xml version="1.0" encoding="UTF-8"?>
<gating:gatingML xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"
 xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"
 xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations">
<transforms:spilloverMatrix spectral="0" weightOptAlgorithmType="OLS" prefix="Comp-" name="M1">
<data-type:parameters><data-type:parameter data-type:name="FL1-A"/>
<data-type:parameter data-type:name="FL2-A"/></data-type:parameters>
<transforms:spillover data-type:parameter="FL2-A">
<transforms:coefficient data-type:parameter="FL1-A" transforms:value="0.02"/>
<transforms:coefficient data-type:parameter="FL2-A" transforms:value="1"/></transforms:spillover>
<transforms:spillover data-type:parameter="FL1-A">
<transforms:coefficient data-type:parameter="FL1-A" transforms:value="1"/>
<transforms:coefficient data-type:parameter="FL2-A" transforms:value="0.1"/></transforms:spillover>
</transforms:spilloverMatrix></gating:gatingML>
"""


def written(folder: Path, text: str | bytes, name: str = "matrix.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(folder: Path, text: str | bytes, name: str = "matrix.csv") -> str:
    with pytest.raises(CompensationError) as caught:
        read_spillover(written(folder, text, name), channels=CHANNELS)
    return str(caught.value)


def test_a_matrix_that_is_written_reads_back_as_the_very_same_numbers(tmp_path: Path) -> None:
    values = np.eye(3) + np.random.default_rng(1).normal(0, 0.1, (3, 3)) * (1 - np.eye(3))
    values[0, 1] = 1 / 3
    matrix = SpilloverMatrix(("BV421-A", "PE-Cy7, tandem", "FITC-A"), values, origin="controls")
    write_spillover(tmp_path / "m.csv", matrix, provenance=["batch B1", "6 controls\nand an unstained one"])
    back = read_spillover(tmp_path / "m.csv")
    assert back.detectors == matrix.detectors
    assert np.array_equal(back.values, matrix.values)
    assert back.origin == "file"


def test_the_written_file_is_the_table_a_person_would_type(tmp_path: Path) -> None:
    matrix = SpilloverMatrix(("FITC-A", "PE-A"), np.array([[1.0, 0.25], [0.0125, 1.0]]))
    write_spillover(tmp_path / "m.csv", matrix)
    assert (tmp_path / "m.csv").read_bytes() == b",FITC-A,PE-A\nFITC-A,1,0.25\nPE-A,0.0125,1\n"


@pytest.mark.parametrize(
    "text",
    [
        "FL1-A,FL2-A,FL3-A\n1,0.1,0.01\n0.02,1,0.2\n0.003,0.04,1\n",
        ",FL1-A,FL2-A,FL3-A\nFL1-A,1,0.1,0.01\nFL2-A,0.02,1,0.2\nFL3-A,0.003,0.04,1\n",
        # rows named, in another order than the columns
        ",FL1-A,FL2-A,FL3-A\nFL3-A,0.003,0.04,1\nFL1-A,1,0.1,0.01\nFL2-A,0.02,1,0.2\n",
        # tabs, a title over the row names, Windows line ends, a byte-order mark, empty lines at the end
        "\ufeffdye\tFL1-A\tFL2-A\tFL3-A\r\nFL1-A\t1\t.1\t1e-2\r\nFL2-A\t0.02\t1\t0.2\r\nFL3-A\t3E-3\t0.04\t1\r\n\t\t\r\n",
        # no row is named although there is room for names
        ",FL1-A,FL2-A,FL3-A\n,1,0.1,0.01\n,0.02,1,0.2\n,0.003,0.04,1\n",
        # FlowJo's names, quoted
        '"","FL1-A :: CD4","Comp-FL2-A :: CD25","FL3-A"\n"FL1-A :: CD4",1,0.1,0.01\n'
        '"Comp-FL2-A :: CD25",0.02,1,0.2\n"FL3-A",0.003,0.04,1\n',
        # remarks above the header; one empty cell at the end of every line, as a spreadsheet leaves it
        "# edited by hand\n,FL1-A,FL2-A,FL3-A,\nFL1-A,1,0.1,0.01,\nFL2-A,0.02,1,0.2,\nFL3-A,0.003,0.04,1,\n",
        # written by R: the header lacks the cell above the row names
        '"FL1-A","FL2-A","FL3-A"\n"FL1-A",1,0.1,0.01\n"FL2-A",0.02,1,0.2\n"FL3-A",0.003,0.04,1\n',
        # FlowJo's older text form: name, `<tab>`, header, rows, ended by carriage returns
        "Lipo\r<\t>\rFL1-A\tFL2-A\tFL3-A\r1\t0.1\t0.01\r0.02\t1\t0.2\r0.003\t0.04\t1\r",
    ],
)
def test_every_usual_form_of_the_same_matrix_is_read_alike(tmp_path: Path, text: str) -> None:
    matrix = read_spillover(written(tmp_path, text), channels=CHANNELS)
    assert matrix.detectors == ("FL1-A", "FL2-A", "FL3-A")
    assert matrix.values.tolist() == PLAIN


def test_columns_in_another_order_give_the_same_matrix_in_that_order(tmp_path: Path) -> None:
    text = "FL2-A,FL1-A,FL3-A\n1,0.02,0.2\n0.1,1,0.01\n0.04,0.003,1\n"
    matrix = read_spillover(written(tmp_path, text), channels=CHANNELS)
    order = [matrix.detectors.index(c) for c in ("FL1-A", "FL2-A", "FL3-A")]
    assert matrix.values[np.ix_(order, order)].tolist() == PLAIN


HEADER = ",FL1-A,FL2-A,FL3-A\n"
GOOD = ("FL1-A,1,0.1,0.01\n", "FL2-A,0.02,1,0.2\n", "FL3-A,0.003,0.04,1\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FL1-A;FL2-A\n1;0.1\n0.02;1\n", ["line 1", "semicolons", "CSV UTF-8"]),
        ("FL1-A;FL2-A\n1;0,1\n0,02;1\n", ["line 1", "semicolons", "decimal points"]),
        (
            "\tFL1-A\tFL2-A\nFL1-A\t1\t0,1\nFL2-A\t0\t1\n",
            ["line 2, row 'FL1-A', column 'FL2-A'", "decimal comma"],
        ),
        (HEADER + "FL1-A,1,0.1\n" + GOOD[1] + GOOD[2], ["line 2, row 'FL1-A'", "2 values; 3 were expected"]),
        (HEADER + GOOD[0] + GOOD[1], ["line 4", "2 rows for 3 columns", "row of zeros with 1"]),
        (
            HEADER + "FL1-A,1,nan,0.01\n" + GOOD[1] + GOOD[2],
            ["row 'FL1-A', column 'FL2-A'", "'nan' is not a number"],
        ),
        (HEADER + "FL1-A,1,inf,0.01\n" + GOOD[1] + GOOD[2], ["'inf' is not a number"]),
        (
            HEADER + "FL1-A,1,,0.01\n" + GOOD[1] + GOOD[2],
            ["row 'FL1-A', column 'FL2-A'", "is empty", "Enter 0"],
        ),
        (HEADER + "FL1-A,1,10%,0.01\n" + GOOD[1] + GOOD[2], ["'10%' is per cent", "Write 0.1"]),
        (HEADER + "FL1-A,1,1_0,0.01\n" + GOOD[1] + GOOD[2], ["'1_0' is not a number"]),
        (HEADER + "FL1-A,0,0.1,0.01\n" + GOOD[1] + GOOD[2], ["row 'FL1-A', column 'FL1-A'", "diagonal is 0"]),
        ("FL1-A,FL2-A\n100,10\n2,100\n", ["diagonal is 100", "per cent", "Divide every value by 100"]),
        ("FL1-A,FL2-A,FL2-A\n1,0,0\n0,1,0\n0,0,1\n", ["column 'FL2-A' stands 2 times"]),
        (HEADER + GOOD[0] + GOOD[0] + GOOD[2], ["row 'FL1-A' stands 2 times"]),
        (HEADER + "FL4-A,1,0,0\n" + GOOD[1] + GOOD[2], ["line 2", "'FL4-A' is not a column"]),
        (
            "FL1-A,FL2,FL3-A\n1,0,0\n0,1,0\n0,0,1\n",
            ["column 'FL2' is not a channel", "did you mean 'FL2-A'", "FSC-A"],
        ),
        (HEADER + GOOD[0] + ",0.02,1,0.2\n" + GOOD[2], ["line 3: the row has no name"]),
        ("FL1-A,,FL3-A\n1,0,0\n0,1,0\n0,0,1\n", ["column 2 has no name"]),
        ("1,0,0\n0,1,0\n0,0,1\n", ["line 1", "names were expected", "Add a header"]),
        ("", ["the file is empty"]),
        (" \n\n", ["the file is empty"]),
        ("# a remark\n", ["the file holds no values"]),
        ('"FL1-A" "FL2-A"\n"FL1-A" 1 0.1\n', ["cannot be read as CSV"]),
        ("FL1-A\tFL2-A\n1\t0\n0\t1\n".encode("utf-16"), ["not UTF-8 text", "CSV UTF-8"]),
    ],
)
def test_a_matrix_that_cannot_be_trusted_is_refused_with_place_and_remedy(
    tmp_path: Path, text: str | bytes, words: list[str]
) -> None:
    message = refusal(tmp_path, text)
    assert "matrix.csv" in message
    for word in words:
        assert word in message


def test_all_problems_of_one_file_come_in_one_message(tmp_path: Path) -> None:
    message = refusal(tmp_path, HEADER + "FL1-A,1,n/a,0.01\nFL2-A,10%,1,0.2\nFL3-A,0.003,,1\n")
    assert "3 problems" in message
    assert "line 2, row 'FL1-A', column 'FL2-A': 'n/a'" in message
    assert "line 3, row 'FL2-A', column 'FL1-A': '10%'" in message
    assert "line 4, row 'FL3-A', column 'FL2-A': '' is empty" in message


def test_a_matrix_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CompensationError, match=r"nowhere\.csv: No such file"):
        read_spillover(tmp_path / "nowhere.csv")


def test_a_file_far_too_large_for_a_matrix_is_refused_unread(tmp_path: Path) -> None:
    assert "larger than" in refusal(tmp_path, b"1," * 2_500_000)


def test_a_flowjo_mtx_is_read_by_names_whatever_the_order_of_its_rows(tmp_path: Path) -> None:
    matrix = read_spillover(written(tmp_path, MTX, "m.mtx"), channels=CHANNELS)
    assert matrix.detectors == ("FL1-A", "FL2-A")
    assert matrix.values.tolist() == [[1.0, 0.1], [0.02, 1.0]]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("?>\n", '?>\n<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>\n', "DOCTYPE"),
        ('spectral="0"', 'spectral="1"', "spectral unmixing"),
        ('"OLS"', '"WLSM"', "spectral unmixing (WLSM)"),
        ("</gating:gatingML>", "", "not well-formed"),
        ("spilloverMatrix", "somethingElse", "0 elements spilloverMatrix"),
        (
            'transforms:value="0.1"',
            'transforms:value="0,1"',
            "row 'FL1-A', column 'FL2-A': '0,1' has a decimal comma",
        ),
        ('transforms:value="0.1"', "", "row 'FL1-A', column 'FL2-A': '' is empty"),
        (
            'coefficient data-type:parameter="FL2-A"',
            'coefficient data-type:parameter="FL9-A"',
            "row 'FL1-A': coeff",
        ),
    ],
)
def test_a_flowjo_mtx_that_is_not_a_plain_spillover_matrix_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in MTX
    assert words in refusal(tmp_path, MTX.replace(old, new), "m.mtx")


def test_a_mutilated_file_is_read_or_refused_and_never_anything_else(tmp_path: Path) -> None:
    chance = random.Random(1)
    whole = [(HEADER + "".join(GOOD)).encode(), MTX.encode(), b"FL1-A,FL2-A\n1,0\n0,1\n"]
    pieces = [b",", b"\n", b'"', b"\t", b"nan", b";", b"\x00", b"\xff", b"# ", b"<", b"1e400", b" :: "]
    for _ in range(600):
        content = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 6)):
            place = chance.randrange(len(content) + 1)
            del content[place : place + chance.choice([0, 0, 1, 9])]
            content[place:place] = chance.choice(pieces)
        path = written(tmp_path, bytes(content))
        try:
            matrix = read_spillover(path, channels=chance.choice([None, CHANNELS]))
        except CompensationError:
            continue
        assert matrix.values.shape == (len(matrix.detectors),) * 2
        assert np.isfinite(matrix.values).all()


@pytest.mark.parametrize(
    ("channels", "compensated"),
    [
        (["FSC-A", "FITC-A"], False),
        (["FSC-A", "Comp-FITC-A"], True),
        (["FSC-A", "FJComp-FITC-A"], True),
        (["FSC-A", "<FITC-A>"], True),
        (["FSC-A", "<FITC-A", "Compensated"], False),
        ([], False),
    ],
)
def test_channels_say_whether_their_events_were_compensated_before_export(
    channels: list[str], compensated: bool
) -> None:
    assert already_compensated(channels) is compensated


def test_every_bad_matrix_of_the_collection_is_judged_as_it_deserves(shared: Path) -> None:
    # `class`, or `alt` where the collection's authors allow either; a warning is the caller's to give, so the
    # reader accepts what is to be warned about.
    with (shared / "badinput" / "expected.csv").open(newline="") as stream:
        cases = [row for row in csv.DictReader(stream) if row["kind"] == "comp"]
    assert len(cases) == 15
    judged = {}
    for case in cases:
        try:
            read_spillover(shared / "badinput" / case["file"], channels=CHANNELS)
            judged[case["case"]] = {"ok", "warn"}
        except CompensationError:
            judged[case["case"]] = {"reject"}
    assert [c["case"] for c in cases if not judged[c["case"]] & {c["class"], c["alt"]}] == []


def test_matrices_exported_by_other_programs_are_read(shared: Path) -> None:
    exported = read_spillover(shared / "data/cytoexplorer_mouse_activation/Compensation-Spillover-Matrix.csv")
    assert exported.detectors[:2] == ("Alexa Fluor 488-A", "PE-A")
    assert exported.values[0, 1] == 0.180901
    flowjo = read_spillover(shared / "data/flowcore_calibur_compensation/expected/compmatrix")
    assert flowjo.detectors == ("FL1-H", "FL2-H", "FL3-H", "FL4-H")
    assert flowjo.values[2].tolist() == [0.00869, 0.17, 1.0, 0.21]
