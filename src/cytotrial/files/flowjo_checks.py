"""Where the parts of a FlowJo 10 workspace are, and what is wrong with them: one sentence each, by line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from cytotrial.files.from_flowkit import transform_of, transform_problem
from cytotrial.files.xml_strict import (
    DATA_TYPES,
    GATING,
    TRANSFORMS,
    escaped,
    is_number,
    local,
    matrix_problem,
    name_problem,
    numbers_problems,
    qualified,
    tree_problems,
)
from cytotrial.terms import TUBE_MATRIX

if TYPE_CHECKING:
    from lxml.etree import _Element

NODES = ("Population", "AndNode", "OrNode", "NotNode")
_SCALES = {
    "linear": ("minRange", "maxRange"),
    "log": ("offset", "decades"),
    "logicle": ("T", "W", "M", "A"),
    "biex": ("neg", "width", "length", "maxRange", "pos"),
    "fasinh": ("T", "M", "A"),
}
_OTHER_SCALES = "set it to biex, logicle, ArcSinh, log or linear in FlowJo"
_NUMBERS = frozenset({"min", "max", "value", *(name for names in _SCALES.values() for name in names)})


def samples_of(root: _Element) -> list[_Element]:
    return root.findall("SampleList/Sample")


def sample_name(sample: _Element) -> str:
    node = sample.find("SampleNode")
    return "" if node is None else node.get("name", "")


def outline_problems(root: _Element) -> Iterator[str]:
    """Parts that are missing, and samples that cannot be told apart."""
    for part in ("Groups", "SampleList"):
        if root.find(part) is None:
            yield f"Workspace: has no {part}"
    if not samples_of(root):
        yield "SampleList: has no Sample"
    for sample in samples_of(root):
        for part in ("DataSet", "Transformations", "Keywords", "SampleNode"):
            if sample.find(part) is None:
                name = escaped(sample_name(sample))
                yield f"line {sample.sourceline}, Sample {name}: has no {part} element"
    nodes = [node for sample in samples_of(root) if (node := sample.find("SampleNode")) is not None]
    for what, attribute in (("SampleNode name", "name"), ("sampleID", "sampleID")):
        values = [node.get(attribute, "") for node in nodes]
        for value in sorted({value for value in values if not value or values.count(value) > 1}):
            yield f"{what} {escaped(value)}: {values.count(value)} samples have it; rename them in FlowJo"
    known = {node.get("sampleID", "") for node in nodes}
    for reference in root.findall("Groups/GroupNode/Group/SampleRefs/SampleRef"):
        if reference.get("sampleID") not in known:
            yield (
                f"line {reference.sourceline}, SampleRef: sampleID {escaped(reference.get('sampleID'))} "
                "is no sample of the workspace"
            )


def sample_problems(sample: _Element) -> Iterator[str]:
    problems = (
        *_address_problems(sample),
        *_keyword_problems(sample),
        *_scale_problems(sample),
        *_compensation_problems(sample),
        *_tree_problems(sample),
    )
    yield from (f"sample {escaped(sample_name(sample))}: {problem}" for problem in problems)


def _address_problems(sample: _Element) -> Iterator[str]:
    """An address is never opened, but one on another machine's web server is no FlowJo file's."""
    dataset = sample.find("DataSet")
    uri = "" if dataset is None else dataset.get("uri", "")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", uri)
    if dataset is not None and scheme and scheme[1].lower() != "file":
        where = f"line {dataset.sourceline}"
        yield f"{where}: the DataSet uri is a {escaped(scheme[1])} address; a file was expected"


def _keyword_problems(sample: _Element) -> Iterator[str]:
    for keyword in sample.findall("Keywords/*"):
        if keyword.get("name") is None or keyword.get("value") is None:
            yield f"line {keyword.sourceline}: a Keyword has no name or no value"


def _scale_problems(sample: _Element) -> Iterator[str]:
    """Scales that FlowJo does not document, and parameters out of their range.

    A channel that was never recorded can have a linear scale without length: that is no fault as long as
    no gate looks at it.
    """
    used = {e.get(qualified(DATA_TYPES, "name")) for e in sample.iter(qualified(DATA_TYPES, "fcs-dimension"))}
    for element in sample.findall("Transformations/*"):
        kind, where = local(element), f"line {element.sourceline}, Transformations"
        if kind not in _SCALES:
            yield f"{where}: the scale {escaped(kind)} is not supported; {_OTHER_SCALES}"
            continue
        if parameter_of(element) is None:
            yield f"{where}, {kind}: names no parameter"
        given = {name: element.get(qualified(TRANSFORMS, name)) for name in _SCALES[kind]}
        wrong = [name for name, text in given.items() if not is_number(text)]
        if wrong:
            yield f"{where}, {kind}: {', '.join(wrong)} must be numbers"
        elif kind == "biex" and given["length"] != "256":
            yield f"{where}, biex: length is {escaped(given['length'])}; 256 was expected"
        elif kind == "linear" and parameter_of(element) not in used:
            continue
        elif problem := _scale_problem(kind, {name: float(text or 0) for name, text in given.items()}):
            yield f"{where}, {kind}: {problem}"


def _scale_problem(kind: str, p: Mapping[str, float]) -> str:
    from flowkit import transforms  # noqa: PLC0415

    if kind == "linear":
        return transform_problem(transform_of(transforms.LinearTransform(p["maxRange"], p["minRange"])))
    if kind == "log":
        return transform_problem(transform_of(transforms.WSPLogTransform(p["offset"], p["decades"])))
    if kind == "logicle":
        return transform_problem(transform_of(transforms.LogicleTransform(p["T"], p["W"], p["M"], p["A"])))
    if kind == "fasinh":
        return transform_problem(transform_of(transforms.AsinhTransform(p["T"], p["M"], p["A"])))
    if p["width"] > -1 or p["maxRange"] <= 0 or p["pos"] <= 0:
        return "width must be at most -1, maxRange and pos above 0"
    return ""


def parameter_of(element: _Element) -> str | None:
    parameter = element.find(qualified(DATA_TYPES, "parameter"))
    return None if parameter is None else parameter.get(qualified(DATA_TYPES, "name"))


def _compensation_problems(sample: _Element) -> Iterator[str]:
    matrices = sample.findall(qualified(TRANSFORMS, "spilloverMatrix"))
    if len(matrices) > 1:
        yield f"has {len(matrices)} spilloverMatrix elements; one was expected"
    for matrix in matrices:
        where = f"line {matrix.sourceline}, spilloverMatrix {escaped(matrix.get('name'))}"
        if (
            matrix.get("name") in {None, "", TUBE_MATRIX}
            or matrix.get("prefix") is None
            or matrix.get("suffix") is None
        ):
            yield f"{where}: needs a name (other than '{TUBE_MATRIX}'), a prefix and a suffix"
        if matrix.get("spectral") == "1":
            algorithm = matrix.get("weightOptAlgorithmType")
            yield (
                f"{where}: is spectral (weightOptAlgorithmType {escaped(algorithm)}), which is not read; "
                "export unmixed FCS files"
            )
            continue
        rows = [
            [
                c.get(qualified(TRANSFORMS, "value"), "")
                for c in row.findall(qualified(TRANSFORMS, "coefficient"))
            ]
            for row in matrix.findall(qualified(TRANSFORMS, "spillover"))
        ]
        if not all(is_number(value) for row in rows for value in row):
            yield f"{where}: a coefficient is not a number"
        elif problem := matrix_problem(
            [[float(value) for value in row] for row in rows], detectors_of(sample)
        ):
            yield f"{where}: {problem}"


def matrix_of(sample: _Element) -> _Element | None:
    return sample.find(qualified(TRANSFORMS, "spilloverMatrix"))


def detectors_of(sample: _Element) -> list[str]:
    matrix = matrix_of(sample)
    if matrix is None:
        return []
    listed = matrix.findall(f"{qualified(DATA_TYPES, 'parameters')}/{qualified(DATA_TYPES, 'parameter')}")
    return [parameter.get(qualified(DATA_TYPES, "name"), "") for parameter in listed]


def _tree_problems(sample: _Element) -> Iterator[str]:
    """Names, shapes and references of a sample's gates."""
    nodes = list(nodes_of(sample))
    paths = [path for path, _ in nodes]
    parents = {path: parent for path, _ in nodes if (parent := path.rpartition("/")[0])}
    for path, node in nodes:
        where = f"line {node.sourceline}, {local(node)} {escaped(path)}"
        if problem := name_problem(node.get("name")):
            yield f"{where}: Population name: {problem}; rename it in FlowJo"
        elif paths.count(path) > 1:
            yield f"{where}: its parent has two populations of this name; rename one in FlowJo"
        yield from (f"{where}: {problem}" for problem in _node_problems(node, set(paths)))
    if len(set(paths)) == len(paths):
        needs = {path: [p for p in (parents.get(path), *_dependents(node)) if p] for path, node in nodes}
        yield from tree_problems(needs, parents=parents)


