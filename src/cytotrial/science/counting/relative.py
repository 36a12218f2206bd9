"""Per cent of a parent, net of background, and what follows from it in another tube of the same draw.

References
----------
Donner & Zou, Stat Methods Med Res 2012;21:347: limits of a product and of a ratio from those of the
parts ("square and add"), used where a net percentage is too uncertain for a log-normal interval.
"""

from __future__ import annotations

import math
from dataclasses import replace

from cytotrial.errors import CountError
from cytotrial.science.counting.intervals import Z95, Limits, clopper_pearson, log_normal, newcombe
from cytotrial.terms import Count

NO_EVENT = "NO_EVENT"
FRACTION = "FRACTION"
NET = "FRACTION-BACKGROUND"

VAGUE_CV_PERCENT, VAGUE_BACKGROUND = 10.0, 0.25
"""A net percentage with a larger CV, or with more than this share of the signal as background, gets score
limits on its own scale: log-normal limits of a difference near 0 hold the truth in 86 of 100 cases only."""


def frequency(events: int, parent_events: int) -> Count:
    """Per cent of a named parent, with Clopper-Pearson limits in per cent.

    Raises
    ------
    CountError
        If the parent is empty, or smaller than the population.
    """
    if parent_events <= 0:
        raise CountError(
            "the parent population holds no event, so no percentage can be made.",
            hint="Look at the gates of this tube, from the first one on.",
        )
    if events > parent_events:
        raise CountError(
            f"{events} events of a parent of {parent_events}: the gate is not inside its parent."
        )
    low, high = clopper_pearson(events, parent_events)
    fraction = events / parent_events
    cv = 100.0 * math.sqrt((1 - fraction) / events) if events else None
    flags = () if events else (NO_EVENT,)
    return Count(100 * fraction, 100 * low, 100 * high, cv, events, parent_events, FRACTION, flags)


def subtract_background(stimulated: Count, unstimulated: Count) -> Count:
    """Net per cent of a parent: stimulated minus unstimulated, not below 0.

    The limits are normal, var = f(1 − f)/n of both tubes, added; where the net value has a CV above
    10 %, or the background is more than a quarter of the signal, they are Newcombe's, from the score
    limits of both. No limit is below 0. `events` stay those of the stimulated tube; the raw percentage
    and the background are in `inputs`.

    Raises
    ------
    CountError
        If one of the two is no fraction of events.
    """
    events, parent_events = _events(stimulated)
    background, background_parent = _events(unstimulated)
    share, other = events / parent_events, background / background_parent
    sd = math.sqrt(share * (1 - share) / parent_events + other * (1 - other) / background_parent)
    net = share - other
    cv = 100.0 * sd / net if net > 0 else None
    if _is_vague(cv, share, other):
        low, high = newcombe(events, parent_events, background, background_parent)
    else:
        low, high = net - Z95 * sd, net + Z95 * sd
    above = ("BACKGROUND_ABOVE_SIGNAL",) if net < 0 else ("NOT_ABOVE_BACKGROUND",) if low <= 0 else ()
    return Count(
        100 * max(0.0, net),
        100 * max(0.0, low),
        100 * max(0.0, high),
        cv,
        events,
        parent_events,
        NET,
        tuple(dict.fromkeys([*stimulated.flags, *above])),
        inputs={
            "background_events": background,
            "background_parent_events": background_parent,
            "background_percent": 100 * other,
            "raw_percent": 100 * share,
        },
    )


def _is_vague(cv_percent: float | None, share: float, background: float) -> bool:
    """Whether a difference is too uncertain for limits that take it for log-normal."""
    return cv_percent is None or cv_percent > VAGUE_CV_PERCENT or background > VAGUE_BACKGROUND * share


def _events(count: Count) -> tuple[int, int]:
    if count.events is None or not count.parent_events:
        raise CountError("a fraction needs events and parent events.")
    return count.events, count.parent_events


