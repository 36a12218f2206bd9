"""FlowJo 10 workspaces (.wsp), read through FlowKit after checks of our own.

A workspace names FCS files by address. Those addresses are never opened: the sample sheet says where the
files are.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from cytotrial.errors import TemplateError
from cytotrial.files.from_flowkit import Converter, transform_of, transform_problem
from cytotrial.files.xml_strict import (
    DATA_TYPES,
    GATING,
    TRANSFORMS,
    TemplateWarning,
    content_version,
    escaped,
    is_number,
    local,
    matrix_problem,
    name_problem,
    numbers_problems,
    parse,
    qualified,
    read_bytes,
    refuse,
    tree_problems,
)
from cytotrial.terms import TUBE_MATRIX, GatingStrategy, Population, SpilloverMatrix

if TYPE_CHECKING:
    from flowkit import Workspace
    from lxml.etree import _Element

_NODES = ("Population", "AndNode", "OrNode", "NotNode")
_SCALES = {
    "linear": ("minRange", "maxRange"),
    "log": ("offset", "decades"),
    "logicle": ("T", "W", "M", "A"),
    "biex": ("neg", "width", "length", "maxRange", "pos"),
    "fasinh": ("T", "M", "A"),
}
_SAVE_AGAIN = "Open it in FlowJo 10 and save it again."
_OTHER_SCALES = "set it to biex, logicle, ArcSinh, log or linear in FlowJo"
_NUMBERS = frozenset({"min", "max", "value", *(name for names in _SCALES.values() for name in names)})
_UNCOMPENSATED = "uncompensated:"
_COMPENSATED = "compensated:"
"""Put before the names of channels and the matrix's prefix, so that FlowKit takes the one for the other
only where it should."""


def read_workspace(path: Path) -> dict[str, GatingStrategy]:
    """The gating strategy of every sample of a FlowJo 10 workspace.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of sample name to GatingStrategy
        Populations are named by their path, `T cells/CD4/Treg`; each sample has its own gates, scales and
        spillover matrix (named as in the workspace, in `matrices`). A gate is compensated just if FlowJo
        drew it on a compensated channel; channels of files that were exported compensated (`FJComp-...`)
        are channels of the file and stay as they are. Gates on linear scales are in detector units.

    Raises
    ------
    TemplateError
        With every problem of the file: line, sample, element, what was found, what was expected.

    Warns
    -----
    TemplateWarning
        For a workspace of FlowJo 11 or later, which is not tested.
    """
    content = read_bytes(path)
    root = parse(path, content)
    _is_workspace(path, root)
    refuse(path, _outline_problems(root))
    refuse(path, [problem for sample in _samples(root) for problem in _sample_problems(sample)])
    channels = {_sample_name(sample): _file_channels(sample) for sample in _samples(root)}
    for sample in _samples(root):
        _say_what_is_compensated(sample)
    workspace, version = _workspace(path, root), content_version(content)
    return {
        name: GatingStrategy(name, version, path.name, *_gates(path, workspace, name, channels[name]))
        for name in channels
    }


def _workspace(path: Path, root: _Element) -> Workspace:
    from flowkit import Workspace  # noqa: PLC0415
    from lxml import etree  # noqa: PLC0415

    try:
        return Workspace(BytesIO(etree.tostring(root)), load_missing_file_data=True)
    except Exception as error:
        raise TemplateError(f"{path}: FlowKit cannot read it: {error}.", hint=_SAVE_AGAIN) from error


def _gates(
    path: Path, workspace: Workspace, sample: str, channels: Mapping[str, str]
) -> tuple[tuple[Population, ...], Mapping[str, SpilloverMatrix]]:
    """A sample's populations, and the spillover matrix they are compensated by."""

    def name_of(ancestors: tuple[str, ...], name: str) -> str:
        return "/".join((*ancestors[1:], name))

    def channel_of(name: str) -> str:
        plain = name.removeprefix(_UNCOMPENSATED)
        return channels.get(plain, plain)

    strategy = workspace.get_gating_strategy(sample)
    converter = Converter(strategy, sample, name_of, channel_of, plain_linear=True)
    try:
        return converter.populations(), MappingProxyType(converter.matrices())
    except TemplateError as error:
        raise TemplateError(f"{path}: sample {escaped(sample)}: {error}", hint=_SAVE_AGAIN) from None


def _is_workspace(path: Path, root: _Element) -> None:
    version = root.get("flowJoVersion", "")
    major = re.match(r"\d+", version)
    if local(root) != "Workspace" or major is None:
        raise TemplateError(
            f"{path}: the root element is {escaped(local(root))} with flowJoVersion {escaped(version)}; "
            "a workspace of FlowJo 10 was expected.",
            hint="Save the workspace as .wsp with FlowJo 10.",
        )
    if int(major[0]) < 10:
        raise TemplateError(
            f"{path}: flowJoVersion is {escaped(version)}; 10 was expected.", hint="Save it with FlowJo 10."
        )
    if int(major[0]) > 10:
        warnings.warn(
            f"{path}: flowJoVersion is {escaped(version)}; only FlowJo 10 is tested. Compare the counts.",
            TemplateWarning,
            stacklevel=3,
        )
    missing = {GATING, TRANSFORMS, DATA_TYPES} - set(root.nsmap.values())
    if missing or None in root.nsmap:
        odd = ", ".join(sorted(missing)) or "a default one"
        raise TemplateError(
            f"{path}: the xmlns declarations are not FlowJo's ({odd}).",
            hint="Save the workspace again with FlowJo 10.",
        )