def nodes_of(sample: _Element) -> Iterator[tuple[str, _Element]]:
    """Path and element of every population, parents first; deep trees make no deep recursion."""
    waiting = [("", node) for node in sample.findall("SampleNode")]
    while waiting:
        path, node = waiting.pop(0)
        for child in node.findall("Subpopulations/*"):
            if local(child) in NODES:
                below = f"{path}/{child.get('name', '')}" if path else child.get("name", "")
                yield below, child
                waiting.append((below, child))


def _dependents(node: _Element) -> list[str]:
    return [dependent.get("name", "") for dependent in node.findall("Dependents/Dependent")]


def _node_problems(node: _Element, paths: set[str]) -> Iterator[str]:
    if local(node) != "Population":
        operands = _dependents(node)
        if not operands or (local(node) == "NotNode" and len(operands) != 1):
            wanted = "one" if local(node) == "NotNode" else "some"
            yield f"has {len(operands)} Dependent elements; {wanted} expected"
        yield from (f"Dependent {escaped(name)} is no population" for name in operands if name not in paths)
        return
    gate = node.find("Gate")
    shapes = [] if gate is None else [child for child in gate if isinstance(child.tag, str)]
    if len(shapes) != 1:
        yield f"its Gate has {len(shapes)} shapes; one was expected"
    for shape in shapes:
        yield from _gate_problems(shape)


def _gate_problems(shape: _Element) -> Iterator[str]:
    kind = local(shape)
    if kind not in {"RectangleGate", "PolygonGate", "EllipsoidGate"} or shape.tag != qualified(GATING, kind):
        yield f"the gate {escaped(kind)} is not supported; redraw it as rectangle, polygon or ellipse"
    for element in shape.iter("*"):
        yield from numbers_problems(element, names=_NUMBERS)
    dimensions = shape.findall(qualified(GATING, "dimension"))
    channels = [_channel_element(dimension) for dimension in dimensions]
    if any(channel is None or not channel.get(qualified(DATA_TYPES, "name")) for channel in channels):
        yield "a dimension names no channel"
    if len(dimensions) != 2 and kind != "RectangleGate":
        yield f"has {len(dimensions)} dimensions; two were expected"
    if kind == "PolygonGate" and len(shape.findall(qualified(GATING, "vertex"))) < 3:
        yield "has fewer than three vertices"


def _channel_element(dimension: _Element) -> _Element | None:
    return dimension.find(qualified(DATA_TYPES, "fcs-dimension"))
