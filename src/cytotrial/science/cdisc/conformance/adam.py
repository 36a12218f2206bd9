"""Checks of the analysis dataset: baseline, change, flags, windows and the ratio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from cytotrial.science.cdisc.conformance.model import Check, Rows, TrialData, is_close, repeated, where

Group = tuple[str, str]
"""(USUBJID, PARAMCD)."""


def _groups(rows: Rows) -> dict[Group, list[Mapping[str, Any]]]:
    groups: dict[Group, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["USUBJID"], row["PARAMCD"]), []).append(row)
    return groups


def baselines_are_one(data: TrialData) -> Iterator[str]:
    """V15."""
    for (subject, parameter), rows in _groups(data.rows("ADCP")).items():
        about = f"ADCP, {subject}, {parameter}"
        flagged = [row for row in rows if row["ABLFL"] == "Y"]
        bases = {row["BASE"] for row in rows}
        if len(flagged) > 1:
            yield f"{about}: {len(flagged)} records have ABLFL = Y"
        if len(bases) > 1:
            yield f"{about}: BASE is not the same on every record"
        if not flagged and bases != {None}:
            yield f"{about}: BASE without a record with ABLFL = Y"
        if flagged and bases != {flagged[0]["AVAL"]}:
            yield f"{about}: BASE is not AVAL of the baseline record, {flagged[0]['AVAL']}"


def changes_follow_from_baseline(data: TrialData) -> Iterator[str]:
    """V16."""
    for row in data.rows("ADCP"):
        if row["CHG"] is None:
            if row["PCHG"] is not None or row["R2BASE"] is not None:
                yield f"{where('ADCP', row)}: PCHG or R2BASE without CHG"
            continue
        if row["ABLFL"] == "Y" or row["BASE"] is None or row["AVAL"] is None:
            yield f"{where('ADCP', row)}: CHG {row['CHG']} on a record that has no change from baseline"
            continue
        yield from _wrong_changes(row)


def _wrong_changes(row: Mapping[str, Any]) -> Iterator[str]:
    value, base = row["AVAL"], row["BASE"]
    expected = {
        "CHG": value - base,
        "PCHG": 100 * (value - base) / base if base > 0 else None,
        "R2BASE": value / base if base > 0 else None,
    }
    for name, number in expected.items():
        found = row[name]
        if (found is None) != (number is None) or (found is not None and not is_close(found, number)):
            yield f"{where('ADCP', row)}: {name} is {found}, expected {number}"


def one_record_answers(data: TrialData) -> Iterator[str]:
    """V17."""
    rows = data.rows("ADCP")
    for flag in ("ANL01FL", "ANL02FL"):
        chosen = [row for row in rows if row[flag] == "Y"]
        for subject, parameter, visit in repeated(chosen, ("USUBJID", "PARAMCD", "AVISIT")):
            yield f"ADCP, {subject}, {parameter}, {visit}: more than one record has {flag} = Y"
        for row in chosen:
            if row["AVISIT"] == "":
                yield f"{where('ADCP', row)}: {flag} = Y outside every analysis window"
            if flag == "ANL02FL" and row["QCFL"] != "PASS":
                yield f"{where('ADCP', row)}: {flag} = Y with QCFL {row['QCFL']}"


def windows_are_disjoint(data: TrialData) -> Iterator[str]:
    """V18."""
    rows = [row for row in data.rows("ADCP") if row["AVISIT"]]
    windows: dict[str, tuple[Any, Any]] = {}
    for row in rows:
        window = (row["AWLO"], row["AWHI"])
        if windows.setdefault(row["AVISIT"], window) != window:
            yield f"{where('ADCP', row)}: the window of {row['AVISIT']} is not the same on every record"
        low, high = _open_ended(window)
        if row["ADY"] is not None and not low <= row["ADY"] <= high:
            yield f"{where('ADCP', row)}: ADY {row['ADY']} outside the window of {row['AVISIT']}"
    ordered = sorted((*_open_ended(window), visit) for visit, window in windows.items())
    for (_, end, before), (start, _, after) in pairwise(ordered):
        if start <= end:
            yield f"ADCP: the windows of {before} and {after} overlap"


def _open_ended(window: tuple[Any, Any]) -> tuple[float, float]:
    low, high = window
    return (float("-inf") if low is None else low), (float("inf") if high is None else high)


def ratios_are_their_quotient(data: TrialData) -> Iterator[str]:
    """V19."""
    values = {
        (row["USUBJID"], row["SPECID"], row["PARAMCD"]): row["AVAL"]
        for row in data.rows("ADCP")
        if row["DTYPE"] == "" and row["AVAL"] is not None
    }
    for row in data.rows("ADCP"):
        if row["PARAMCD"] != "TH17TREG" or row["AVAL"] is None:
            continue
        above, below = (
            values.get((row["USUBJID"], row["SPECID"], parameter)) for parameter in ("TH17ABS", "TREGABS")
        )
        if above is not None and below is not None and not is_close(row["AVAL"], above / below):
            yield f"{where('ADCP', row)}: TH17TREG {row['AVAL']}, but TH17ABS / TREGABS is {above / below}"


CHECKS = (
    Check(
        "V15",
        "One baseline record per subject and parameter; BASE is its AVAL everywhere",
        ("ADCP",),
        baselines_are_one,
    ),
    Check(
        "V16",
        "CHG, PCHG and R2BASE follow from AVAL and BASE, on records after baseline only",
        ("ADCP",),
        changes_follow_from_baseline,
    ),
    Check(
        "V17",
        "One record per subject, parameter and analysis visit answers (ANL01FL, ANL02FL)",
        ("ADCP",),
        one_record_answers,
    ),
    Check("V18", "Analysis windows are disjoint and hold their days", ("ADCP",), windows_are_disjoint),
    Check(
        "V19",
        "The ratio is TH17ABS / TREGABS of the same draw",
        ("ADCP",),
        ratios_are_their_quotient,
    ),
)
