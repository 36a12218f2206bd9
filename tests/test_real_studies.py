"""Real studies gated as their authors gated them: one event for event, three by FlowJo's own counts.

The truth was made by other programs: cytolib (the library below R's flowWorkspace) wrote the events of
every population of the mouse study, FlowJo the counts of the others.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flowio
import flowkit
import numpy as np
import pytest

from cytotrial.files.flowjo import read_workspace
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.science.transforms import logicle
from cytotrial.terms import (
    IDENTITY,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Events,
    Gate,
    GatingStrategy,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    SpilloverMatrix,
)

MICE = "cytoexplorer_mouse_activation"
ORGANS = "flowatlas_treg_foxp3"
LAVAGE = "flowsom_mouse_bal_flowjo"
SPECTRAL = "coereba_spectral_seb"
WORKSPACES = {ORGANS: "workspace_dev.wsp", LAVAGE: "gating.wsp", SPECTRAL: "CytoML_dev.wsp"}
POPULATIONS = {ORGANS: 241, LAVAGE: 16, SPECTRAL: 32}
DECADES = 4.5
"""cytolib states gates on a logicle from 0 to M = 4.5; GatingML's runs from 0 to 1."""


def read_events(path: Path) -> Events:
    file = flowio.FlowData(str(path))
    values = np.ascontiguousarray(file.as_array(preprocess=True).T.astype(np.float32))
    return Events(values, tuple(file.pnn_labels))


def gate_everything(strategy: GatingStrategy, events: Events) -> dict[str, np.ndarray]:
    gates = [PlacedGate(p.name, p.parent, p.gate) for p in strategy.populations if p.gate is not None]
    return apply_strategy(gates, TubeEvents(events, dict(strategy.matrices)))


# The mouse study: gates drawn by hand on compensated, logicle-scaled channels.


def cytolib_gates(sample: dict[str, Any]) -> Iterator[PlacedGate]:
    nodes = sample["nodes"]
    names = {node["i"]: node["path"].removeprefix("root/") for node in nodes}
    scales = {t["name"]: logicle(t=t["T"], w=t["W"], m=t["M"], a=t["A"]) for t in sample["transforms"]}
    for node in nodes[1:]:
        yield PlacedGate(names[node["i"]], names[node["parent"]], cytolib_gate(node, scales, names))


def cytolib_gate(node: dict[str, Any], scales: dict[str, Any], names: dict[int, str]) -> Gate:
    if "bool" in node:  # one operand, complemented: "Live Cells" are those that are not "Dead Cells"
        (((operand,), _, complement),) = node["bool"]
        beside = names[node["parent"]]
        return BooleanGate("and", ((f"{beside}/{operand}", complement),))
    x, y = (
        Dimension(name, scales[name], "tube") if name in scales else Dimension(name, IDENTITY)
        for name in node["params"]
    )
    unit = np.array([DECADES if dimension.transform != IDENTITY else 1.0 for dimension in (x, y)])
    if "mu" in node:
        covariance = np.array(node["cov"]) / np.outer(unit, unit)
        mean = np.array(node["mu"]) / unit
        rows = tuple(tuple(map(float, row)) for row in covariance)
        return EllipsoidGate((x, y), tuple(map(float, mean)), rows, float(node["dist"]))
    corners = np.array(node["v"]) / unit
    if len(corners) == 2:
        return RectangleGate((x, y), tuple(map(float, corners[0])), tuple(map(float, corners[1])))
    return PolygonGate((x, y), tuple((float(a), float(b)) for a, b in corners))


def cytolib_matrix(sample: dict[str, Any]) -> SpilloverMatrix:
    detectors = tuple(sample["compensation"]["markers"])
    values = np.array(sample["compensation"]["spill"]).reshape(len(detectors), len(detectors))
    return SpilloverMatrix(detectors, values, "embedded")


def mouse_study(shared: Path) -> dict[str, Any]:
    path = shared / "data" / MICE / "expected" / "gates_transforms_compensation.json"
    study: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return study


