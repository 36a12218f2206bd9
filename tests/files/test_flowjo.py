"""FlowJo 10 workspaces: what gates mean, and files that must be refused."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import flowio
import flowkit
import numpy as np
import pytest

from cytotrial.errors import TemplateError
from cytotrial.files.flowjo import read_workspace
from cytotrial.files.xml_strict import TemplateWarning
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.terms import (
    IDENTITY,
    BooleanGate,
    Dimension,
    Events,
    GatingStrategy,
    PlacedGate,
    RectangleGate,
)

WORKSPACE = """<?xml version="1.0" encoding="UTF-8"?>
<Workspace version="20.0" flowJoVersion="10.8.1"
 xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"
 xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"
 xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations">
<Groups><GroupNode name="All" annotation="" owningGroup="All"><Group name="All"><SampleRefs>
<SampleRef sampleID="1"/></SampleRefs></Group></GroupNode></Groups>
<SampleList><Sample><DataSet uri="file:/nowhere/s.fcs" sampleID="1"/>{matrix}
<Transformations>{scales}</Transformations>
<Keywords>{keywords}</Keywords>
<SampleNode name="s.fcs" annotation="" owningGroup="" sampleID="1"><Subpopulations>{populations}
</Subpopulations></SampleNode></Sample></SampleList></Workspace>
"""
MATRIX = (
    '<transforms:spilloverMatrix prefix="Comp-" suffix="" name="M1"><data-type:parameters>'
    '<data-type:parameter data-type:name="FL1-A"/><data-type:parameter data-type:name="FL2-A"/>'
    '</data-type:parameters><transforms:spillover data-type:parameter="FL1-A">'
    '<transforms:coefficient data-type:parameter="FL1-A" transforms:value="1"/>'
    '<transforms:coefficient data-type:parameter="FL2-A" transforms:value="0.5"/></transforms:spillover>'
    '<transforms:spillover data-type:parameter="FL2-A">'
    '<transforms:coefficient data-type:parameter="FL1-A" transforms:value="0"/>'
    '<transforms:coefficient data-type:parameter="FL2-A" transforms:value="1"/></transforms:spillover>'
    "</transforms:spilloverMatrix>"
)


def linear_scale(channel: str, *, top: float = 1000) -> str:
    return (
        f'<transforms:linear transforms:minRange="0" transforms:maxRange="{top}">'
        f'<data-type:parameter data-type:name="{channel}"/></transforms:linear>'
    )


def logicle_scale(channel: str, *, w: float) -> str:
    return (
        f'<transforms:logicle transforms:length="256" transforms:T="262144" transforms:A="0" '
        f'transforms:W="{w}" transforms:M="4.5"><data-type:parameter data-type:name="{channel}"/>'
        "</transforms:logicle>"
    )


def rectangle(name: str, channel: str, low: float, high: float, *, inside: str = "1", below: str = "") -> str:
    return (
        f'<Population name="{name}" annotation="" owningGroup=""><Gate gating:id="ID1">'
        f'<gating:RectangleGate eventsInside="{inside}">'
        f'<gating:dimension gating:min="{low}" gating:max="{high}">'
        f'<data-type:fcs-dimension data-type:name="{channel}"/></gating:dimension></gating:RectangleGate>'
        f"</Gate>{below}</Population>"
    )


def keywords(*channels: str, par: int | None = None) -> str:
    names = "".join(f'<Keyword name="$P{i}N" value="{name}"/>' for i, name in enumerate(channels, 1))
    return f'<Keyword name="$PAR" value="{par or len(channels)}"/>{names}'


def written(folder: Path, **parts: str) -> Path:
    path = folder / "gates.wsp"
    filled = {"matrix": "", "scales": "", "keywords": "", "populations": "", **parts}
    path.write_text(WORKSPACE.format(**filled), encoding="utf-8")
    return path


def gate_everything(strategy: GatingStrategy, events: Events) -> dict[str, np.ndarray]:
    gates = [PlacedGate(p.name, p.parent, p.gate) for p in strategy.populations if p.gate is not None]
    return apply_strategy(gates, TubeEvents(events, dict(strategy.matrices)))


def one_gate(strategy: GatingStrategy) -> RectangleGate:
    gate = strategy.populations[0].gate
    assert isinstance(gate, RectangleGate)
    return gate


def events(**channels: list[float]) -> Events:
    return Events(np.array(list(channels.values()), dtype=np.float32), tuple(channels))


def outcome(path: Path) -> tuple[str, str]:
    """What became of a file, as the table of bad files calls it, and the message."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TemplateWarning)
        try:
            read_workspace(path)
        except TemplateError as error:
            return "reject", str(error)
    doubts = [str(w.message) for w in caught if issubclass(w.category, TemplateWarning)]
    return ("warn", doubts[0]) if doubts else ("ok", "")


