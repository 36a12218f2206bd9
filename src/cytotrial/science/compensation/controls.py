"""Single-stain controls: which of their events are used.

A control is read in three steps. Events that reached the end of a detector are set aside. The stained
population is found on scatter, where the control has more events above the unstained level than an
unstained tube would have. Inside that scatter gate the events above the unstained level are the
positives, and the unstained events of the same scatter gate the negatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.science.compensation.background import stained_background
from cytotrial.science.compensation.scatter_gate import EVERY_EVENT, ScatterGate, place_scatter_gate
from cytotrial.terms import BoolArray, FloatArray

Matrix = npt.NDArray[np.float64]

MIN_POSITIVE = 300
"""Positive events below which a control is refused, unless a setting says otherwise.

A bright population that spreads by 5 % of its own brightness (a common figure beside the primary
detector) gives a slope with a standard error of 1.25 × 0.05 / √n: 0.0036 at 300 events, 0.0062 at 100.
At a brightness of 10⁴ the latter moves the negatives by more than half of a usual negative width of 100.
"""

MIN_NEGATIVE = 100
"""Negative events needed to know where the line starts."""

CHANCE = 0.005
"""Positive is what exceeds the level that this fraction of unstained events exceeds; counts are net of it."""

MAX_EVENTS = 20_000
"""Events of one population used in a fit: the first ones, every k-th; more do not sharpen a slope."""


@dataclass(frozen=True, eq=False)
class Control:
    """A single-stain control, or the unstained control (`detector` empty).

    name : str
        The tube's sample_id.
    detector : str
        $PnN of the detector the stained fluorochrome belongs to.
    values : ndarray, shape (n_detectors, n_events)
        Uncompensated, linear, rows in the order of the estimate's `detectors`.
    scatter : ndarray, shape (2, n_events), or None
        FSC-A and SSC-A; None leaves the scatter gate out.
    """

    name: str
    detector: str
    values: FloatArray
    scatter: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Selection:
    """The events of one control that its slopes rest on.

    positive, negative : ndarray, shape (n_detectors, n), float64
        Uncompensated events of the stained population, and of the unstained one in the same scatter gate.
    n_positive : int
        Positives before thinning to `MAX_EVENTS`, less those an unstained tube would show too.
    saturated : float
        Fraction of the positives that were dropped because a detector had reached its end.
    own_negatives : bool
        The negatives are the tube's own, for want of an unstained control that fits.
    background, background_error : ndarray, shape (n_detectors,), float64
        How far the stained cells' own light is seen to lie above that of the negatives, and how far it may
        lie from it: see `stained_background`.
    """

    name: str
    detector: str
    positive: Matrix
    negative: Matrix
    n_positive: int
    saturated: float
    own_negatives: bool
    background: Matrix
    background_error: Matrix


def detector_limits(tubes: Sequence[Control]) -> Matrix:
    """The value at which each detector ends, as far as the events themselves show it.

    Events that pile up at a detector's largest value mark its end: five or more, and more than lie within
    5 % below it. A detector without such a pile has no limit (inf).

    Returns
    -------
    ndarray, shape (n_detectors,), float64
    """
    highest = np.max([t.values.max(axis=1) for t in tubes], axis=0)
    piled = np.sum([np.count_nonzero(t.values >= highest[:, None], axis=1) for t in tubes], axis=0)
    top = np.sum([np.count_nonzero(t.values >= 0.95 * highest[:, None], axis=1) for t in tubes], axis=0)
    is_end = (piled >= 5) & (piled > top - piled) & (highest > 0)
    return np.where(is_end, highest, np.inf).astype(np.float64)


def select_events(
    control: Control, *, reference: Control, row: int, limits: FloatArray, min_positive: int = MIN_POSITIVE
) -> Selection:
    """The positive and negative events of one single-stain control.

    Parameters
    ----------
    control : Control
    reference : Control
        The unstained control (`detector` empty), or for want of one the tube that is darkest in the
        control's detector. Of a stained reference, or when fewer than 100 of its events lie in the control's
        scatter gate, only the level is used, and the negatives are the control's own.
    row : int
        Row of `control.values` that holds the control's own detector.
    limits : ndarray, shape (n_detectors,)
        Values at or above these are saturated; inf where unknown.
    min_positive : int
        Fewest stained events on which the scatter gate is placed.

    Returns
    -------
    Selection
        A poor control raises nothing here: `control_findings` judges it.
    """
    gate = _gate_of(control, reference, row=row, min_positive=min_positive)
    inside, gated = _kept(gate, control), _kept(gate, reference)
    fits = gated.shape[1] >= MIN_NEGATIVE
    level = unstained_level(gated[row] if fits else reference.values[row])
    own = bool(reference.detector) or not fits
    candidates = inside if own else gated
    bright = inside[:, inside[row] >= level]
    whole = _unsaturated(bright, limits)
    positive = _thin(bright[:, whole])
    negative = _thin(candidates[:, (candidates[row] < level) & _unsaturated(candidates, limits)])
    background, error = stained_background(positive, negative, row=row)
    return Selection(
        name=control.name,
        detector=control.detector,
        positive=positive,
        negative=negative,
        n_positive=max(0, round(np.count_nonzero(whole) - CHANCE * inside.shape[1])),
        saturated=float(np.mean(~whole)) if whole.size else 0.0,
        own_negatives=own,
        background=background,
        background_error=error,
    )


def unstained_level(values: FloatArray) -> float:
    """The value that 0.5 % of unstained events exceed."""
    return float(np.quantile(values, 1 - CHANCE))


def darkest(tubes: Sequence[Control], *, row: int) -> Control:
    """The tube whose upper end is lowest in one detector: it is not stained there."""
    return min(tubes, key=lambda t: unstained_level(t.values[row]))


def brightness(
    control: Control, references: Sequence[Control], *, min_positive: int = MIN_POSITIVE
) -> Matrix:
    """How far a control's stained events lie above the reference tube, in every detector.

    The fraction of stained events is the largest excess over the reference's level in any detector; what
    is compared in each detector is the middle of that top fraction in the control and in the reference.

    Parameters
    ----------
    control : Control
    references : sequence of Control
        The unstained (or darkest) tube of each detector.
    min_positive : int
        Fewest events that must stand out.

    Returns
    -------
    ndarray, shape (n_detectors,), float64
        Zeros if fewer than `min_positive` events stand out in any detector.
    """
    ground = [r.values[row] for row, r in enumerate(references)]
    pairs = list(zip(control.values, ground, strict=True))
    excess = max(float(np.mean(x >= unstained_level(g))) - CHANCE for x, g in pairs)
    if excess * control.values.shape[1] < min_positive:
        return np.zeros(len(pairs))
    rank = 1 - excess / 2
    return np.array([np.quantile(x, rank) - np.quantile(g, rank) for x, g in pairs], dtype=np.float64)


def _gate_of(control: Control, reference: Control, *, row: int, min_positive: int) -> ScatterGate:
    """Where on scatter the control has more events above the reference's level than the reference."""
    level = unstained_level(reference.values[row])
    above = control.values[row] >= level
    if control.scatter is None or np.count_nonzero(above) < min_positive:
        return EVERY_EVENT
    if reference.scatter is None:
        return place_scatter_gate(control.scatter[:, above])
    chance = reference.scatter[:, reference.values[row] >= level]
    scale = control.values.shape[1] / reference.values.shape[1]
    return place_scatter_gate(control.scatter[:, above], chance, scale=scale)


def _kept(gate: ScatterGate, tube: Control) -> FloatArray:
    """The events of a tube that lie in a gate, shape (n_detectors, n)."""
    return tube.values[:, gate.keeps(tube.scatter, tube.values.shape[1])]


def _unsaturated(values: FloatArray, limits: FloatArray) -> BoolArray:
    whole: BoolArray = np.all(values < limits[:, None], axis=0)
    return whole


def _thin(values: FloatArray) -> Matrix:
    step = max(1, -(-values.shape[1] // MAX_EVENTS))
    return values[:, ::step].astype(np.float64)
