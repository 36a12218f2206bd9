"""A tube of the sheet and its file: which channel a marker is on, and its events."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cytotrial.terms import Channel, Finding, Outcome, Role, Tube

STAINED_ALONE = {Role.SINGLE_STAIN, Role.UNSTAINED}

FALLBACK_MATRIX = "FALLBACK_MATRIX"
"""Flag of every value that rests on another tube's or batch's matrix; the batch follows after a colon."""

NO_EFFECT_ON_NUMBERS = {"IDENTITY_IN_KEYWORDS", "COMPENSATION_FLAG", "FIL_UNSAFE", "VOLUME_IN_MICROLITRES"}
"""Codes of warnings about a file that leave its events as they are: they flag the tube, not its values."""


def value_flags(code: str) -> tuple[str, ...]:
    """The flags that a tube's warnings (codes joined by semicolons) lay on every value made from it.

    Examples
    --------
    >>> value_flags("IDENTITY_IN_KEYWORDS;SATURATED")
    ('TUBE_WARN:SATURATED',)
    """
    codes = [part for part in code.split(";") if part and part not in NO_EFFECT_ON_NUMBERS]
    return tuple(f"TUBE_WARN:{part}" for part in codes)


def channels_of_markers(
    channels: Sequence[Channel], markers: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], list[Finding]]:
    """The $PnN of the channel each marker is on, matched strictly by $PnS or $PnN.

    Returns
    -------
    (mapping, findings)
        Marker → $PnN for the markers with exactly one hit; for each other marker a finding
        that rejects the tube, with the names that were seen.
    """
    found: dict[str, str] = {}
    findings: list[Finding] = []
    for marker, names in markers.items():
        hits = [channel for channel in channels if channel.name in names or channel.label in names]
        if len(hits) == 1:
            found[marker] = hits[0].name
        else:
            findings.append(_no_single_channel(marker, names, hits, channels))
    if any(finding.code == "MARKER_MISSING" for finding in findings):
        last = findings[-1]
        seen = ", ".join(_named(channel) for channel in channels)
        findings[-1] = replace(last, message=f"{last.message} (the file has {seen})")
    return found, findings


def _no_single_channel(
    marker: str, names: Sequence[str], hits: Sequence[Channel], channels: Sequence[Channel]
) -> Finding:
    expected = " or ".join(names)
    if hits:
        seen = ", ".join(_named(channel) for channel in hits)
        return Finding(
            "MARKER_TWICE",
            Outcome.REJECT,
            f"marker {marker} is on {len(hits)} channels: {seen}",
            keyword="$PnS",
            seen=seen[:60],
            expected=f"one channel named {expected}"[:60],
            remedy=f"name the one $PnN that is meant under markers.{marker} of the panel",
        )
    near = _nearest(names, [name for channel in channels for name in (channel.name, channel.label) if name])
    suggestion = f"; did you mean {near}?" if near else ""
    return Finding(
        "MARKER_MISSING",
        Outcome.REJECT,
        f"marker {marker} (looked for {expected}) is on no channel{suggestion}",
        keyword="$PnS",
        expected=expected[:60],
        remedy=f"add the channel's name under markers.{marker}, or correct the panel of this row",
    )


def _nearest(names: Sequence[str], labels: Sequence[str]) -> str:
    """A label that holds a name as a word of its own, as in `APC-Cy7 CD4`, or is spelt nearly like it."""
    for name in names:
        word = re.compile(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", re.IGNORECASE)
        if holding := [label for label in labels if word.search(label)]:
            return holding[0]
        if spelt := difflib.get_close_matches(name, labels, n=1):
            return spelt[0]
    return ""


def _named(channel: Channel) -> str:
    return (
        f"{channel.name} ({channel.label})"
        if channel.label and channel.label != channel.name
        else channel.name
    )


def markers_needed(tube: Tube, markers: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The markers a tube must have: a tube stained alone needs the stained one only."""
    if tube.role not in STAINED_ALONE:
        return dict(markers)
    return {marker: names for marker, names in markers.items() if marker == tube.control_for}


def worst(findings: Iterable[Finding]) -> Outcome:
    """The worst outcome among findings; ok if there are none."""
    outcomes = {finding.outcome for finding in findings}
    return next((outcome for outcome in (Outcome.REJECT, Outcome.WARN) if outcome in outcomes), Outcome.OK)


def kinds_of(caught: Iterable[warnings.WarningMessage]) -> list[str]:
    """The kinds of warnings that libraries gave while a tube was worked on; never their text."""
    return sorted({warning.category.__name__ for warning in caught})
