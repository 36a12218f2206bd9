"""How the parameters are described in the trial dataset: defaults that are true, and terms that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cytotrial.errors import ConfigError
from cytotrial.files.cdisc.specification import read_specification
from cytotrial.files.yaml_strict import read_yaml
from cytotrial.science.cdisc.model import CellTest
from cytotrial.settings import Settings, load_settings
from cytotrial.steps.cdisc_tests import cell_tests, unknown_terms


def settings(repository: Path, **cdisc: Any) -> Settings:
    plain = read_yaml(repository / "config" / "config.yaml")
    return load_settings({**plain, "cdisc": cdisc}, where="config.yaml")


def described(repository: Path, **cdisc: Any) -> dict[str, CellTest]:
    return cell_tests(settings(repository, **cdisc), read_specification())


def test_without_a_word_the_usual_terms_and_markers_are_taken(repository: Path):
    found = described(repository)
    assert {code: (test.code, test.name, test.unit) for code, test in found.items()} == {
        "LYMABS": ("LYM", "Lymphocytes", "10^6/L"),
        "CD4ABS": ("TLYH", "TLym Help", "10^6/L"),
        "TREGABS": ("TLYHR", "TLym Help Reg", "10^6/L"),
        "TREGPCD4": ("TLHRTLH", "TLym Help Reg/TLym Help", "%"),
        "TH17ABS": ("TLH17", "TLym Help 17", "10^6/L"),
        "TH17PCD4": ("TH17TH", "TLym Help 17/TLym Help", "%"),
    }
    assert found["TREGPCD4"].markers == "CD3+CD4+CD25+FOXP3+/CD3+CD4+"


def test_a_count_across_tubes_is_described_by_the_tube_of_its_percentage(repository: Path):
    found = described(repository)
    assert (found["TREGABS"].panel, found["TREGABS"].population) == ("treg", "Treg")


def test_a_tube_whose_background_is_subtracted_was_stimulated_and_others_were_not(repository: Path):
    found = described(repository, tests={"TH17PCD4": {"agents": ["PMA", "IONOMYCIN"]}})
    assert {code for code, test in found.items() if test.stimulated} == {"TH17ABS", "TH17PCD4"}
    assert (found["TH17PCD4"].agents, found["TH17ABS"].agents) == ("PMA; IONOMYCIN", "")
    assert found["TH17PCD4"].method == "INTRACELLULAR CYTOKINE STAIN FLOW CYTOMETRIC ASSAY"
    assert found["TREGPCD4"].method == "FLOW CYTOMETRY"


def test_markers_that_the_panel_does_not_have_are_not_claimed(repository: Path):
    plain = read_yaml(repository / "config" / "config.yaml")
    plain["panels"]["treg"]["markers"].pop("FOXP3")
    plain["cdisc"] = {}
    found = cell_tests(load_settings(plain, where="config.yaml"), read_specification())
    assert (found["TREGABS"].markers, found["TREGPCD4"].markers) == ("", "")
    assert found["TH17ABS"].markers == "CD3+CD4+IL17A+"


def test_what_is_configured_stands(repository: Path):
    own = {"test_code": "TLHRS", "sublineage": "CD127-", "markers": "CD3+CD4+CD25+FOXP3+CD127-"}
    found = described(repository, tests={"TREGABS": own})["TREGABS"]
    assert (found.code, found.name, found.sublineage) == ("TLHRS", "TLym Help Reg Sub", "CD127-")
    assert list(unknown_terms(settings(repository, tests={"TREGABS": own}))) == []


@pytest.mark.parametrize(
    ("cdisc", "said"),
    [
        (
            {"specimen_condition": "FRESHLY"},
            "cdisc.specimen_condition: 'FRESHLY' is no term of Specimen Condition",
        ),
        ({"tests": {"TH17TREG": {}}}, "cdisc.tests.TH17TREG: a ratio has no test in CP"),
        (
            {"tests": {"TREGPCD4": {"markers": "CD4+FOXP3+"}}},
            "expected a slash and the markers of its denominator",
        ),
        ({"tests": {"TREGABS": {"markers": "FOXP3+/CD4+"}}}, "of a test in 10^6/L; expected no denominator"),
        ({"tests": {"TREGABS": {"test_code": "TLYH"}}}, "'TLYH' is the test of CD4ABS too"),
        ({"tests": {"TREGABS": {"test_code": "TLYHRR"}}}, "test_code: 'TLYHRR' is no controlled term"),
        ({"tests": {"TREGABS": {"test_name": "My Cells"}}}, "test_name: a controlled test has its own name"),
        (
            {"tests": {"TREGABS": {"cell_state": "ACTIVATED"}}},
            "cell_state and state_markers are given together",
        ),
        (
            {"tests": {"TREGABS": {"cell_state": "ACTIVE", "state_markers": "HLADR+", "test_code": "TLHRS"}}},
            "cell_state: 'ACTIVE' is no term of Cell State Response (C181172)",
        ),
        ({"tests": {"TREGABS": {"sublineage": "CD127-"}}}, "'TLym Help Reg' is no Sub test"),
        ({"tests": {"TREGABS": {"markers": "CD4+HLA-DR+"}}}, "markers: 'HLA' is no marker of panel treg"),
        ({"tests": {"TREGABS": {"markers": "CD4+FOXP+"}}}, "'FOXP' is no marker of panel treg"),
    ],
)
def test_a_term_that_does_not_exist_is_told_before_anything_runs(
    repository: Path, cdisc: dict[str, Any], said: str
):
    problems = list(unknown_terms(settings(repository, **cdisc)))
    assert any(said in problem for problem in problems), problems


def test_the_configuration_is_refused_with_them(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from cytotrial.steps.trial import load_trial  # noqa: PLC0415

    if not (repository / "resources" / "demo" / "sheets").is_dir():
        pytest.skip("the demo trial is not written (make demo)")
    text = (repository / "config" / "config.yaml").read_text(encoding="utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("specimen_condition: FRESH", "specimen_condition: FRESHH"), encoding="utf-8")
    monkeypatch.chdir(repository)
    with pytest.raises(ConfigError, match=r"did you mean.*FRESH"):
        load_trial(path)


@pytest.mark.parametrize("markers", ["CD3 CD4", "CD3+,CD4+", "cd4+", "CD4+/", "CD4"])
def test_a_marker_string_that_breaks_the_grammar_is_refused(repository: Path, markers: str):
    with pytest.raises(ConfigError, match=r"cdisc\.tests\.TREGABS\.markers"):
        settings(repository, tests={"TREGABS": {"markers": markers}})
