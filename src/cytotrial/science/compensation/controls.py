"""Single-stain controls: which of their events are used, and which controls cannot be used.

A control is read in three steps. Events that reached the end of a detector are set aside. The stained
population is found on scatter, where the control has more events above the unstained level than an
unstained tube would have. Inside that scatter gate the events above the unstained level are the
positives, and the unstained events of the same scatter gate the negatives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.terms import BoolArray, Finding, FloatArray, Outcome

MIN_POSITIVE = 300
"""Positive events below which a control is refused.

A bright population that spreads by 5 % of its own brightness (a common figure beside the primary
detector) gives a slope with a standard error of 1.25 × 0.05 / √n: 0.0036 at 300 events, 0.0062 at 100.
At a brightness of 10⁴ the latter moves the negatives by more than half of a usual negative width of 100.
"""

MIN_NEGATIVE = 100
"""Negative events needed to know where the line starts."""

CHANCE = 0.005
"""Positive is what exceeds the level that this fraction of unstained events exceeds; counts are net of it."""

N_SCATTER_BINS = 64

MAX_SATURATED = 0.2
WARN_SATURATED = 0.01
"""Fraction of the positives at the end of a detector: refused above the first, told above the second."""

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
    """

    name: str
    detector: str
    positive: npt.NDArray[np.float64]
    negative: npt.NDArray[np.float64]
    n_positive: int
    saturated: float
    own_negatives: bool


def detector_limits(tubes: Sequence[Control]) -> npt.NDArray[np.float64]:
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
    gate = _scatter_gate(control, reference, row=row, min_positive=min_positive)
    inside, gated = gate.keep(control), gate.keep(reference)
    fits = gated.shape[1] >= MIN_NEGATIVE
    level = unstained_level(gated[row] if fits else reference.values[row])
    own = bool(reference.detector) or not fits
    candidates = inside if own else gated
    positive = inside[:, inside[row] >= level]
    whole = _unsaturated(positive, limits)
    return Selection(
        name=control.name,
        detector=control.detector,
        positive=_thin(positive[:, whole]),
        negative=_thin(candidates[:, (candidates[row] < level) & _unsaturated(candidates, limits)]),
        n_positive=max(0, round(np.count_nonzero(whole) - CHANCE * inside.shape[1])),
        saturated=float(np.mean(~whole)) if whole.size else 0.0,
        own_negatives=own,
    )


def unstained_level(values: FloatArray) -> float:
    """The value that 0.5 % of unstained events exceed."""
    return float(np.quantile(values, 1 - CHANCE))


def darkest(tubes: Sequence[Control], *, row: int) -> Control:
    """The tube whose upper end is lowest in one detector: it is not stained there."""
    return min(tubes, key=lambda t: unstained_level(t.values[row]))


def brightness(
    control: Control, references: Sequence[Control], *, min_positive: int = MIN_POSITIVE
) -> npt.NDArray[np.float64]:
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


def control_findings(
    selections: Sequence[Selection],
    signals: FloatArray,
    *,
    detectors: Sequence[str],
    min_positive: int = MIN_POSITIVE,
) -> tuple[Finding, ...]:
    """What speaks against each control, with the likely swap of two tubes named.

    Parameters
    ----------
    selections : sequence of Selection
        One per control.
    signals : ndarray, shape (n_controls, n_detectors)
        `brightness` of each control.
    detectors : sequence of str
        $PnN in the order of the columns of `signals`.
    min_positive : int
        Positive events below which a control is refused.

    Returns
    -------
    tuple of Finding
        `reject` for swapped tubes, a control that is brightest in a detector not its own, too few
        positives, more than 20 % of the positives saturated, no negatives; `warn` for more than 1 %
        saturated and for negatives taken from the tube itself.
    """
    brightest = [detectors[i] for i in np.argmax(signals, axis=1)]
    pairs = {(s.detector, b): s.name for s, b in zip(selections, brightest, strict=True)}
    found: list[Finding] = []
    for selection, elsewhere, signal in zip(selections, brightest, signals, strict=True):
        own = float(signal[list(detectors).index(selection.detector)])
        if elsewhere != selection.detector and signal.max() > max(own, 0.0):
            partner = pairs.get((elsewhere, selection.detector), "")
            found.append(_misplaced(selection, elsewhere, partner, own=own, other=float(signal.max())))
        else:
            found.extend(_event_findings(selection, min_positive))
    return tuple(found)