def test_every_bad_workspace_is_refused_and_every_odd_one_read_or_warned_of(shared: Path) -> None:
    rows = csv.DictReader((shared / "badinput" / "expected.csv").read_text(encoding="utf-8").splitlines())
    wrong = {}
    for row in (row for row in rows if row["kind"] == "wsp"):
        found, message = outcome(shared / "badinput" / row["file"])
        if found not in {row["class"], row["alt"]}:
            wrong[row["case"]] = found
        if found != "ok":
            assert Path(row["file"]).name in message
            assert row["keyword"].split(":")[-1] in message
    assert wrong == {}


def test_a_population_is_named_by_its_path_and_a_linear_gate_is_in_detector_units(tmp_path: Path) -> None:
    child = f"<Subpopulations>{rectangle('Treg', 'SSC-A', 5, 9)}</Subpopulations>"
    path = written(
        tmp_path,
        scales=linear_scale("FSC-A") + linear_scale("SSC-A"),
        populations=rectangle("CD4", "FSC-A", 100, 200, below=child),
    )
    strategy = read_workspace(path)["s.fcs"]
    assert [(p.name, p.parent) for p in strategy.populations] == [("CD4", "root"), ("CD4/Treg", "CD4")]
    gate = one_gate(strategy)
    assert gate.dimensions == (Dimension("FSC-A", IDENTITY),)
    assert (gate.low[0], gate.high[0]) == (pytest.approx(100), pytest.approx(200))


def test_a_gate_on_a_compensated_channel_is_compensated_and_one_on_the_raw_channel_is_not(
    tmp_path: Path,
) -> None:
    path = written(
        tmp_path,
        matrix=MATRIX,
        scales=linear_scale("FL2-A"),
        keywords=keywords("FL1-A", "FL2-A", "Comp-FL1-A", "Comp-FL2-A", par=2),
        populations=rectangle("comp", "Comp-FL2-A", 0, 10) + rectangle("raw", "FL2-A", 0, 10),
    )
    masks = gate_everything(read_workspace(path)["s.fcs"], events(**{"FL1-A": [100, 0], "FL2-A": [55, 5]}))
    # Half of the first dye spills over: 55 is 5 after compensation.
    assert list(masks["comp"]) == [True, True]
    assert list(masks["raw"]) == [False, True]


def test_a_file_exported_compensated_is_not_compensated_again(tmp_path: Path) -> None:
    # The file's own channel bears the prefix, and the workspace still holds the matrix of the raw file.
    path = written(
        tmp_path,
        matrix=MATRIX,
        keywords=keywords("Comp-FL1-A", "Comp-FL2-A"),
        populations=rectangle("A", "Comp-FL2-A", 0, 10),
    )
    gate = one_gate(read_workspace(path)["s.fcs"])
    assert gate.dimensions[0] == Dimension("Comp-FL2-A", IDENTITY, matrix="")


def test_a_compensated_channel_has_its_own_scale_and_not_the_raw_channels(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        matrix=MATRIX,
        scales=logicle_scale("FL2-A", w=0.25) + logicle_scale("Comp-FL2-A", w=1.0),
        keywords=keywords("FL1-A", "FL2-A"),
        populations=rectangle("comp", "Comp-FL2-A", 0, 10) + rectangle("raw", "FL2-A", 0, 10),
    )
    compensated, raw = (p.gate for p in read_workspace(path)["s.fcs"].populations)
    assert isinstance(compensated, RectangleGate)
    assert isinstance(raw, RectangleGate)
    assert compensated.dimensions[0].transform.parameter("w") == 1.0
    assert raw.dimensions[0].transform.parameter("w") == 0.25
    assert (compensated.dimensions[0].channel, raw.dimensions[0].channel) == ("FL2-A", "FL2-A")


def test_a_prefix_with_signs_that_mean_something_elsewhere_is_only_a_prefix(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        matrix=MATRIX.replace('prefix="Comp-" suffix=""', 'prefix="Comp(" suffix=")*"'),
        keywords=keywords("FL1-A", "FL2-A"),
        populations=rectangle("A", "Comp(FL2-A)*", 0, 10),
    )
    assert one_gate(read_workspace(path)["s.fcs"]).dimensions[0] == Dimension("FL2-A", IDENTITY, "M1")


