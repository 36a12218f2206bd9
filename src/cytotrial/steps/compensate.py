"""One spillover matrix per panel and batch: from single stains, from the files, or from a matrix file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cytotrial.errors import CompensationError, CytotrialError
from cytotrial.files.spillover import read_spillover, write_spillover
from cytotrial.files.tables import Row, write_table
from cytotrial.science.compensation import (
    CompensationQuality,
    Selection,
    Thresholds,
    check_spillover,
    compensation_quality,
)
from cytotrial.settings import Spillover
from cytotrial.steps.layout import MATRIX_QUALITY
from cytotrial.steps.matrix_pictures import pictures_of_pairs, write_matrix_pictures
from cytotrial.steps.plan import Plan
from cytotrial.steps.single_stains import (
    estimate_from_controls,
    estimate_to_compare,
    header_of,
    usable_tubes,
)
from cytotrial.steps.tubes import FALLBACK_MATRIX
from cytotrial.terms import Finding, Outcome, SpilloverMatrix

REFUSED = SpilloverMatrix((), np.zeros((0, 0)), origin="refused")
"""Stands for a matrix that could not be made: the tubes that need it are then rejected, with the reason."""


@dataclass(frozen=True, eq=False)
class _Made:
    """A matrix, the controls it is judged on, a matrix to compare with, and what was noticed."""

    matrix: SpilloverMatrix
    selections: Sequence[Selection] = ()
    reference: SpilloverMatrix | None = None
    findings: Sequence[Finding] = ()


def compensate_batch(plan: Plan, *, panel: str, batch: str) -> None:
    """Write the matrix of a panel and batch, its figures of quality, and pictures of its worst pairs.

    A matrix that cannot be made is written as an empty one with the reasons, so that its
    tubes are rejected and all others go on; or, if the configuration says so, that of the nearest
    batch is written, with a flag that every value made with it carries.
    """
    try:
        made = _make(plan, panel, batch)
    except CytotrialError as error:
        made = _fall_back(plan, panel, batch, _one_line(str(error)))
    settings = plan.trial.settings.spillover
    rows = _finding_rows(made.findings)
    pictures: list[dict[str, Any]] = []
    if made.matrix.detectors:
        thresholds = thresholds_of(settings)
        quality = compensation_quality(
            made.matrix, made.selections, reference=made.reference, thresholds=thresholds
        )
        rows = [*_quality_rows(quality), *rows]
        pictures = pictures_of_pairs(
            quality, made.matrix, made.selections, most=settings.pictured_pairs, thresholds=thresholds
        )
        provenance = [f"panel {panel}, batch {batch}", f"origin {made.matrix.origin}"]
        write_spillover(plan.layout.matrix(panel, batch), made.matrix, provenance=provenance)
    else:
        refused = [{"refused": row["message"]} for row in rows]
        write_table(plan.layout.matrix(panel, batch), ["refused"], refused)
    write_table(plan.layout.matrix_quality(panel, batch), MATRIX_QUALITY, rows)
    write_matrix_pictures(plan.layout.matrix_pictures(panel, batch), pictures)


def thresholds_of(settings: Spillover) -> Thresholds:
    """The configured thresholds, as the science takes them."""
    return Thresholds(
        residual_slope=settings.max_residual_slope,
        standard_error=settings.max_standard_error,
        spreading=settings.max_spreading,
        widening=settings.max_widening,
        difference=settings.max_difference,
        condition_number=settings.max_condition_number,
        sample_slope=settings.max_sample_slope,
    )


def _one_line(text: str) -> str:
    return " | ".join(line.strip() for line in text.splitlines())


def _make(plan: Plan, panel: str, batch: str) -> _Made:
    mode = plan.compensation(panel, batch)
    if mode == "controls":
        estimate, embedded = estimate_from_controls(plan, panel, batch)
        return _Made(estimate.matrix, estimate.selections, embedded, estimate.findings)
    if mode == "embedded":
        matrix, findings = _from_tubes(plan, panel, batch)
    else:
        matrix, findings = read_spillover(Path(mode)), ()
    found = check_spillover(matrix)
    rejected = [finding.message for finding in found if finding.outcome is Outcome.REJECT]
    if rejected:
        raise CompensationError("; ".join(rejected))
    return _compared(plan, panel, batch, _Made(matrix, findings=(*findings, *found)))


def _compared(plan: Plan, panel: str, batch: str, made: _Made) -> _Made:
    """The same matrix, judged on the batch's single stains where there are any that can be used."""
    try:
        estimate = estimate_to_compare(plan, panel, batch, detectors=made.matrix.detectors)
    except CompensationError as error:
        message = f"the single stains do not judge this matrix: {_one_line(str(error))}"
        return replace(made, findings=(*made.findings, Finding("CONTROLS_NOT_USED", Outcome.WARN, message)))
    if estimate is None:
        return made
    return replace(made, selections=estimate.selections, reference=estimate.matrix)


def _fall_back(plan: Plan, panel: str, batch: str, reason: str) -> _Made:
    """The nearest batch's matrix, flagged, if the configuration asks for it; else none, with the reason."""
    refused = Finding("REFUSED", Outcome.REJECT, reason)
    if not plan.falls_back(panel, batch):
        return _Made(REFUSED, findings=[refused])
    for other in plan.nearest_batches(panel, batch):
        try:
            made = _make(plan, panel, other)
        except CytotrialError:
            continue
        message = f"the matrix of batch {other} is used, since none could be made of this batch: {reason}"
        flag = f"{FALLBACK_MATRIX}:{other}"
        matrix = replace(made.matrix, origin=f"{made.matrix.origin} of batch {other}", flags=(flag,))
        return _Made(matrix, findings=[Finding(flag, Outcome.WARN, message)])
    message = f"{reason} | no other batch of the panel has a usable matrix to fall back on"
    return _Made(REFUSED, findings=[Finding("REFUSED", Outcome.REJECT, message)])


def _from_tubes(plan: Plan, panel: str, batch: str) -> tuple[SpilloverMatrix, Sequence[Finding]]:
    """The matrix embedded in the batch's tubes; each tube is compensated with its own."""
    embedded = {
        tube.sample_id: matrix
        for tube in usable_tubes(plan, plan.samples_of(panel, batch))
        if (matrix := header_of(plan, tube).spillover) is not None
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


def _quality_rows(quality: CompensationQuality) -> list[Row]:
    whole = {"condition_number": quality.condition_number, "message": ""}
    rows: list[Row] = [{**asdict(pair), **whole} for pair in quality.pairs]
    if quality.flags:
        message = f"the condition number is {quality.condition_number:.3g}: errors may be amplified as much"
        rows.append({**dict.fromkeys(MATRIX_QUALITY), **whole, "flags": quality.flags, "message": message})
    return rows


def _finding_rows(findings: Iterable[Finding]) -> list[Row]:
    empty = dict.fromkeys(MATRIX_QUALITY)
    return [
        {**empty, "flags": finding.code, "message": f"{finding.message} {finding.remedy}".strip()}
        for finding in findings
    ]
