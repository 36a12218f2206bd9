"""XPT, Dataset-JSON, CSV and Parquet: the same records in each, the same bytes each time."""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pyreadstat
import pytest

from cytotrial.dataset_terms import DatasetSpec, Variable
from cytotrial.errors import DatasetError
from cytotrial.files.cdisc import xpt
from cytotrial.files.cdisc.forms import FORMS, dataset_file, read_dataset, write_dataset
from cytotrial.files.cdisc.limits import transport_problems
from cytotrial.files.cdisc.specification import read_specification

SPEC = DatasetSpec(
    name="ADXX",
    folder="adam",
    label="Some Values",
    structure_class="BASIC DATA STRUCTURE",
    structure="One record per value",
    keys=("USUBJID", "ASEQ"),
    comment="",
    variables=(
        Variable("USUBJID", "Unique Subject Identifier", "text"),
        Variable("ASEQ", "Analysis Sequence Number", "integer"),
        Variable("AVAL", "Analysis Value", "number"),
        Variable("ADT", "Analysis Date", "date"),
        Variable("ADTM", "Analysis Datetime", "datetime"),
        Variable("ADTC", "Analysis Date (C)", "iso"),
        Variable("QCRSN", "Quality Control Reason Codes", "text"),
    ),
)
ROWS: list[dict[str, Any]] = [
    {
        "USUBJID": "T-1-S1", "ASEQ": 1, "AVAL": 1 / 3, "ADT": date(2024, 2, 29),
        "ADTM": datetime(2024, 2, 29, 9, 50), "ADTC": "2024-02-29T09:50", "QCRSN": "=cmd|' /C calc'!A0",
    },
    {
        "USUBJID": "T-1-S1", "ASEQ": 2, "AVAL": -3.2e-10, "ADT": date(1959, 12, 31), "ADTM": None,
        "ADTC": "1959-12-31", "QCRSN": "a, \"b\"; c",
    },
    {
        "USUBJID": "T-1-S2", "ASEQ": 1, "AVAL": None, "ADT": None, "ADTM": None, "ADTC": "", "QCRSN": "",
    },
]  # fmt: skip


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rows", [ROWS, []], ids=["records", "no record"])
def test_what_was_written_is_read_back_exactly(tmp_path: Path, form: str, rows: list[dict[str, Any]]):
    write_dataset(tmp_path, SPEC, rows, study="T-1")
    assert read_dataset(tmp_path, SPEC, form) == rows


def test_the_same_records_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_dataset(tmp_path / "a", SPEC, ROWS, study="T-1")
    # Another second of writing: the library would put it into the transport file's header.
    real = pyreadstat.write_xport

    def a_year_later(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        path = Path(arguments[1])
        content = bytearray(path.read_bytes())
        for place in (144, 160, 464, 480):
            content[place + 5 : place + 7] = b"99"
        path.write_bytes(bytes(content))

    monkeypatch.setattr(xpt.pyreadstat, "write_xport", a_year_later)
    write_dataset(tmp_path / "b", SPEC, ROWS, study="T-1")
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_a_library_that_puts_its_clock_elsewhere_is_noticed(tmp_path: Path):
    content = b"HEADER".ljust(600)
    with pytest.raises(DatasetError, match="no time of writing at byte 144"):
        xpt._without_clock(content)


def test_the_transport_file_is_of_version_5_and_any_program_reads_its_dates_and_labels(tmp_path: Path):
    write_dataset(tmp_path, SPEC, ROWS, study="T-1")
    path = dataset_file(tmp_path, SPEC, "xpt")
    assert path.read_bytes().startswith(b"HEADER RECORD*******LIBRARY HEADER RECORD!!!!!!!")
    assert len(path.read_bytes()) % 80 == 0
    frame, found = pyreadstat.read_xport(str(path))
    assert (found.table_name, found.file_label) == ("ADXX", "Some Values")
    assert list(found.column_labels) == [variable.label for variable in SPEC.variables]
    assert (frame["ADT"][0], frame["ADTM"][0]) == (date(2024, 2, 29), pd.Timestamp("2024-02-29 09:50"))
    # A second reader, written apart from the first: 29 February 2024 is day 23,435 of SAS.
    other = pd.read_sas(path, encoding="ascii")
    assert (other["ADT"][0], other["AVAL"][0], other["QCRSN"][0]) == (23435, 1 / 3, ROWS[0]["QCRSN"])


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"QCRSN": "x" * 201}, "QCRSN has 201 characters, at most 200 are allowed"),
        ({"QCRSN": "Röhrchen"}, "QCRSN holds characters that are not printable ASCII"),
        ({"USUBJID": "a\nb"}, "USUBJID holds characters that are not printable ASCII"),
    ],
)
def test_text_that_a_transport_file_cannot_hold_is_refused(
    tmp_path: Path, changed: dict[str, str], problem: str
):
    with pytest.raises(DatasetError, match=f"record 2, {problem}"):
        write_dataset(tmp_path, SPEC, [ROWS[0], {**ROWS[1], **changed}], study="T-1")
    assert list(tmp_path.iterdir()) == []


