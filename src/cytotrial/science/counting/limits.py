"""What a number of events allows to be said: detected, quantifiable; and what blood rarely holds.

References
----------
ICCS Quality and Standards, rare events: fewer than 20 events are not a population, 20 to 50 are
detected and not quantifiable. McCloskey et al. 2020, sensitivity of assays of rare cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cytotrial.terms import Count

QUANTIFIABLE = "QUANTIFIABLE"
BELOW_QUANTITATION = "DETECTED, NOT QUANTIFIABLE"
NOT_DETECTED = "NOT DETECTED"

TYPICAL: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "LYMABS": (1000.0, 4000.0),
        "CD4ABS": (360.0, 1127.0),
        "TREGABS": (13.47, 64.58),
        "TH17ABS": (1.10, 19.54),
        "TREGPCD4": (2.17, 7.94),
        "TH17PCD4": (0.22, 2.62),
        "TH17TREG": (0.04, 0.76),
    }
)
"""Range in healthy adults, in the unit of the parameter: 150 healthy Han Chinese of Shanxi
(PMC7397677); lymphocytes: the usual adult reference interval of haematology."""

FAR = 10.0
"""A value below a tenth of the typical range, or above ten times it, deserves a look."""


def detection(events: float, *, lod_events: int, lloq_events: int) -> str:
    """What so many events are: quantifiable, detected and not quantifiable, or not detected.

    Examples
    --------
    >>> [detection(n, lod_events=20, lloq_events=50) for n in (19, 20, 50)]
    ['NOT DETECTED', 'DETECTED, NOT QUANTIFIABLE', 'QUANTIFIABLE']
    """
    if events < lod_events:
        return NOT_DETECTED
    return BELOW_QUANTITATION if events < lloq_events else QUANTIFIABLE


def events_above_background(count: Count) -> float:
    """Events of the population less those that the unstimulated tube lets expect by chance.

    240 events of 20,000 with 17 of 10,000 in the unstimulated tube are 240 − 34 = 206.
    Without background these are the events themselves.
    """
    events, parent_events = count.events or 0, count.parent_events or 0
    background, parent = (
        count.inputs.get(name) for name in ("background_events", "background_parent_events")
    )
    return events - background * parent_events / parent if background is not None and parent else events


def is_implausible(value: float, *, typical: tuple[float, float]) -> bool:
    """Whether a value lies outside a tenth to ten times the typical range: a hint at the assay, no verdict.

    Examples
    --------
    >>> [is_implausible(v, typical=(13.47, 64.58)) for v in (1.3, 1.4, 640.0, 650.0)]
    [True, False, False, True]
    """
    low, high = typical
    return not low / FAR <= value <= high * FAR
