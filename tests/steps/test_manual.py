"""Which tube and which population of a manual gating is which of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from cytotrial.errors import ConfigError, TemplateError
from cytotrial.files.gatingml_writer import write_gatingml
from cytotrial.steps.manual import mapping_problems, pairs_of, read_manual, read_mapping, suggestions
from cytotrial.terms import Dimension, PlacedGate, RectangleGate, Role, Tube


def tube(sample_id: str, fcs: str = "a/b/tube.fcs") -> Tube:
    return Tube(sample_id, fcs, "treg", Role.SAMPLE, "B1")


def gates(path: Path, *names: str) -> None:
    cut = RectangleGate((Dimension("CD4"),), (1.0,), (None,))
    write_gatingml(path, [PlacedGate(name, "root", cut) for name in names], matrices={}, notes={})


def test_a_folder_knows_a_tube_by_its_sample_id_and_a_single_file_knows_them_all(tmp_path: Path):
    gates(tmp_path / "T1.xml", "CD4+")
    folder, file = read_manual(tmp_path), read_manual(tmp_path / "T1.xml")
    strategy = folder.of(tube("T1"))
    assert strategy is not None
    assert [population.name for population in strategy.populations] == ["CD4+"]
    assert folder.of(tube("T2")) is None
    assert file.of(tube("T2")) is not None


def test_every_bad_file_of_a_folder_is_told_and_an_empty_folder_is_no_gating(tmp_path: Path):
    with pytest.raises(TemplateError, match=r"there is no \.xml file in it"):
        read_manual(tmp_path)
    gates(tmp_path / "T1.xml", "CD4+")
    for name in ("T2.xml", "T3.xml"):
        (tmp_path / name).write_text("<not-gates/>", encoding="utf-8")
    with pytest.raises(TemplateError) as refused:
        read_manual(tmp_path)
    assert "2 problems" in str(refused.value)
    assert "T2.xml" in str(refused.value)
    assert "T3.xml" in str(refused.value)


def test_a_template_is_no_manual_gating(tmp_path: Path):
    (tmp_path / "gates.yaml").write_text("version: 1.0.0", encoding="utf-8")
    with pytest.raises(TemplateError, match="neither a FlowJo workspace"):
        read_manual(tmp_path / "gates.yaml")


def test_names_without_a_tube_come_with_the_nearest_tube(tmp_path: Path):
    gates(tmp_path / "T1.xml", "CD4+")
    gates(tmp_path / "T21.xml", "CD4+")
    manual = read_manual(tmp_path)
    assert manual.without_tube([tube("T1"), tube("T2")]) == ["T21; did you mean 'T2'?"]


def test_equal_names_are_pairs_and_the_map_comes_first():
    theirs = ["CD4+", "Gates/CD4", "Treg"]
    assert pairs_of(["CD4+", "Treg"], theirs, []) == {"CD4+": "CD4+", "Treg": "Treg"}
    mapped = pairs_of(["CD4+", "Treg"], theirs, [("CD4+", "Gates/CD4")])
    assert mapped == {"CD4+": "Gates/CD4", "Treg": "Treg"}


def test_a_mapped_population_that_this_tube_has_not_is_left_out_and_never_taken_by_its_name():
    # Whoever maps CD4+ to Gates/CD4 does not mean the other population that is called CD4+.
    assert pairs_of(["CD4+"], ["CD4+"], [("CD4+", "Gates/CD4")]) == {}


def test_one_tube_that_has_two_of_the_mapped_names_is_ambiguous():
    with pytest.raises(ConfigError, match="CD4\\+ is mapped to A and to B, and one tube has both"):
        pairs_of(["CD4+"], ["A", "B"], [("CD4+", "A"), ("CD4+", "B")])


def test_a_map_without_two_names_is_refused():
    assert read_mapping(["CD4+ = T/CD4=x"]) == [("CD4+", "T/CD4=x")]
    for text in ("CD4+", "=CD4", "CD4+="):
        with pytest.raises(ConfigError, match="expected OURS=THEIRS"):
            read_mapping([text])


def test_each_unknown_name_of_a_map_is_told_once():
    problems = mapping_problems(
        [("CD4", "T/CD4"), ("CD4", "T/CD5"), ("Treg", "T/CD4")], ours=["CD4+", "Treg"], theirs=["T/CD4"]
    )
    assert problems == [
        "--map: we have no population 'CD4'; did you mean 'CD4+'?",
        "--map: the manual gating has no population 'T/CD5'; did you mean 'T/CD4'?",
    ]


def test_populations_that_differ_in_signs_or_in_what_is_above_them_are_suggested():
    found = suggestions(["CD4+", "Treg"], ["T cells/CD4", "T cells/CD4/treg", "B cells"])
    assert found == ["--map 'CD4+=T cells/CD4'", "--map 'Treg=T cells/CD4/treg'"]
