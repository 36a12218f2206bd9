"""Gates as plain data: nothing is lost on the way there and back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytotrial.errors import TemplateError
from cytotrial.files.strategy import (
    gate_from_json,
    gate_from_plain,
    gate_to_json,
    gate_to_plain,
    read_strategies,
    write_strategies,
)
from cytotrial.terms import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Find,
    Gate,
    GatingStrategy,
    Instead,
    PolygonGate,
    Population,
    RectangleGate,
    SpilloverMatrix,
    Transform,
)

LOGICLE = Transform("logicle", (("a", 0.0), ("m", 4.5), ("t", 262144.0), ("w", 0.5)))
CD4 = Dimension("CD4", LOGICLE, "tube")
RATIO = Dimension("FL2-H", matrix="M1", denominator="FL2-A", ratio=(2.0, 0.5, -1.0))
GATES: list[Gate] = [
    RectangleGate((CD4, RATIO), (0.1, None), (None, 0.30000000000000004)),
    PolygonGate((CD4, Dimension("SSC-A")), ((0.1, 2e5), (1 / 3, 1e-7), (0.5, -4.0))),
    EllipsoidGate((CD4, RATIO), (0.5, 0.1), ((0.01, 0.002), (0.002, 0.03)), 2.0),
    BooleanGate("and", (("CD4/α", False), ("CD25", True))),
    BooleanGate("not", (("CD25", False),)),
]


def whole_strategy() -> GatingStrategy:
    find = Find(
        "control_quantile",
        (CD4,),
        MappingProxyType(
            {"quantile": 0.995, "bounds": (0.3, 0.7), "start": ((1, 2), (3, 4)), "keep": "above"}
        ),
        control="fmo",
        control_marker="CD4",
        fallback=Find("negative_offset", (CD4,), MappingProxyType({"offset": 0.2}), fallback=0.45),
        min_events=100,
        second=Find("tail", (CD4,)),
        bound=Find("control_quantile", (CD4,), control="fmo", control_marker="CD4"),
        reference=MappingProxyType({"fraction": 0.5, "height": [0.1, 0.2]}),
    )
    populations = [Population(f"P{i}", "root", gate=gate) for i, gate in enumerate(GATES)]
    rule = Instead("found", 0.3, "CD4_DOWNREGULATED")
    populations.append(Population("found", "P0", find=find, from_sample=True, instead=rule))
    matrix = SpilloverMatrix(("FL2-H", "FL2-A"), np.array([[1.0, 0.1], [1 / 3, 1.0]]), "file")
    matrices = MappingProxyType({"M1": matrix})
    return GatingStrategy("treg", "1.2.0", "treg.yaml", tuple(populations), matrices, "2026-01-01+1a2b3c4d")


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: type(gate).__name__)
def test_a_gate_comes_back_from_json_as_it_was(gate: Gate) -> None:
    assert gate_from_json(gate_to_json(gate)) == gate
    assert gate_from_plain(gate_to_plain(gate)) == gate


@given(st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=3, max_size=9))
@settings(max_examples=100, deadline=None)
def test_every_coordinate_comes_back_to_the_last_bit(vertices: list[tuple[float, float]]) -> None:
    gate = PolygonGate((CD4, Dimension("SSC-A")), tuple(vertices))
    assert gate_from_json(gate_to_json(gate)) == gate


def test_the_line_says_coordinates_and_the_scale_they_are_on() -> None:
    line = gate_to_json(RectangleGate((CD4,), (0.25,), (None,)))
    assert line == (
        '{"dimensions":[{"channel":"CD4","matrix":"tube",'
        '"transform":{"a":0.0,"kind":"logicle","m":4.5,"t":262144.0,"w":0.5}}],'
        '"high":[null],"low":[0.25],"type":"rectangle"}'
    )


def test_a_whole_strategy_comes_back_from_its_file_and_is_written_the_same_each_time(tmp_path: Path) -> None:
    strategy = whole_strategy()
    write_strategies(tmp_path / "a.json", {"*": strategy, "s1.fcs": strategy})
    write_strategies(tmp_path / "b.json", {"s1.fcs": strategy, "*": strategy})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    back = read_strategies(tmp_path / "a.json")
    assert sorted(back) == ["*", "s1.fcs"]
    read = back["*"]
    assert read.populations == strategy.populations
    assert (read.name, read.version, read.source) == ("treg", "1.2.0", "treg.yaml")
    assert read.matrices["M1"].detectors == ("FL2-H", "FL2-A")
    assert read.matrices["M1"].origin == "file"
    np.testing.assert_array_equal(read.matrices["M1"].values, strategy.matrices["M1"].values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"low": [0.1]}, "do not fit its 2 dimension"),
        ({"low": [float("nan"), None]}, "a coordinate is not a number"),
        ({"type": "circle"}, "not a gate: KeyError at 'circle'; known: rectangle, polygon"),
        ({"high": ["a", 1]}, "not a gate: ValueError"),
    ],
)
def test_a_gate_that_makes_no_sense_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        gate_from_plain({**gate_to_plain(GATES[0]), **change})


def test_two_vertices_and_an_unknown_operator_are_refused() -> None:
    with pytest.raises(TemplateError, match="too few to enclose anything"):
        gate_from_plain({**gate_to_plain(GATES[1]), "vertices": [[0, 0], [1, 1]]})
    with pytest.raises(TemplateError, match="expected and, or, or not"):
        gate_from_plain({"type": "boolean", "operator": "xor", "operands": [["A", False]]})


def test_text_that_is_not_json_is_refused() -> None:
    with pytest.raises(TemplateError, match="the gate is not JSON"):
        gate_from_json("{low: 3")


def test_a_file_of_another_form_or_changed_by_hand_is_refused_with_the_strategy_named(tmp_path: Path) -> None:
    path = tmp_path / "treg.json"
    with pytest.raises(TemplateError, match="cannot be read"):
        read_strategies(path)
    path.write_text('{"form": "something/2"}', encoding="utf-8")
    with pytest.raises(TemplateError, match="is not a compiled gating"):
        read_strategies(path)
    write_strategies(path, {"s1.fcs": whole_strategy()})
    plain = json.loads(path.read_text(encoding="utf-8"))
    del plain["strategies"]["s1.fcs"]["version"]
    without_seal = tmp_path / "elsewhere" / "treg.json"
    without_seal.parent.mkdir()
    without_seal.write_text(json.dumps(plain), encoding="utf-8")
    with pytest.raises(TemplateError, match=r"strategy s1\.fcs: is not complete"):
        read_strategies(without_seal)


def test_a_gating_job_reads_strategies_without_flowkit_pandas_or_xml(repository: Path) -> None:
    code = (
        "import sys; import cytotrial.files.strategy, cytotrial.science.gates, cytotrial.science.transforms;"
        "heavy = {'flowkit', 'pandas', 'scipy', 'sklearn', 'lxml', 'bokeh', 'yaml', 'pydantic'};"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository / "src", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
