"""How well a spillover matrix compensates its controls: one row of figures per pair of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cytotrial.errors import CompensationError
from cytotrial.science.compensation.controls import Selection
from cytotrial.science.compensation.estimate import residual_slopes
from cytotrial.science.compensation.matrix import condition_number
from cytotrial.terms import FloatArray, SpilloverMatrix

Matrix = npt.NDArray[np.float64]

MIN_SPILLOVER = -0.01
"""Light cannot be negative; a slope a little below zero is noise, one beyond this is not."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What flags a channel pair or a matrix; each can be set in the configuration.

    residual_slope : float
        A slope left in the compensated control. 0.01 moves a population of brightness 10⁴ by a usual negative
        width, 100.
    standard_error : float
        Of the spillover itself; 0.005 is half of that.
    spreading : float
        Spreading coefficient. At 10 a stain of brightness 10⁴ is 1,000 wide (√10⁴ × 10) in the other detector
        and hides what is dimmer there than about 2,000, two of these widths.
    widening : float
        Positives this many times as wide as the negatives hide any dim marker read in that detector.
    difference : float
        Difference to the embedded matrix, and to the middle of the other batches. Two careful operators
        differ by this much on the same files.
    condition_number : float
        By how much compensation may amplify noise, and an error of the matrix, at worst: tenfold.
    sample_slope : float
        A slope left in the samples; twice `residual_slope`, since cells of a sample differ in their
        autofluorescence by about a negative width.
    """

    residual_slope: float = 0.01
    standard_error: float = 0.005
    spreading: float = 10.0
    widening: float = 10.0
    difference: float = 0.05
    condition_number: float = 10.0
    sample_slope: float = 0.02


THRESHOLDS = Thresholds()


@dataclass(frozen=True, slots=True)
class PairQuality:
    """The figures of one fluorochrome in one detector not its own; None where there is no control.

    detector : str
        Primary detector of the fluorochrome (row of the matrix).
    into : str
        Detector it spills into (column).
    spillover : float
        Entry of the matrix.
    residual_slope, standard_error : float or None
        Slope left in the compensated control (0 is perfect), and how well a slope is known there: of the
        scatter of the events and of the background of the stained cells.
    spreading : float or None
        Spreading coefficient: width that the fluorochrome adds in `into`, per root of its brightness.
    widening : float or None
        Width of the compensated positives over that of the negatives, in `into`.
    n_positive : int or None
        Positive events of the control.
    reference, difference : float or None
        Entry of the matrix compared with (the file's own, as a rule), and this entry minus it.
    flags : tuple of str
        `residual_slope`, `imprecise` (the standard error), `spreading`, `widening`, `differs_from_reference`
        beyond the thresholds; `spillover_above_one`; `negative_spillover` below −0.01.
    """

    detector: str
    into: str
    spillover: float
    residual_slope: float | None
    standard_error: float | None
    spreading: float | None
    widening: float | None
    n_positive: int | None
    reference: float | None
    difference: float | None
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompensationQuality:
    """The condition number of a matrix (1 is perfect, > 10⁶ unusable), its rows, ordered as the matrix, and
    what flags the matrix as a whole: `ill_conditioned`."""

    condition_number: float
    pairs: tuple[PairQuality, ...]
    flags: tuple[str, ...] = ()


def compensation_quality(
    matrix: SpilloverMatrix,
    selections: Sequence[Selection] = (),
    *,
    reference: SpilloverMatrix | None = None,
    thresholds: Thresholds = THRESHOLDS,
) -> CompensationQuality:
    """Judge a spillover matrix, of whatever origin, on single-stain controls.

    Parameters
    ----------
    matrix : SpilloverMatrix
        One that `check_spillover` does not reject.
    selections : sequence of Selection
        The controls' events, in the order of `matrix.detectors`: `SpilloverEstimate.selections`. Without them
        the figures that need controls are None.
    reference : SpilloverMatrix, optional
        A matrix to compare with, in any order of detectors; detectors it lacks are not compared.
    thresholds : Thresholds
        What is flagged.

    Returns
    -------
    CompensationQuality

    Raises
    ------
    CompensationError
        If the controls were acquired with another number of detectors.
    """
    _same_detectors(matrix, selections)
    slopes, errors = residual_slopes(selections, spillover=matrix.values, detectors=matrix.detectors)
    spreading, widening = spreading_matrix(selections, spillover=matrix.values, detectors=matrix.detectors)
    controls = {s.detector: s for s in selections}
    pairs = []
    for i, j in np.argwhere(~np.eye(len(matrix.detectors), dtype=np.bool_)):
        detector, into = matrix.detectors[int(i)], matrix.detectors[int(j)]
        control = controls.get(detector)
        compared = _entry(reference, detector, into)
        pair = PairQuality(
            detector=detector,
            into=into,
            spillover=float(matrix.values[i, j]),
            residual_slope=_where(control, slopes[i, j]),
            standard_error=_where(control, errors[i, j]),
            spreading=_where(control, spreading[i, j]),
            widening=_where(control, widening[i, j]),
            n_positive=None if control is None else control.n_positive,
            reference=compared,
            difference=None if compared is None else float(matrix.values[i, j]) - compared,
            flags=(),
        )
        pairs.append(replace(pair, flags=_flags(pair, thresholds)))
    condition = condition_number(matrix)
    flags = ("ill_conditioned",) if condition > thresholds.condition_number else ()
    return CompensationQuality(condition, tuple(pairs), flags)


def worst_pairs(
    quality: CompensationQuality, *, most: int, thresholds: Thresholds = THRESHOLDS
) -> tuple[PairQuality, ...]:
    """The pairs of a control that lie furthest beyond a threshold, or come nearest to one, worst first."""
    judged = [pair for pair in quality.pairs if pair.n_positive is not None]
    return tuple(sorted(judged, key=lambda pair: -severity(pair, thresholds))[:most])


def severity(pair: PairQuality, thresholds: Thresholds = THRESHOLDS) -> float:
    """The largest figure of a pair in multiples of its threshold; equal ones are told apart by spillover."""
    figures = {
        "residual_slope": pair.residual_slope,
        "standard_error": pair.standard_error,
        "spreading": pair.spreading,
        "widening": pair.widening,
        "difference": pair.difference,
    }
    most = max(abs(figure or 0.0) / getattr(thresholds, name) for name, figure in figures.items())
    return float(most + 1e-6 * abs(pair.spillover))


def spreading_matrix(
    selections: Sequence[Selection], *, spillover: FloatArray, detectors: Sequence[str]
) -> tuple[Matrix, Matrix]:
    """The width each fluorochrome adds to the other detectors, and the ratio of the widths.

    Parameters
    ----------
    selections : sequence of Selection
    spillover : ndarray, shape (n_detectors, n_detectors)
    detectors : sequence of str

    Returns
    -------
    spreading : ndarray, shape (n_detectors, n_detectors), float64
        √(w₊² − w₋²) / √ΔF after compensation, w the distance from the median to the 84th percentile of the
        positives and of the negatives, ΔF the difference of their medians in the fluorochrome's own detector;
        0 where the positives are no wider. Zero on the diagonal and in rows without a control.
    widening : ndarray of the same shape
        w₊ / w₋.

    References
    ----------
    Nguyen R, Perfetto S, Mahnke YD, Chattopadhyay P, Roederer M. Quantifying spillover spreading for
    comparing instrument performance and aiding in multicolor panel design. Cytometry A 2013;83:306.
    """
    inverse = np.linalg.inv(spillover)
    spreading, widening = np.zeros(spillover.shape), np.zeros(spillover.shape)
    for selection in selections:
        row = list(detectors).index(selection.detector)
        middle, wide = _middle_and_width(inverse.T @ selection.positive)
        ground, narrow = _middle_and_width(inverse.T @ selection.negative)
        brightness = max(float(middle[row] - ground[row]), np.finfo(np.float64).tiny)
        spreading[row] = np.sqrt(np.maximum(wide**2 - narrow**2, 0.0) / brightness)
        widening[row] = wide / np.maximum(narrow, np.finfo(np.float64).tiny)
        spreading[row, row] = widening[row, row] = 0.0
    return spreading, widening


def _middle_and_width(values: Matrix) -> tuple[Matrix, Matrix]:
    middle, upper = np.quantile(values, (0.5, 0.84), axis=1)
    return middle, upper - middle


def _flags(pair: PairQuality, thresholds: Thresholds) -> tuple[str, ...]:
    raised = {
        "residual_slope": _beyond(pair.residual_slope, thresholds.residual_slope),
        "imprecise": _beyond(pair.standard_error, thresholds.standard_error),
        "spreading": _beyond(pair.spreading, thresholds.spreading),
        "widening": _beyond(pair.widening, thresholds.widening),
        "spillover_above_one": pair.spillover > 1,
        "negative_spillover": pair.spillover < MIN_SPILLOVER,
        "differs_from_reference": _beyond(pair.difference, thresholds.difference),
    }
    return tuple(name for name, is_raised in raised.items() if is_raised)


def _beyond(figure: float | None, most: float) -> bool:
    return figure is not None and abs(figure) > most


def _where(control: Selection | None, value: float) -> float | None:
    return None if control is None else float(value)


def _entry(matrix: SpilloverMatrix | None, row: str, column: str) -> float | None:
    if matrix is None or row not in matrix.detectors or column not in matrix.detectors:
        return None
    return float(matrix.values[matrix.detectors.index(row), matrix.detectors.index(column)])


def _same_detectors(matrix: SpilloverMatrix, selections: Sequence[Selection]) -> None:
    for selection in selections:
        if len(selection.positive) != len(matrix.detectors) or selection.detector not in matrix.detectors:
            names = ", ".join(matrix.detectors)
            raise CompensationError(
                f"control {selection.name!r} for {selection.detector!r} has {len(selection.positive)} "
                f"detectors, the matrix {len(matrix.detectors)} ({names}); the same were expected.",
                hint="Give the matrix every detector of the panel.",
            )
