"""How doubtful a gate is: against its batch, its cohort, a second method, and the events it rests on.

Each measure is a number with a meaning of its own; a score puts them on one scale, so that the most
doubtful gate of a trial is looked at first. The score is the largest of the measures' ranks: what stands out
in one way is not excused by being ordinary in the others.

References
----------
Iglewicz B, Hoaglin DC. How to detect and handle outliers. ASQC 1993 (robust z by median and MAD).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MAD_TO_SD = 1.4826
EMPTY_VALLEY = 0.95
FEWEST_TUBES = 5
"""Tubes from which a median and a spread say anything."""

FAR_FROM_BATCH = "FAR_FROM_BATCH"
COHORT_OUTLIER = "COHORT_OUTLIER"
METHODS_DISAGREE = "METHODS_DISAGREE"
LOW_SIMILARITY = "LOW_SIMILARITY"
FEW_POSITIVES = "FEW_POSITIVES"
FEW_PARENTS = "FEW_PARENTS"


@dataclass(frozen=True, slots=True)
class Measures:
    """What can be doubtful about one gate on one tube; None where it cannot be told.

    batch_distance : of the tube's own position from the median of its batch, on the gate's scale
    cohort_z : robust z of the logit of the percentage, within the panel's sample tubes
    disagreement : ln of a second method's events over the gate's
    similarity : of the tube's density to the reference's
    events, parent_events : in the gate, and in what it was drawn on
    """

    batch_distance: float | None = None
    cohort_z: float | None = None
    disagreement: float | None = None
    similarity: float | None = None
    events: int | None = None
    parent_events: int | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond which a measure is a flag; see the settings section `doubt`."""

    batch_distance: float
    batch_distance_above: float
    cohort_z: float
    disagreement: float
    similarity: float
    few_events: int
    few_parents: int


def flags_of(
    measures: Measures, limits: Limits, *, reported: bool, deciding: bool, on_events: bool
) -> tuple[str, ...]:
    """The doubts about one gate.

    Parameters
    ----------
    reported : bool
        Whether the population's own number is reported: only that is compared with the cohort and held to a
        number of events.
    deciding : bool
        Whether the gate decides such a number: it is held to the closer distance from its batch.
    on_events : bool
        Whether the gate, or a reported number, rests on the parent's events: only then can these be too few.

    Examples
    --------
    >>> limits = Limits(0.04, 0.06, 3.0, 1.3, 0.85, 50, 200)
    >>> measures = Measures(batch_distance=-0.05, disagreement=0.3)
    >>> flags_of(measures, limits, reported=False, deciding=True, on_events=True)
    ('FAR_FROM_BATCH', 'METHODS_DISAGREE')
    >>> flags_of(Measures(batch_distance=-0.05), limits, reported=False, deciding=False, on_events=True)
    ()
    """
    farthest = limits.batch_distance if deciding else limits.batch_distance_above
    doubts = {
        FAR_FROM_BATCH: _beyond(measures.batch_distance, farthest),
        COHORT_OUTLIER: reported and _beyond(measures.cohort_z, limits.cohort_z),
        METHODS_DISAGREE: _beyond(measures.disagreement, math.log(limits.disagreement)),
        LOW_SIMILARITY: _below(measures.similarity, limits.similarity),
        FEW_POSITIVES: reported and _below(measures.events, limits.few_events),
        FEW_PARENTS: on_events and _below(measures.parent_events, limits.few_parents),
    }
    return tuple(flag for flag, holds in doubts.items() if holds)


def _beyond(value: float | None, limit: float) -> bool:
    return value is not None and abs(value) > limit


def _below(value: float | None, limit: float) -> bool:
    return value is not None and value < limit


# The tube as a whole

UNSTEADY, SMALL = "UNSTEADY", "SMALL_TUBE"
NOT_JUDGED = ("NO_TIME", "TIME_")
"""Flags of acquisition that begin so tell what could not be judged: no fault was found."""


@dataclass(frozen=True, slots=True)
class Acquired:
    """How a tube was acquired.

    events, usual_events : of the tube, and the median of its panel's sample tubes
    unsteady_percent : share of its events that were masked because rate or signal were unsteady
    flags : of its acquisition
    """

    events: int
    usual_events: float
    unsteady_percent: float
    flags: tuple[str, ...] = ()