def test_flowjos_underscore_is_the_slash_of_the_files_channel(tmp_path: Path) -> None:
    path = written(
        tmp_path, keywords=keywords("355 820/60-A"), populations=rectangle("A", "355 820_60-A", 0, 1)
    )
    assert one_gate(read_workspace(path)["s.fcs"]).dimensions[0].channel == "355 820/60-A"


def test_a_gate_of_the_events_outside_holds_its_parents_other_events(tmp_path: Path) -> None:
    outer = rectangle("P", "X", 0, 100, below="<Subpopulations>{}</Subpopulations>")
    path = written(tmp_path, populations=outer.format(rectangle("out", "X", 10, 20, inside="0")))
    masks = gate_everything(read_workspace(path)["s.fcs"], events(X=[-5, 5, 15, 50]))
    assert list(masks["P/out"]) == [False, True, False, True]


def test_a_boolean_node_that_stands_before_its_operands_is_gated_after_them(tmp_path: Path) -> None:
    either = (
        '<OrNode name="A or B" annotation="" owningGroup=""><Dependents><Dependent name="P/A"/>'
        '<Dependent name="P/B"/></Dependents></OrNode>'
    )
    inner = rectangle("A", "X", 0, 10) + rectangle("B", "X", 20, 30)
    path = written(
        tmp_path,
        populations=either + rectangle("P", "X", 0, 99, below=f"<Subpopulations>{inner}</Subpopulations>"),
    )
    strategy = read_workspace(path)["s.fcs"]
    assert BooleanGate("or", (("P/A", False), ("P/B", False))) in [p.gate for p in strategy.populations]
    assert list(gate_everything(strategy, events(X=[5, 15, 25]))["A or B"]) == [True, False, True]


def test_all_faults_of_a_workspace_come_in_one_message(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        scales='<transforms:hyperlog><data-type:parameter data-type:name="X"/></transforms:hyperlog>',
        populations=rectangle("", "X", 0, 1),
    )
    with pytest.raises(TemplateError, match="2 problems; no gate was read") as raised:
        read_workspace(path)
    assert "sample 's.fcs': line 9, Transformations: the scale 'hyperlog' is not supported" in str(
        raised.value
    )
    assert "Population name: the name is empty" in str(raised.value)


def test_a_scale_without_length_is_a_fault_only_where_a_gate_is_drawn_on_it(tmp_path: Path) -> None:
    # FlowJo writes such a scale for a channel on which nothing was recorded.
    unused = written(tmp_path, scales=linear_scale("Time", top=0), populations=rectangle("A", "X", 0, 1))
    assert [p.name for p in read_workspace(unused)["s.fcs"].populations] == ["A"]
    used = written(tmp_path, scales=linear_scale("X", top=0), populations=rectangle("A", "X", 0, 1))
    with pytest.raises(TemplateError, match=r"line 9, Transformations, linear: T \+ A is 0"):
        read_workspace(used)


def test_something_else_than_a_workspace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.wsp"
    path.write_text("<Workspace/>", encoding="utf-8")
    with pytest.raises(TemplateError, match="a workspace of FlowJo 10 was expected"):
        read_workspace(path)


def line_data(shared: Path) -> Events:
    file = flowio.FlowData(str(shared / "data" / "flowkit_simple_wsp" / "data_set_simple_line_100.fcs"))
    return Events(np.ascontiguousarray(file.as_array().T.astype(np.float32)), tuple(file.pnn_labels))


@pytest.mark.parametrize("name", ["simple_poly_and_rect.wsp", "simple_poly_and_rect_v2_poly50.wsp"])
def test_flowjos_simple_polygons_and_rectangles_hold_the_events_that_flowkit_finds(
    shared: Path, name: str
) -> None:
    folder = shared / "data" / "flowkit_simple_wsp"
    ((sample, strategy),) = read_workspace(folder / name).items()
    masks = gate_everything(strategy, line_data(shared))
    theirs = flowkit.Workspace(str(folder / name), fcs_samples=str(folder / sample))
    theirs.analyze_samples(sample_id=sample, use_mp=False)
    assert set(masks) == {"root", "poly1", "rect1"}
    for population in ("poly1", "rect1"):
        membership = theirs.get_gate_membership(sample, population)
        np.testing.assert_array_equal(masks[population], membership)


def test_flowjos_ellipse_holds_its_51_events(shared: Path) -> None:
    # FlowJo's stored count of `ellipse1`, which the file is also named for.
    path = shared / "data" / "flowkit_simple_wsp" / "single_ellipse_51_events.wsp"
    (strategy,) = read_workspace(path).values()
    assert int(gate_everything(strategy, line_data(shared))["ellipse1"].sum()) == 51
