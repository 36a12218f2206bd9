"""GatingML as we write it: FlowKit applies it to the same events, and reading it gives the same gates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import flowio
import flowkit
import numpy as np
import pytest

from cytotrial.errors import TemplateError
from cytotrial.files.gatingml import read_gatingml
from cytotrial.files.gatingml_writer import write_gatingml
from cytotrial.files.in_flowkit import applied_by_flowkit
from cytotrial.science.exchange import portable
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.science.transforms import asinh, biex, flowjo_log, hyperlog, linear, log, logicle
from cytotrial.terms import (
    IDENTITY,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Events,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    SpilloverMatrix,
    Transform,
)

CHANNELS = ("FSC-A", "FL1-A", "FL2-A")
MATRIX = SpilloverMatrix(("FL1-A", "FL2-A"), np.array([[1.0, 0.25], [0.0625, 1.0]]))


def written(folder: Path, *gates: PlacedGate, matrix: SpilloverMatrix | None = None) -> Path:
    path = folder / "gates.xml"
    write_gatingml(path, gates, matrices={"tube": matrix} if matrix else {}, notes={})
    return path


def fcs(folder: Path, values: np.ndarray) -> Path:
    path = folder / "events.fcs"
    with path.open("wb") as stream:
        flowio.create_fcs(stream, values.astype(np.float32).ravel().tolist(), list(CHANNELS))
    return path


def random_events(n_events: int = 20_000) -> np.ndarray:
    """Shape (n_events, 3): scatter, and two channels from far below zero to the top."""
    random = np.random.default_rng(3)
    spread = np.exp(random.normal(7, 3, (n_events, 2))) - random.exponential(60, (n_events, 2))
    return np.column_stack([random.uniform(0, 262_144, n_events), spread.clip(-3e3, 2.6e5)]).astype(
        np.float32
    )


def assert_same_events(
    folder: Path, gates: Sequence[PlacedGate], values: np.ndarray, matrix: SpilloverMatrix | None = None
) -> dict[str, np.ndarray]:
    """Ours and FlowKit's events of every population are the same; ours are given back."""
    events = Events(np.ascontiguousarray(values.T.astype(np.float32)), CHANNELS)
    ours = apply_strategy(gates, TubeEvents(events, {"tube": matrix} if matrix else {}))
    theirs = applied_by_flowkit(written(folder, *gates, matrix=matrix), fcs(folder, values))
    assert set(theirs) == {gate.population for gate in gates}
    for name, mask in theirs.items():
        np.testing.assert_array_equal(ours[name], mask, err_msg=name)
    return ours


SCALES = {
    "identity": IDENTITY,
    "linear": linear(a=100),
    "log": log(),
    "asinh": asinh(),
    "logicle": logicle(w=0.8),
    "hyperlog": hyperlog(),
}


@pytest.mark.parametrize("scale", list(SCALES))
@pytest.mark.parametrize("matrix", [None, MATRIX])
def test_flowkit_finds_the_same_events_in_every_shape_on_every_scale(
    tmp_path: Path, scale: str, matrix: SpilloverMatrix | None
) -> None:
    x, y = (Dimension(name, SCALES[scale], "tube" if matrix else "") for name in ("FL1-A", "FL2-A"))
    unit = {"identity": 5000.0, "linear": 0.02}.get(scale, 1.0)
    gates = [
        PlacedGate("above", "root", RectangleGate((x,), (0.4 * unit,), (None,))),
        PlacedGate("box", "root", RectangleGate((x, y), (0.3 * unit, None), (0.9 * unit, 0.8 * unit))),
        PlacedGate(
            "polygon", "above", PolygonGate((x, y), ((0.2 * unit, 0.1 * unit), (unit, 0), (0.7 * unit, unit)))
        ),
        PlacedGate(
            "ellipse",
            "root",
            EllipsoidGate(
                (x, y),
                (0.6 * unit, 0.5 * unit),
                ((0.04 * unit**2, 0.01 * unit**2), (0.01 * unit**2, 0.03 * unit**2)),
                1.5,
            ),
        ),
    ]
    ours = assert_same_events(tmp_path, gates, random_events(), matrix)
    assert all(100 < ours[gate.population].sum() < 19_900 for gate in gates)