@pytest.mark.parametrize("name", ["Activation_1", "Activation_7", "Activation_15", "Activation_23"])
def test_every_population_of_a_mouse_holds_the_events_that_its_authors_software_found(
    shared: Path, name: str
) -> None:
    sample = mouse_study(shared)[f"{name}.fcs"]
    events = TubeEvents(
        read_events(shared / "data" / MICE / "samples" / f"{name}.fcs"), {"tube": cytolib_matrix(sample)}
    )
    masks = apply_strategy(cytolib_gates(sample), events)
    truth = np.load(shared / "data" / MICE / "expected" / f"{name}_event_indices.npz")
    compared = 0
    for node in sample["nodes"][1:]:
        population = node["path"].removeprefix("root/")
        assert int(masks[population].sum()) == int(node["count"][0]), population
        key = node["path"].replace("/", "|")
        if key in truth.files:  # boolean populations have a count only
            np.testing.assert_array_equal(np.flatnonzero(masks[population]), np.sort(truth[key]))
            compared += 1
    assert compared == 9


@pytest.mark.parametrize("name", ["Activation_1", "Activation_23"])
def test_every_population_of_a_mouse_holds_the_events_that_flowkit_finds(shared: Path, name: str) -> None:
    sample = mouse_study(shared)[f"{name}.fcs"]
    path = shared / "data" / MICE / "samples" / f"{name}.fcs"
    gates = list(cytolib_gates(sample))
    masks = apply_strategy(gates, TubeEvents(read_events(path), {"tube": cytolib_matrix(sample)}))
    session = flowkit.Session(in_flowkit(gates, cytolib_matrix(sample)), fcs_samples=str(path))
    session.analyze_samples(use_mp=False)
    (sample_id,) = session.get_sample_ids()
    for gate in gates:
        route = flowkit_path(gate)
        theirs = session.get_gate_membership(sample_id, route[-1], gate_path=route[:-1])
        np.testing.assert_array_equal(masks[gate.population], theirs, err_msg=gate.population)


def flowkit_path(gate: PlacedGate) -> tuple[str, ...]:
    return ("root", *gate.population.split("/"))


def in_flowkit(gates: list[PlacedGate], matrix: SpilloverMatrix) -> flowkit.GatingStrategy:
    """The same gates in FlowKit's own objects, written without the project's readers."""
    strategy = flowkit.GatingStrategy()
    strategy.add_comp_matrix("tube", flowkit.Matrix(matrix.values, list(matrix.detectors)))
    for gate in gates:
        route = flowkit_path(gate)
        strategy.add_gate(flowkit_gate(strategy, gate.gate, route), route[:-1])
    return strategy


def flowkit_gate(strategy: flowkit.GatingStrategy, gate: Gate, route: tuple[str, ...]) -> Any:
    if isinstance(gate, BooleanGate):
        references = [
            {"ref": name.split("/")[-1], "path": ("root", *name.split("/")[:-1]), "complement": complement}
            for name, complement in gate.operands
        ]
        return flowkit.gates.BooleanGate(route[-1], gate.operator, references)
    low = gate.low if isinstance(gate, RectangleGate) else (None, None)
    high = gate.high if isinstance(gate, RectangleGate) else (None, None)
    dimensions = [flowkit_axis(strategy, *axis) for axis in zip(gate.dimensions, low, high, strict=True)]
    if isinstance(gate, RectangleGate):
        return flowkit.gates.RectangleGate(route[-1], dimensions)
    if isinstance(gate, PolygonGate):
        return flowkit.gates.PolygonGate(route[-1], dimensions, [list(vertex) for vertex in gate.vertices])
    return flowkit.gates.EllipsoidGate(
        route[-1], dimensions, list(gate.mean), [list(row) for row in gate.covariance], gate.distance_square
    )


