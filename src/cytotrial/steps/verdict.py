"""All that is said of the gates of a trial, by batch, cohort and controls, and by the donor."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from cytotrial.files.lock import Lock
from cytotrial.files.strategy import read_strategies
from cytotrial.files.tables import read_table
from cytotrial.science.doubt import Limits, Spread
from cytotrial.science.teaching import untaught
from cytotrial.settings import Doubt, Settings
from cytotrial.steps.bounds import Beside, beside_controls
from cytotrial.steps.cohort import Cohort, Rows, read_cohort
from cytotrial.steps.judge import (
    Judged,
    Kind,
    Reported,
    Yardsticks,
    carried,
    judge_gates,
    reported_of,
    yardsticks_of,
)
from cytotrial.steps.plan import Plan, populations_used
from cytotrial.steps.qc_donor import Series, alarms_of, follow_donor
from cytotrial.steps.tails import read_tails
from cytotrial.terms import GatingStrategy

Strategies = Mapping[str, Mapping[str, GatingStrategy]]
"""Panel → sample name → strategy."""

Alarms = Mapping[tuple[str, str, str], tuple[str, ...]]
"""(panel, batch, population) → flags of the quality-control donor."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """All that was said of the gates.

    gates, populations : the rows of the joined tables
    judged, beside : (sample_id, population) → doubts by figures, and what its controls say
    flags : (sample_id, population) → doubts about it and about what it rests on
    uncalibrated : (panel, population) of reported values that rest on gates found without a reference
    """

    gates: Rows
    populations: Rows
    judged: Mapping[tuple[str, str], Judged]
    beside: Mapping[tuple[str, str], Beside]
    flags: Mapping[tuple[str, str], tuple[str, ...]]
    yardsticks: Yardsticks
    series: tuple[Series, ...]
    alarms: Alarms
    uncalibrated: frozenset[Kind]


def judge_trial(plan: Plan) -> Verdict:
    """Judge every gate of the joined tables; what was locked is measured by what was locked with it."""
    layout, settings = plan.layout, plan.trial.settings
    gates, populations = read_table(layout.joined_gates), read_table(layout.joined_populations)
    acquired = {row["sample_id"]: row["acquired"] for row in read_table(layout.inventory)}
    cohort = read_cohort(gates, populations, plan.trial.tubes, settings.qc_donor.subjects)
    reported = reported_of(settings, cohort)
    strategies = {panel: read_strategies(layout.strategy(panel)) for panel in plan.gated_panels}
    series = follow_donor(
        cohort,
        reported,
        settings.qc_donor.subjects,
        acquired,
        _markers(strategies),
        establishing=settings.qc_donor.establishing_batches,
    )
    yardsticks = _as_locked(yardsticks_of(cohort, reported), plan.lock)
    beside = _beside(plan, cohort, acquired)
    judged = {
        entry.key: _with_bound(entry, beside.get(entry.key))
        for entry in judge_gates(cohort, yardsticks, reported, _limits(settings.doubt))
    }
    return Verdict(
        gates,
        populations,
        judged,
        beside,
        carried(judged.values()),
        yardsticks,
        tuple(series),
        _alarms(series, plan.lock),
        frozenset(_uncalibrated(strategies, settings, reported)),
    )


def _with_bound(entry: Judged, beside: Beside | None) -> Judged:
    return replace(entry, flags=(*entry.flags, *beside.flags)) if beside else entry


def _limits(doubt: Doubt) -> Limits:
    return Limits(**{name: getattr(doubt, name) for name in Limits.__slots__})


def _beside(plan: Plan, cohort: Cohort, acquired: Mapping[str, str]) -> dict[tuple[str, str], Beside]:
    """What the controls say; of a locked tube, those that were there when it was locked."""
    tubes = {tube.sample_id: tube for tube in plan.trial.tubes}
    tails = {
        name: found
        for job in plan.gating_jobs
        for name, found in read_tails(plan.layout.unit_tails(*job)).items()
    }
    locked: Collection[str] = set(plan.lock.tubes) if plan.lock else ()
    return beside_controls(cohort.gates, tails, tubes, acquired, locked=locked)


def _as_locked(own: Yardsticks, lock: Lock | None) -> Yardsticks:
    """The yardsticks of a lock where it has any; batches that came later are measured by themselves."""
    if lock is None:
        return own
    middles = {
        (panel, population, batch): tuple(middle)
        for panel, populations in lock.middles.items()
        for population, batches in populations.items()
        for batch, middle in batches.items()
    }
    later = {key: middle for key, middle in own.middles.items() if key[2] not in lock.batches}
    spreads = {
        (panel, population): Spread(float(plain["middle"]), float(plain["sd"]), int(plain["n_tubes"]))
        for panel, populations in lock.spreads.items()
        for population, plain in populations.items()
    }
    sizes = {
        (panel, population): {name: tuple(values) for name, values in measures.items()}
        for panel, populations in lock.sizes.items()
        for population, measures in populations.items()
    }
    return Yardsticks({**later, **middles}, {**own.spreads, **spreads}, {**own.sizes, **sizes})


def _alarms(series: Collection[Series], lock: Lock | None) -> Alarms:
    """The donor's flags; of batches that are locked, those that they had."""
    own = alarms_of(series)
    if lock is None:
        return own
    then = {
        (panel, batch, population): tuple(flags)
        for panel, batches in lock.alarms.items()
        for batch, populations in batches.items()
        for population, flags in populations.items()
    }
    locked = set(lock.batches)
    return {**{key: flags for key, flags in own.items() if key[1] not in locked}, **then}


def _markers(strategies: Strategies) -> dict[Kind, str]:
    """(panel, population) → the marker on the first axis of its gate."""
    markers: dict[Kind, str] = {}
    for panel, by_sample in strategies.items():
        for strategy in by_sample.values():
            for population in strategy.populations:
                shape = population.find or population.gate
                dimensions = getattr(shape, "dimensions", ())
                if dimensions:
                    markers[panel, population.name] = dimensions[0].channel
    return markers


def _uncalibrated(strategies: Strategies, settings: Settings, reported: Reported) -> Iterator[Kind]:
    """What parameters report of panels whose gates are found without a reference."""
    for panel, by_sample in strategies.items():
        for population in populations_used(settings, panel):
            of = reported.denominator((panel, population))
            if any(untaught(strategy, population, of) for strategy in by_sample.values()):
                yield panel, population
