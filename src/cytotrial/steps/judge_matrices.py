"""The matrices of a panel side by side, and what they leave in a few samples of each batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cytotrial.errors import CytotrialError
from cytotrial.files.spillover import read_spillover
from cytotrial.files.tables import Row, write_table
from cytotrial.files.whole import read_text
from cytotrial.science.compensation import SampleSlopes, middle_of_batches, sample_slopes
from cytotrial.settings import Spillover
from cytotrial.steps.layout import MATRICES_COMPARED
from cytotrial.steps.plan import Plan
from cytotrial.steps.single_stains import as_control, header_of, usable_tubes
from cytotrial.steps.tubes import channels_of_markers
from cytotrial.terms import SpilloverMatrix, Tube

Pair = tuple[str, str]


def judge_matrices(plan: Plan, *, panel: str) -> None:
    """Write a row per batch and channel pair: difference to the batches' middle, slope left in samples.

    Flags stand in the table and in the report; they fail no value. A batch without a matrix has no row.
    """
    matrices = {
        batch: matrix
        for name, batch in plan.matrices
        if name == panel and (matrix := _matrix(plan, panel, batch)) is not None
    }
    middle = middle_of_batches(matrices)
    rows = [
        row
        for batch, matrix in matrices.items()
        for row in _rows(
            batch, matrix, middle, _slopes(plan, panel, batch, matrix), plan.trial.settings.spillover
        )
    ]
    write_table(plan.layout.matrices_compared(panel), MATRICES_COMPARED, rows)


def _matrix(plan: Plan, panel: str, batch: str) -> SpilloverMatrix | None:
    path = plan.layout.matrix(panel, batch)
    refused = read_text(path).startswith("refused\n")
    return None if refused else read_spillover(path)


def _slopes(plan: Plan, panel: str, batch: str, matrix: SpilloverMatrix) -> list[SampleSlopes]:
    """The slopes of a batch's chosen tubes; a tube that cannot be judged is left out."""
    tubes = [tube for tube in plan.tubes_for_slopes(panel) if tube.batch == batch]
    found = [_slopes_of(plan, panel, tube, matrix) for tube in usable_tubes(plan, tubes)]
    return [one for one in found if one is not None]


def _slopes_of(plan: Plan, panel: str, tube: Tube, matrix: SpilloverMatrix) -> SampleSlopes | None:
    settings = plan.trial.settings.panels[panel]
    try:
        header = header_of(plan, tube)
        own = header.spillover if plan.compensation(panel, tube.batch) == "embedded" else None
        used = matrix if own is None or set(own.detectors) != set(matrix.detectors) else own
        channels, _ = channels_of_markers(header.channels, settings.markers)
        dyes = [channels[marker] for marker in channels if marker not in settings.without_fluorochrome]
        control = as_control(plan, tube, header, used.detectors)
        slopes = sample_slopes(control, used, dyes=[dye for dye in dyes if dye in used.detectors])
    except CytotrialError:
        return None
    order = [used.detectors.index(detector) for detector in matrix.detectors]
    return SampleSlopes(slopes.slope[np.ix_(order, order)], slopes.error[np.ix_(order, order)])


def _rows(
    batch: str,
    matrix: SpilloverMatrix,
    middle: Mapping[Pair, float],
    slopes: Sequence[SampleSlopes],
    settings: Spillover,
) -> list[Row]:
    rows: list[Row] = []
    for i, j in np.argwhere(~np.eye(len(matrix.detectors), dtype=np.bool_)):
        pair = (matrix.detectors[int(i)], matrix.detectors[int(j)])
        value = float(matrix.values[i, j])
        difference = None if pair not in middle else value - middle[pair]
        slope, error, n_tubes = _over_tubes([(one.slope[i, j], one.error[i, j]) for one in slopes])
        rows.append(
            {
                "batch": batch,
                "detector": pair[0],
                "into": pair[1],
                "spillover": value,
                "middle_of_batches": middle.get(pair),
                "difference_to_middle": difference,
                "sample_slope": slope,
                "sample_slope_error": error,
                "sample_tubes": n_tubes,
                "flags": _flags(difference, slope, error, settings),
            }
        )
    return rows


def _over_tubes(found: Sequence[tuple[float, float]]) -> tuple[float | None, float | None, int]:
    """Median slope of the tubes in which the pair could be judged, median error of one, their number."""
    judged = [(slope, error) for slope, error in found if np.isfinite(slope)]
    if not judged:
        return None, None, 0
    slope, error = np.median(np.array(judged), axis=0)
    return float(slope), float(error), len(judged)


def _flags(
    difference: float | None, slope: float | None, error: float | None, settings: Spillover
) -> tuple[str, ...]:
    beyond = 0.0 if slope is None or error is None else max(0.0, abs(slope) - 2 * error)
    raised = {
        "differs_between_batches": abs(difference or 0.0) > settings.max_difference,
        "falls_in_samples": beyond > settings.max_sample_slope and (slope or 0.0) < 0,
        "rises_in_samples": beyond > settings.max_sample_slope and (slope or 0.0) > 0,
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)
