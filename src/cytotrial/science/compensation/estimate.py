"""The spillover matrix from single-stain controls.

For each control a line is drawn from the middle of the negatives through the positives, once for every
detector; its slope is the spillover. The controls are then compensated with the matrix so obtained, the
slopes that remain are measured in the same way, and the matrix is corrected by them until none remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.errors import CompensationError, all_problems
from cytotrial.science.compensation.control_findings import (
    MAX_STANDARD_ERROR,
    control_findings,
    panel_findings,
    precision_findings,
)
from cytotrial.science.compensation.controls import (
    MIN_POSITIVE,
    Control,
    Selection,
    brightness,
    darkest,
    detector_limits,
    select_events,
)
from cytotrial.science.compensation.lines import fit_slopes
from cytotrial.science.compensation.matrix import check_spillover, raise_rejected
from cytotrial.terms import Finding, FloatArray, SpilloverMatrix

Matrix = npt.NDArray[np.float64]

TOLERANCE = 1e-4
"""The refinement ends when no slope of the compensated controls is larger: 10 units at brightness 10⁵."""


@dataclass(frozen=True, eq=False)
class SpilloverEstimate:
    """A spillover matrix and what it rests on.

    matrix : SpilloverMatrix
    slope_error, standard_error : ndarray, shape (n_detectors, n_detectors), float64
        Slopes left in the compensated controls, and the standard error of each spillover: of the regression
        and of the background of the stained cells together. Zero on the diagonal and in the rows of
        detectors without a fluorochrome.
    selections : tuple of Selection
        The events used of each control, in the order of the controls.
    iterations : int
        Rounds of refinement.
    findings : tuple of Finding
        Warnings; what would have been refused was raised.
    """

    matrix: SpilloverMatrix
    slope_error: Matrix
    standard_error: Matrix
    selections: tuple[Selection, ...]
    iterations: int
    findings: tuple[Finding, ...]

    @property
    def n_positive(self) -> tuple[int, ...]:
        """Positive events of each control."""
        return tuple(s.n_positive for s in self.selections)


def estimate_spillover(
    controls: Sequence[Control],
    *,
    unstained: Control | None,
    detectors: Sequence[str],
    stained: Sequence[str] | None = None,
    limits: FloatArray | None = None,
    min_positive: int = MIN_POSITIVE,
    max_standard_error: float = MAX_STANDARD_ERROR,
    tolerance: float = TOLERANCE,
    max_iterations: int = 100,
) -> SpilloverEstimate:
    """The spillover matrix of a set of single-stain controls.

    Parameters
    ----------
    controls : sequence of Control
        One per stained detector; linear, uncompensated values.
    unstained : Control or None
        Unstained cells or beads of the same kind; without them each tube's own negatives are used.
    detectors : sequence of str
        $PnN of the fluorescence channels: rows of every control's values, rows and columns of the matrix.
    stained : sequence of str, optional
        Detectors that have a fluorochrome in the panel, all of them unless given. Each needs a control;
        the other rows of the matrix stay those of the identity.
    limits : ndarray, shape (n_detectors,), optional
        Values from which on a detector is saturated, beside those that the events' pile-up shows.
    min_positive : int
        Positive events below which a control is refused.
    max_standard_error : float
        A control whose spillover into any detector is known less well is told (`control.imprecise`).
    tolerance : float
        Largest slope that may remain in the compensated controls.
    max_iterations : int
        Rounds of refinement after which the estimate is refused.

    Returns
    -------
    SpilloverEstimate

    Raises
    ------
    CompensationError
        Naming every control that cannot be used, and why; or that the refinement does not converge.

    References
    ----------
    Roca CP, Burton OT, Gergelits V, et al. AutoSpill is a principled framework that simplifies the
    analysis of multichromatic flow cytometry data. Nat Commun 2021;12:2890: robust regression on each
    control and refinement by the slopes that compensation leaves. Here the line starts at the unstained
    events, and the regression weighs each event by the spread at its brightness.
    """
    stained = tuple(detectors) if stained is None else tuple(stained)
    raise_rejected(
        panel_findings(controls, unstained=unstained, detectors=detectors, stained=stained),
        where="single-stain controls",
    )
    tubes = [*controls, *([unstained] if unstained is not None else [])]
    ends = np.minimum(detector_limits(tubes), np.inf if limits is None else limits)
    references = [unstained or darkest(controls, row=row) for row in range(len(detectors))]
    rows = [list(detectors).index(c.detector) for c in controls]
    selections = tuple(
        select_events(c, reference=references[row], row=row, limits=ends, min_positive=min_positive)
        for c, row in zip(controls, rows, strict=True)
    )
    signals = np.array([brightness(c, references, min_positive=min_positive) for c in controls])
    findings = control_findings(selections, signals, detectors=detectors, min_positive=min_positive)
    raise_rejected(findings, where="single-stain controls")
    values, left, rounds = _refine(selections, detectors, tolerance=tolerance, most=max_iterations)
    matrix = SpilloverMatrix(tuple(detectors), values, origin="controls")
    doubts = precision_findings(
        selections, left.scatter, left.background, detectors=detectors, most=max_standard_error
    )
    return SpilloverEstimate(
        matrix,
        left.slope,
        np.hypot(left.scatter, left.background),
        selections,
        rounds,
        findings + doubts + check_spillover(matrix),
    )


def residual_slopes(
    selections: Sequence[Selection], *, spillover: FloatArray, detectors: Sequence[str]
) -> tuple[Matrix, Matrix]:
    """The slopes a spillover matrix leaves in compensated controls, and their standard errors.

    Parameters
    ----------
    selections : sequence of Selection
    spillover : ndarray, shape (n_detectors, n_detectors)
    detectors : sequence of str

    Returns
    -------
    two ndarrays, shape (n_detectors, n_detectors), float64
        Zero on the diagonal and in rows without a control.
    """
    left = _left_over(selections, spillover=spillover, detectors=detectors)
    return left.slope, np.hypot(left.scatter, left.background)


@dataclass(frozen=True, eq=False)
class _LeftOver:
    """Slopes left in compensated controls; their errors by scatter and by the unknown background."""

    slope: Matrix
    scatter: Matrix
    background: Matrix


def _left_over(
    selections: Sequence[Selection], *, spillover: FloatArray, detectors: Sequence[str]
) -> _LeftOver:
    inverse = np.linalg.inv(spillover)
    slope, scatter, background = (np.zeros(spillover.shape) for _ in range(3))
    for selection in selections:
        row = list(detectors).index(selection.detector)
        positive = inverse.T @ selection.positive
        start, ground = _middle_and_error(inverse.T @ selection.negative)
        line = fit_slopes(positive[row] - start[row], positive - start[:, None])
        slope[row] = line.slope
        scatter[row] = np.hypot(line.error, ground * line.per_height)
        background[row] = selection.background_error * line.per_height
        slope[row, row] = scatter[row, row] = background[row, row] = 0.0
    return _LeftOver(slope, scatter, background)


def _refine(
    selections: Sequence[Selection], detectors: Sequence[str], *, tolerance: float, most: int
) -> tuple[Matrix, _LeftOver, int]:
    """Correct the identity by the slopes it leaves until they are below the tolerance."""
    spillover = np.eye(len(detectors))
    step, worst = 1.0, np.inf
    for done in range(most + 1):
        left = _left_over(selections, spillover=spillover, detectors=detectors)
        error, largest = left.slope, float(np.abs(left.slope).max(initial=0.0))
        if largest <= tolerance:
            return spillover, left, done
        step = step if largest < worst else step / 2
        worst = largest
        spillover = spillover + step * error @ spillover
        spillover /= np.diagonal(spillover)[:, None]
        found = check_spillover(SpilloverMatrix(tuple(detectors), spillover, origin="controls"))
        raise_rejected(found, where="spillover matrix from the controls")
    i, j = np.unravel_index(np.argmax(np.abs(error)), error.shape)
    raise CompensationError(
        all_problems(
            "single-stain controls",
            [
                f"the refinement did not settle in {most} rounds: control for {detectors[int(i)]!r} keeps a "
                f"slope of {error[i, j]:.2g} in {detectors[int(j)]!r}; at most {tolerance:g} was expected."
            ],
            outcome="no compensation was made",
        ),
        hint="Look at this control: stained events of two kinds, or another fluorochrome in the tube?",
    )


def _middle_and_error(values: Matrix) -> tuple[Matrix, Matrix]:
    """Median of each row and its standard error, √(π/2) of that of a mean, from the median deviation."""
    middle = np.median(values, axis=1)
    width = 1.4826 * np.median(np.abs(values - middle[:, None]), axis=1)
    return middle, np.sqrt(np.pi / 2) * width / np.sqrt(values.shape[1])