def panel_findings(
    controls: Sequence[Control],
    *,
    unstained: Control | None,
    detectors: Sequence[str],
    stained: Sequence[str],
) -> tuple[Finding, ...]:
    """Whether every stained detector has exactly one control, and every tube holds readable events."""
    tubes: dict[str, list[str]] = defaultdict(list)
    for control in controls:
        tubes[control.detector].append(control.name)
    found = [_unknown_detector(d, names, detectors) for d, names in tubes.items() if d not in detectors]
    found += [_no_control(d) for d in stained if d not in tubes]
    found += [_two_controls(d, names) for d, names in tubes.items() if len(names) > 1]
    for tube in [*controls, *([unstained] if unstained is not None else [])]:
        found.extend(_unreadable(tube, len(detectors)))
    return tuple(found)


@dataclass(frozen=True, eq=False)
class _ScatterGate:
    """The bins of a scatter histogram that belong to a population; no bins means every event."""

    edges: tuple[FloatArray, FloatArray] | None = None
    bins: BoolArray | None = None

    def keep(self, tube: Control) -> FloatArray:
        """The events of a tube that lie in the gate, shape (n_detectors, n)."""
        if self.edges is None or self.bins is None or tube.scatter is None:
            return tube.values
        n = len(self.bins)
        x, y = (
            np.searchsorted(e, s, side="right") - 1 for e, s in zip(self.edges, tube.scatter, strict=True)
        )
        within = (x >= 0) & (x < n) & (y >= 0) & (y < n)
        inside = within & self.bins[np.clip(x, 0, n - 1), np.clip(y, 0, n - 1)]
        return tube.values[:, inside]


def _scatter_gate(control: Control, reference: Control, *, row: int, min_positive: int) -> _ScatterGate:
    """Where on scatter the control has more events above the reference's level than the reference."""
    level = unstained_level(reference.values[row])
    above = control.values[row] >= level
    if control.scatter is None or np.count_nonzero(above) < min_positive:
        return _ScatterGate()
    ends = [np.quantile(s[above], (0.005, 0.995)) for s in control.scatter]
    if any(low == high for low, high in ends):
        return _ScatterGate()
    x, y = (np.linspace(low, high, N_SCATTER_BINS + 1) for low, high in ends)
    excess = _histogram(control.scatter[:, above], x, y)
    if reference.scatter is not None:
        chance = reference.scatter[:, reference.values[row] >= level]
        scale = control.values.shape[1] / reference.values.shape[1]
        excess = excess - scale * _histogram(chance, x, y)
    return _ScatterGate((x, y), _hill(_smooth(excess), height=1 / 3))


