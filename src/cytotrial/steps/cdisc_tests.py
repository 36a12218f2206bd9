"""How CP describes each parameter: by the configuration, else by the specification's defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from cytotrial.dataset_terms import CodeList, ParameterTerms, Specification
from cytotrial.files.cdisc.specification import read_specification
from cytotrial.files.sheets.problems import suggestion
from cytotrial.science.cdisc.model import CellTest
from cytotrial.settings import (
    Absolute,
    CellTests,
    CrossTube,
    Parameter,
    ParameterCode,
    Percent,
    Ratio,
    Settings,
)

TEST_CODES, TEST_NAMES = "C181173", "C181174"
CELL_STATES, CONDITIONS = "C181172", "C78733"
SURFACE, INTRACELLULAR = "FLOW CYTOMETRY", "INTRACELLULAR CYTOKINE STAIN FLOW CYTOMETRIC ASSAY"

SPECIMENS = {"blood": "BLOOD", "pbmc": "PERIPHERAL BLOOD MONONUCLEAR CELL"}
"""Material of a panel → CPSPEC."""

_MARKER = re.compile(r"([A-Z][A-Z0-9]*)(?:\+|-|lo|mid|hi)")
_SCATTER = {"SSC", "FSC"}


def cell_tests(settings: Settings, specification: Specification) -> dict[str, CellTest]:
    """Parameter → how CP describes it; a ratio has no term there and is left out."""
    return {
        code: _cell_test(code, settings, specification)
        for code, parameter in settings.parameters.items()
        if not isinstance(parameter, Ratio)
    }


def _cell_test(code: ParameterCode, settings: Settings, specification: Specification) -> CellTest:
    own = settings.cdisc.tests.get(code) or CellTests.model_validate({})
    terms = specification.parameters[code]
    gated = gated_parameter(settings.parameters, code)
    stimulated = isinstance(gated, Percent) and gated.background if own.stimulated is None else own.stimulated
    test_code = own.test_code or terms.test_code
    return CellTest(
        code=test_code,
        name=own.test_name or controlled_name(test_code, specification),
        unit=terms.unit,
        result_type=terms.result_type,
        description=terms.description,
        order=terms.number,
        panel=gated.panel,
        population=gated.population,
        markers=own.markers or usual_markers(terms, settings.panels[gated.panel].markers),
        sublineage=own.sublineage or "",
        cell_state=own.cell_state or "",
        state_markers=own.state_markers or "",
        stimulated=stimulated,
        agents="; ".join(own.agents),
        method=INTRACELLULAR if stimulated else SURFACE,
        specimen=SPECIMENS[settings.panels[gated.panel].material],
    )


def gated_parameter(parameters: Mapping[ParameterCode, Parameter], code: ParameterCode) -> Absolute | Percent:
    """The parameter whose gate is counted: its own, or the percentage's of a count across tubes."""
    parameter = parameters[code]
    if isinstance(parameter, CrossTube):
        return gated_parameter(parameters, parameter.percent)
    assert isinstance(parameter, Absolute | Percent)
    return parameter


def usual_markers(terms: ParameterTerms, markers: Iterable[str]) -> str:
    """The usual marker string, if the panel has every marker in it; else none, rather than a wrong one.

    Examples
    --------
    >>> usual_markers(ParameterTerms("", "", "", "", "", "", 1, "", "CD3+IL17A+", ""), ["CD3", "IL-17A"])
    'CD3+IL17A+'
    """
    text = "/".join(part for part in (terms.markers, terms.parent_markers) if part)
    return "" if _not_in_panel(text, markers) else text


def _not_in_panel(text: str, markers: Iterable[str]) -> list[str]:
    """The markers of a marker string that a panel does not have; hyphens do not count."""
    known = {re.sub(r"[^A-Z0-9]", "", marker.upper()) for marker in markers} | _SCATTER
    return [marker for marker in dict.fromkeys(_MARKER.findall(text)) if marker not in known]


