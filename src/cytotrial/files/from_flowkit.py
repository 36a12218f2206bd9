"""From FlowKit's gates to the project's own nouns.

FlowKit reads GatingML and FlowJo workspaces; nothing but the readers of those formats sees its objects.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cytotrial.errors import TemplateError
from cytotrial.terms import (
    IDENTITY,
    ROOT,
    TUBE_MATRIX,
    UNCOMPENSATED,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    PolygonGate,
    Population,
    RectangleGate,
    SpilloverMatrix,
    Transform,
)

INSIDE = " [inside]"
"""Added to a population's name for the region whose outside the population is."""

Path = tuple[str, ...]
Unscale = Callable[[float], float]

_PARAMETERS = {
    "LinearTransform": ("linear", {"t": "param_t", "a": "param_a"}),
    "LogTransform": ("log", {"t": "param_t", "m": "param_m"}),
    "AsinhTransform": ("asinh", {"t": "param_t", "m": "param_m", "a": "param_a"}),
    "LogicleTransform": ("logicle", {"t": "param_t", "w": "param_w", "m": "param_m", "a": "param_a"}),
    "HyperlogTransform": ("hyperlog", {"t": "param_t", "w": "param_w", "m": "param_m", "a": "param_a"}),
    "WSPBiexTransform": (
        "biex",
        {"width": "width", "neg": "negative", "pos": "positive", "top": "max_value"},
    ),
    "WSPLogTransform": ("flowjo_log", {"offset": "offset", "decades": "decades"}),
}


def _own_name(path: Path, name: str) -> str:  # noqa: ARG001
    return name


