"""FCS files: a strict pre-flight (`inspect_fcs`), the events (`read_events`), a look at their values.

A file is decoded only after its HEADER and TEXT agree with each other and with its size. What had
to be decided is a finding with the outcome `warn`; what cannot be decided is a `reject`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from cytotrial.errors import FcsError
from cytotrial.files.fcs.decode import DecodedEvents, read_events
from cytotrial.files.fcs.findings import COPY_AGAIN, escape, finding_line
from cytotrial.files.fcs.metadata import acquisition_seconds
from cytotrial.files.fcs.model import Column, FcsHeader, FcsReport
from cytotrial.files.fcs.plausibility import check_events
from cytotrial.files.fcs.preflight import inspect_fcs
from cytotrial.terms import Finding, Outcome

__all__ = [
    "Column",
    "DecodedEvents",
    "FcsHeader",
    "FcsReport",
    "acquisition_seconds",
    "check_events",
    "escape",
    "examine_fcs",
    "finding_line",
    "inspect_fcs",
    "read_events",
]


def examine_fcs(path: Path, *, root: Path | None = None, today: date | None = None) -> FcsReport:
    """The pre-flight of `inspect_fcs`, then one decoding of the events and a look at their values.

    Returns
    -------
    FcsReport
        With the findings of all three; the header is None where any of them forbids decoding.
    """
    report = inspect_fcs(path, root=root, today=today)
    if report.header is None:
        return report
    try:
        decoded = read_events(path, report.header)
        found = decoded.findings + check_events(decoded, report.header)
    except Exception as error:  # a bad file is a finding, never a crash
        reason = error.message if isinstance(error, FcsError) else type(error).__name__
        failed = Finding(
            "NOT_DECODED",
            Outcome.REJECT,
            f"the events cannot be decoded: {reason}",
            "DATA",
            remedy=COPY_AGAIN,
        )
        return replace(report, header=None, findings=(*report.findings, failed))
    rejected = any(finding.outcome is Outcome.REJECT for finding in found)
    header = None if rejected else report.header
    return replace(report, header=header, findings=report.findings + found)
