"""Names of populations as XML ids."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cytotrial.files.xml_ids import id_of_name, name_of_id

NCNAME = etree.XMLSchema(
    etree.fromstring(
        '<schema xmlns="http://www.w3.org/2001/XMLSchema"><element name="e"><complexType>'
        '<attribute name="id" type="ID" use="required"/></complexType></element></schema>'
    )
)


def is_xml_id(text: str) -> bool:
    return bool(NCNAME.validate(etree.Element("e", id=text)))


@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1))
def test_every_name_comes_back_from_a_legal_id(name: str) -> None:
    assert name_of_id(id_of_name(name)) == name
    assert is_xml_id(id_of_name(name))


@pytest.mark.parametrize("name", ["CD4_x002B_", "_x", "_x002", "a_x002B", "CD25hi_CD127lo"])
def test_a_name_that_looks_like_an_escape_comes_back_as_it_was(name: str) -> None:
    assert name_of_id(id_of_name(name)) == name


def test_an_id_of_another_program_is_left_alone() -> None:
    assert name_of_id("Live_Cells") == "Live_Cells"
    assert name_of_id("_xFFFFFFFF_") == "_xFFFFFFFF_"  # no character has this number
