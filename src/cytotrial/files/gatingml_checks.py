"""What is wrong with a GatingML 2.0 document, and what is probably not meant: one sentence each, by line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cytotrial.files.from_flowkit import transform_of, transform_problem
from cytotrial.files.xml_ids import name_of_id
from cytotrial.files.xml_strict import (
    DATA_TYPES,
    GATING,
    MAX_CONDITION,
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

_NUMBERS = frozenset({"min", "max", "value", "T", "W", "M", "A", "B", "C", "location"})
_BUILT_IN = {"uncompensated", "FCS"}


def structure_problems(root: _Element) -> Iterator[str]:
    """What the schema check and FlowKit take long over, or read as something else."""
    if None in root.nsmap and root.nsmap[None] in {GATING, TRANSFORMS, DATA_TYPES}:
        yield "xmlns: a default namespace is declared; each element must carry a prefix such as gating:"
    ids = [name for _, name in _gates_with_quadrants(root)]
    if len(ids) == len(set(ids)):
        parents = {name: parent for gate, name in gates_of(root) if (parent := _attribute(gate, "parent_id"))}
        parents |= {_attribute(q, "id"): name for gate, name in gates_of(root) for q in _quadrants(gate)}
        needs = {name: _needs(gate, parents.get(name)) for gate, name in _gates_with_quadrants(root)}
        yield from tree_problems(needs, parents=parents)


def _needs(gate: _Element, parent: str | None) -> list[str]:
    references = [_attribute(e, "ref") for e in gate.iter(qualified(GATING, "gateReference"))]
    return [name for name in (parent, *references) if name]


def gates_of(root: _Element) -> list[tuple[_Element, str]]:
    """Every gate and its id, in the file's order."""
    return [
        (e, _attribute(e, "id"))
        for e in root
        if local(e).endswith("Gate") and e.tag == qualified(GATING, local(e))
    ]


def _quadrants(gate: _Element) -> list[_Element]:
    return gate.findall(qualified(GATING, "Quadrant"))


def _gates_with_quadrants(root: _Element) -> list[tuple[_Element, str]]:
    gates = gates_of(root)
    return gates + [(q, _attribute(q, "id")) for gate, _ in gates for q in _quadrants(gate)]


def _attribute(element: _Element, name: str, namespace: str = GATING) -> str:
    return element.get(qualified(namespace, name)) or ""


def schema_problems(root: _Element) -> Iterator[str]:
    """What the standard's schema says against the file, with line numbers."""
    from importlib.resources import as_file, files  # noqa: PLC0415

    from lxml import etree  # noqa: PLC0415

    with as_file(files("flowkit") / "_resources") as folder:
        schema = etree.XMLSchema(etree.parse(str(folder / "Gating-ML.v2.0.xsd")))
    if not schema.validate(root.getroottree()):
        log: Any = schema.error_log
        for entry in log:
            message = str(entry.message)
            for namespace, prefix in (
                (GATING, "gating"),
                (TRANSFORMS, "transforms"),
                (DATA_TYPES, "data-type"),
            ):
                message = message.replace(f"{{{namespace}}}", f"{prefix}:")
            yield f"line {entry.line}: {message[:300]}"


def id_problems(root: _Element) -> Iterator[str]:
    """Ids that cannot be names of populations, or are used twice."""
    seen: dict[str, Any] = {}
    for gate, name in _gates_with_quadrants(root):
        meant = name_of_id(name)
        if problem := _name_problem(name, meant):
            yield f"{_where(gate)}: {problem}; give the gate another gating:id"
        if meant in seen:
            first = seen[meant]
            yield f"{_where(gate)}: the gating:id is used twice (also on line {first}); make them differ"
        seen[meant] = gate.sourceline


def _name_problem(name: str, meant: str) -> str:
    """Why a population cannot have this id, or nothing; an escaped `/` stands between the parts of a path."""
    parts = [name] if meant == name else meant.split("/")
    return next((problem for part in parts if (problem := name_problem(part))), "")


def reference_problems(root: _Element) -> Iterator[str]:
    """References to what is not there."""
    seen = {name for _, name in _gates_with_quadrants(root)}
    whole = {name for gate, name in gates_of(root) if _quadrants(gate)}
    for gate, _ in gates_of(root):
        for wanted, attribute in ((_attribute(gate, "parent_id"), "parent_id"), *_operand_references(gate)):
            if wanted and (wanted not in seen or wanted in whole):
                what = (
                    "is a whole quadrant gate; name one quadrant" if wanted in whole else "is not in the file"
                )
                yield f"{_where(gate)}: {attribute} {escaped(wanted)} {what}"
        yield from _own_parent_problems(gate)
    yield from _definition_problems(root)


def _own_parent_problems(gate: _Element) -> Iterator[str]:
    """A boolean gate that names its own parent, other than one of several that it joins by AND."""
    references = list(gate.iter(qualified(GATING, "gateReference")))
    own = [reference for reference in references if is_own_parent(gate, reference)]
    joined = gate.find(qualified(GATING, "and")) is not None and len(own) < len(references)
    if own and not (joined and not any(is_complemented(reference) for reference in own)):
        yield (
            f"{_where(gate)}: its gateReference names its own parent, within which it lies anyway; "
            "leave it out, or state the population by another gate"
        )


