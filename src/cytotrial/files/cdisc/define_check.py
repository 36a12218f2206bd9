"""Reading define.xml back: against its schema, and the variables that it lists."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree

from cytotrial.files.cdisc.define_elements import tag


def define_problems(path: Path) -> list[str]:
    """What the schema of Define-XML 2.1 finds wrong with a file; empty if nothing."""
    return [f"{error.path}: {error.reason}" for error in _schema().iter_errors(str(path))]


@cache
def _schema() -> Any:
    import xmlschema  # noqa: PLC0415 (a second that only the check pays for)
    from odmlib import schema_manager  # noqa: PLC0415

    return xmlschema.XMLSchema(schema_manager.get_schema_path("define", "2.1"))


def defined_variables(path: Path) -> dict[str, list[str]]:
    """Dataset → names of its variables in order, as a define.xml lists them."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    tree = etree.parse(str(path), parser)
    names = {item.get("OID"): item.get("Name") for item in tree.iter(tag("ItemDef"))}
    return {
        str(group.get("Name")): [
            str(names.get(item.get("ItemOID"))) for item in group.iterchildren(tag("ItemRef"))
        ]
        for group in tree.iter(tag("ItemGroupDef"))
    }
