"""One spillover matrix per panel and batch: from single stains, from the files, or from a matrix file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from cytotrial.errors import CompensationError, CytotrialError
from cytotrial.files.fcs import FcsHeader, inspect_fcs, read_events
from cytotrial.files.spillover import read_spillover, write_spillover
from cytotrial.files.tables import Row, read_table, write_table
from cytotrial.science.compensation import (
    Control,
    Selection,
    check_spillover,
    compensation_quality,
    estimate_spillover,
)
from cytotrial.settings import Panel
from cytotrial.steps.plan import Plan
from cytotrial.steps.tubes import channels_of_markers
from cytotrial.terms import Finding, Outcome, Role, SpilloverMatrix, Tube

QUALITY = (
    "detector", "into", "spillover", "residual_slope", "standard_error", "spreading", "widening",
    "n_positive", "reference", "difference", "flags", "message",
)  # fmt: skip

REFUSED = SpilloverMatrix((), np.zeros((0, 0)), origin="refused")
"""Stands for a matrix that could not be made: the tubes that need it are then rejected, with the reason."""


def compensate_batch(plan: Plan, *, panel: str, batch: str) -> None:
    """Write the matrix of a panel and batch, and its figures of quality.

    A matrix that cannot be made is written as an empty one with the reasons, so that its
    tubes are rejected and all others go on.
    """
    try:
        matrix, selections, findings = _matrix(plan, panel, batch)
        rows = [*_quality_rows(matrix, selections), *_finding_rows(findings)]
    except CytotrialError as error:
        matrix, rows = REFUSED, _finding_rows([Finding("REFUSED", Outcome.REJECT, _one_line(str(error)))])
    if matrix.detectors:
        provenance = [f"panel {panel}, batch {batch}", f"origin {matrix.origin}"]
        write_spillover(plan.layout.matrix(panel, batch), matrix, provenance=provenance)
    else:
        write_table(
            plan.layout.matrix(panel, batch), ["refused"], [{"refused": row["message"]} for row in rows]
        )
    write_table(plan.layout.matrix_quality(panel, batch), QUALITY, rows)


def _one_line(text: str) -> str:
    return " | ".join(line.strip() for line in text.splitlines())


def _matrix(
    plan: Plan, panel: str, batch: str
) -> tuple[SpilloverMatrix, Sequence[Selection], Sequence[Finding]]:
    settings = plan.trial.settings.panels[panel]
    if settings.compensation == "controls":
        return _from_controls(plan, panel, batch)
    if settings.compensation == "embedded":
        matrix, findings = _from_tubes(plan, panel, batch)
    else:
        matrix, findings = read_spillover(Path(settings.compensation)), ()
    found = check_spillover(matrix)
    rejected = [finding.message for finding in found if finding.outcome is Outcome.REJECT]
    if rejected:
        raise CompensationError("; ".join(rejected))
    return matrix, (), (*findings, *found)


def _usable(plan: Plan, tubes: Iterable[Tube]) -> list[Tube]:
    """The tubes that were not rejected."""
    status = {
        row["sample_id"]: row["status"]
        for unit in plan.units_of(tubes)
        for row in read_table(plan.layout.checked(unit))
    }
    return [tube for tube in tubes if status[tube.sample_id] in {Outcome.OK.value, Outcome.WARN.value}]


def _header(plan: Plan, tube: Tube) -> FcsHeader:
    header = inspect_fcs(plan.path_of(tube), root=Path(plan.trial.settings.fcs_dir)).header
    if header is None:
        raise CompensationError(
            f"tube {tube.sample_id}: the file cannot be read any more; it changed during the run."
        )
    return header


def _from_controls(
    plan: Plan, panel: str, batch: str
) -> tuple[SpilloverMatrix, Sequence[Selection], Sequence[Finding]]:
    """Estimate the matrix from the batch's single stains and unstained tube."""
    tubes = plan.stained_alone(panel, batch)
    usable = _usable(plan, tubes)
    headers = {tube.sample_id: _header(plan, tube) for tube in usable}
    settings = plan.trial.settings.panels[panel]
    singles = [tube for tube in usable if tube.role is Role.SINGLE_STAIN]
    found = _channels(singles, headers, settings)
    names = headers[singles[0].sample_id].names if singles else ()
    detectors = [name for name in names if name in found.values()]
    controls = [_control(plan, tube, headers[tube.sample_id], detectors, found) for tube in singles]
    blanks = [
        _control(plan, tube, headers[tube.sample_id], detectors, {})
        for tube in usable
        if tube.role is Role.UNSTAINED
    ]
    stained = [found[marker] for marker in settings.markers if marker not in settings.without_fluorochrome]
    estimate = estimate_spillover(
        controls, unstained=blanks[0] if blanks else None, detectors=detectors, stained=stained
    )
    return estimate.matrix, estimate.selections, estimate.findings


