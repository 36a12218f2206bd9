"""From events in gates to frequencies and cells per microlitre, each with its 95 % interval.

Everything here works on numbers of events. An interval is the counting error only
(plus a stated coefficient of variation where a function takes one): it says how far the
value could be off if the same blood were acquired again, not how well a gate was placed.

References
----------
CDC, MMWR 2003;52(RR-2): single-platform absolute CD4+ T-cell counts with beads.
Clopper & Pearson, Biometrika 1934;26:404: exact limits of a binomial proportion.
"""

from __future__ import annotations

import math

from cytotrial.errors import CountError
from cytotrial.terms import Count

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""

NO_EVENT = "NO_EVENT"


def clopper_pearson(hits: int, trials: int) -> tuple[float, float]:
    """Exact 95 % limits of a proportion.

    Examples
    --------
    >>> low, high = clopper_pearson(507, 20_000)
    >>> round(low, 5), round(high, 5)
    (0.02322, 0.02762)
    """
    from scipy.special import betaincinv  # noqa: PLC0415 (half a second that a gating job never pays)

    low = 0.0 if hits == 0 else float(betaincinv(hits, trials - hits + 1, 0.025))
    high = 1.0 if hits == trials else float(betaincinv(hits + 1, trials - hits, 0.975))
    return low, high


def count_against_beads(cells: int, beads: int, *, beads_per_tube: float, blood_ul: float) -> Count:
    """Cells per microlitre of blood, counted against beads in the same tube (single platform).

    Parameters
    ----------
    cells, beads : int
        Events in the population's gate and in the bead gate, from one acquisition.
    beads_per_tube, blood_ul : float
        Beads in the tube, from the lot's certificate; whole blood in the tube, in µL.

    Returns
    -------
    Count
        Value and exact limits in cells/µL: given cells + beads events, the cells are binomial,
        so the Clopper-Pearson limits p of their share become p/(1 − p) · beads/µL. No cell
        seen is 0.0 with the two-sided Poisson upper limit 3.69 events.

    Raises
    ------
    CountError
        If no bead was acquired, or beads or blood are not positive: the count is undefined.
    """
    if beads <= 0:
        raise CountError(
            "no event in the bead gate, so no absolute count can be made.",
            hint="Were beads added to this tube? Look at its bead gate.",
        )
    if not (beads_per_tube > 0 and blood_ul > 0):
        raise CountError(
            f"beads_per_tube {beads_per_tube:g} and blood_ul {blood_ul:g} must both be above 0.",
            hint="Take beads_per_tube from the bead lot and blood_ul from the pipetting protocol.",
        )
    per_bead = beads_per_tube / blood_ul
    value = cells / beads * per_bead
    if cells == 0:
        return Count(
            0.0, 0.0, _poisson_upper_of_zero() / beads * per_bead, None, 0, beads, "BEAD", (NO_EVENT,)
        )
    low, high = clopper_pearson(cells, cells + beads)
    cv = 100.0 * math.sqrt(1.0 / cells + 1.0 / beads)
    return Count(value, low / (1 - low) * per_bead, high / (1 - high) * per_bead, cv, cells, beads, "BEAD")


def _poisson_upper_of_zero() -> float:
    """Upper 97.5 % limit of a Poisson mean of which no event was seen: −ln 0.025 = 3.69."""
    return -math.log(0.025)


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
    return Count(100 * fraction, 100 * low, 100 * high, cv, events, parent_events, "FRACTION", flags)


def subtract_background(stimulated: Count, unstimulated: Count) -> Count:
    """Net per cent of a parent: stimulated minus unstimulated, not below 0.

    The limits are normal: var = f(1 − f)/n of both tubes, added; the lower limit is not below 0.
    `events` stay those of the stimulated tube.
    """
    f_stim, n_stim = _fraction(stimulated)
    f_unstim, n_unstim = _fraction(unstimulated)
    spread = Z95 * math.sqrt(f_stim * (1 - f_stim) / n_stim + f_unstim * (1 - f_unstim) / n_unstim)
    net = f_stim - f_unstim
    value = max(0.0, net)
    cv = 100.0 * spread / Z95 / value if value > 0 else None
    flags = tuple(dict.fromkeys([*stimulated.flags, *(("BACKGROUND_ABOVE_SIGNAL",) if net < 0 else ())]))
    return Count(
        100 * value,
        100 * max(0.0, net - spread),
        100 * max(0.0, net + spread),
        cv,
        stimulated.events,
        stimulated.parent_events,
        "FRACTION-BACKGROUND",
        flags,
    )


def _fraction(count: Count) -> tuple[float, int]:
    if count.events is None or not count.parent_events:
        raise CountError("a fraction needs events and parent events.")
    return count.events / count.parent_events, count.parent_events


def count_across_tubes(percent: Count, parent_per_ul: Count) -> Count:
    """Cells/µL = per cent of a parent in a washed tube × cells/µL of that parent in the count tube.

    Both tubes must come from the same draw. Limits are log-normal; the relative variances of
    the fraction and of the count add. A population of which no event was seen gets 0.0 and the
    upper limit of its fraction times the count.
    """
    if percent.value is None or parent_per_ul.value is None:
        raise CountError("a count across tubes needs a percentage and a count of the same draw.")
    value = percent.value / 100 * parent_per_ul.value
    method = f"XTUBE({percent.method},{parent_per_ul.method})"
    flags = tuple(dict.fromkeys([*percent.flags, *parent_per_ul.flags]))
    if value == 0 or percent.cv_percent is None or parent_per_ul.cv_percent is None:
        high = (percent.ci_high or 0.0) / 100 * (parent_per_ul.ci_high or 0.0)
        return Count(value, 0.0, high, None, percent.events, percent.parent_events, method, flags)
    log_sd = math.hypot(percent.cv_percent, parent_per_ul.cv_percent) / 100
    return Count(
        value,
        value * math.exp(-Z95 * log_sd),
        value * math.exp(Z95 * log_sd),
        100 * log_sd,
        percent.events,
        percent.parent_events,
        method,
        flags,
    )


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
    if not denominator.value or numerator.value is None:
        raise CountError("the denominator of the ratio is 0 or missing, so the ratio is undefined.")
    value = numerator.value / denominator.value
    flags = tuple(dict.fromkeys([*numerator.flags, *denominator.flags]))
    events, parent_events = numerator.events, denominator.events
    if denominator.cv_percent is None:
        return Count(value, None, None, None, events, parent_events, "RATIO", flags)
    if numerator.value == 0 or numerator.cv_percent is None:
        half_event = 0.5 / (numerator.parent_events or 1) * 100 / denominator.value
        log_sd = math.hypot(math.sqrt(2.0), denominator.cv_percent / 100)
        return Count(
            value, 0.0, half_event * math.exp(Z95 * log_sd), None, events, parent_events, "RATIO", flags
        )
    log_sd = math.hypot(numerator.cv_percent, denominator.cv_percent) / 100
    return Count(
        value,
        value * math.exp(-Z95 * log_sd),
        value * math.exp(Z95 * log_sd),
        100 * log_sd,
        events,
        parent_events,
        "RATIO",
        flags,
    )