@dataclass(frozen=True)
class Converter:
    """Makes populations of FlowKit's gates.

    strategy : flowkit.GatingStrategy
    sample : the sample whose own gates are meant, or None
    name_of : path of a gate from `root` and its name → the population's name
    channel_of : what the file calls a channel → its $PnN
    plain_linear : state gates on linear scales in detector units instead
    """

    strategy: Any
    sample: str | None = None
    name_of: Callable[[Path, str], str] = _own_name
    channel_of: Callable[[str], str] = str
    plain_linear: bool = False

    def populations(self) -> tuple[Population, ...]:
        """Every population, those that others need before them."""
        found = [p for name, path in self.strategy.get_gate_ids() for p in self._of_gate(name, tuple(path))]
        return tuple(needed_first(found))

    def matrices(self) -> dict[str, SpilloverMatrix]:
        return {
            name: SpilloverMatrix(
                tuple(self.channel_of(detector) for detector in matrix.detectors),
                np.asarray(matrix.matrix, dtype=np.float64),
                "file",
            )
            for name, matrix in self.strategy.comp_matrices.items()
        }

    def _of_gate(self, name: str, path: Path) -> Iterator[Population]:
        from flowkit.exceptions import QuadrantReferenceError  # noqa: PLC0415

        try:
            gate = self.strategy.get_gate(name, path, sample_id=self.sample)
        except QuadrantReferenceError:
            return  # made with the quadrant gate it belongs to
        parent = ROOT if len(path) == 1 else self.name_of(path[:-1], path[-1])
        if gate.gate_type == "QuadrantGate":
            for quadrant in gate.quadrants.values():
                yield Population(self.name_of(path, quadrant.id), parent, self._quadrant(gate, quadrant))
            return
        own = self.name_of(path, name)
        if getattr(gate, "use_complement", False):
            yield Population(own + INSIDE, parent, self._gate(gate))
            yield Population(own, parent, BooleanGate("not", ((own + INSIDE, False),)))
        else:
            yield Population(own, parent, self._gate(gate))

    def _gate(self, gate: Any) -> Gate:
        if gate.gate_type == "BooleanGate":
            return self._boolean(gate)
        axes = [self._dimension(dimension) for dimension in gate.dimensions]
        dimensions = tuple(dimension for dimension, _ in axes)
        if gate.gate_type == "RectangleGate":
            limits = [(getattr(d, "min", None), getattr(d, "max", None)) for d in gate.dimensions]
            return RectangleGate(
                dimensions,
                tuple(_limit(low, unscale) for (low, _), (_, unscale) in zip(limits, axes, strict=True)),
                tuple(_limit(high, unscale) for (_, high), (_, unscale) in zip(limits, axes, strict=True)),
            )
        if gate.gate_type == "PolygonGate":
            (x, unscale_x), (y, unscale_y) = axes
            return PolygonGate((x, y), tuple((unscale_x(a), unscale_y(b)) for a, b in gate.vertices))
        covariance = tuple(tuple(float(value) for value in row) for row in gate.covariance_matrix)
        mean = tuple(float(value) for value in gate.coordinates)
        return EllipsoidGate(dimensions, mean, covariance, float(gate.distance_square))

    def _boolean(self, gate: Any) -> BooleanGate:
        operator: Literal["and", "or", "not"] = gate.type
        return BooleanGate(
            operator,
            tuple((self.name_of(tuple(r["path"]), r["ref"]), bool(r["complement"])) for r in gate.gate_refs),
        )

    def _quadrant(self, gate: Any, quadrant: Any) -> RectangleGate:
        dividers = {divider.id: divider for divider in gate.dimensions}
        used = [dividers[reference] for reference in quadrant.divider_refs]
        ranges = [quadrant.get_divider_range(divider.id) for divider in used]
        axes = [self._dimension(divider, channel=divider.dimension_ref) for divider in used]
        return RectangleGate(
            tuple(dimension for dimension, _ in axes),
            tuple(_limit(low, unscale) for (low, _), (_, unscale) in zip(ranges, axes, strict=True)),
            tuple(_limit(high, unscale) for (_, high), (_, unscale) in zip(ranges, axes, strict=True)),
        )

    def _dimension(self, dimension: Any, *, channel: str = "") -> tuple[Dimension, Unscale]:
        """The axis, and how its coordinates become coordinates on our axis."""
        matrix = matrix_name(dimension.compensation_ref)
        scale = (
            None if dimension.transformation_ref is None else self._transform(dimension.transformation_ref)
        )
        transform, unscale = (IDENTITY, float) if scale is None else self._scale(scale)
        if hasattr(dimension, "ratio_ref"):
            ratio = self._transform(dimension.ratio_ref)
            above, below = (self._channel(name, matrix) for name in ratio.dimensions)
            constants = (float(ratio.param_a), float(ratio.param_b), float(ratio.param_c))
            return Dimension(above, transform, matrix, denominator=below, ratio=constants), unscale
        return Dimension(self._channel(channel or dimension.id, matrix), transform, matrix), unscale

    def _transform(self, reference: str) -> Any:
        return self.strategy.get_transform(reference)

    def _scale(self, scale: Any) -> tuple[Transform, Unscale]:
        if self.plain_linear and type(scale).__name__ == "LinearTransform":
            low, length = float(scale.param_a), float(scale.param_t) + float(scale.param_a)
            return IDENTITY, lambda value: float(value) * length - low
        return transform_of(scale), float

    def _channel(self, name: str, matrix: str) -> str:
        """The detector, where a dimension of a named matrix is called by its fluorochrome."""
        named = self.strategy.comp_matrices.get(matrix)
        fluorochromes = list(getattr(named, "fluorochromes", []))
        if named is not None and name not in named.detectors and name in fluorochromes:
            name = named.detectors[fluorochromes.index(name)]
        return self.channel_of(name)


def _limit(limit: Any, unscale: Unscale) -> float | None:
    return None if limit is None else unscale(float(limit))


def matrix_name(reference: str | None) -> str:
    """A GatingML compensation-ref as a dimension's `matrix`: FCS is the tube's own."""
    if reference in {None, "uncompensated"}:
        return UNCOMPENSATED
    return TUBE_MATRIX if reference == "FCS" else str(reference)


