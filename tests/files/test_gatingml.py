"""GatingML 2.0: the standard's own test cases, event by event, and files that must be refused."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import flowio
import numpy as np
import pytest

from cytotrial.errors import TemplateError
from cytotrial.files.gatingml import read_gatingml
from cytotrial.files.xml_strict import TemplateWarning
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.terms import Events, GatingStrategy, PlacedGate, RectangleGate

HEAD = (
    '<?xml version="1.0"?><gating:Gating-ML'
    ' xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating"'
    ' xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations"'
    ' xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes">\n'
)
TRUTH_UNDER_ANOTHER_NAME = {("gml_parent_quadrant_rect_gate.xml", "ParRectangle1"): "ParQuadRect"}
WITHOUT_TRUTH = {("gml_ellipse2_gate.xml", "myEllipse2")}
NOT_GATINGML = "gml_range_gate_attr_testing.xml"


def gate_everything(strategy: GatingStrategy, events: TubeEvents) -> dict[str, np.ndarray]:
    assert all(population.gate is not None for population in strategy.populations)
    return apply_strategy(
        [PlacedGate(p.name, p.parent, p.gate) for p in strategy.populations if p.gate is not None], events
    )


def read_quietly(path: Path) -> GatingStrategy:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", TemplateWarning
        )  # a bow tie and a "sphere" that is none are among them
        return read_gatingml(path)


def rectangle(attributes: str, *, name: str = "A", channel: str = "FSC-A", dimension: str = "") -> str:
    return (
        f'<gating:RectangleGate gating:id="{name}" {attributes}><gating:dimension {dimension or LIMITS}>'
        f'<data-type:fcs-dimension data-type:name="{channel}"/></gating:dimension></gating:RectangleGate>\n'
    )


LIMITS = 'gating:compensation-ref="uncompensated" gating:min="0" gating:max="1"'


def written(tmp_path: Path, *elements: str) -> Path:
    path = tmp_path / "gates.xml"
    path.write_text(HEAD + "".join(elements) + "</gating:Gating-ML>", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    return shared / "data" / "flowkit_gatingml_reference"


@pytest.fixture(scope="module")
def calibur(reference: Path) -> Events:
    """A file of integers on logarithmic amplifiers: its values are powers and quotients, in float64."""
    file = flowio.FlowData(str(reference / "data1.fcs"))
    values = np.ascontiguousarray(file.as_array(preprocess=True).T)
    return Events(values, tuple(file.pnn_labels))  # type: ignore[arg-type]


def test_every_gate_of_the_standards_test_suite_holds_the_events_its_authors_published(
    reference: Path, calibur: Events
) -> None:
    # Truth: Results_<gate>.txt of ISAC's compliance data, one 0 or 1 for each of 13,367 events.
    checked = 0
    for path in sorted((reference / "gml").glob("*.xml")):
        if path.name == NOT_GATINGML:
            continue
        strategy = read_quietly(path)
        masks = gate_everything(strategy, TubeEvents(calibur, dict(strategy.matrices)))
        for population in strategy.populations:
            key = (path.name, population.name)
            if key in WITHOUT_TRUTH:
                continue
            truth = reference / "truth" / f"Results_{TRUTH_UNDER_ANOTHER_NAME.get(key, population.name)}.txt"
            expected = np.loadtxt(truth, dtype=int).astype(bool)
            np.testing.assert_array_equal(masks[population.name], expected, err_msg=str(key))
            checked += 1
    assert checked == 132


def test_a_file_that_the_schema_refuses_is_refused_with_its_line(reference: Path) -> None:
    with pytest.raises(TemplateError, match="line 7: Element 'sample': This element is not expected"):
        read_gatingml(reference / "gml" / NOT_GATINGML)


def outcome(path: Path) -> tuple[str, str]:
    """What became of a file, as the table of bad files calls it, and the message."""
    panel = ["FSC-A", "FSC-H", "SSC-A", "FL1-A", "FL2-A", "FL3-A", "Time"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", TemplateWarning)
        try:
            read_gatingml(path, channels=panel)
        except TemplateError as error:
            return "reject", str(error)
    doubts = [str(w.message) for w in caught if issubclass(w.category, TemplateWarning)]
    return ("warn", doubts[0]) if doubts else ("ok", "")


def test_every_bad_file_is_refused_and_every_odd_one_read_or_warned_of(shared: Path) -> None:
    rows = csv.DictReader((shared / "badinput" / "expected.csv").read_text(encoding="utf-8").splitlines())
    wrong = {}
    for row in (row for row in rows if row["kind"] == "gatingml"):
        found, message = outcome(shared / "badinput" / row["file"])
        if found not in {row["class"], row["alt"]}:
            wrong[row["case"]] = found
        assert found == "ok" or Path(row["file"]).name in message
    assert wrong == {}


@pytest.mark.parametrize(
    ("elements", "message"),
    [
        ([rectangle('gating:parent_id="Ghost"')], r"line 2, RectangleGate 'A': parent_id 'Ghost' is not in"),
        (
            [rectangle(""), rectangle("")],
            "line 3, RectangleGate 'A': the gating:id is used twice .also on line 2.",
        ),
        ([rectangle('gating:parent_id="A"')], "cyclic: A "),
        ([rectangle("", name="root")], "'root' has a meaning of its own"),
        ([rectangle("", dimension=LIMITS.replace('"0"', '"INF"'))], "min is 'INF'; a number was expected"),
        ([rectangle("", dimension=LIMITS.replace('"0"', '"high"'))], "line 2: .*'high' is not a valid value"),
        ([rectangle("", dimension=LIMITS.replace('"0"', '"7"'))], "min 7 is not below gating:max 1"),
        (
            [rectangle("", dimension=LIMITS.replace("uncompensated", "M9"))],
            "compensation-ref 'M9' is not defined",
        ),
        ([rectangle("", channel="FSC-A ")], "'FSC-A ' is empty or has blanks"),
        (
            [
                '<transforms:transformation transforms:id="L"><transforms:logicle transforms:T="1000" '
                'transforms:W="3" transforms:M="4" transforms:A="0"/></transforms:transformation>\n',
                rectangle(""),
            ],
            r"transformation 'L': transforms:logicle: W 3 must lie between 0 and M/2 = 2",
        ),
    ],
)
def test_the_message_names_line_element_and_fault(tmp_path: Path, elements: list[str], message: str) -> None:
    path = written(tmp_path, *elements)
    with pytest.raises(TemplateError, match=message) as raised:
        read_gatingml(path)
    assert str(path) in str(raised.value)


def test_all_faults_of_a_file_come_in_one_message(tmp_path: Path) -> None:
    path = written(
        tmp_path, rectangle('gating:parent_id="X"', name="A"), rectangle('gating:parent_id="Y"', name="B")
    )
    with pytest.raises(TemplateError, match="2 problems; no gate was read") as raised:
        read_gatingml(path)
    assert "parent_id 'X'" in str(raised.value)
    assert "parent_id 'Y'" in str(raised.value)


def test_an_entity_that_would_read_another_file_is_refused_before_it_is_expanded(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("patient list", encoding="utf-8")
    path = tmp_path / "gates.xml"
    text = HEAD.replace("?>", f'?><!DOCTYPE x [<!ENTITY e SYSTEM "{secret.as_uri()}">]>', 1)
    path.write_text(text + "&e;</gating:Gating-ML>", encoding="utf-8")
    with pytest.raises(TemplateError, match="has a DOCTYPE") as raised:
        read_gatingml(path)
    assert "patient list" not in str(raised.value)


def test_a_file_that_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="is not a file"):
        read_gatingml(tmp_path)
    with pytest.raises(TemplateError, match="cannot be read: No such file"):
        read_gatingml(tmp_path / "absent.xml")


def test_the_tubes_own_matrix_stands_for_the_files_spillover(tmp_path: Path) -> None:
    path = written(tmp_path, rectangle("", dimension=LIMITS.replace("uncompensated", "FCS")))
    gate = read_gatingml(path).populations[0].gate
    assert isinstance(gate, RectangleGate)
    assert gate.dimensions[0].matrix == "tube"


def test_a_dimension_called_by_its_fluorochrome_is_on_that_fluorochromes_detector(reference: Path) -> None:
    # gml_matrix_rect4_gate.xml: PerCP is the third fluorochrome, FL3-H the third detector.
    strategy = read_gatingml(reference / "gml" / "gml_matrix_rect4_gate.xml")
    gate = strategy.populations[0].gate
    assert isinstance(gate, RectangleGate)
    assert [(d.channel, d.matrix) for d in gate.dimensions] == [("FL3-H", "MySpill"), ("FSC-H", "")]
    assert strategy.matrices["MySpill"].detectors == ("FL1-H", "FL2-H", "FL3-H")


def test_the_version_is_known_by_the_files_content(tmp_path: Path) -> None:
    first = read_gatingml(written(tmp_path, rectangle(""))).version
    second = read_gatingml(written(tmp_path, rectangle("", name="B"))).version
    assert first.startswith("sha256:")
    assert first != second
