"""Cells per microlitre of blood: against beads, by a blood count, or in a metered volume.

References
----------
CDC, MMWR 2003;52(RR-2): single-platform absolute CD4+ T-cell counts with beads.
CDC, MMWR 1997;46(RR-2): CD4+ T-cell counts with a haematology analyser (dual platform).
"""

from __future__ import annotations

import math

from cytotrial.errors import CountError
from cytotrial.science.counting.intervals import clopper_pearson, log_normal, poisson_upper_of_zero
from cytotrial.science.counting.relative import NO_EVENT
from cytotrial.terms import Count

MOST_LYMPHOCYTES = 100.0
"""10^9 per litre. More is leukaemia, or cells per µL written where 10^9 per litre is asked for."""

SLOWEST_UL_PER_MIN, FASTEST_UL_PER_MIN = 3.0, 3000.0
"""Sample flow of flow cytometers, with room: a volume in the wrong unit (1000-fold) falls outside."""

MOST_OF_THE_BEADS = 1.1
"""More beads than this times those in the tube cannot have been acquired."""


def count_against_beads(
    cells: int,
    beads: int,
    *,
    beads_per_tube: float,
    blood_ul: float,
    lot_cv_percent: float = 0.0,
    pipette_cv_percent: float = 0.0,
) -> Count:
    """Cells per microlitre of blood, counted against beads in the same tube (single platform).

    Parameters
    ----------
    cells, beads : int
        Events in the population's gate and in the bead gate, from one acquisition.
    beads_per_tube, blood_ul : float
        Beads in the tube, from the lot's certificate; whole blood in the tube, in µL.
    lot_cv_percent, pipette_cv_percent : float
        Errors that counting cannot see; stated in `systematic_cv_percent`, not in the interval.

    Returns
    -------
    Count
        Value and exact limits in cells/µL: given cells + beads events, the cells are binomial,
        so the Clopper-Pearson limits p of their share become p/(1 − p) · beads/µL. No cell
        seen is 0.0 with the two-sided Poisson upper limit 3.69 events.

    Raises
    ------
    CountError
        If no bead was acquired, or more than the tube holds, or if beads or blood are not
        positive: the count is then undefined.

    Examples
    --------
    >>> count_against_beads(5_000, 10_000, beads_per_tube=50_000, blood_ul=50).value
    500.0
    """
    _require_beads(beads, beads_per_tube=beads_per_tube, blood_ul=blood_ul)
    per_bead = beads_per_tube / blood_ul
    if cells == 0:
        low, high, cv = 0.0, poisson_upper_of_zero() / beads * per_bead, None
    else:
        low, high = (share / (1 - share) * per_bead for share in clopper_pearson(cells, cells + beads))
        cv = 100.0 * math.sqrt(1.0 / cells + 1.0 / beads)
    return Count(
        cells / beads * per_bead,
        low,
        high,
        cv,
        cells,
        beads,
        "BEAD",
        _no_event(cells),
        systematic_cv_percent=math.hypot(lot_cv_percent, pipette_cv_percent),
        inputs={"bead_events": beads, "beads_per_tube": beads_per_tube, "blood_ul": blood_ul},
    )


def _require_beads(beads: int, *, beads_per_tube: float, blood_ul: float) -> None:
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
    if beads > MOST_OF_THE_BEADS * beads_per_tube:
        raise CountError(
            f"{beads} beads were acquired of {beads_per_tube:g} that the sheet says the tube holds.",
            hint="Is beads_per_tube the lot's beads per µL or per mL? It is the number in the whole tube.",
        )