def transform_of(scale: Any) -> Transform:
    """One of FlowKit's transforms as ours. Raises TemplateError for a kind without a counterpart."""
    known = _PARAMETERS.get(type(scale).__name__)
    if known is None:
        raise TemplateError(f"the transform {type(scale).__name__} is not supported.")
    kind, names = known
    return Transform(
        kind, tuple(sorted((ours, float(getattr(scale, theirs))) for ours, theirs in names.items()))
    )


def transform_problem(transform: Transform) -> str:
    """Why a scale is not defined or not one-to-one, or nothing; limits of GatingML 2.0 and FlowJo."""
    p = dict(transform.parameters)
    if not all(math.isfinite(value) for value in p.values()):
        return "a parameter is not a number"
    return _RULES[transform.kind](p)


def _positive(p: Mapping[str, float]) -> str:
    low = [name for name, value in p.items() if value <= 0]
    return f"{', '.join(low)} must be above 0" if low else ""


def _linear_problem(p: Mapping[str, float]) -> str:
    return "" if p["t"] + p["a"] > 0 else f"T + A is {p['t'] + p['a']:g}; it must be above 0"


def _biex_problem(p: Mapping[str, float]) -> str:
    if p["top"] <= 0 or p["width"] > -1:
        return f"maxRange {p['top']:g} must be above 0 and width {p['width']:g} at most -1"
    return "" if 2 * p["pos"] > math.log10(-p["width"]) else f"pos {p['pos']:g} is too low for the width"


def _asinh_problem(p: Mapping[str, float]) -> str:
    wrong = "" if 0 <= p["a"] <= p["m"] else f"A {p['a']:g} must lie between 0 and M {p['m']:g}"
    return _positive({"T": p["t"], "M": p["m"]}) or wrong


def _logicle_problem(p: Mapping[str, float]) -> str:
    return _positive({"T": p["t"], "M": p["m"]}) or _width_problem(p, least_open=False)


def _hyperlog_problem(p: Mapping[str, float]) -> str:
    return _positive({"T": p["t"], "M": p["m"]}) or _width_problem(p, least_open=True)


def _width_problem(p: Mapping[str, float], *, least_open: bool) -> str:
    if not 0 <= p["w"] <= p["m"] / 2 or (least_open and p["w"] == 0):
        return f"W {p['w']:g} must lie between 0 and M/2 = {p['m'] / 2:g}"
    if not -p["w"] <= p["a"] <= p["m"] - 2 * p["w"]:
        return f"A {p['a']:g} must lie between -W and M - 2W = {p['m'] - 2 * p['w']:g}"
    return ""


_RULES: dict[str, Callable[[Mapping[str, float]], str]] = {
    "linear": _linear_problem,
    "log": _positive,
    "flowjo_log": _positive,
    "biex": _biex_problem,
    "asinh": _asinh_problem,
    "logicle": _logicle_problem,
    "hyperlog": _hyperlog_problem,
}


def needed_first(populations: Iterable[Population]) -> Iterator[Population]:
    """The populations in their order, but each after its parent and the operands of its boolean gate.

    Raises
    ------
    TemplateError
        If a population needs one that is not there, or itself.
    """
    waiting, done = list(populations), {ROOT}
    while waiting:
        later = []
        for population in waiting:
            if needs(population) <= done:
                done.add(population.name)
                yield population
            else:
                later.append(population)
        if len(later) == len(waiting):
            absent = ", ".join(sorted(needs(later[0]) - done))
            raise TemplateError(f"population {later[0].name} needs {absent}, which is not there.")
        waiting = later


def needs(population: Population) -> set[str]:
    operands = population.gate.operands if isinstance(population.gate, BooleanGate) else ()
    return {population.parent, *(name for name, _ in operands)}
