"""GatingML 2.0, written: the placed gates of one tube with their scales and spillover matrices inside.

FlowKit's own exporter is not used: it looks a gate up by its name without its path, writes a scale that
GatingML does not have as an empty element, and puts the location of a quadrant at half of a negative
divider, which is on its wrong side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cytotrial.errors import TemplateError, all_problems
from cytotrial.files.whole import write_bytes
from cytotrial.files.xml_ids import id_of_name
from cytotrial.files.xml_strict import DATA_TYPES, GATING, TRANSFORMS, qualified
from cytotrial.terms import (
    IDENTITY,
    ROOT,
    UNCOMPENSATED,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    SpilloverMatrix,
    Transform,
)

if TYPE_CHECKING:
    from lxml.etree import _Element

NOTES = "urn:cytotrial:gates"
"""Namespace of what is told beside the gates, in `custom_info`; other programs skip it."""

SCALES = {
    "linear": ("flin", "TA"),
    "log": ("flog", "TM"),
    "asinh": ("fasinh", "TMA"),
    "logicle": ("logicle", "TWMA"),
    "hyperlog": ("hyperlog", "TWMA"),
}
"""Kind of transform → its GatingML element and the parameters that this has."""

_FLOWJO_NAMES = {"biex": "FlowJo's biex", "flowjo_log": "FlowJo's logarithm"}

Matrices = Mapping[str, SpilloverMatrix]
Notes = Mapping[str, Mapping[str, object]]


def write_gatingml(path: Path, gates: Sequence[PlacedGate], *, matrices: Matrices, notes: Notes) -> None:
    """Write one tube's gates as GatingML 2.0.

    Parameters
    ----------
    gates : sequence of PlacedGate
        With the tube's own $PnN as channels; parents before children.
    matrices : mapping of name to SpilloverMatrix
        What the gates' dimensions name; a channel that its matrix does not have is uncompensated.
    notes : mapping
        `root` → facts about the tube; population → facts about it (such as its events). Told beside the
        gates, where other programs skip them.

    Raises
    ------
    TemplateError
        With every gate that GatingML cannot state, or that FlowKit would apply to other events.
    """
    if problems := list(unstatable(gates, matrices)):
        raise TemplateError(
            all_problems(str(path), problems, outcome="nothing was written"),
            hint="Draw these gates on a scale of GatingML, or exchange the FlowJo workspace itself.",
        )
    write_bytes(path, _Document(gates, matrices, notes).as_bytes())


# What cannot be stated


def unstatable(gates: Iterable[PlacedGate], matrices: Matrices) -> Iterator[str]:
    """A sentence for each gate that GatingML cannot state, or that FlowKit applies to other events."""
    for entry in gates:
        if not isinstance(entry.gate, BooleanGate):
            yield from (f"{entry.population}: {problem}" for problem in _gate_problems(entry.gate, matrices))
            continue
        for name in (ROOT, entry.parent):
            if any(operand == name for operand, _ in _needed_operands(entry.gate, entry.parent)):
                what = (
                    "its own parent, which FlowKit cannot place" if name != ROOT else "root, which has no id"
                )
                yield f"{entry.population}: its boolean gate names {what}"
                break


def _needed_operands(gate: BooleanGate, parent: str) -> tuple[tuple[str, bool], ...]:
    """The operands without the gate's own parent where AND joins it to others: it lies within it anyway."""
    others = tuple(operand for operand in gate.operands if operand != (parent, False))
    return others if gate.operator == "and" and others else gate.operands


def _gate_problems(gate: RectangleGate | PolygonGate | EllipsoidGate, matrices: Matrices) -> Iterator[str]:
    kind = type(gate).__name__.removesuffix("Gate").lower()
    foreign: dict[str, list[str]] = {}
    for axis in gate.dimensions:
        if axis.transform.kind not in SCALES:
            foreign.setdefault(axis.transform.kind, []).append(axis.channel)
        if axis.denominator and _compensated_by(axis, matrices):
            yield f"a ratio of compensated channels ({axis.channel}): FlowKit takes uncompensated ones"
    for scale, channels in foreign.items():
        name = _FLOWJO_NAMES.get(scale, scale)
        yield f"a {kind} on the scale {name} ({', '.join(channels)}), which GatingML does not have"
    yield from _mixture_problems(gate.dimensions, matrices)