def _histogram(scatter: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    counts: npt.NDArray[np.float64] = np.histogram2d(scatter[0], scatter[1], bins=[x, y])[0]
    return counts


def _smooth(histogram: FloatArray) -> FloatArray:
    """A histogram blurred by a bell of about two bins on both axes (binomial weights)."""
    kernel = np.array([1.0])
    for _ in range(16):
        kernel = np.convolve(kernel, (0.5, 0.5))
    for axis in (0, 1):
        histogram = np.apply_along_axis(np.convolve, axis, histogram, kernel, "same")
    return histogram


def _hill(density: FloatArray, *, height: float) -> BoolArray:
    """The connected bins around the highest one that reach `height` of it."""
    high: BoolArray = np.asarray(density >= height * density.max())
    hill = np.zeros_like(high)
    hill[np.unravel_index(np.argmax(density), density.shape)] = True
    while True:
        grown = hill.copy()
        grown[1:] |= hill[:-1]
        grown[:-1] |= hill[1:]
        grown[:, 1:] |= hill[:, :-1]
        grown[:, :-1] |= hill[:, 1:]
        grown &= high
        if np.array_equal(grown, hill):
            return hill
        hill = grown


def _unsaturated(values: FloatArray, limits: FloatArray) -> BoolArray:
    whole: BoolArray = np.all(values < limits[:, None], axis=0)
    return whole


def _thin(values: FloatArray) -> npt.NDArray[np.float64]:
    step = max(1, -(-values.shape[1] // MAX_EVENTS))
    return values[:, ::step].astype(np.float64)


def _misplaced(selection: Selection, brightest: str, partner: str, *, own: float, other: float) -> Finding:
    message = (
        f"control {selection.name!r} for {selection.detector!r} is brightest in {brightest!r} "
        f"({other:.4g} above unstained; {own:.4g} in its own detector)."
    )
    if partner:
        code = "control.swapped"
        remedy = (
            f"Control {partner!r} for {brightest!r} is brightest in {selection.detector!r}: the two tubes "
            "look swapped; exchange their rows in the sample sheet."
        )
    else:
        code = "control.brightest_elsewhere"
        remedy = (
            "Check which tube this is. If it is the right one, its stain is too weak or its detector's "
            "voltage too low: acquire it anew, or give the matrix as a file."
        )
    return Finding(code, Outcome.REJECT, message, selection.detector, brightest, selection.detector, remedy)


def _too_few(selection: Selection, min_positive: int) -> Finding:
    own = (
        " (no unstained control fits, so the negatives are the tube's own)" if selection.own_negatives else ""
    )
    return Finding(
        "control.too_few_positive",
        Outcome.REJECT,
        f"control {selection.name!r} for {selection.detector!r} has {selection.n_positive} positive "
        f"events{own}; at least {min_positive} are needed: with fewer, the slope's own error moves the "
        "negatives visibly.",
        selection.detector,
        str(selection.n_positive),
        f"≥ {min_positive}",
        "Acquire more of this control, stain a more frequent marker with the fluorochrome, or use beads.",
    )


def _event_findings(selection: Selection, min_positive: int) -> Iterable[Finding]:
    tube = f"control {selection.name!r} for {selection.detector!r}"
    if selection.n_positive < min_positive:
        yield _too_few(selection, min_positive)
    if selection.negative.shape[1] < MIN_NEGATIVE:
        yield Finding(
            "control.no_negative",
            Outcome.REJECT,
            f"{tube}: {selection.negative.shape[1]} negative events in its scatter gate; at least "
            f"{MIN_NEGATIVE} are needed to know where the line starts.",
            selection.detector,
            str(selection.negative.shape[1]),
            f"≥ {MIN_NEGATIVE}",
            "Add an unstained control of the same cells or beads.",
        )
    if selection.saturated > WARN_SATURATED:
        yield Finding(
            "control.saturated",
            Outcome.REJECT if selection.saturated > MAX_SATURATED else Outcome.WARN,
            f"{tube}: {selection.saturated:.1%} of the positive events reach the end of a detector; "
            f"they are left out, and more than {MAX_SATURATED:.0%} is refused.",
            selection.detector,
            f"{selection.saturated:.3f}",
            f"≤ {MAX_SATURATED}",
            "Lower the voltage or titrate the antibody, and acquire controls and samples anew.",
        )
    if selection.own_negatives:
        yield Finding(
            "control.own_negatives",
            Outcome.WARN,
            f"{tube}: no unstained control lies in its scatter gate, so its own dimmest events are the "
            "negatives.",
            selection.detector,
            remedy="Add an unstained control of the same cells or beads.",
        )


def _unreadable(tube: Control, n_detectors: int) -> Iterable[Finding]:
    shape = tube.values.shape
    scatter = None if tube.scatter is None else tube.scatter.shape
    if len(shape) != 2 or shape[0] != n_detectors or scatter not in (None, (2, shape[1])):
        yield Finding(
            "control.shape",
            Outcome.REJECT,
            f"control {tube.name!r} holds values of shape {shape} and scatter of shape {scatter}; "
            f"({n_detectors}, n) and (2, n) were expected.",
            tube.detector,
            remedy="Every control must have been acquired with the panel's detectors.",
        )
    elif shape[1] < MIN_NEGATIVE:
        yield Finding(
            "control.too_few_events",
            Outcome.REJECT,
            f"control {tube.name!r} holds {shape[1]} events; at least {MIN_NEGATIVE} are needed.",
            tube.detector,
            remedy="Acquire more of this control.",
        )
    elif not (np.isfinite(tube.values).all() and (tube.scatter is None or np.isfinite(tube.scatter).all())):
        n_broken = int(np.count_nonzero(~np.isfinite(tube.values).all(axis=0)))
        yield Finding(
            "control.not_finite",
            Outcome.REJECT,
            f"control {tube.name!r}: {n_broken} events hold values that are not numbers.",
            tube.detector,
            remedy="Export the file from the instrument again.",
        )


def _unknown_detector(detector: str, names: Sequence[str], detectors: Sequence[str]) -> Finding:
    return Finding(
        "control.unknown_detector",
        Outcome.REJECT,
        f"control {', '.join(names)} is for {detector!r}, which is not a detector of this panel: "
        f"{', '.join(detectors)}.",
        detector,
        remedy="Correct the control's marker in the sample sheet, or the panel.",
    )


def _no_control(detector: str) -> Finding:
    return Finding(
        "control.missing",
        Outcome.REJECT,
        f"the fluorochrome of {detector!r} has no single-stain control; one was expected.",
        detector,
        remedy="Add its control to the sample sheet, or give the matrix as a file.",
    )


def _two_controls(detector: str, names: Sequence[str]) -> Finding:
    return Finding(
        "control.twice",
        Outcome.REJECT,
        f"{detector!r} has {len(names)} controls ({', '.join(names)}); one was expected.",
        detector,
        remedy="Keep the control that was stained and acquired like the samples.",
    )