def test_all_problems_of_a_dataset_are_told_at_once():
    variables = (Variable("lower", "x" * 41, "text"), Variable("TOOLONGNAME", "Größe", "number"))
    spec = DatasetSpec("adxxxxxxxx", "adam", "y" * 41, "", "", (), "", variables)
    assert list(transport_problems(spec, [])) == [
        "the dataset's name 'adxxxxxxxx' is not 1 to 8 capitals and digits",
        "the dataset's label has 41 characters, at most 40 are allowed",
        "the name 'lower' is not 1 to 8 capitals and digits",
        "the label of lower has 41 characters, at most 40 are allowed",
        "the name 'TOOLONGNAME' is not 1 to 8 capitals and digits",
        "the label of TOOLONGNAME is not ASCII",
    ]


def test_a_spreadsheet_runs_no_formula_and_numbers_stay_numbers(tmp_path: Path):
    write_dataset(tmp_path, SPEC, ROWS, study="T-1")
    text = dataset_file(tmp_path, SPEC, "csv").read_text(encoding="utf-8")
    assert "\"'=cmd" in text or "'=cmd" in text
    assert ",=cmd" not in text
    assert ",-3.2e-10," in text


def test_another_program_reads_the_dataset_json(tmp_path: Path):
    from odmlib.dataset_json_1_1.model import DatasetJSON  # noqa: PLC0415

    write_dataset(tmp_path, SPEC, ROWS, study="T-1")
    content = json.loads(dataset_file(tmp_path, SPEC, "json").read_text(encoding="utf-8"))
    assert content["datasetJSONVersion"] == "1.1.0"
    assert (content["records"], len(content["rows"])) == (3, 3)
    assert content["rows"][2] == ["T-1-S2", 1, None, None, None, None, None]
    types = {
        column["name"]: (column["dataType"], column.get("targetDataType")) for column in content["columns"]
    }
    assert types == {
        "USUBJID": ("string", None), "ASEQ": ("integer", None), "AVAL": ("double", None),
        "ADT": ("date", "integer"), "ADTM": ("datetime", "integer"), "ADTC": ("datetime", None),
        "QCRSN": ("string", None),
    }  # fmt: skip
    assert [column.get("keySequence") for column in content["columns"]] == [1, 2, *[None] * 5]
    read = DatasetJSON(
        **{key: content[key] for key in ("datasetJSONCreationDateTime", "datasetJSONVersion", "itemGroupOID",
                                         "records", "name", "label")}
    )  # fmt: skip
    assert (read.name, read.records) == ("ADXX", 3)


def test_parquet_holds_types_and_labels(tmp_path: Path):
    write_dataset(tmp_path, SPEC, ROWS, study="T-1")
    schema = pq.read_schema(dataset_file(tmp_path, SPEC, "parquet"))
    assert [str(field.type) for field in schema] == [
        "string", "int64", "double", "date32[day]", "timestamp[ms]", "string", "string",
    ]  # fmt: skip
    assert schema.field("AVAL").metadata == {b"label": b"Analysis Value"}


def test_the_files_of_a_run_are_those_of_the_specification():
    from cytotrial.steps import layout  # noqa: PLC0415

    datasets = read_specification().datasets.values()
    assert layout.FORMS == FORMS
    for folder, names in (("sdtm", layout.SDTM), ("adam", layout.ADAM)):
        assert set(names) == {spec.name.lower() for spec in datasets if spec.folder == folder}


def test_every_dataset_of_the_specification_fits_into_a_transport_file():
    for spec in read_specification().datasets.values():
        assert list(transport_problems(spec, [])) == []
        assert len(set(spec.names)) == len(spec.names)
        assert set(spec.keys) <= set(spec.names)
        assert spec.comment


def test_qualifiers_and_tests_are_within_their_limits_and_controlled():
    specification = read_specification()
    codes, names = (specification.codelists[code].terms for code in ("C181173", "C181174"))
    for qualifier in specification.qualifiers:
        assert len(qualifier.name) <= 8
        assert len(qualifier.label) <= 38  # a continuation adds a blank and a digit
    for terms in specification.parameters.values():
        if terms.category != "RATIO":
            assert codes[terms.test_code] in names.values()
            assert terms.unit in specification.codelists["C71620"].terms
            assert terms.result_type in specification.codelists["C179588"].terms
    for spec in specification.datasets.values():
        for variable in spec.variables:
            assert variable.codelist in {"", *specification.codelists}


def test_the_controlled_terms_are_those_of_the_published_subset(shared: Path):
    import csv  # noqa: PLC0415

    with (shared / "reference" / "sdtm_ct_2025-03-25_subset.csv").open(encoding="utf-8") as stream:
        published = {
            (row["codelist"], row["term"]): row["code"]
            for row in csv.DictReader(stream)
            if row["is_codelist"] == "FALSE"
        }
    for code, codelist in read_specification().codelists.items():
        if code not in {"C65047", "C67154"}:  # the laboratory's codelists are not in the subset
            assert {term: published.get((code, term)) for term in codelist.terms} == dict(codelist.terms)
