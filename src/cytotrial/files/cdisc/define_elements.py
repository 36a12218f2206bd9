"""What Define-XML says about datasets, and the small tools that its elements are built with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lxml import etree

from cytotrial.dataset_terms import CodeList, DatasetSpec, Qualifier, Variable

ODM = "http://www.cdisc.org/ns/odm/v1.3"
DEF = "http://www.cdisc.org/ns/def/v2.1"
XLINK = "http://www.w3.org/1999/xlink"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

IMPLEMENTATION_GUIDES = {"sdtm": ("SDTMIG", "3.4", "Tabulation"), "adam": ("ADaMIG", "1.3", "Analysis")}
"""Folder → name and version of its implementation guide, and what its datasets are for."""

DECODED = {("CP", "CPTESTCD"): "CPTEST", ("LB", "LBTESTCD"): "LBTEST", ("ADCP", "PARAMCD"): "PARAM"}
"""Variables whose codes are spelt out by another variable of the same record."""

RESULT = "Result"
"""Origin of the results themselves: the laboratory's, or derived by the sponsor."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Described:
    """The datasets of one folder and what they are described with.

    tables : dataset → its records; lengths and the terms in use are taken from them
    by_sponsor : the sponsor, not the laboratory, worked out the results
    """

    study: str
    folder: str
    specs: Sequence[DatasetSpec]
    tables: Mapping[str, Rows]
    codelists: Mapping[str, CodeList]
    qualifiers: Sequence[Qualifier]
    by_sponsor: bool = False


def tag(name: str) -> str:
    """A name with its namespace; `def:` is that of Define-XML."""
    return f"{{{DEF}}}{name[4:]}" if name.startswith("def:") else f"{{{ODM}}}{name}"


def add(parent: Any, name: str, text: str | None = None, /, **attributes: str | None) -> Any:
    """A child element; an attribute `def_X` is of the namespace of Define-XML, one of None is left out."""
    child = etree.SubElement(parent, tag(name))
    for key, value in attributes.items():
        if value is not None:
            child.set(f"{{{DEF}}}{key[4:]}" if key.startswith("def_") else key, value)
    child.text = text
    return child


def describe(parent: Any, text: str) -> None:
    """A description in English."""
    add(add(parent, "Description"), "TranslatedText", text).set(LANGUAGE, "en")


def qualifiers_in_use(described: Described) -> list[Qualifier]:
    """The qualifiers that SUPPCP holds, with what each of them is."""
    rows = described.tables.get("SUPPCP", ())
    labels = {row["QNAM"]: row["QLABEL"] for row in rows}
    known = {qualifier.name: qualifier for qualifier in described.qualifiers}
    continued = "Continues the text of the variable or qualifier whose name it begins with."
    return [
        *(qualifier for name, qualifier in known.items() if name in labels),
        *(
            Qualifier(name, labels[name], "DERIVED", continued)
            for name in sorted(labels)
            if name not in known
        ),
    ]


def origin_of(variable: Variable, described: Described) -> tuple[str, str]:
    """Type and source of a variable's origin."""
    if variable.origin != RESULT:
        return variable.origin, variable.source
    return ("Derived", "Sponsor") if described.by_sponsor else ("Collected", "Vendor")


def is_derived(variable: Variable, described: Described) -> bool:
    """Whether a variable has a method."""
    return origin_of(variable, described)[0] == "Derived" and variable.derivation != ""


def coded_values(spec: DatasetSpec, variable: Variable, described: Described) -> dict[str, str]:
    """The values in use of a coded variable → what they mean; empty if it is not coded."""
    decode = DECODED.get((spec.name, variable.name))
    if not variable.codelist and decode is None:
        return {}
    rows = described.tables[spec.name]
    return {
        row[variable.name]: row[decode] if decode else ""
        for row in sorted(rows, key=lambda row: str(row[variable.name]))
        if row[variable.name]
    }


def comment_of(variable: Variable, described: Described) -> str | None:
    """What is to be said about a variable that is neither derived nor copied."""
    origin, _ = origin_of(variable, described)
    said = variable.derivation if origin not in {"Derived", "Predecessor"} else ""
    return said or None
