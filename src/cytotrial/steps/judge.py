"""Doubts about gates that only the whole trial can tell: which flags, on what, and one score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cytotrial.science.doubt import (
    COHORT_OUTLIER,
    FEW_POSITIVES,
    Limits,
    Measures,
    Spread,
    flags_of,
    middle_of,
    robust_z,
    score,
    sizes,
    spread_of,
)
from cytotrial.settings import Absolute, Percent, Settings
from cytotrial.steps.cohort import Cohort, Gated
from cytotrial.terms import Role

OF_ITSELF = {COHORT_OUTLIER, FEW_POSITIVES}
"""Doubts about a population's own number; what rests on the population does not inherit them."""

Kind = tuple[str, str]
"""Panel and population."""


@dataclass(frozen=True, eq=False)
class Yardsticks:
    """What tubes are measured by.

    middles : (panel, population, batch) → where the batch's sample tubes have the gate
    spreads : (panel, population) → logit of the reported percentage over the cohort
    sizes : (panel, population) → measure → its sorted sizes over the cohort
    """

    middles: Mapping[tuple[str, str, str], tuple[float, ...]]
    spreads: Mapping[Kind, Spread]
    sizes: Mapping[Kind, Mapping[str, tuple[float, ...]]]


@dataclass(frozen=True, eq=False)
class Judged:
    """One gate of one tube, with what is doubtful about it.

    flags : of this gate, without those of the gates above
    score : 0 to 1, 1 is the most doubtful of the cohort; worst : the measure that it comes from
    """

    gate: Gated
    measures: Measures
    batch_middle: tuple[float, ...]
    flags: tuple[str, ...]
    score: float
    worst: str

    @property
    def key(self) -> tuple[str, str]:
        return self.gate.tube.sample_id, self.gate.population


@dataclass(frozen=True, eq=False)
class Reported:
    """Which populations are reported, and which gates decide their numbers.

    shares : (panel, population) that parameters report → what it is a percentage of; "" of none
    deciding : (panel, population) of the gates between a reported population and what it is a percentage of
    """

    shares: Mapping[Kind, str]
    deciding: frozenset[Kind]

    def denominator(self, kind: Kind) -> str:
        return self.shares.get(kind, "")


def reported_of(settings: Settings, cohort: Cohort) -> Reported:
    """What the parameters report, and the gates that their populations are made of."""
    shares: dict[Kind, str] = {}
    for parameter in settings.parameters.values():
        if isinstance(parameter, Absolute):
            shares.setdefault((parameter.panel, parameter.population), "")
        elif isinstance(parameter, Percent):
            shares[parameter.panel, parameter.population] = parameter.of
    above: dict[Kind, set[str]] = {}
    for gate in cohort.gates:
        above.setdefault(gate.kind, set()).update(gate.above)
    deciding = {kind for reported, of in shares.items() for kind in _between(reported, of, above)}
    return Reported(shares, frozenset(deciding))


def _between(reported: Kind, of: str, above: Mapping[Kind, set[str]]) -> set[Kind]:
    """A population and what it rests on, as far as the population that it is a percentage of."""
    panel, name = reported
    found, todo = {reported}, [name] if of else []
    while todo:
        for other in above.get((panel, todo.pop()), set()) - {of}:
            if (panel, other) not in found and _rests_on((panel, other), of, above):
                found.add((panel, other))
                todo.append(other)
    return found


def _rests_on(kind: Kind, of: str, above: Mapping[Kind, set[str]]) -> bool:
    panel, name = kind
    return name == of or any(_rests_on((panel, other), of, above) for other in above.get(kind, ()))


