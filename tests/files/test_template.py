"""Gating templates: what they mean, and every problem of a file at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from cytotrial.errors import TemplateError
from cytotrial.files import template
from cytotrial.files.template import read_template
from cytotrial.science.finders import check_finders
from cytotrial.terms import BooleanGate, Instead, PolygonGate, RectangleGate


def written(folder: Path, text: str) -> Path:
    path = folder / "panel.yaml"
    path.write_text("version: 1.2.0\npopulations:\n" + text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> str:
    with pytest.raises(TemplateError) as caught:
        read_template(written(folder, text))
    return str(caught.value)


def test_a_threshold_is_on_the_default_logicle_scale_and_compensated(tmp_path: Path):
    strategy = read_template(written(tmp_path, "  - {name: CD4+, channels: [CD4], gate: {low: 0.5}}\n"))
    (population,) = strategy.populations
    assert (strategy.version, population.parent) == ("1.2.0", "root")
    assert isinstance(population.gate, RectangleGate)
    (dimension,) = population.gate.dimensions
    assert (population.gate.low, population.gate.high, dimension.matrix) == ((0.5,), (None,), "tube")
    assert dict(dimension.transform.parameters) == {"a": 0, "m": 4.5, "t": 262144, "w": 0.5}


def test_a_linear_channel_is_neither_transformed_nor_compensated(tmp_path: Path):
    text = "  - {name: big, channels: [FSC-A], gate: {low: 50000}}\nscales: {linear: [FSC-A]}\n"
    gate = read_template(written(tmp_path, text)).populations[0].gate
    assert isinstance(gate, RectangleGate)
    assert (gate.dimensions[0].transform.parameters, gate.dimensions[0].matrix) == ((), "")


def test_two_limits_on_two_channels_make_a_quadrant(tmp_path: Path):
    text = "  - {name: q, channels: [CD25, FOXP3], gate: {low: [0.5, null], high: [null, 0.4]}}\n"
    gate = read_template(written(tmp_path, text)).populations[0].gate
    assert isinstance(gate, RectangleGate)
    assert (gate.low, gate.high) == ((0.5, None), (None, 0.4))


def test_polygons_and_boolean_gates_are_read(tmp_path: Path):
    text = (
        "  - {name: A, channels: [FSC-A, SSC-A], gate: {polygon: [[0, 0], [1, 0], [1, 1]]}}\n"
        "  - {name: B, channels: [CD4], gate: {high: 0.2}}\n"
        "  - {name: C, gate: {and: [A, {not: B}]}}\n"
        "  - {name: D, gate: {not: C}}\n"
    )
    a, _, c, d = (population.gate for population in read_template(written(tmp_path, text)).populations)
    assert isinstance(a, PolygonGate)
    assert c == BooleanGate("and", (("A", False), ("B", True)))
    assert d == BooleanGate("not", (("C", False),))


def test_a_finder_keeps_its_arguments_and_its_control(tmp_path: Path):
    text = (
        "  - name: F\n    channels: [FOXP3]\n"
        "    find: {finder: control_quantile, quantile: 0.99, bounds: [0.1, 0.9], fallback: 0.5,\n"
        "           control: {role: fmo, marker: FOXP3}, min_events: 20}\n"
    )
    find = read_template(written(tmp_path, text)).populations[0].find
    assert find is not None
    assert dict(find.arguments) == {"quantile": 0.99, "bounds": (0.1, 0.9)}
    assert (find.control, find.control_marker, find.fallback, find.min_events) == ("fmo", "FOXP3", 0.5, 20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  - {name: A, channels: [X], gate: {low: 1}, parent: B}\n", "'B' is not defined above it"),
        ("  - {name: A, channels: [X], gate: {low: 1}}\n" * 2, "the name is used twice"),
        ("  - {name: A, channels: [X]}\n", "exactly one of gate and find"),
        ("  - {name: A, channels: [X], gate: {low: 2, high: 1}}\n", "could never hold an event"),
        ("  - {name: A, channels: [X], gate: {polygon: [[0, 0], [1, 1], [2, 0]]}}\n", "needs two channels"),
        ("  - {name: A, channels: [X, Y], gate: {polygon: [[0, 0], [1, 1]]}}\n", "at least three vertices"),
        ("  - {name: A, channels: [X, Y], gate: {low: 1}}\n", "1 limit(s) for 2 channel(s)"),
        ("  - {name: A, gate: {and: [root]}}\n", "at least two populations"),
        ("  - {name: A, channels: [X], gate: {low: 1, not: root}}\n", "a gate is one of"),
        ("  - {name: A, channels: [X], gatt: {low: 1}}\n", "population A.gatt: unknown key"),
        ("  - {name: '=A', channels: [X], gate: {low: 1}}\n", "should match pattern"),
        ("  - {name: A, gate: {not: root}}\nscales: {default: {w: 3}}\n", "at most m/2"),
        ("  - {name: A, gate: {not: root}}\nscales: {default: {t: 0}}\n", "greater than 0"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, text: str, message: str):
    assert message in problems(tmp_path, text)


def test_every_problem_is_told_at_once(tmp_path: Path):
    text = "  - {name: A, gate: {not: Z}}\n  - {name: B, channels: [X, Y], gate: {low: 1}}\n"
    message = problems(tmp_path, text)
    assert "2 problems" in message
    assert "population A" in message
    assert "population B" in message


def test_a_fallback_is_a_cut_or_another_finder_with_channels_and_a_fallback_of_its_own(tmp_path: Path):
    text = (
        "  - name: F\n    channels: [FOXP3, CD25]\n"
        "    find: {finder: landmark_fraction, fraction: 0.6, landmarks: [high],\n"
        "           fallback: {finder: negative_offset, offset: 0.2, channels: [FOXP3], fallback: 0.5}}\n"
    )
    find = read_template(written(tmp_path, text)).populations[0].find
    assert find is not None
    first, second = find.attempts()
    assert [dimension.channel for dimension in first.dimensions] == ["FOXP3", "CD25"]
    assert [dimension.channel for dimension in second.dimensions] == ["FOXP3"]
    assert (second.finder, second.fallback) == ("negative_offset", 0.5)


def test_a_bound_and_a_second_finder_stand_beside_the_gate(tmp_path: Path):
    text = (
        "  - name: F\n    channels: [FOXP3]\n"
        "    find: {finder: negative_offset, offset: 0.2, second: {finder: tail},\n"
        "           bound: {control: {role: fmo, marker: FOXP3}, quantile: 0.99}}\n"
    )
    find = read_template(written(tmp_path, text)).populations[0].find
    assert find is not None
    assert find.second is not None
    assert find.bound is not None
    assert find.second.finder == "tail"
    assert (find.bound.control, find.bound.control_marker) == ("fmo", "FOXP3")
    assert dict(find.bound.arguments) == {"quantile": 0.99}


def test_a_quadrant_makes_four_populations_of_two_that_divide_their_parent(tmp_path: Path):
    text = (
        "  - {name: A, channels: [X], gate: {low: 0.5}}\n  - {name: B, channels: [Y], gate: {low: 0.5}}\n"
        "  - quadrant: {first: A, second: B, both: AB, first_only: Ab, second_only: aB, neither: ab}\n"
    )
    four = read_template(written(tmp_path, text)).populations[2:]
    assert [population.name for population in four] == ["AB", "Ab", "aB", "ab"]
    assert [population.gate for population in four] == [
        BooleanGate("and", (("A", no_a), ("B", no_b)))
        for no_a, no_b in ((False, False), (False, True), (True, False), (True, True))
    ]


def test_a_population_may_give_way_to_its_parent(tmp_path: Path):
    text = (
        "  - {name: P, channels: [X], gate: {low: 0.5}}\n"
        "  - {name: C, parent: P, channels: [Y], find: {finder: density_minimum, bounds: [0, 1]},\n"
        "     instead: {when: {population: C, depth_below: 0.3}, use: P, flag: GONE}}\n"
    )
    assert read_template(written(tmp_path, text)).populations[1].instead == Instead("C", 0.3, "GONE")


@pytest.mark.parametrize(
    ("find", "message"),
    [
        ("{finder: tail, fallback: {offset: 1}}", "population A.find.fallback.finder: Field required"),
        ("{finder: tail, fallback: high}", "population A.find.fallback: Input should be a valid number"),
        ("{finder: tail, keep: below, bound: {control: {role: fmo, marker: X}}}", "keeps what lies above"),
        ("{finder: tail, bound: {control: {role: fmo}, quantil: 0.9}}", "find.bound.quantil: unknown key"),
        ("{finder: tail, second: {finder: tail, control: {role: cell}}}", "second.control.role"),
    ],
)
def test_what_makes_no_sense_beside_a_finder_is_refused(tmp_path: Path, find: str, message: str):
    assert message in problems(tmp_path, f"  - {{name: A, channels: [X], find: {find}}}\n")


def test_a_population_gives_way_to_its_own_parent_only(tmp_path: Path):
    text = (
        "  - {name: A, channels: [X], find: {finder: tail},\n"
        "     instead: {when: {population: A, depth_below: 0.3}, use: B, flag: GONE}}\n"
    )
    assert "instead.use 'B' is not the parent 'root'" in problems(tmp_path, text)


@pytest.mark.parametrize("panel", ["count", "treg", "treg_cd127lo", "th17"])
def test_the_shipped_templates_read(repository: Path, panel: str):
    assert read_template(repository / "config" / "gating" / f"{panel}.yaml").populations


def documented(repository: Path) -> str:
    return (repository / "docs" / "gating-template.md").read_text(encoding="utf-8")


def test_the_template_of_the_documentation_reads_and_names_finders_that_exist(
    repository: Path, tmp_path: Path
):
    text = documented(repository).split("```yaml\n")[1].split("```")[0]
    (tmp_path / "bcell.yaml").write_text(text, encoding="utf-8")
    strategy = read_template(tmp_path / "bcell.yaml")
    check_finders(strategy)
    names = [population.name for population in strategy.populations]
    assert names == [
        "singlets", "lymphocytes", "live", "B cells", "CD27+", "IgD+",
        "unswitched memory", "naive", "switched memory", "double negative",
    ]  # fmt: skip


def test_every_key_of_a_template_is_in_the_documentation(repository: Path):
    models = [
        model for model in vars(template).values() if isinstance(model, type) and issubclass(model, BaseModel)
    ]
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert len(keys) > 25
    assert [
        key for key in sorted(keys) if not re.search(rf"\b{re.escape(key)}\b", documented(repository))
    ] == []
