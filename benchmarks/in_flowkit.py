"""Placed gates in FlowKit's own objects, so that FlowKit can apply the very same gates."""

from __future__ import annotations

from collections.abc import Iterable
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

Path = tuple[str, ...]


def in_flowkit(placed: Iterable[PlacedGate], matrix: SpilloverMatrix | None) -> flowkit.GatingStrategy:
    """FlowKit's gating strategy of gates whose transforms are linear or logicle.

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
    paths: dict[str, Path] = {ROOT: (ROOT,)}
    for entry in placed:
        paths[entry.population] = (*paths[entry.parent], entry.population)
        gate = _gate(strategy, entry.population, entry.gate, paths)
        strategy.add_gate(gate, paths[entry.parent])
    return strategy


def path_of(population: str, placed: Iterable[PlacedGate]) -> Path:
    """The populations above a population, from the root down, as FlowKit names a gate's place."""
    parents = {entry.population: entry.parent for entry in placed}
    path: Path = ()
    while population in parents:
        population = parents[population]
        path = (population, *path)
    return path


def _gate(strategy: flowkit.GatingStrategy, name: str, gate: Gate, paths: dict[str, Path]) -> Any:
    if isinstance(gate, BooleanGate):
        references = [
            {"ref": operand, "path": paths[operand][:-1], "complement": complement}
            for operand, complement in gate.operands
        ]
        return flowkit.gates.BooleanGate(name, gate.operator, references)
    if isinstance(gate, RectangleGate):
        sides = zip(gate.dimensions, gate.low, gate.high, strict=True)
        axes = [axis(strategy, dimension, low, high) for dimension, low, high in sides]
        return flowkit.gates.RectangleGate(name, axes)
    axes = [axis(strategy, dimension) for dimension in gate.dimensions]
    if isinstance(gate, PolygonGate):
        return flowkit.gates.PolygonGate(name, axes, [list(vertex) for vertex in gate.vertices])
    assert isinstance(gate, EllipsoidGate)
    covariance = [list(row) for row in gate.covariance]
    return flowkit.gates.EllipsoidGate(name, axes, list(gate.mean), covariance, gate.distance_square)


def axis(
    strategy: flowkit.GatingStrategy,
    dimension: Dimension,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """One dimension with its limits; its transform is added to the strategy."""
    return flowkit.Dimension(
        dimension.channel,
        dimension.matrix or "uncompensated",
        transform_name(strategy, dimension.transform),
        range_min=low,
        range_max=high,
    )


def transform_name(strategy: flowkit.GatingStrategy, transform: Transform) -> str | None:
    """The name of a transform in the strategy, which is added if new; None for detector units."""
    given = dict(transform.parameters)
    if not given:
        return None
    assert transform.kind == "logicle", f"{transform.kind} is not compared here"
    name = f"logicle {transform.parameters}"
    if name not in strategy.transformations:
        strategy.add_transform(
            name, flowkit.transforms.LogicleTransform(given["t"], given["w"], given["m"], given["a"])
        )
    return name
