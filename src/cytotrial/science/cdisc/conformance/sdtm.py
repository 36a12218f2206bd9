"""Checks of the tabulation datasets: keys, controlled terms, results, dates, markers, completeness."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any

from cytotrial.science.cdisc.conformance.model import Check, TrialData, is_close, repeated, where
from cytotrial.science.cdisc.recompute import recompute
from cytotrial.science.cdisc.suppcp import FROM_RESULT

MARKERS = re.compile(r"(?:[A-Z][A-Z0-9]*(?:\+|-|lo|mid|hi))+(?:/(?:[A-Z][A-Z0-9]*(?:\+|-|lo|mid|hi))+)?")
ISO = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:\d\d)?)?")

TESTS = {"CP": ("CPTESTCD", "CPTEST", "C181173", "C181174"), "LB": ("LBTESTCD", "LBTEST", "C65047", "C67154")}
"""Dataset → variables of a test's code and name, and their codelists."""

UNITS = "C71620"


def unique_keys(data: TrialData) -> Iterator[str]:
    """V02."""
    numbers = {"CP": "CPSEQ", "LB": "LBSEQ", "ADCP": "ASEQ"}
    for name, spec in data.specification.datasets.items():
        for keys in (spec.keys, ("USUBJID", numbers[name])) if name in numbers else (spec.keys,):
            for values in repeated(data.rows(name), keys):
                said = ", ".join(f"{key} {value}" for key, value in zip(keys, values, strict=True))
                yield f"{name}: more than one record has {said}"


def tests_are_controlled(data: TrialData) -> Iterator[str]:
    """V03."""
    for name, (code, label, codes, labels) in TESTS.items():
        pairs = sorted({(row[code], row[label]) for row in data.rows(name)})
        lists = data.specification.codelists
        for test, title in pairs:
            if sum(test == other for other, _ in pairs) > 1:
                yield f"{name}: {code} {test} has more than one {label}"
            if sum(title == other for _, other in pairs) > 1:
                yield f"{name}: {label} '{title}' has more than one {code}"
            concept, meant = lists[codes].terms.get(test), lists[labels].terms.get(title)
            if data.tests.get(test) != title and (concept is None or concept != meant):
                yield f"{name}: {code} {test}, {label} '{title}': neither controlled nor the study's own"


def units_are_controlled(data: TrialData) -> Iterator[str]:
    """V04."""
    units = data.specification.codelists[UNITS].terms
    for name, (code, *_) in TESTS.items():
        seen: dict[tuple[str, str], str] = {}
        for row in data.rows(name):
            for variable in (f"{name}ORRESU", f"{name}STRESU"):
                unit = row[variable]
                if unit and unit not in units:
                    yield f"{where(name, row)}: {variable} '{unit}' is no controlled unit"
                if unit and seen.setdefault((row[code], variable), unit) != unit:
                    first = seen[row[code], variable]
                    yield f"{where(name, row)}: {variable} of {row[code]} is '{unit}', elsewhere '{first}'"


def numbers_are_their_text(data: TrialData) -> Iterator[str]:
    """V05."""
    for name in TESTS:
        for row in data.rows(name):
            text, number = row[f"{name}STRESC"], row[f"{name}STRESN"]
            if (number is None) != (text == "" or text.startswith("<")) or (
                number is not None and number != _as_number(text)
            ):
                yield f"{where(name, row)}: {name}STRESN {number} is not {name}STRESC '{text}'"


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def done_or_not_done(data: TrialData) -> Iterator[str]:
    """V06."""
    for row in data.rows("CP"):
        if (row["CPSTAT"] == "NOT DONE") == (row["CPORRES"] != ""):
            yield f"{where('CP', row)}: CPSTAT '{row['CPSTAT']}' with CPORRES '{row['CPORRES']}'"
        if (row["CPSTAT"] != "") != (row["CPREASND"] != ""):
            yield f"{where('CP', row)}: CPSTAT '{row['CPSTAT']}' with CPREASND '{row['CPREASND']}'"
        if row["CPSTAT"] and any(row[name] for name in ("CPSTRESC", "CPORRESU", "CPSTRESU", "CPRESSCL")):
            yield f"{where('CP', row)}: NOT DONE with a result, a unit or a scale"


