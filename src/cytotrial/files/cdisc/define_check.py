"""Reading define.xml back: against its schema, and the variables that it lists."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree

from cytotrial.files.cdisc.define_elements import tag


def define_problems(path: Path) -> list[str]:
    """What the schema of Define-XML 2.1 finds wrong with a file; empty if nothing.

    libxml2 says quickly that a file is valid; what is wrong with one that is not is told by `xmlschema`.
    """
    if _is_valid(path):
        return []
    return [f"{error.path}: {error.reason}" for error in _schema().iter_errors(str(path))]


def _is_valid(path: Path) -> bool:
    try:
        return bool(etree.XMLSchema(file=_schema_file()).validate(_tree_of(path)))
    except etree.XMLSyntaxError:
        return False


def _schema_file() -> str:
    from odmlib import schema_manager  # noqa: PLC0415 (only the check pays for it)

    return str(schema_manager.get_schema_path("define", "2.1"))


@cache
def _schema() -> Any:
    import xmlschema  # noqa: PLC0415 (a second that only an invalid file costs)

    return xmlschema.XMLSchema(_schema_file())


def _tree_of(path: Path) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return etree.parse(str(path), parser)


def defined_variables(path: Path) -> dict[str, list[str]]:
    """Dataset → names of its variables in order, as a define.xml lists them."""
    tree = _tree_of(path)
    names = {item.get("OID"): item.get("Name") for item in tree.iter(tag("ItemDef"))}
    return {
        str(group.get("Name")): [
            str(names.get(item.get("ItemOID"))) for item in group.iterchildren(tag("ItemRef"))
        ]
        for group in tree.iter(tag("ItemGroupDef"))
    }