def faults_of(tube: Acquired, *, unsteady_percent: float, small_tube: float) -> tuple[str, ...]:
    """What is wrong with a tube by itself; nothing of a sound one.

    A rank among tubes always has a largest; a fault that was found is there or is not. Such a tube is to be
    looked at before every gate that is only the farthest of its kind.

    Parameters
    ----------
    tube : Acquired
    unsteady_percent : float
        More than this share masked is a fault: some bins of time are always off by chance.
    small_tube : float
        Fewer events than this share of what is usual are a fault.

    Examples
    --------
    >>> faults_of(Acquired(2_400, 40_000, 12.73, ("DRIFT:PE-A",)), unsteady_percent=1.0, small_tube=0.25)
    ('DRIFT:PE-A', 'UNSTEADY:12.7%', 'SMALL_TUBE:2400')
    >>> faults_of(Acquired(39_000, 40_000, 0.4, ("NO_TIME",)), unsteady_percent=1.0, small_tube=0.25)
    ()
    """
    found = {
        f"{UNSTEADY}:{tube.unsteady_percent:.1f}%": tube.unsteady_percent > unsteady_percent,
        f"{SMALL}:{tube.events}": tube.events < small_tube * tube.usual_events,
    }
    told = (flag for flag in tube.flags if not flag.startswith(NOT_JUDGED))
    return (*told, *(fault for fault, holds in found.items() if holds))


# Against the other tubes


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and robust SD of some tubes, and how many they were."""

    middle: float
    sd: float
    n_tubes: int


def spread_of(values: Sequence[float]) -> Spread | None:
    """Median and 1.4826 MAD; None of fewer than five tubes.

    Examples
    --------
    >>> spread_of([1.0, 2.0, 3.0, 4.0, 100.0])
    Spread(middle=3.0, sd=1.4826, n_tubes=5)
    """
    if len(values) < FEWEST_TUBES:
        return None
    middle = float(np.median(values))
    sd = MAD_TO_SD * float(np.median(np.abs(np.asarray(values) - middle)))
    return Spread(middle, sd, len(values))


def robust_z(value: float, spread: Spread | None) -> float | None:
    """Distance from the median in robust SD; None where there is no spread to measure by."""
    return None if spread is None or spread.sd <= 0 else (value - spread.middle) / spread.sd


def logit(events: int, parent_events: int) -> float | None:
    """ln of the odds of a percentage; half an event is added to either side. None of no parent.

    Examples
    --------
    >>> round(logit(50, 100), 6), logit(0, 0)
    (0.0, None)
    """
    if parent_events <= 0:
        return None
    return math.log((events + 0.5) / (parent_events - events + 0.5))


def middle_of(positions: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    """The median of a batch's positions, number by number; empty of fewer than three tubes."""
    same = [position for position in positions if len(position) == len(positions[0])]
    return tuple(map(float, np.median(same, axis=0))) if len(same) >= 3 else ()


def farthest(
    position: tuple[float, ...], middle: tuple[float, ...], *, depth: float | None = None
) -> float | None:
    """The largest distance, with its sign, of a position from its batch's; None where there is none to tell.

    A cut in a valley as good as empty (depth 0.95 or more) may lie anywhere in it: its distance is 0.

    Examples
    --------
    >>> farthest((0.5, 0.25), (0.5, 0.5)), farthest((0.5,), (0.6,), depth=0.99), farthest((), (0.6,))
    (-0.25, 0.0, None)
    """
    if not position or len(position) != len(middle):
        return None
    if depth is not None and depth >= EMPTY_VALLEY:
        return 0.0
    return max((own - other for own, other in zip(position, middle, strict=True)), key=abs)


# One score


def rank(value: float, among: Sequence[float]) -> float:
    """Share of sorted values that lie below a value, those equal to it counted half: 0 to 1.

    Examples
    --------
    >>> rank(3.0, [1.0, 2.0, 3.0, 4.0]), rank(9.0, [1.0, 2.0])
    (0.625, 1.0)
    """
    if not among:
        return 0.0
    return (bisect_left(among, value) + bisect_right(among, value)) / (2 * len(among))


def sizes(measures: Measures) -> dict[str, float]:
    """The measures by which gates are ranked, each as large as it is doubtful."""
    named = {
        FAR_FROM_BATCH: measures.batch_distance,
        COHORT_OUTLIER: measures.cohort_z,
        METHODS_DISAGREE: measures.disagreement,
    }
    return {name: abs(value) for name, value in named.items() if value is not None}


def score(measures: Measures, cohort: Mapping[str, Sequence[float]]) -> tuple[float, str]:
    """How doubtful a gate is among those of its kind, and by which measure.

    Parameters
    ----------
    cohort : mapping of measure to its sorted sizes over all tubes
        As `sizes` names them.

    Returns
    -------
    (score, measure)
        The largest rank, 0 to 1; 0 and no name where nothing could be measured.
    """
    ranks = {name: rank(size, cohort.get(name, ())) for name, size in sizes(measures).items()}
    if not ranks:
        return 0.0, ""
    worst = max(sorted(ranks), key=lambda name: ranks[name])
    return ranks[worst], worst
