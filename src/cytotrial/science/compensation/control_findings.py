"""What speaks against a set of controls: refused ones, with the reason and the remedy, and doubtful ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np

from cytotrial.science.compensation.controls import MIN_NEGATIVE, MIN_POSITIVE, Control, Selection
from cytotrial.terms import Finding, FloatArray, Outcome

MAX_SATURATED = 0.2
WARN_SATURATED = 0.01
"""Fraction of the positives at the end of a detector: refused above the first, told above the second."""

MAX_STANDARD_ERROR = 0.005
"""A spillover known less well is told: at a brightness of 10⁴ it moves a population by half of a usual
negative width of 100."""


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


def precision_findings(
    selections: Sequence[Selection],
    scatter: FloatArray,
    background: FloatArray,
    *,
    detectors: Sequence[str],
    most: float = MAX_STANDARD_ERROR,
) -> tuple[Finding, ...]:
    """The controls whose spillover is known less well than asked, and what would mend each.

    Parameters
    ----------
    selections : sequence of Selection
    scatter, background : ndarray, shape (n_detectors, n_detectors)
        Standard errors of the spillover, by the scatter of the events and by the unknown background of the
        stained cells. The first falls with the root of the number of events, the second with brightness.
    detectors : sequence of str
    most : float
        Standard error that is asked for.
    """
    found = []
    for selection in selections:
        row = list(detectors).index(selection.detector)
        total = np.hypot(scatter[row], background[row])
        worst = int(np.argmax(total))
        if total[worst] > most:
            found.append(
                _imprecise(selection, detectors[worst], scatter[row, worst], background[row, worst], most)
            )
    return tuple(found)


def _imprecise(selection: Selection, into: str, scatter: float, background: float, most: float) -> Finding:
    total = float(np.hypot(scatter, background))
    if background > scatter:
        cause = "its stain is dim beside the background of the cells"
        remedy = (
            f"A stain {background / most:.1f} times as bright, or beads, would do: what is unknown of the "
            "background, divided by the brightness, is the error."
        )
    else:
        needed = int(np.ceil(selection.n_positive * (scatter / most) ** 2 / 100) * 100)
        cause = f"it rests on {selection.n_positive} positive events"
        remedy = f"Acquire about {needed} positive events: the error falls with the root of their number."
    return Finding(
        "control.imprecise",
        Outcome.WARN,
        f"control {selection.name!r} for {selection.detector!r}: its spillover into {into!r} is known to "
        f"±{total:.2g} (standard error); {most:g} was asked for, but {cause}.",
        selection.detector,
        f"{total:.2g}",
        f"≤ {most:g}",
        remedy,
    )


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