def _samples(root: _Element) -> list[_Element]:
    return root.findall("SampleList/Sample")


def _sample_name(sample: _Element) -> str:
    node = sample.find("SampleNode")
    return "" if node is None else node.get("name", "")


def _outline_problems(root: _Element) -> Iterator[str]:
    """Parts that are missing, and samples that cannot be told apart."""
    for part in ("Groups", "SampleList"):
        if root.find(part) is None:
            yield f"Workspace: has no {part}"
    if not _samples(root):
        yield "SampleList: has no Sample"
    for sample in _samples(root):
        for part in ("DataSet", "Transformations", "Keywords", "SampleNode"):
            if sample.find(part) is None:
                name = escaped(_sample_name(sample))
                yield f"line {sample.sourceline}, Sample {name}: has no {part} element"
    nodes = [node for sample in _samples(root) if (node := sample.find("SampleNode")) is not None]
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


def _sample_problems(sample: _Element) -> Iterator[str]:
    problems = (
        *_address_problems(sample),
        *_keyword_problems(sample),
        *_scale_problems(sample),
        *_compensation_problems(sample),
        *_tree_problems(sample),
    )
    yield from (f"sample {escaped(_sample_name(sample))}: {problem}" for problem in problems)


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
        if _parameter(element) is None:
            yield f"{where}, {kind}: names no parameter"
        given = {name: element.get(qualified(TRANSFORMS, name)) for name in _SCALES[kind]}
        wrong = [name for name, text in given.items() if not is_number(text)]
        if wrong:
            yield f"{where}, {kind}: {', '.join(wrong)} must be numbers"
        elif kind == "biex" and given["length"] != "256":
            yield f"{where}, biex: length is {escaped(given['length'])}; 256 was expected"
        elif kind == "linear" and _parameter(element) not in used:
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


def _parameter(element: _Element) -> str | None:
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
        elif problem := matrix_problem([[float(value) for value in row] for row in rows], _detectors(sample)):
            yield f"{where}: {problem}"


def _matrix(sample: _Element) -> _Element | None:
    return sample.find(qualified(TRANSFORMS, "spilloverMatrix"))


def _detectors(sample: _Element) -> list[str]:
    matrix = _matrix(sample)
    if matrix is None:
        return []
    listed = matrix.findall(f"{qualified(DATA_TYPES, 'parameters')}/{qualified(DATA_TYPES, 'parameter')}")
    return [parameter.get(qualified(DATA_TYPES, "name"), "") for parameter in listed]


def _tree_problems(sample: _Element) -> Iterator[str]:
    """Names, shapes and references of a sample's gates."""
    nodes = list(_nodes(sample))
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


def _nodes(sample: _Element) -> Iterator[tuple[str, _Element]]:
    """Path and element of every population, parents first; deep trees make no deep recursion."""
    waiting = [("", node) for node in sample.findall("SampleNode")]
    while waiting:
        path, node = waiting.pop(0)
        for child in node.findall("Subpopulations/*"):
            if local(child) in _NODES:
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


def _file_channels(sample: _Element) -> dict[str, str]:
    """What FlowJo calls a channel (its $PnN with `_` for `/`) → its $PnN.

    FlowJo lists the compensated channels it makes after the file's own, which are $PAR in number.
    """
    keywords = {k.get("name", ""): k.get("value", "") for k in sample.findall("Keywords/Keyword")}
    own = re.fullmatch(r"\s*(\d+)\s*", keywords.get("$PAR", ""))
    numbered = {
        int(match[1]): value
        for name, value in keywords.items()
        if (match := re.fullmatch(r"\$P(\d+)N", name))
    }
    channels = [name for number, name in numbered.items() if own is None or number <= int(own[1])]
    return {channel.replace("/", "_"): channel for channel in channels} | {c: c for c in channels}


def _say_what_is_compensated(sample: _Element) -> None:
    """Rename what gates look at so that FlowKit, which goes by the detector alone, gets three things right.

    A channel is compensated just if its name carries the matrix's prefix and suffix; it is not if a
    channel of the file has that very name; and the two have a scale each.
    """
    matrix = _matrix(sample)
    if matrix is None:
        return
    prefix, suffix = matrix.get("prefix", ""), matrix.get("suffix", "")
    detectors, in_file = set(_detectors(sample)), _file_channels(sample)
    scales = {_parameter(element): element for element in sample.findall("Transformations/*")}
    wanted: dict[str, _Element] = {}
    for element in sample.iter(qualified(DATA_TYPES, "fcs-dimension")):
        name = element.get(qualified(DATA_TYPES, "name"), "")
        compensated = name.startswith(prefix) and name.endswith(suffix) and name not in in_file
        detector = name.removeprefix(prefix).removesuffix(suffix)
        renamed = detector if compensated and detector in detectors else _UNCOMPENSATED + name
        element.set(qualified(DATA_TYPES, "name"), renamed)
        if name in scales:
            wanted[renamed] = scales[name]
    for channel, scale in wanted.items():
        _set_scale(sample, channel, scale)
    matrix.set("prefix", _COMPENSATED)
    matrix.set("suffix", "")


def _set_scale(sample: _Element, channel: str, like: _Element) -> None:
    """Give a channel the scale of another, in place of what it had."""
    transformations = sample.find("Transformations")
    assert transformations is not None
    for element in list(transformations):
        if _parameter(element) == channel:
            transformations.remove(element)
    scale = copy.deepcopy(like)
    parameter = scale.find(qualified(DATA_TYPES, "parameter"))
    assert parameter is not None
    parameter.set(qualified(DATA_TYPES, "name"), channel)
    transformations.append(scale)