def count_across_tubes(percent: Count, parent_per_ul: Count) -> Count:
    """Cells/µL = per cent of a parent in a washed tube × cells/µL of that parent in the count tube.

    Both tubes must come from the same draw. Limits are log-normal; the relative variances of the
    fraction and of the count add. A population of which no event was seen gets 0.0 and the upper limit
    of its fraction times the count. A net percentage that is uncertain (see `subtract_background`) keeps
    its own limits, widened by the error of the count.

    Raises
    ------
    CountError
        If one of the two has no value.
    """
    if percent.value is None or parent_per_ul.value is None:
        raise CountError("a count across tubes needs a percentage and a count of the same draw.")
    if parent_per_ul.value == 0:
        low, high, cv = 0.0, (percent.ci_high or 0.0) / 100 * (parent_per_ul.ci_high or 0.0), None
    else:
        log_sd = (parent_per_ul.cv_percent or 0.0) / 100
        low, high = _times(percent, parent_per_ul.value / 100, log_sd=log_sd)
        cv = None if percent.cv_percent is None else math.hypot(percent.cv_percent, 100 * log_sd)
    return Count(
        percent.value / 100 * parent_per_ul.value,
        low,
        high,
        cv,
        percent.events,
        percent.parent_events,
        f"XTUBE({percent.method},{parent_per_ul.method})",
        tuple(dict.fromkeys([*percent.flags, *parent_per_ul.flags])),
        systematic_cv_percent=parent_per_ul.systematic_cv_percent,
        inputs={**percent.inputs, "parent_value": parent_per_ul.value},
    )


def _times(part: Count, factor: float, *, log_sd: float) -> Limits:
    """95 % limits of part × factor, where the factor's logarithm is normal with `log_sd`."""
    value = (part.value or 0.0) * factor
    low, high = (part.ci_low or 0.0) * factor, (part.ci_high or 0.0) * factor
    if value == 0 or part.cv_percent is None:
        return 0.0, high
    net = part.method == NET
    if net and _is_vague(part.cv_percent, part.inputs["raw_percent"], part.inputs["background_percent"]):
        spread = Z95 * log_sd * value
        return max(0.0, value - math.hypot(value - low, spread)), value + math.hypot(high - value, spread)
    return log_normal(value, math.hypot(part.cv_percent / 100, log_sd))


def ratio_of_shared_parent(numerator: Count, denominator: Count) -> Count:
    """Ratio of two counts across tubes that share the count of their parent, which cancels.

    Parameters
    ----------
    numerator, denominator : Count
        The two **fractions of the same parent** (not the counts): R = f₁/f₂, with
        var ln R = (1 − f₁)/N₁ + (1 − f₂)/N₂ and no term for the parent's count.

    Raises
    ------
    CountError
        If the denominator is zero: the ratio is undefined.

    Notes
    -----
    Treating the two counts as independent would count the parent's error twice and make the
    interval up to a quarter too wide. For a numerator without events, half an event stands in
    for it in the interval only.
    """
    ratio = _ratio(numerator, denominator)
    if numerator.events == 0 and numerator.method == FRACTION and denominator.value:
        half_event = 0.5 / (numerator.parent_events or 1) * 100 / denominator.value
        log_sd = math.hypot(math.sqrt(2.0), (denominator.cv_percent or 0.0) / 100)
        return replace(ratio, ci_high=log_normal(half_event, log_sd)[1])
    return ratio


def ratio_of_counts(numerator: Count, denominator: Count) -> Count:
    """Ratio of two counts of the same draw that share nothing: their relative variances add.

    Raises
    ------
    CountError
        If the denominator is zero: the ratio is undefined.
    """
    ratio = _ratio(numerator, denominator)
    systematic = math.hypot(numerator.systematic_cv_percent, denominator.systematic_cv_percent)
    return replace(ratio, systematic_cv_percent=systematic)


def _ratio(numerator: Count, denominator: Count) -> Count:
    if not denominator.value or numerator.value is None:
        raise CountError("the denominator of the ratio is 0 or missing, so the ratio is undefined.")
    log_sd = (denominator.cv_percent or 0.0) / 100
    low, high = _times(numerator, 1 / denominator.value, log_sd=log_sd)
    cv = None if numerator.cv_percent is None else math.hypot(numerator.cv_percent, 100 * log_sd)
    return Count(
        numerator.value / denominator.value,
        low,
        high,
        cv,
        numerator.events,
        denominator.events,
        "RATIO",
        tuple(dict.fromkeys([*numerator.flags, *denominator.flags])),
    )