def yardsticks_of(cohort: Cohort, reported: Reported) -> Yardsticks:
    """Batch middles, cohort spreads and sorted measures, of the participants' sample tubes."""
    middles = _middles(cohort)
    spreads = _spreads(cohort, reported)
    ranked: dict[Kind, dict[str, list[float]]] = {}
    for gate in cohort.of_samples():
        measures = _measures(gate, cohort, reported, middles, spreads)
        for name, size in sizes(measures).items():
            ranked.setdefault(gate.kind, {}).setdefault(name, []).append(size)
    in_order = {
        kind: {name: tuple(sorted(values)) for name, values in by_name.items()}
        for kind, by_name in ranked.items()
    }
    return Yardsticks(middles, spreads, in_order)


def _middles(cohort: Cohort) -> dict[tuple[str, str, str], tuple[float, ...]]:
    places: dict[tuple[str, str, str], list[tuple[float, ...]]] = {}
    for gate in cohort.of_samples():
        if gate.place:
            places.setdefault((*gate.kind, gate.tube.batch), []).append(gate.place)
    middles = {key: middle_of(values) for key, values in places.items()}
    return {key: middle for key, middle in middles.items() if middle}


def _spreads(cohort: Cohort, reported: Reported) -> dict[Kind, Spread]:
    shares: dict[Kind, list[float]] = {}
    for gate in cohort.of_samples():
        share = _share(gate, cohort, reported)
        if share is not None:
            shares.setdefault(gate.kind, []).append(share)
    spreads = {kind: spread_of(values) for kind, values in shares.items()}
    return {kind: spread for kind, spread in spreads.items() if spread is not None}


def _share(gate: Gated, cohort: Cohort, reported: Reported) -> float | None:
    of = reported.denominator(gate.kind)
    return cohort.share(gate.tube.sample_id, gate.population, of) if of else None


def _measures(
    gate: Gated,
    cohort: Cohort,
    reported: Reported,
    middles: Mapping[tuple[str, str, str], tuple[float, ...]],
    spreads: Mapping[Kind, Spread],
) -> Measures:
    share = _share(gate, cohort, reported)
    z = None if share is None else robust_z(share, spreads.get(gate.kind))
    return gate.measures(batch_middle=middles.get((*gate.kind, gate.tube.batch), ()), cohort_z=z)


def judge_gates(cohort: Cohort, yardsticks: Yardsticks, reported: Reported, limits: Limits) -> list[Judged]:
    """Every gate of every sample tube, quality-control donors included; controls are judged by nobody."""
    return [
        _judge(gate, cohort, yardsticks, reported, limits)
        for gate in cohort.gates
        if gate.tube.role is Role.SAMPLE
    ]


def _judge(gate: Gated, cohort: Cohort, yardsticks: Yardsticks, reported: Reported, limits: Limits) -> Judged:
    measures = _measures(gate, cohort, reported, yardsticks.middles, yardsticks.spreads)
    flags = flags_of(
        measures,
        limits,
        reported=gate.kind in reported.shares,
        deciding=gate.kind in reported.deciding,
        on_events=gate.found,
    )
    worst = score(measures, yardsticks.sizes.get(gate.kind, {}))
    middle = yardsticks.middles.get((*gate.kind, gate.tube.batch), ())
    return Judged(gate, measures, middle, flags, *worst)


def carried(judged: Iterable[Judged]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(sample_id, population) → the doubts about it and about what it rests on, as `FLAG:population`.

    Gates come in gating order, parents first. Doubts about a population's own number stay with it.
    """
    passed: dict[tuple[str, str], tuple[str, ...]] = {}
    laid: dict[tuple[str, str], tuple[str, ...]] = {}
    for entry in judged:
        gate = entry.gate
        name = gate.tube.sample_id
        from_above = [flag for other in gate.above for flag in passed.get((name, other), ())]
        own = [f"{flag}:{gate.population}" for flag in entry.flags]
        laid[name, gate.population] = tuple(dict.fromkeys([*from_above, *own]))
        lasting = [f"{flag}:{gate.population}" for flag in entry.flags if flag not in OF_ITSELF]
        passed[name, gate.population] = tuple(dict.fromkeys([*from_above, *lasting]))
    return laid