def test_flowkit_joins_populations_as_we_do(tmp_path: Path) -> None:
    a = PlacedGate("A+", "root", RectangleGate((Dimension("FL1-A"),), (500.0,), (None,)))
    b = PlacedGate("B/b", "root", RectangleGate((Dimension("FL2-A"),), (2000.0,), (None,)))
    joined = [
        ("both", "root", BooleanGate("and", (("A+", False), ("B/b", False)))),
        ("either", "root", BooleanGate("or", (("A+", True), ("B/b", False)))),
        ("neither", "root", BooleanGate("not", (("A+", False),))),
        ("one alone", "root", BooleanGate("and", (("A+", False),))),
        ("not one alone", "root", BooleanGate("or", (("A+", True),))),
        ("own parent", "both", BooleanGate("and", (("both", False), ("either", False)))),
    ]
    gates = [a, b, *(PlacedGate(name, parent, gate) for name, parent, gate in joined)]
    assert_same_events(tmp_path, gates, random_events())


def test_a_ratio_of_two_channels_is_the_same_for_flowkit(tmp_path: Path) -> None:
    ratio = Dimension("FL1-A", IDENTITY, denominator="FL2-A", ratio=(2.0, 10.0, -5.0))
    gate = PlacedGate("ratio", "root", RectangleGate((ratio,), (0.5,), (3.0,)))
    ours = assert_same_events(tmp_path, [gate], random_events())
    assert 100 < ours["ratio"].sum() < 19_900


def test_an_event_on_an_edge_belongs_to_the_region_above_and_to_the_right_of_it(tmp_path: Path) -> None:
    # Gating-ML 2.0: min <= x < max. Polygons by winding number: the left and lower edges belong to it, the
    # right and upper do not, so that of two polygons with a common edge one has the event. Ellipsoids: <=.
    x, y = Dimension("FL1-A"), Dimension("FL2-A")
    values = np.array([[0, 100, 50], [0, 200, 50], [0, 150, 0], [0, 150, 100], [0, 100, 0]], dtype=float)
    gates = [
        PlacedGate("box", "root", RectangleGate((x,), (100.0,), (200.0,))),
        PlacedGate("square", "root", PolygonGate((x, y), ((100, 0), (200, 0), (200, 100), (100, 100)))),
        PlacedGate("circle", "root", EllipsoidGate((x, y), (150, 50), ((1.0, 0.0), (0.0, 1.0)), 2500.0)),
    ]
    ours = assert_same_events(tmp_path, gates, values)
    assert ours["box"].tolist() == [True, False, True, True, True]
    assert ours["square"].tolist() == [True, False, True, False, True]
    assert ours["circle"].tolist() == [True, True, True, True, False]


@pytest.mark.parametrize("scale", [biex(), flowjo_log(offset=10, decades=4)])
def test_a_threshold_on_a_scale_of_flowjos_own_is_written_in_detector_units(
    tmp_path: Path, scale: Transform
) -> None:
    top = 4096.0 if scale.kind == "biex" else 1.0
    drawn = RectangleGate((Dimension("FL1-A", scale),), (0.55 * top,), (0.9 * top,))
    events = TubeEvents(Events(np.ascontiguousarray(random_events().T), CHANNELS))
    as_drawn = apply_strategy([PlacedGate("cut", "root", drawn)], events)["cut"]
    ours = assert_same_events(tmp_path, [PlacedGate("cut", "root", portable(drawn))], random_events())
    np.testing.assert_array_equal(ours["cut"], as_drawn)
    assert 100 < as_drawn.sum() < 19_900