def _channels(singles: Sequence[Tube], headers: Mapping[str, FcsHeader], settings: Panel) -> dict[str, str]:
    """Marker → $PnN, each read off its own single stain; bead channels off any tube that names them.

    Raises
    ------
    CompensationError
        Naming every marker without a usable single stain.
    """
    found: dict[str, str] = {}
    for marker, names in settings.markers.items():
        own = [tube for tube in singles if tube.control_for == marker]
        for tube in own or (singles if marker in settings.without_fluorochrome else []):
            found |= channels_of_markers(headers[tube.sample_id].channels, {marker: names})[0]
    absent = [
        name for name in settings.markers if name not in found and name not in settings.without_fluorochrome
    ]
    if absent:
        raise CompensationError(
            f"no usable single stain for {', '.join(absent)}.",
            hint="Add the control to the sample sheet (role single_stain, control_for the marker), or list "
            "a marker that has no dye under without_fluorochrome of the panel.",
        )
    return found


def _control(
    plan: Plan, tube: Tube, header: FcsHeader, detectors: Sequence[str], found: Mapping[str, str]
) -> Control:
    absent = [name for name in detectors if name not in header.names]
    if absent:
        raise CompensationError(f"control {tube.sample_id} lacks the channels {', '.join(absent)}.")
    events = read_events(plan.path_of(tube), header).events
    scatter = [name for name in ("FSC-A", "SSC-A") if name in events.channels]
    return Control(
        name=tube.sample_id,
        detector=found.get(tube.control_for, ""),
        values=np.stack([events.row(name) for name in detectors]),
        scatter=np.stack([events.row(name) for name in scatter]) if len(scatter) == 2 else None,
    )


def _from_tubes(plan: Plan, panel: str, batch: str) -> tuple[SpilloverMatrix, Sequence[Finding]]:
    """The matrix embedded in the batch's tubes; each tube is compensated with its own."""
    embedded = {
        tube.sample_id: matrix
        for tube in _usable(plan, plan.samples_of(panel, batch))
        if (matrix := _header(plan, tube).spillover) is not None
    }
    if not embedded:
        raise CompensationError(f"panel {panel}, batch {batch}: no usable tube holds a spillover matrix.")
    first_id, first = next(iter(embedded.items()))
    others = [name for name, matrix in embedded.items() if not _same(matrix, first)]
    if not others:
        return first, ()
    message = (
        f"{len(others)} of {len(embedded)} tubes hold another matrix than {first_id}; each is compensated "
        f"with its own: {', '.join(others[:5])}"
    )
    return first, (Finding("MATRICES_DIFFER", Outcome.WARN, message, keyword="$SPILLOVER"),)


def _same(one: SpilloverMatrix, other: SpilloverMatrix) -> bool:
    return one.detectors == other.detectors and np.array_equal(one.values, other.values)


def _quality_rows(matrix: SpilloverMatrix, selections: Sequence[Selection]) -> list[Row]:
    quality = compensation_quality(matrix, selections)
    return [{**asdict(pair), "message": ""} for pair in quality.pairs]


def _finding_rows(findings: Iterable[Finding]) -> list[Row]:
    empty = dict.fromkeys(QUALITY)
    return [{**empty, "flags": finding.code, "message": finding.message} for finding in findings]
