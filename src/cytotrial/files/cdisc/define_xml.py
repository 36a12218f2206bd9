"""Define-XML 2.1: what each dataset of a folder holds, for reviewers and for programs.

References
----------
CDISC, Define-XML version 2.1; its schema is the one that odmlib ships.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lxml import etree

from cytotrial.dataset_terms import DatasetSpec, Qualifier, Variable
from cytotrial.files.cdisc.dataset_json import NO_CLOCK
from cytotrial.files.cdisc.define_elements import (
    DEF,
    IMPLEMENTATION_GUIDES,
    LANGUAGE,
    ODM,
    XLINK,
    Described,
    add,
    coded_values,
    comment_of,
    describe,
    is_derived,
    origin_of,
    qualifiers_in_use,
    tag,
)
from cytotrial.files.cdisc.specification import TERMINOLOGY
from cytotrial.files.whole import write_bytes

DERIVED = "DERIVED"

_DATA_TYPES = {
    "text": "text",
    "iso": "datetime",
    "number": "float",
    "integer": "integer",
    "date": "integer",
    "datetime": "integer",
}
_FORMATS = {"date": "DATE9.", "datetime": "DATETIME20."}


def write_define(path: Path, described: Described) -> None:
    """Write define.xml for one folder of datasets; the same datasets give the same bytes."""
    root = _root(described)
    text = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    write_bytes(path, text)


def _root(described: Described) -> Any:
    namespaces: dict[Any, str] = {None: ODM, "def": DEF, "xlink": XLINK}
    root = etree.Element(tag("ODM"), nsmap=namespaces)
    name = f"{described.study}.{described.folder.upper()}"
    for key, value in {
        "FileOID": f"DEF.{name}",
        "FileType": "Snapshot",
        "ODMVersion": "1.3.2",
        "CreationDateTime": NO_CLOCK,
        "Originator": "cytotrial",
        f"{{{DEF}}}Context": "Other",
    }.items():
        root.set(key, value)
    study = add(root, "Study", OID=f"STDY.{described.study}")
    about = add(study, "GlobalVariables")
    add(about, "StudyName", described.study)
    add(about, "StudyDescription", f"Cell counts by flow cytometry, study {described.study}")
    add(about, "ProtocolName", described.study)
    guide, version, _ = IMPLEMENTATION_GUIDES[described.folder]
    metadata = add(
        study,
        "MetaDataVersion",
        OID=f"MDV.{name}",
        Name=f"{described.study}, {guide} {version}",
        Description=f"Datasets of {described.study} by {guide} {version}",
        def_DefineVersion="2.1.0",
    )
    _fill(metadata, described)
    return root


def _fill(metadata: Any, described: Described) -> None:
    """The parts of the metadata, in the order that the schema asks for."""
    variables = [(spec, variable) for spec in described.specs for variable in spec.variables]
    qualifiers = qualifiers_in_use(described)
    _standards(metadata, described)
    _value_level(metadata, qualifiers)
    for spec in described.specs:
        _item_group(metadata, spec, described)
    for spec, variable in variables:
        _item(metadata, spec, variable, described)
    for qualifier in qualifiers:
        _qualifier_item(metadata, qualifier, described)
    for spec, variable in variables:
        _code_list(metadata, spec, variable, described)
    for name, text in _methods(described):
        method = add(metadata, "MethodDef", OID=f"MT.{name}", Name=f"Algorithm of {name}", Type="Computation")
        describe(method, text)
    for name, text in _comments(described):
        describe(add(metadata, "def:CommentDef", OID=f"COM.{name}"), text)


def _standards(metadata: Any, described: Described) -> None:
    guide, version, _ = IMPLEMENTATION_GUIDES[described.folder]
    standards = add(metadata, "def:Standards")
    add(standards, "def:Standard", OID="STD.IG", Name=guide, Type="IG", Version=version, Status="Final")
    add(
        standards,
        "def:Standard",
        OID="STD.CT",
        Name="CDISC/NCI",
        Type="CT",
        PublishingSet="SDTM",
        Version=TERMINOLOGY,
        Status="Final",
    )


def _value_level(metadata: Any, used: Sequence[Qualifier]) -> None:
    """What QVAL holds, by the name of the qualifier."""
    if not used:
        return
    values = add(metadata, "def:ValueListDef", OID="VL.SUPPCP.QVAL")
    for number, qualifier in enumerate(used, start=1):
        item = add(
            values,
            "ItemRef",
            ItemOID=f"IT.SUPPCP.QVAL.{qualifier.name}",
            OrderNumber=str(number),
            Mandatory="No",
            MethodOID=f"MT.SUPPCP.QVAL.{qualifier.name}" if qualifier.origin == DERIVED else None,
        )
        add(item, "def:WhereClauseRef", WhereClauseOID=f"WC.SUPPCP.{qualifier.name}")
    for qualifier in used:
        where = add(metadata, "def:WhereClauseDef", OID=f"WC.SUPPCP.{qualifier.name}")
        check = add(where, "RangeCheck", SoftHard="Soft", Comparator="EQ", def_ItemOID="IT.SUPPCP.QNAM")
        add(check, "CheckValue", qualifier.name)


def _item_group(metadata: Any, spec: DatasetSpec, described: Described) -> None:
    _, _, purpose = IMPLEMENTATION_GUIDES[described.folder]
    group = add(
        metadata,
        "ItemGroupDef",
        OID=f"IG.{spec.name}",
        Name=spec.name,
        Repeating="No" if spec.keys == ("STUDYID", "USUBJID") else "Yes",
        IsReferenceData="No",
        SASDatasetName=spec.name,
        Domain=spec.name.removeprefix("SUPP") if described.folder == "sdtm" else None,
        Purpose=purpose,
        def_Structure=spec.structure,
        def_StandardOID="STD.IG",
        def_ArchiveLocationID=f"LF.{spec.name}",
        def_CommentOID=f"COM.{spec.name}",
        def_HasNoData=None if described.tables[spec.name] else "Yes",
    )
    describe(group, spec.label)
    for number, variable in enumerate(spec.variables, start=1):
        add(
            group,
            "ItemRef",
            ItemOID=f"IT.{spec.name}.{variable.name}",
            OrderNumber=str(number),
            Mandatory="Yes" if variable.core == "Req" else "No",
            KeySequence=str(spec.keys.index(variable.name) + 1) if variable.name in spec.keys else None,
            MethodOID=f"MT.{spec.name}.{variable.name}" if is_derived(variable, described) else None,
            Role=variable.role if described.folder == "sdtm" else None,
        )
    add(group, "def:Class", Name=spec.structure_class)
    leaf = add(group, "def:leaf", ID=f"LF.{spec.name}")
    leaf.set(f"{{{XLINK}}}href", f"{spec.name.lower()}.xpt")
    add(leaf, "def:title", f"{spec.name.lower()}.xpt")


def _item(metadata: Any, spec: DatasetSpec, variable: Variable, described: Described) -> None:
    origin, source = origin_of(variable, described)
    commented = comment_of(variable, described) is not None
    values = [row[variable.name] for row in described.tables[spec.name]]
    item = add(
        metadata,
        "ItemDef",
        OID=f"IT.{spec.name}.{variable.name}",
        Name=variable.name,
        DataType=_DATA_TYPES[variable.kind],
        **_size(variable, values),
        SASFieldName=variable.name,
        def_DisplayFormat=_FORMATS.get(variable.kind),
        def_CommentOID=f"COM.{spec.name}.{variable.name}" if commented else None,
    )
    describe(item, variable.label)
    if coded_values(spec, variable, described):
        add(item, "CodeListRef", CodeListOID=f"CL.{spec.name}.{variable.name}")
    came = add(item, "def:Origin", Type=origin, Source=source or None)
    if origin == "Predecessor":
        describe(came, variable.derivation)
    if (spec.name, variable.name) == ("SUPPCP", "QVAL") and described.tables["SUPPCP"]:
        add(item, "def:ValueListRef", ValueListOID="VL.SUPPCP.QVAL")


def _size(variable: Variable, values: Sequence[Any]) -> dict[str, str | None]:
    """Length, and digits after the point, as the data have them."""
    if variable.kind == "iso":
        return {}
    if variable.kind in _FORMATS:
        return {"Length": "8"}
    texts = [value if variable.kind == "text" else repr(value) for value in values if value is not None]
    length = str(max([1, *(len(text) for text in texts)]))
    if variable.kind != "number":
        return {"Length": length}
    digits = max([0, *(len(text.partition(".")[2]) for text in texts)])
    return {"Length": length, "SignificantDigits": str(digits)}


def _qualifier_item(metadata: Any, qualifier: Qualifier, described: Described) -> None:
    rows = described.tables["SUPPCP"]
    length = max(len(row["QVAL"]) for row in rows if row["QNAM"] == qualifier.name)
    item = add(
        metadata,
        "ItemDef",
        OID=f"IT.SUPPCP.QVAL.{qualifier.name}",
        Name=qualifier.name,
        DataType="text",
        Length=str(length),
        SASFieldName=qualifier.name,
        def_CommentOID=None if qualifier.origin == DERIVED else f"COM.SUPPCP.QVAL.{qualifier.name}",
    )
    describe(item, qualifier.label)
    add(item, "def:Origin", Type=qualifier.origin.capitalize(), Source="Sponsor")


def _code_list(metadata: Any, spec: DatasetSpec, variable: Variable, described: Described) -> None:
    values = coded_values(spec, variable, described)
    if not values:
        return
    codelist = described.codelists.get(variable.codelist)
    element = add(
        metadata,
        "CodeList",
        OID=f"CL.{spec.name}.{variable.name}",
        Name=f"{codelist.name if codelist else variable.label} ({spec.name}.{variable.name})",
        DataType="text",
        def_StandardOID="STD.CT" if codelist else None,
        def_IsNonStandard=None if codelist else "Yes",
    )
    for value, meaning in values.items():
        code = codelist.terms.get(value) if codelist else None
        extended = "Yes" if codelist and code is None else None
        name = "CodeListItem" if meaning else "EnumeratedItem"
        entry = add(element, name, CodedValue=value, def_ExtendedValue=extended)
        if meaning:
            add(add(entry, "Decode"), "TranslatedText", meaning).set(LANGUAGE, "en")
        if code:
            add(entry, "Alias", Context="nci:ExtCodeID", Name=code)
    if codelist:
        add(element, "Alias", Context="nci:ExtCodeID", Name=codelist.code)


def _methods(described: Described) -> Iterator[tuple[str, str]]:
    """Name and text of every derivation."""
    for spec in described.specs:
        for variable in spec.variables:
            if is_derived(variable, described):
                yield f"{spec.name}.{variable.name}", variable.derivation
    for qualifier in qualifiers_in_use(described):
        if qualifier.origin == DERIVED:
            yield f"SUPPCP.QVAL.{qualifier.name}", qualifier.derivation


def _comments(described: Described) -> Iterator[tuple[str, str]]:
    """Name and text of what is to be said about datasets, variables and qualifiers without a method."""
    for spec in described.specs:
        yield spec.name, spec.comment
        for variable in spec.variables:
            text = comment_of(variable, described)
            if text is not None:
                yield f"{spec.name}.{variable.name}", text
    for qualifier in qualifiers_in_use(described):
        if qualifier.origin != DERIVED:
            yield f"SUPPCP.QVAL.{qualifier.name}", qualifier.derivation