def controlled_name(test_code: str, specification: Specification) -> str:
    """CPTEST of a controlled CPTESTCD: the name that has the same concept code; empty if there is none."""
    concept = specification.codelists[TEST_CODES].terms.get(test_code)
    names = specification.codelists[TEST_NAMES].terms
    return next((name for name, code in names.items() if code == concept), "")


def unknown_terms(settings: Settings) -> Iterator[str]:
    """What the section `cdisc` of a configuration says that the controlled terminology does not have."""
    cdisc = settings.cdisc
    if not (cdisc.specimen_condition or cdisc.tests):
        return
    specification = read_specification()
    lists = specification.codelists
    if cdisc.specimen_condition:
        yield from _unknown("cdisc.specimen_condition", cdisc.specimen_condition, lists[CONDITIONS])
    for code, own in cdisc.tests.items():
        where = f"cdisc.tests.{code}"
        if code not in settings.parameters:
            known = suggestion(code, list(settings.parameters))
            yield f"{where}: '{code}' is not one of the parameters that are configured{known}"
        elif isinstance(settings.parameters[code], Ratio):
            yield f"{where}: a ratio has no test in CP; remove the section"
        else:
            yield from _foreign_markers(where, own, code, settings)
        if own.cell_state:
            yield from _unknown(f"{where}.cell_state", own.cell_state, lists[CELL_STATES])
        yield from _test_problems(where, own, specification, specification.parameters[code])
    yield from _tests_taken_twice(settings, specification)


def _tests_taken_twice(settings: Settings, specification: Specification) -> Iterator[str]:
    """Two parameters of one test code could not be told apart in CP."""
    first: dict[str, str] = {}
    for code, parameter in settings.parameters.items():
        own = settings.cdisc.tests.get(code)
        test = (own.test_code if own else None) or specification.parameters[code].test_code
        if not isinstance(parameter, Ratio) and first.setdefault(test, code) != code:
            yield f"cdisc.tests.{code}.test_code: '{test}' is the test of {first[test]} too; name another"


def _foreign_markers(where: str, own: CellTests, code: ParameterCode, settings: Settings) -> Iterator[str]:
    panel = gated_parameter(settings.parameters, code).panel
    markers = settings.panels[panel].markers
    for key in ("markers", "sublineage", "state_markers"):
        for marker in _not_in_panel(getattr(own, key) or "", markers):
            near = suggestion(marker, list(markers))
            yield f"{where}.{key}: '{marker}' is no marker of panel {panel}{near}"


def _unknown(where: str, term: str, codelist: CodeList) -> Iterator[str]:
    if term not in codelist.terms:
        near = suggestion(term, list(codelist.terms))
        yield f"{where}: '{term}' is no term of {codelist.name} ({codelist.code}){near}"


def _test_problems(
    where: str, own: CellTests, specification: Specification, terms: ParameterTerms
) -> Iterator[str]:
    controlled = specification.codelists[TEST_CODES].terms
    if own.test_code and own.test_code not in controlled and not own.test_name:
        near = suggestion(own.test_code, list(controlled))
        yield f"{where}.test_code: '{own.test_code}' is no controlled term{near}; give test_name too"
    if own.test_name and (own.test_code is None or own.test_code in controlled):
        yield f"{where}.test_name: a controlled test has its own name; give your own test_code, or remove it"
    if own.markers and ("/" in own.markers) != (terms.unit == "%"):
        expected = "a slash and the markers of its denominator" if terms.unit == "%" else "no denominator"
        yield f"{where}.markers: '{own.markers}' of a test in {terms.unit}; expected {expected}"
    if bool(own.cell_state) != bool(own.state_markers):
        yield f"{where}: cell_state and state_markers are given together or not at all"
    name = own.test_name or controlled_name(own.test_code or terms.test_code, specification)
    sub = bool(own.sublineage or own.cell_state or own.state_markers)
    if sub and not is_sub_test(name):
        yield f"{where}: '{name}' is no Sub test; with sublineage or cell_state name one, such as TLHRS"


def is_sub_test(name: str) -> bool:
    """Whether a test counts a sub-population: its name, or its numerator's, ends in Sub."""
    return name.partition("/")[0].endswith(" Sub")