def _operand_references(gate: _Element) -> list[tuple[str, str]]:
    return [(_attribute(e, "ref"), "gateReference") for e in gate.iter(qualified(GATING, "gateReference"))]


def _definition_problems(root: _Element) -> Iterator[str]:
    """References to transforms and matrices that are not defined, and definitions used twice."""
    defined: dict[str, set[str]] = {}
    for tag in ("transformation", "spectrumMatrix"):
        names = [_attribute(e, "id", TRANSFORMS) for e in root.findall(qualified(TRANSFORMS, tag))]
        defined[tag] = set(names)
        yield from (
            f"transforms:{tag} {escaped(n)} is defined twice"
            for n in sorted(set(names))
            if names.count(n) > 1
        )
    if TUBE_MATRIX in defined["spectrumMatrix"]:
        yield f"transforms:spectrumMatrix '{TUBE_MATRIX}' has the name of every tube's own matrix; rename it"
    for element in root.iter("*"):
        for namespace in (GATING, DATA_TYPES):
            transform = _attribute(element, "transformation-ref", namespace)
            if transform and transform not in defined["transformation"]:
                yield f"{_where(element)}: transformation-ref {escaped(transform)} is not defined in the file"
        matrix = _attribute(element, "compensation-ref")
        if matrix and matrix not in defined["spectrumMatrix"] | _BUILT_IN:
            yield f"{_where(element)}: compensation-ref {escaped(matrix)} is not defined in the file"


def channel_problems(root: _Element, channels: Collection[str] | None) -> Iterator[str]:
    fluorochromes = {
        _attribute(e, "name", DATA_TYPES)
        for group in root.iter(qualified(TRANSFORMS, "fluorochromes"))
        for e in group
    }
    for element in root.iter(qualified(DATA_TYPES, "fcs-dimension")):
        name = _attribute(element, "name", DATA_TYPES)
        if not name or name != name.strip():
            yield f"{_where(element)}: fcs-dimension {escaped(name)} is empty or has blanks at its ends"
        elif channels is not None and name not in channels and name not in fluorochromes:
            known = ", ".join(channels)
            yield f"{_where(element)}: fcs-dimension {escaped(name)} is not in the panel; it has {known}"


def shape_problems(root: _Element) -> Iterator[str]:
    """Coordinates that are no numbers, and gates that hold everything or nothing."""
    for element in root.iter("*"):
        yield from numbers_problems(element, names=_NUMBERS)
        if local(element) == "value" and not is_number(element.text):
            yield f"{_where(element)}: value is {escaped(element.text)}; a number was expected"
    for gate, _ in gates_of(root):
        names = [_attribute(e, "name", DATA_TYPES) for e in gate.iter(qualified(DATA_TYPES, "fcs-dimension"))]
        if len(set(names)) < len(names):
            yield f"{_where(gate)}: the same dimension is used twice"
        if local(gate) in _SHAPE_CHECKS:
            yield from _SHAPE_CHECKS[local(gate)](gate)


def _rectangle_problems(gate: _Element) -> Iterator[str]:
    limits = [
        (_attribute(d, "min"), _attribute(d, "max")) for d in gate.findall(qualified(GATING, "dimension"))
    ]
    if not any(low or high for low, high in limits):
        yield f"{_where(gate)}: has neither gating:min nor gating:max, so it would hold every event"
    for low, high in limits:
        if is_number(low) and is_number(high) and float(low) >= float(high):
            yield f"{_where(gate)}: gating:min {low} is not below gating:max {high}: it holds no event"


def _vertices(gate: _Element) -> list[list[str]]:
    return [
        [_attribute(c, "value", DATA_TYPES) for c in vertex.findall(qualified(GATING, "coordinate"))]
        for vertex in gate.findall(qualified(GATING, "vertex"))
    ]


def _polygon_problems(gate: _Element) -> Iterator[str]:
    vertices = _vertices(gate)
    if len(vertices) < 3:
        yield f"{_where(gate)}: has {len(vertices)} vertex elements; at least three were expected"
    if any(len(vertex) != 2 for vertex in vertices):
        yield f"{_where(gate)}: a vertex has not two coordinates"


def _covariance(gate: _Element) -> list[list[str]]:
    return [
        [_attribute(e, "value", DATA_TYPES) for e in row.findall(qualified(GATING, "entry"))]
        for row in gate.iter(qualified(GATING, "row"))
    ]


def _ellipsoid_problems(gate: _Element) -> Iterator[str]:
    import numpy as np  # noqa: PLC0415

    n = len(gate.findall(qualified(GATING, "dimension")))
    rows = _covariance(gate)
    mean = gate.findall(f"{qualified(GATING, 'mean')}/{qualified(GATING, 'coordinate')}")
    if len(rows) != n or any(len(row) != n for row in rows) or len(mean) != n:
        yield f"{_where(gate)}: mean and covarianceMatrix must have as many numbers as dimensions, {n}"
    elif all(is_number(value) for row in rows for value in row) and not (
        np.linalg.cond(np.array(rows, dtype=np.float64)) < MAX_CONDITION
    ):
        yield f"{_where(gate)}: the covarianceMatrix has no inverse"


