"""Define-XML: valid, and true of the datasets that it describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from cytotrial.files.cdisc.define_check import define_problems, defined_variables
from cytotrial.files.cdisc.define_elements import DEF, ODM, Described
from cytotrial.files.cdisc.define_xml import write_define
from cytotrial.files.cdisc.dictionary import write_dictionary
from cytotrial.files.cdisc.specification import read_specification
from cytotrial.science.cdisc.model import as_row

SPECIFICATION = read_specification()
SPECS = SPECIFICATION.datasets

CP = {
    "STUDYID": "T-1", "DOMAIN": "CP", "USUBJID": "T-1-S1", "CPSEQ": 1, "CPTESTCD": "TLYHR",
    "CPTEST": "TLym Help Reg", "CPORRES": "13.25", "CPORRESU": "10^6/L", "CPSTRESC": "13.25",
    "CPSTRESN": 13.25, "CPSTRESU": "10^6/L", "CPMETHOD": "FLOW CYTOMETRY", "VISITNUM": 1.0,
    "CPDTC": "2024-01-08",
}  # fmt: skip
OWN_TEST = {**CP, "CPSEQ": 2, "CPTESTCD": "MYCELLS", "CPTEST": "My Cells <&>"}
SUPPCP = {
    "STUDYID": "T-1", "RDOMAIN": "CP", "USUBJID": "T-1-S1", "IDVAR": "CPSEQ", "IDVARVAL": "1",
    "QLABEL": "Number of Target Events", "QVAL": "507", "QORIG": "DERIVED",
}  # fmt: skip


def described(*, by_sponsor: bool = False, empty: bool = False) -> Described:
    specs = [spec for spec in SPECS.values() if spec.folder == "sdtm"]
    rows = {
        "CP": [as_row(SPECS["CP"], CP), as_row(SPECS["CP"], OWN_TEST)],
        "SUPPCP": [as_row(SPECS["SUPPCP"], {**SUPPCP, "QNAM": name}) for name in ("CPNEVT", "CPQCRSN1")],
    }
    tables: dict[str, list[dict[str, Any]]] = {spec.name: [] for spec in specs} | ({} if empty else rows)
    return Described(
        "T-1", "sdtm", specs, tables, SPECIFICATION.codelists, SPECIFICATION.qualifiers, by_sponsor
    )


@pytest.fixture
def define(tmp_path: Path) -> Any:
    write_define(tmp_path / "define.xml", described())
    return etree.parse(str(tmp_path / "define.xml"))


def of(tree: Any, name: str, key: str, value: str) -> Any:
    return next(element for element in tree.iter(f"{{{ODM}}}{name}") if element.get(key) == value)


@pytest.mark.parametrize("empty", [False, True], ids=["records", "no record"])
@pytest.mark.parametrize("by_sponsor", [False, True], ids=["laboratory", "sponsor"])
def test_it_is_valid_against_the_published_schema(tmp_path: Path, by_sponsor: bool, empty: bool):
    path = tmp_path / "define.xml"
    write_define(path, described(by_sponsor=by_sponsor, empty=empty))
    assert define_problems(path) == []


def test_the_schema_is_really_asked(tmp_path: Path):
    path = tmp_path / "define.xml"
    write_define(path, described())
    path.write_text(
        path.read_text(encoding="utf-8").replace('Repeating="Yes"', 'Repeating="Often"'), encoding="utf-8"
    )
    assert any("Often" in problem for problem in define_problems(path))


def test_it_lists_every_variable_in_order(tmp_path: Path):
    write_define(tmp_path / "define.xml", described())
    assert defined_variables(tmp_path / "define.xml") == {
        spec.name: list(spec.names) for spec in SPECS.values() if spec.folder == "sdtm"
    }


def test_lengths_are_those_of_the_data(define: Any):
    assert of(define, "ItemDef", "OID", "IT.CP.CPTEST").get("Length") == str(len("TLym Help Reg"))
    number = of(define, "ItemDef", "OID", "IT.CP.CPSTRESN")
    assert (number.get("DataType"), number.get("Length"), number.get("SignificantDigits")) == (
        "float",
        "5",
        "2",
    )


def test_codelists_hold_the_terms_in_use_with_their_codes_and_mark_those_of_the_study(define: Any):
    codelist = of(define, "CodeList", "OID", "CL.CP.CPTESTCD")
    items = {item.get("CodedValue"): item for item in codelist.iter(f"{{{ODM}}}CodeListItem")}
    assert set(items) == {"TLYHR", "MYCELLS"}
    assert items["TLYHR"].find(f"{{{ODM}}}Alias").get("Name") == "C184428"
    assert items["MYCELLS"].get(f"{{{DEF}}}ExtendedValue") == "Yes"
    assert codelist.findall(f"{{{ODM}}}Alias")[-1].get("Name") == "C181173"


def test_the_origin_of_results_is_the_laboratory_or_the_sponsor(tmp_path: Path, define: Any):
    def origin(tree: Any) -> tuple[str, str]:
        element = of(tree, "ItemDef", "OID", "IT.CP.CPORRES").find(f"{{{DEF}}}Origin")
        return element.get("Type"), element.get("Source")

    write_define(tmp_path / "sponsor.xml", described(by_sponsor=True))
    assert origin(define) == ("Collected", "Vendor")
    assert origin(etree.parse(str(tmp_path / "sponsor.xml"))) == ("Derived", "Sponsor")


def test_every_qualifier_in_use_is_described_by_itself_also_a_continuation(define: Any):
    values = define.find(f".//{{{DEF}}}ValueListDef")
    assert [item.get("ItemOID") for item in values] == ["IT.SUPPCP.QVAL.CPNEVT", "IT.SUPPCP.QVAL.CPQCRSN1"]


def test_a_dataset_without_records_says_so(define: Any):
    assert of(define, "ItemGroupDef", "Name", "LB").get(f"{{{DEF}}}HasNoData") == "Yes"
    assert of(define, "ItemGroupDef", "Name", "CP").get(f"{{{DEF}}}HasNoData") is None


def test_the_same_datasets_are_the_same_bytes_and_hold_no_clock(tmp_path: Path):
    for name in ("a.xml", "b.xml"):
        write_define(tmp_path / name, described())
    assert (tmp_path / "a.xml").read_bytes() == (tmp_path / "b.xml").read_bytes()
    assert b'CreationDateTime="1970-01-01T00:00:00"' in (tmp_path / "a.xml").read_bytes()


def test_the_dictionary_names_every_variable_and_escapes_every_value(tmp_path: Path):
    write_dictionary(tmp_path / "dictionary.html", [described()])
    page = (tmp_path / "dictionary.html").read_text(encoding="utf-8")
    for spec in (spec for spec in SPECS.values() if spec.folder == "sdtm"):
        for variable in spec.variables:
            assert f"<td>{variable.name}</td>" in page
    assert all(qualifier.name in page for qualifier in SPECIFICATION.qualifiers)
    assert "My Cells &lt;&amp;&gt;" in page
    assert "<&>" not in page
    assert "default-src 'none'" in page