def test_a_threshold_beyond_the_end_of_a_biex_holds_for_all_or_for_none(tmp_path: Path) -> None:
    axis = Dimension("FL1-A", biex())
    below, beyond = (portable(RectangleGate((axis,), (limit,), (None,))) for limit in (-5.0, 5000.0))
    gates = [PlacedGate("all", "root", below), PlacedGate("none", "root", beyond)]
    ours = assert_same_events(tmp_path, gates, random_events())
    assert (ours["all"].all(), ours["none"].any()) == (True, False)


def test_what_gatingml_cannot_state_is_refused_by_name_and_nothing_is_written(tmp_path: Path) -> None:
    curved = PolygonGate((Dimension("FL1-A", biex()), Dimension("FL2-A")), ((0, 0), (9, 0), (9, 9)))
    mixed = RectangleGate(
        (Dimension("FL1-A", IDENTITY, "tube"), Dimension("FL2-A")), (1.0, 1.0), (None, None)
    )
    ratio = RectangleGate((Dimension("FL1-A", IDENTITY, "tube", denominator="FL2-A"),), (1.0,), (None,))
    own = BooleanGate("or", (("mixed", False), ("curved", False)))
    gates = [
        PlacedGate("curved", "root", curved),
        PlacedGate("mixed", "root", mixed),
        PlacedGate("ratio", "root", ratio),
        PlacedGate("own", "mixed", own),
    ]
    with pytest.raises(TemplateError) as refused:
        written(tmp_path, *gates, matrix=MATRIX)
    message = str(refused.value)
    assert "4 problems; nothing was written" in message
    assert "curved: a polygon on the scale FlowJo's biex (FL1-A), which GatingML does not have" in message
    assert "mixed: FL2-A uncompensated beside a compensated channel" in message
    assert "ratio: a ratio of compensated channels" in message
    assert "own: its boolean gate names its own parent" in message
    assert not (tmp_path / "gates.xml").exists()


def test_what_was_written_is_read_back_as_it_was(tmp_path: Path) -> None:
    x, y = Dimension("FL1-A", logicle(), "tube"), Dimension("FSC-A")
    gates = [
        PlacedGate("T cells", "root", RectangleGate((x,), (0.1 + 0.2,), (None,))),
        PlacedGate("CD4+/CD25+", "T cells", PolygonGate((x, y), ((1 / 3, 0.0), (0.7, 1e5), (2e-7, 3.0)))),
        PlacedGate("matrix.tube", "root", BooleanGate("not", (("CD4+/CD25+", True),))),
    ]
    strategy = read_gatingml(written(tmp_path, *gates, matrix=MATRIX))
    assert [(p.name, p.parent) for p in strategy.populations] == [(g.population, g.parent) for g in gates]
    (name,) = strategy.matrices
    assert name != "matrix.tube"  # XML keeps one list of ids: the population has this one
    np.testing.assert_array_equal(strategy.matrices[name].values, MATRIX.values)
    polygon = strategy.populations[1].gate
    assert isinstance(polygon, PolygonGate)
    assert isinstance(gates[1].gate, PolygonGate)
    assert polygon.vertices == gates[1].gate.vertices
    assert polygon.dimensions[0] == Dimension("FL1-A", logicle(), name)
    assert strategy.populations[2].gate == gates[2].gate


def test_flowkits_own_exporter_puts_a_quadrant_on_the_wrong_side_of_a_negative_divider(
    tmp_path: Path,
) -> None:
    # Why the document is written here; once this fails, FlowKit's exporter may be looked at again.
    divider = flowkit.QuadrantDivider("x", "FL1-A", "uncompensated", [-100.0])
    low = flowkit.gates.Quadrant("low", ["x"], [(None, -100.0)])
    high = flowkit.gates.Quadrant("high", ["x"], [(-100.0, None)])
    strategy = flowkit.GatingStrategy()
    strategy.add_gate(flowkit.gates.QuadrantGate("q", [divider], [low, high]), ("root",))
    path = tmp_path / "flowkit.xml"
    with path.open("wb") as stream:
        flowkit.export_gatingml(strategy, stream)
    again = flowkit.parse_gating_xml(str(path)).get_gate("q")
    assert again.quadrants["low"].get_divider_range("x") != (None, -100.0)