def count_by_blood_count(
    cells: int, lymphocytes: int, *, lymphocytes_10e9_per_l: float, cv_percent: float = 3.0
) -> Count:
    """Cells per microlitre of blood, as a share of the lymphocytes that a haematology analyser counted.

    Parameters
    ----------
    cells, lymphocytes : int
        Events in the population's gate, and in the gate of *all* lymphocytes of the same tube.
    lymphocytes_10e9_per_l : float
        The analyser's count of the same draw, in 10^9/L.
    cv_percent : float
        Coefficient of variation of that count; it is part of the interval.

    Returns
    -------
    Count
        Value and log-normal limits in cells/µL, var ln = CV² + (1 − f)/cells. No cell seen is
        0.0 with the exact upper limit of the share.

    Raises
    ------
    CountError
        If no lymphocyte was seen, if the population is larger than they are, or if the blood
        count is not above 0 or above what blood holds.

    Examples
    --------
    >>> count_by_blood_count(5120, 12_000, lymphocytes_10e9_per_l=1.2).value
    512.0
    """
    if lymphocytes <= 0 or cells > lymphocytes:
        raise CountError(
            f"{cells} events of {lymphocytes} lymphocytes: the population is not among the lymphocytes.",
            hint="Look at the lymphocyte gate of this tube.",
        )
    if not 0 < lymphocytes_10e9_per_l <= MOST_LYMPHOCYTES:
        raise CountError(
            f"the blood count of {lymphocytes_10e9_per_l:g} x 10^9/L lymphocytes is none "
            f"(expected above 0, up to {MOST_LYMPHOCYTES:g}).",
            hint="Is it in cells per µL? 1200 per µL are 1.2 x 10^9/L.",
        )
    per_ul = 1000.0 * lymphocytes_10e9_per_l
    share = cells / lymphocytes
    log_sd = math.hypot(cv_percent / 100, math.sqrt((1 - share) / cells)) if cells else None
    value = share * per_ul
    low, high = (
        (0.0, clopper_pearson(0, lymphocytes)[1] * per_ul) if log_sd is None else log_normal(value, log_sd)
    )
    return Count(
        value,
        low,
        high,
        None if log_sd is None else 100 * log_sd,
        cells,
        lymphocytes,
        "DUAL",
        _no_event(cells),
        inputs={
            "lymphocyte_events": lymphocytes,
            "cbc_lymphocytes_10e9_per_l": lymphocytes_10e9_per_l,
            "cbc_cv_percent": cv_percent,
        },
    )


def count_in_volume(
    cells: int,
    *,
    volume_nl: float,
    dilution: float,
    cv_percent: float = 0.0,
    pipette_cv_percent: float = 0.0,
) -> Count:
    """Cells per microlitre of blood, counted in a volume that the cytometer metered.

    Parameters
    ----------
    cells : int
        Events in the population's gate.
    volume_nl : float
        Volume in which they were counted, in nanolitres.
    dilution : float
        Volume in the tube over the blood in it, at least 1.
    cv_percent : float
        Coefficient of variation of the metered volume; it is part of the interval.
    pipette_cv_percent : float
        Error of the dilution; stated in `systematic_cv_percent`, not in the interval.

    Returns
    -------
    Count
        Value and log-normal limits in cells/µL, var ln = 1/cells + CV². No cell seen is 0.0
        with the two-sided Poisson upper limit 3.69 events.

    Raises
    ------
    CountError
        If the volume is not positive, or the dilution below 1.

    Examples
    --------
    >>> count_in_volume(512, volume_nl=40_000, dilution=40).value
    512.0
    """
    if not volume_nl > 0:
        raise CountError(f"the acquired volume of {volume_nl:g} nL must be above 0.")
    if not dilution >= 1:
        raise CountError(
            f"the dilution of {dilution:g} must be at least 1.",
            hint="It is the volume in the tube over the blood in it: 50 µL of blood in 2 mL are 40.",
        )
    per_event = 1000.0 * dilution / volume_nl
    value = cells * 1000.0 * dilution / volume_nl
    log_sd = math.hypot(cv_percent / 100, 1 / math.sqrt(cells)) if cells else None
    low, high = (0.0, poisson_upper_of_zero() * per_event) if log_sd is None else log_normal(value, log_sd)
    return Count(
        value,
        low,
        high,
        None if log_sd is None else 100 * log_sd,
        cells,
        None,
        "VOL",
        _no_event(cells),
        systematic_cv_percent=pipette_cv_percent,
        inputs={"volume_nl": volume_nl, "dilution": dilution},
    )


def check_flow_rate(volume_nl: float, *, seconds: float) -> None:
    """Refuse a volume that cannot have passed in the time of the acquisition.

    Cytometers draw 10 to 1,000 µL a minute; a volume whose unit was mistaken is 1000-fold off and
    falls outside 3 to 3,000 µL a minute.

    Raises
    ------
    CountError
        With the flow that the volume would mean.

    Examples
    --------
    >>> check_flow_rate(30_350, seconds=25)
    """
    ul_per_min = volume_nl / 1000 / seconds * 60
    if not SLOWEST_UL_PER_MIN <= ul_per_min <= FASTEST_UL_PER_MIN:
        raise CountError(
            f"{volume_nl:g} nL in {seconds:g} s would be a flow of {ul_per_min:.3g} µL/min "
            f"(expected {SLOWEST_UL_PER_MIN:g} to {FASTEST_UL_PER_MIN:g}): $VOL is in another unit.",
            hint="Look up the acquired volume on the instrument; $VOL must be in nanolitres.",
        )


def _no_event(cells: int) -> tuple[str, ...]:
    return () if cells else (NO_EVENT,)
