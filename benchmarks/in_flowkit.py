"""Placed gates in FlowKit's own objects, so that FlowKit can apply the very same gates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import flowkit

from cytotrial.terms import (
    ROOT,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    SpilloverMatrix,
    Transform,
)

Route = tuple[str, ...]
"""FlowKit's gate path: the populations above a gate, from the root down."""

QUADRANT = "quadrant"


def in_flowkit(placed: Iterable[PlacedGate], matrix: SpilloverMatrix | None) -> flowkit.GatingStrategy:
    """FlowKit's gating strategy of gates on linear and logicle scales.

    Parameters
    ----------
    placed : iterable of PlacedGate
        Parents before children.
    matrix : SpilloverMatrix or None
        The tube's own matrix, which the gates name `tube`.
    """
    strategy = flowkit.GatingStrategy()
    if matrix is not None:
        strategy.add_comp_matrix("tube", flowkit.Matrix(matrix.values, list(matrix.detectors)))
    routes: dict[str, Route] = {ROOT: ()}
    for entry in placed:
        routes[entry.population] = (*routes[entry.parent], entry.parent)
        gate = _gate(strategy, entry.population, entry.gate, routes)
        strategy.add_gate(gate, routes[entry.population])
    return strategy


def add_quadrant(
    strategy: flowkit.GatingStrategy, placed: Iterable[PlacedGate], quadrant: Sequence[PlacedGate]
) -> None:
    """Add four rectangles that meet in a point as FlowKit's one quadrant gate."""
    rectangles = {entry.population: entry.gate for entry in quadrant if isinstance(entry.gate, RectangleGate)}
    corner = next(gate for gate in rectangles.values() if None not in gate.low)
    dividers = [
        flowkit.QuadrantDivider(
            place, axis.channel, axis.matrix, [value], _transform(strategy, axis.transform)
        )
        for place, axis, value in zip("xy", corner.dimensions, corner.low, strict=True)
    ]
    regions = [
        flowkit.gates.Quadrant(name, ["x", "y"], list(zip(gate.low, gate.high, strict=True)))
        for name, gate in rectangles.items()
    ]
    route = route_of(quadrant[0].population, (*placed, *quadrant))
    strategy.add_gate(flowkit.gates.QuadrantGate(QUADRANT, dividers, regions), route)


def route_of(population: str, placed: Iterable[PlacedGate]) -> Route:
    """The populations above a population, from the root down."""
    parents = {entry.population: entry.parent for entry in placed}
    route: Route = ()
    while population in parents:
        population = parents[population]
        route = (population, *route)
    return route


def session_of(path: Path, strategy: flowkit.GatingStrategy) -> flowkit.Session:
    """Read one file and apply the gates, in this process."""
    session = flowkit.Session(strategy, fcs_samples=str(path))
    session.analyze_samples(use_mp=False)
    return session


def _gate(strategy: flowkit.GatingStrategy, name: str, gate: Gate, routes: dict[str, Route]) -> Any:
    if isinstance(gate, BooleanGate):
        references = [
            {"ref": operand, "path": routes[operand], "complement": complement}
            for operand, complement in gate.operands
        ]
        return flowkit.gates.BooleanGate(name, gate.operator, references)
    if isinstance(gate, RectangleGate):
        sides = zip(gate.dimensions, gate.low, gate.high, strict=True)
        axes = [_axis(strategy, dimension, low, high) for dimension, low, high in sides]
        return flowkit.gates.RectangleGate(name, axes)
    axes = [_axis(strategy, dimension) for dimension in gate.dimensions]
    if isinstance(gate, PolygonGate):
        return flowkit.gates.PolygonGate(name, axes, [list(vertex) for vertex in gate.vertices])
    assert isinstance(gate, EllipsoidGate)
    covariance = [list(row) for row in gate.covariance]
    return flowkit.gates.EllipsoidGate(name, axes, list(gate.mean), covariance, gate.distance_square)


def _axis(
    strategy: flowkit.GatingStrategy,
    dimension: Dimension,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    matrix = dimension.matrix or "uncompensated"
    transform = _transform(strategy, dimension.transform)
    return flowkit.Dimension(dimension.channel, matrix, transform, range_min=low, range_max=high)


def _transform(strategy: flowkit.GatingStrategy, transform: Transform) -> str | None:
    """The name of a transform in the strategy, added if new; None for detector units."""
    given = dict(transform.parameters)
    if not given:
        return None
    if transform.kind != "logicle":
        raise NotImplementedError(f"only linear and logicle scales are compared, not {transform.kind}")
    name = f"logicle {transform.parameters}"
    if name not in strategy.transformations:
        strategy.add_transform(
            name, flowkit.transforms.LogicleTransform(given["t"], given["w"], given["m"], given["a"])
        )
    return name