def _mixture_problems(axes: Sequence[Dimension], matrices: Matrices) -> Iterator[str]:
    used = sorted({name for axis in axes if (name := _compensated_by(axis, matrices))})
    if len(used) > 1:
        yield f"two matrices in one gate ({', '.join(used)}): FlowKit applies one"
    for name in used:
        matrix = matrices[name]
        if matrix.values.shape[0] != matrix.values.shape[1]:
            yield f"the matrix {name} has more detectors than fluorochromes: FlowKit cannot apply it"
        mixed = [axis.channel for axis in axes if axis.matrix != name and axis.channel in matrix.detectors]
        if mixed:
            yield f"{', '.join(mixed)} uncompensated beside a compensated channel: FlowKit compensates both"
    if sum(bool(axis.denominator) for axis in axes) > 1:
        yield "two ratios in one gate: FlowKit cannot apply it"


def _compensated_by(axis: Dimension, matrices: Matrices) -> str:
    """The matrix that an axis is compensated by; empty if it is not."""
    matrix = matrices.get(axis.matrix)
    if axis.matrix == UNCOMPENSATED or matrix is None:
        return ""
    channels = {axis.channel, axis.denominator} & set(matrix.detectors)
    return axis.matrix if channels else ""


# The document


class _Document:
    """The XML tree of one tube's gates: transforms and matrices first, then the gates."""

    def __init__(self, gates: Sequence[PlacedGate], matrices: Matrices, notes: Notes) -> None:
        from lxml import etree  # noqa: PLC0415

        self._etree = etree
        self._gates, self._matrices, self._notes = gates, matrices, notes
        self._taken = {id_of_name(entry.population) for entry in gates}
        self._scales: dict[Transform, str] = {}
        self._ratios: dict[tuple[str, str, tuple[float, float, float]], str] = {}
        self._matrix_ids: dict[str, str] = {}
        namespaces = {"gating": GATING, "transforms": TRANSFORMS, "data-type": DATA_TYPES, "cytotrial": NOTES}
        self._root = etree.Element(qualified(GATING, "Gating-ML"), nsmap=namespaces)

    def as_bytes(self) -> bytes:
        self._note(self._root, "tube", self._notes.get(ROOT, {}))
        for name in self._matrices_used():
            self._matrix(name, self._matrices[name])
        for entry in self._gates:
            for axis in getattr(entry.gate, "dimensions", ()):
                self._transforms_of(axis)
        for entry in self._gates:
            self._gate(entry)
        text: bytes = self._etree.tostring(
            self._root, encoding="utf-8", xml_declaration=True, pretty_print=True
        )
        return text

    def _matrices_used(self) -> list[str]:
        axes = [axis for entry in self._gates for axis in getattr(entry.gate, "dimensions", ())]
        return sorted({name for axis in axes if (name := _compensated_by(axis, self._matrices))})

    def _add(self, parent: _Element, namespace: str, tag: str, **attributes: object) -> _Element:
        """A child element; its attributes are in the namespace of the element."""
        element = self._etree.SubElement(parent, qualified(namespace, tag))
        for name, value in attributes.items():
            element.set(qualified(namespace, name.replace("_", "-")), _text(value))
        return element

    def _note(self, parent: _Element, tag: str, facts: Mapping[str, object]) -> None:
        if not facts:
            return
        beside = self._add(parent, DATA_TYPES, "custom_info")
        element = self._etree.SubElement(beside, qualified(NOTES, tag))
        for name, value in facts.items():
            element.set(name, _text(value))

    def _free_id(self, wanted: str) -> str:
        """An id that no population, matrix or scale has: XML keeps one list of them all."""
        while wanted in self._taken:
            wanted += "_"
        self._taken.add(wanted)
        return wanted

    # Matrices and scales

    def _matrix(self, name: str, matrix: SpilloverMatrix) -> None:
        identifier = self._matrix_ids[name] = self._free_id(f"matrix.{id_of_name(name)}")
        element = self._add(self._root, TRANSFORMS, "spectrumMatrix", id=identifier)
        for part in ("fluorochromes", "detectors"):
            listed = self._add(element, TRANSFORMS, part)
            for detector in matrix.detectors:
                self._add(listed, DATA_TYPES, "fcs-dimension", name=detector)
        for row in matrix.values.tolist():
            spectrum = self._add(element, TRANSFORMS, "spectrum")
            for value in row:
                self._add(spectrum, TRANSFORMS, "coefficient", value=value)

    def _transforms_of(self, axis: Dimension) -> None:
        if axis.transform != IDENTITY and axis.transform not in self._scales:
            self._scales[axis.transform] = self._scale(axis.transform)
        ratio = (axis.channel, axis.denominator, axis.ratio)
        if axis.denominator and ratio not in self._ratios:
            self._ratios[ratio] = self._ratio(*ratio)

    def _scale(self, transform: Transform) -> str:
        tag, letters = SCALES[transform.kind]
        identifier = self._free_id(f"{transform.kind}.{len(self._scales) + 1}")
        element = self._add(self._root, TRANSFORMS, "transformation", id=identifier)
        numbers = {letter: transform.parameter(letter.lower()) for letter in letters}
        self._add(element, TRANSFORMS, tag, **numbers)
        return identifier

    def _ratio(self, above: str, below: str, constants: tuple[float, float, float]) -> str:
        identifier = self._free_id(f"ratio.{len(self._ratios) + 1}")
        element = self._add(self._root, TRANSFORMS, "transformation", id=identifier)
        ratio = self._add(element, TRANSFORMS, "fratio", **dict(zip("ABC", constants, strict=True)))
        for channel in (above, below):
            self._add(ratio, DATA_TYPES, "fcs-dimension", name=channel)
        return identifier

    # Gates

    def _gate(self, entry: PlacedGate) -> None:
        gate = entry.gate
        element = self._add(self._root, GATING, f"{type(gate).__name__}", id=id_of_name(entry.population))
        if entry.parent != ROOT:
            element.set(qualified(GATING, "parent_id"), id_of_name(entry.parent))
        self._note(element, "population", self._notes.get(entry.population, {}))
        if isinstance(gate, BooleanGate):
            self._boolean(element, gate.operator, _needed_operands(gate, entry.parent))
            return
        fill: Any = {
            RectangleGate: self._rectangle,
            PolygonGate: self._polygon,
            EllipsoidGate: self._ellipsoid,
        }[type(gate)]
        fill(element, gate)

    def _axis(self, parent: _Element, axis: Dimension) -> _Element:
        matrix = _compensated_by(axis, self._matrices)
        element = self._add(
            parent, GATING, "dimension", compensation_ref=self._matrix_ids.get(matrix, "uncompensated")
        )
        if axis.transform != IDENTITY:
            element.set(qualified(GATING, "transformation-ref"), self._scales[axis.transform])
        if axis.denominator:
            ratio = self._ratios[axis.channel, axis.denominator, axis.ratio]
            self._add(element, DATA_TYPES, "new-dimension", transformation_ref=ratio)
        else:
            self._add(element, DATA_TYPES, "fcs-dimension", name=axis.channel)
        return element

    def _rectangle(self, element: _Element, gate: RectangleGate) -> None:
        for axis, low, high in zip(gate.dimensions, gate.low, gate.high, strict=True):
            side = self._axis(element, axis)
            for name, limit in (("min", low), ("max", high)):
                if limit is not None:
                    side.set(qualified(GATING, name), _text(limit))

    def _polygon(self, element: _Element, gate: PolygonGate) -> None:
        for axis in gate.dimensions:
            self._axis(element, axis)
        for vertex in gate.vertices:
            self._point(element, "vertex", vertex)

    def _ellipsoid(self, element: _Element, gate: EllipsoidGate) -> None:
        for axis in gate.dimensions:
            self._axis(element, axis)
        self._point(element, "mean", gate.mean)
        covariance = self._add(element, GATING, "covarianceMatrix")
        for row in gate.covariance:
            entries = self._add(covariance, GATING, "row")
            for value in row:
                self._value(entries, "entry", value)
        self._value(element, "distanceSquare", gate.distance_square)

    def _point(self, parent: _Element, tag: str, values: Sequence[float]) -> None:
        point = self._add(parent, GATING, tag)
        for value in values:
            self._value(point, "coordinate", value)

    def _value(self, parent: _Element, tag: str, value: float) -> None:
        self._add(parent, GATING, tag).set(qualified(DATA_TYPES, "value"), _text(value))

    def _boolean(self, element: _Element, operator: str, operands: Sequence[tuple[str, bool]]) -> None:
        """AND and OR of one population are written as NOT of its complement: the schema wants two."""
        if operator != "not" and len(operands) == 1:
            (name, complement), operator = operands[0], "not"
            operands = ((name, not complement),)
        joined = self._add(element, GATING, operator)
        for name, complement in operands:
            reference = self._add(joined, GATING, "gateReference", ref=id_of_name(name))
            if complement:
                reference.set(qualified(GATING, "use-as-complement"), "true")


def _text(value: object) -> str:
    """Numbers in their shortest form that reads back the same."""
    return repr(float(value)) if isinstance(value, float) else str(value)