def flowkit_axis(
    strategy: flowkit.GatingStrategy, dimension: Dimension, low: float | None, high: float | None
) -> Any:
    p, scale = dict(dimension.transform.parameters), None
    if p:
        scale = f"logicle {dimension.channel}"
        if scale not in strategy.transformations:
            transform = flowkit.transforms.LogicleTransform(p["t"], p["w"], p["m"], p["a"])
            strategy.add_transform(scale, transform)
    matrix = dimension.matrix or "uncompensated"
    return flowkit.Dimension(dimension.channel, matrix, scale, range_min=low, range_max=high)


# The human study: FlowJo's own workspace, with the counts that FlowJo stored in it.


def flowjo_counts(shared: Path, study: str) -> dict[str, list[dict[str, str]]]:
    path = shared / "data" / study / "expected" / "counts_flowjo_vs_flowkit.csv"
    rows: dict[str, list[dict[str, str]]] = {}
    for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
        rows.setdefault(row["fcs_file"], []).append(row)
    return rows


@pytest.mark.parametrize("study", [ORGANS, LAVAGE, SPECTRAL])
def test_every_population_has_flowjos_count_within_five_events_or_five_percent(
    shared: Path, study: str
) -> None:
    # FlowJo decides polygons on 256 × 256 bins of the display, hence the few events at their edges.
    strategies = read_workspace(shared / "data" / study / WORKSPACES[study])
    compared = 0
    for name, rows in flowjo_counts(shared, study).items():
        masks = gate_everything(strategies[name], read_events(shared / "data" / study / name))
        assert len(masks) == len(rows), f"{name}: every population, and no other"
        for row in rows:
            found, stored = int(masks[row["path"].removeprefix("root/")].sum()), int(row["flowjo_count"])
            assert abs(found - stored) <= max(5, 0.05 * stored), (name, row["path"], found, stored)
            assert found == int(row["flowkit_count"]), (name, row["path"])
            compared += 1
    assert compared == POPULATIONS[study]


def test_regulatory_t_cells_of_a_bone_marrow_are_those_that_flowkit_finds(shared: Path) -> None:
    folder = shared / "data" / ORGANS
    name = "390C_BM_027.fcs"
    masks = gate_everything(read_workspace(folder / "workspace_dev.wsp")[name], read_events(folder / name))
    workspace = flowkit.Workspace(
        str(folder / "workspace_dev.wsp"), fcs_samples=[str(folder / name)], load_missing_file_data=True
    )
    workspace.analyze_samples(sample_id=name, use_mp=False)
    for population, mask in masks.items():
        if population != "root":
            *above, last = population.split("/")
            theirs = workspace.get_gate_membership(name, last, gate_path=("root", *above))
            np.testing.assert_array_equal(mask, theirs, err_msg=population)


def test_a_file_exported_compensated_by_flowjo_is_gated_as_it_is(shared: Path) -> None:
    strategies = read_workspace(shared / "data" / ORGANS / "workspace_dev.wsp")
    for strategy in strategies.values():
        assert strategy.matrices == {}
        for population in strategy.populations:
            for dimension in getattr(population.gate, "dimensions", ()):
                assert dimension.matrix == ""
                assert dimension.channel.startswith("FJComp-")


def test_every_mouse_cell_has_the_label_that_its_authors_gave_it(shared: Path) -> None:
    # gatingResult.csv has one label an event, made with R's CytoML from the same workspace. It agrees for
    # every event but five of the 7,487 CD4 T cells, which CytoML's T cell polygon takes in and the exact one
    # does not; FlowJo's own count of them is 7,480.
    folder = shared / "data" / LAVAGE
    masks = gate_everything(
        read_workspace(folder / "gating.wsp")["68983.fcs"], read_events(folder / "68983.fcs")
    )
    labels = np.array([line.strip('"') for line in (folder / "gatingResult.csv").read_text().splitlines()])
    leaves = {name.rpartition("/")[2]: mask for name, mask in masks.items()}
    differing = {
        str(label): int((leaves[label] != (labels == label)).sum()) for label in set(labels) - {"Unlabeled"}
    }
    assert differing == {
        "B cells": 0,
        "CD4 T cells": 5,
        "CD8 T cells": 0,
        "NK T cells": 0,
        "NK cells": 0,
        "gd T cells": 0,
    }
