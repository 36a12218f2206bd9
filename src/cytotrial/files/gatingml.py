"""GatingML 2.0, the exchange standard for gates, read through FlowKit after checks of our own."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from cytotrial.errors import TemplateError
from cytotrial.files.from_flowkit import Converter
from cytotrial.files.gatingml_checks import (
    channel_problems,
    doubts,
    gates_of,
    id_problems,
    is_complemented,
    is_own_parent,
    matrix_problems,
    reference_problems,
    scale_problems,
    schema_problems,
    shape_problems,
    structure_problems,
)
from cytotrial.files.xml_ids import name_of_id
from cytotrial.files.xml_strict import (
    GATING,
    TemplateWarning,
    content_version,
    escaped,
    local,
    parse,
    qualified,
    read_bytes,
    refuse,
)
from cytotrial.terms import GatingStrategy

if TYPE_CHECKING:
    from lxml.etree import _Element

_ROOT_TAG = qualified(GATING, "Gating-ML")


def read_gatingml(path: Path, *, channels: Collection[str] | None = None) -> GatingStrategy:
    """The gating strategy of a GatingML 2.0 file.

    Parameters
    ----------
    path : Path
        Populations get the gates' ids as names, with what `export-gates` escaped in them (`_x0020_`) as it
        was; a quadrant gate makes one population of each quadrant.
        `compensation-ref="FCS"` is the matrix of the tube's panel and batch; other matrices come with the
        strategy.
    channels : collection of str, optional
        The names a gate may look at ($PnN, or markers of the panel); others are then refused.

    Returns
    -------
    GatingStrategy
        Populations in the file's order of gates, each after those it needs.

    Raises
    ------
    TemplateError
        With every problem of the file: line, element, what was found, what was expected.

    Warns
    -----
    TemplateWarning
        For a polygon that crosses itself and for ids that differ in case only.

    References
    ----------
    Spidlen J et al. ISAC's Gating-ML 2.0 data exchange standard for gating description.
    Cytometry A 2015;87A:683-687.
    """
    content = read_bytes(path)
    root = parse(path, content)
    _is_gatingml(path, root)
    refuse(path, [*structure_problems(root), *id_problems(root)])
    refuse(path, schema_problems(root), hint="The lines are not GatingML 2.0; export the gates again.")
    refuse(path, [*reference_problems(root), *channel_problems(root, channels)])
    refuse(path, [*shape_problems(root), *scale_problems(root), *matrix_problems(root)])
    for warning in doubts(root):
        warnings.warn(f"{path}: {warning}", TemplateWarning, stacklevel=2)
    return _strategy(path, content, _plainly(root))


def _plainly(root: _Element) -> bytes:
    """The document as FlowKit reads it right.

    FlowKit takes a complement that is written as `1` for none, and cannot place a gate whose AND names its
    own parent, within which it lies anyway.
    """
    from lxml import etree  # noqa: PLC0415

    for gate, _ in gates_of(root):
        for joined in gate.findall(qualified(GATING, "and")):
            for reference in joined.findall(qualified(GATING, "gateReference")):
                if is_own_parent(gate, reference) and not is_complemented(reference):
                    joined.remove(reference)
    for reference in root.iter(qualified(GATING, "gateReference")):
        complement = "true" if is_complemented(reference) else "false"
        reference.set(qualified(GATING, "use-as-complement"), complement)
    return etree.tostring(root, encoding="utf-8")


def _strategy(path: Path, content: bytes, plainly: bytes) -> GatingStrategy:
    from flowkit import parse_gating_xml  # noqa: PLC0415

    try:
        converter = Converter(parse_gating_xml(BytesIO(plainly)), name_of=lambda _, name: name_of_id(name))
        populations, matrices = converter.populations(), converter.matrices()
    except TemplateError as error:
        raise TemplateError(f"{path}: {error}") from None
    except Exception as error:
        raise TemplateError(
            f"{path}: FlowKit cannot read it: {error}.", hint="Export the gates again."
        ) from error
    return GatingStrategy(
        name=path.stem,
        version=content_version(content),
        source=path.name,
        populations=populations,
        matrices=MappingProxyType(matrices),
    )


def _is_gatingml(path: Path, root: _Element) -> None:
    if root.tag != _ROOT_TAG:
        namespace = root.tag.rpartition("}")[0].lstrip("{") or "none"
        remedy = "Convert it to GatingML 2.0." if "Gating-ML" in root.tag else "Name a GatingML 2.0 file."
        raise TemplateError(
            f"{path}: the root element is {escaped(local(root))} with xmlns {escaped(namespace)}; "
            f"Gating-ML of {GATING} was expected.",
            hint=remedy,
        )