def dates_are_real(data: TrialData) -> Iterator[str]:
    """V07."""
    for name, spec in data.specification.datasets.items():
        dates = [variable.name for variable in spec.variables if variable.kind == "iso"]
        for row in data.rows(name):
            for variable in dates:
                if row[variable] and not _is_date(row[variable]):
                    yield f"{where(name, row)}: {variable} '{row[variable]}' is no ISO 8601 date"
    start = {row["USUBJID"]: row["RFSTDTC"] for row in data.rows("DM")}
    for name in TESTS:
        for row in data.rows(name):
            expected = _day(row[f"{name}DTC"], start.get(row["USUBJID"], ""))
            if row[f"{name}DY"] == 0 or row[f"{name}DY"] != expected:
                yield f"{where(name, row)}: {name}DY is {row[f'{name}DY']}, expected {expected}"


def _is_date(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return ISO.fullmatch(text) is not None


def _day(collected: str, start: str) -> int | None:
    """Days from the reference start, counted from 1 on that day and from -1 on the day before."""
    if not (_is_date(collected) and _is_date(start)):
        return None
    days = date.fromisoformat(collected[:10]).toordinal() - date.fromisoformat(start[:10]).toordinal()
    return days + (days >= 0)


def cell_states_are_whole(data: TrialData) -> Iterator[str]:
    """V08."""
    for row in data.rows("CP"):
        if (row["CPCELSTA"] == "") != (row["CPCSMRKS"] == ""):
            yield f"{where('CP', row)}: CPCELSTA '{row['CPCELSTA']}' with CPCSMRKS '{row['CPCSMRKS']}'"
        named = any(row[name] for name in ("CPSBMRKS", "CPCELSTA", "CPCSMRKS"))
        if named != row["CPTEST"].partition("/")[0].endswith(" Sub"):
            word = "without" if named else "with"
            yield f"{where('CP', row)}: CPTEST '{row['CPTEST']}' {word} 'Sub' does not fit its markers"


def markers_follow_the_grammar(data: TrialData) -> Iterator[str]:
    """V09."""
    for row in data.rows("CP"):
        for name in ("CPMRKSTR", "CPSBMRKS", "CPCSMRKS"):
            if row[name] and not MARKERS.fullmatch(row[name]):
                yield f"{where('CP', row)}: {name} '{row[name]}' is no marker string, such as CD4+CD127lo"


def references_have_their_record(data: TrialData) -> Iterator[str]:
    """V10."""
    known = {(row["USUBJID"], str(row["CPSEQ"])) for row in data.rows("CP")}
    for row in data.rows("SUPPCP"):
        if (row["RDOMAIN"], row["IDVAR"]) != ("CP", "CPSEQ") or (
            row["USUBJID"],
            row["IDVARVAL"],
        ) not in known:
            yield (
                f"SUPPCP, {row['USUBJID']}, {row['QNAM']}: no record {row['IDVAR']} {row['IDVARVAL']} "
                f"in {row['RDOMAIN']}"
            )
    yield from _lost_sources(data)


def _lost_sources(data: TrialData) -> Iterator[str]:
    """Records of ADCP whose source is not there, is of another specimen or has another value."""
    sources = {(row["USUBJID"], row["CPSEQ"]): row for row in data.rows("CP")}
    for row in data.rows("ADCP"):
        if row["SRCSEQ"] is None:
            continue
        source = sources.get((row["USUBJID"], row["SRCSEQ"]))
        if source is None or source["CPREFID"] != row["SPECID"]:
            yield f"{where('ADCP', row)}: no record CPSEQ {row['SRCSEQ']} of specimen {row['SPECID']} in CP"
        elif row["SRCVAR"] == "CPSTRESN" and row["DTYPE"] == "":
            number = source["CPSTRESN"]
            if row["AVAL"] not in {None, number}:
                yield f"{where('ADCP', row)}: AVAL {row['AVAL']}, but CPSTRESN of its source is {number}"


def every_planned_test_has_a_record(data: TrialData) -> Iterator[str]:
    """V11."""
    known = {(row["USUBJID"], row["VISIT"], row["CPTESTCD"]) for row in data.rows("CP")}
    for subject, visit in data.planned:
        for test in data.tests:
            if (subject, visit, test) not in known:
                yield f"CP, {subject}: no record of {test} at visit {visit}"


def results_can_be_recomputed(data: TrialData) -> Iterator[str]:
    """V12."""
    for row, numbers in _with_numbers(data):
        value = recompute(row["CPANMETH"], numbers)
        if value is None:
            yield f"{where('CP', row)}: {row['CPANMETH']} cannot be worked out from SUPPCP"
        elif not is_close(row["CPSTRESN"], value):
            yield f"{where('CP', row)}: CPSTRESN {row['CPSTRESN']!r}, but SUPPCP gives {value!r}"


def _with_numbers(data: TrialData) -> Iterator[tuple[Mapping[str, Any], dict[str, float | None]]]:
    """Every result of CP with the numbers that SUPPCP states of it, by the names that formulas use."""
    stated: dict[tuple[str, str], dict[str, float | None]] = {}
    for row in data.rows("SUPPCP"):
        if row["QNAM"] in FROM_RESULT:
            key = row["USUBJID"], row["IDVARVAL"]
            stated.setdefault(key, {})[FROM_RESULT[row["QNAM"]]] = _as_number(row["QVAL"])
    for row in data.rows("CP"):
        if row["CPSTRESN"] is not None:
            yield row, stated.get((row["USUBJID"], str(row["CPSEQ"])), {})


def parts_are_within_their_whole(data: TrialData) -> Iterator[str]:
    """V13."""
    for row, numbers in _with_numbers(data):
        if row["CPSTRESU"] == "%" and not 0 <= row["CPSTRESN"] <= 100:
            yield f"{where('CP', row)}: {row['CPSTRESN']} %"
        for part, whole in (("events", "parent_events"), ("background_events", "background_parent_events")):
            counted, of = numbers.get(part), numbers.get(whole)
            fraction = "FRACTION" in row["CPANMETH"] and counted is not None and of is not None
            if fraction and counted > of:  # type: ignore[operator]
                yield f"{where('CP', row)}: {counted:g} events of {of:g}"


CHECKS = (
    Check("V02", "USUBJID with CPSEQ is unique, and so are the keys of every dataset", ("DM",), unique_keys),
    Check(
        "V03",
        "CPTESTCD and CPTEST are 1:1 and controlled terms, or declared by the study",
        ("CP", "LB"),
        tests_are_controlled,
    ),
    Check("V04", "Units are controlled terms, one per test", ("CP", "LB"), units_are_controlled),
    Check("V05", "CPSTRESN is CPSTRESC as a number", ("CP", "LB"), numbers_are_their_text),
    Check(
        "V06",
        "A test has a result or is NOT DONE, and then a reason and no unit",
        ("CP",),
        done_or_not_done,
    ),
    Check(
        "V07",
        "Dates are ISO 8601 and exist; study days follow from them, and there is no day 0",
        ("DM",),
        dates_are_real,
    ),
    Check(
        "V08",
        "Cell state and its markers come together; sublineage or state only with a Sub test",
        ("CP",),
        cell_states_are_whole,
    ),
    Check("V09", "Marker strings follow the grammar", ("CP",), markers_follow_the_grammar),
    Check(
        "V10",
        "SUPPCP and ADCP refer to records of CP that are there, and with the same values",
        ("SUPPCP",),
        references_have_their_record,
    ),
    Check(
        "V11",
        "Every planned subject, visit and test has a record",
        ("CP",),
        every_planned_test_has_a_record,
    ),
    Check(
        "V12",
        "Every result worked out again from SUPPCP is CPSTRESN within 1e-9",
        ("CP",),
        results_can_be_recomputed,
    ),
    Check(
        "V13",
        "No part is larger than its whole, no percentage outside 0 to 100",
        ("CP",),
        parts_are_within_their_whole,
    ),
)