_SHAPE_CHECKS = {
    "RectangleGate": _rectangle_problems,
    "PolygonGate": _polygon_problems,
    "EllipsoidGate": _ellipsoid_problems,
}


def scale_problems(root: _Element) -> Iterator[str]:
    from flowkit import transforms  # noqa: PLC0415

    makers = {
        "flin": transforms.LinearTransform,
        "flog": transforms.LogTransform,
        "fasinh": transforms.AsinhTransform,
        "logicle": transforms.LogicleTransform,
        "hyperlog": transforms.HyperlogTransform,
    }
    for element in root.findall(qualified(TRANSFORMS, "transformation")):
        bounds = [name for name in ("boundMin", "boundMax") if _attribute(element, name, TRANSFORMS)]
        if bounds:
            yield f"{_where(element)}: {' and '.join(bounds)} of a scale are not applied; leave them out"
    for element in root.iter("*"):
        maker = makers.get(local(element))
        if maker is None or element.tag != qualified(TRANSFORMS, local(element)):
            continue
        given = {
            f"param_{name.lower()}": _attribute(element, name, TRANSFORMS) for name in ("T", "W", "M", "A")
        }
        if any(value and not is_number(value) for value in given.values()):
            continue  # said already
        scale = transform_of(maker(**{name: float(value) for name, value in given.items() if value}))
        problem = transform_problem(scale)
        if problem:
            yield f"{_where(element)}: transforms:{local(element)}: {problem}"


def matrix_problems(root: _Element) -> Iterator[str]:
    for matrix in root.findall(qualified(TRANSFORMS, "spectrumMatrix")):
        if _attribute(matrix, "matrix-inverted-already", TRANSFORMS) in {"true", "1"}:
            yield f"{_where(matrix)}: is inverted already; give the spillover matrix itself"
        named = matrix.findall(
            f"{qualified(TRANSFORMS, 'detectors')}/{qualified(DATA_TYPES, 'fcs-dimension')}"
        )
        detectors = [_attribute(e, "name", DATA_TYPES) for e in named]
        rows = [
            [_attribute(c, "value", TRANSFORMS) for c in row.findall(qualified(TRANSFORMS, "coefficient"))]
            for row in matrix.findall(qualified(TRANSFORMS, "spectrum"))
        ]
        if all(is_number(value) for row in rows for value in row):
            problem = matrix_problem([[float(value) for value in row] for row in rows], detectors)
            if problem:
                yield f"{_where(matrix)}: {problem}"


def doubts(root: _Element) -> Iterator[str]:
    """What is legal and probably not meant."""
    folded: dict[str, str] = {}
    for gate, name in _gates_with_quadrants(root):
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            yield f"{_where(gate)}: differs from {escaped(other)} in case only"
    for gate, _ in gates_of(root):
        vertices = [(float(x), float(y)) for x, y in _vertices(gate)]
        if _crosses_itself(vertices):
            yield f"{_where(gate)}: its vertices make the polygon cross itself; even windings are outside"
        if local(gate) == "EllipsoidGate" and not _is_ellipsoid(_covariance(gate)):
            yield f"{_where(gate)}: the covarianceMatrix is not symmetric and positive, so it is no ellipsoid"


def _is_ellipsoid(rows: list[list[str]]) -> bool:
    import numpy as np  # noqa: PLC0415

    covariance = np.array(rows, dtype=np.float64)
    return bool(np.allclose(covariance, covariance.T) and np.linalg.eigvalsh(covariance).min() > 0)


def _crosses_itself(vertices: Sequence[tuple[float, float]]) -> bool:
    n = len(vertices)
    edges = [(vertices[i], vertices[(i + 1) % n]) for i in range(n)]
    return any(
        _cross(*edges[i], *edges[j]) for i in range(n) for j in range(i + 2, n) if (i, j) != (0, n - 1)
    )


def _cross(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]
) -> bool:
    """Whether the inner parts of two segments meet."""

    def side(p: tuple[float, float], q: tuple[float, float], r: tuple[float, float]) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    return side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0


def _where(element: _Element) -> str:
    """Line, element and the id of the gate that an element belongs to."""
    for ancestor in (element, *element.iterancestors()):
        name = _attribute(ancestor, "id") or _attribute(ancestor, "id", TRANSFORMS)
        if name:
            return f"line {element.sourceline}, {local(ancestor)} {escaped(name)}"
    return f"line {element.sourceline}, {local(element)}"


def is_own_parent(gate: _Element, reference: _Element) -> bool:
    parent = _attribute(gate, "parent_id")
    return bool(parent) and _attribute(reference, "ref") == parent


def is_complemented(reference: _Element) -> bool:
    return _attribute(reference, "use-as-complement").strip() in {"true", "1"}
