"""The quality-control donor's percentages, gates and intensities, batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from cytotrial.files.tables import Row
from cytotrial.science.tracking import Judgement, judge_batches
from cytotrial.steps.cohort import Cohort, Gated
from cytotrial.steps.judge import Kind, Reported
from cytotrial.terms import Role

COFACTOR = 150.0
"""Of arcsinh(median / 150), the scale on which medians of bright and dim markers vary alike."""


@dataclass(frozen=True, slots=True)
class Series:
    """One measure of the donor over the batches of a panel, in the order of acquisition.

    measure : `percent`, `position <gate>` or `median <marker>`
    """

    panel: str
    population: str
    measure: str
    batches: tuple[str, ...]
    acquired: tuple[str, ...]
    n_tubes: tuple[int, ...]
    judged: tuple[Judgement, ...]


def follow_donor(
    cohort: Cohort,
    reported: Reported,
    donors: Iterable[str],
    acquired: Mapping[str, str],
    markers: Mapping[Kind, str],
    *,
    establishing: int,
) -> list[Series]:
    """Every measure of every reported percentage, judged batch by batch.

    Parameters
    ----------
    donors : subjects that are quality-control donors
    acquired : sample_id → date and time of the acquisition; batches are put in this order
    markers : (panel, population) → the marker on the first axis of its gate
    establishing : see `judge_batches`
    """
    gates: dict[str, list[Gated]] = {}
    for gate in cohort.gates:
        if gate.tube.role is Role.SAMPLE and gate.tube.subject in set(donors):
            gates.setdefault(gate.tube.sample_id, []).append(gate)
    values: dict[tuple[str, str, str], dict[str, list[tuple[str, float]]]] = {}
    for kind, of in sorted(reported.shares.items()):
        for name, of_tube in gates.items():
            if of and of_tube[0].tube.panel == kind[0]:
                for measure, value in _measured(of_tube, kind, of, cohort, markers):
                    batches = values.setdefault((*kind, measure), {})
                    batches.setdefault(of_tube[0].tube.batch, []).append((acquired.get(name, ""), value))
    return [_series(key, batches, establishing) for key, batches in values.items()]


def _measured(
    gates: Sequence[Gated], kind: Kind, of: str, cohort: Cohort, markers: Mapping[Kind, str]
) -> Iterator[tuple[str, float]]:
    """What one tube of the donor says of a reported population: (measure, value)."""
    name, (panel, population) = gates[0].tube.sample_id, kind
    row = cohort.populations[name, population]
    parent = cohort.populations.get((name, of), {})
    if row["events"] and parent.get("events", "0") not in {"", "0"}:
        yield "percent", 100 * int(row["events"]) / int(parent["events"])
    medians = dict(part.split("=") for part in row["median_intensities"].split("|") if part)
    for gate in _deciding(gates, population, of):
        yield f"position {gate.population}", gate.place[0]
        marker = markers.get((panel, gate.population), "")
        if marker in medians:
            yield f"median {marker}", math.asinh(float(medians[marker]) / COFACTOR)


def _deciding(gates: Sequence[Gated], population: str, of: str) -> Iterator[Gated]:
    """The gates with a position that a population is made of, itself included, as far as its denominator."""
    by_name = {gate.population: gate for gate in gates}
    found, todo = {population}, [population]
    while todo:
        gate = by_name.get(todo.pop())
        for name in gate.above if gate else ():
            if name not in found and name != of:
                found.add(name)
                todo.append(name)
    above_of = _ancestors(by_name, of)
    yield from (gate for gate in gates if gate.place and gate.population in found - above_of)


def _ancestors(gates: Mapping[str, Gated], population: str) -> set[str]:
    found: set[str] = set()
    todo = [population]
    while todo:
        gate = gates.get(todo.pop())
        new = set(gate.above) - found if gate else set()
        found |= new
        todo += sorted(new)
    return found


def _series(
    key: tuple[str, str, str], batches: Mapping[str, Sequence[tuple[str, float]]], establishing: int
) -> Series:
    ordered = sorted(batches, key=lambda batch: (min(day for day, _ in batches[batch]), batch))
    means = [fmean(value for _, value in batches[batch]) for batch in ordered]
    return Series(
        *key,
        tuple(ordered),
        tuple(min(day for day, _ in batches[batch])[:10] for batch in ordered),
        tuple(len(batches[batch]) for batch in ordered),
        tuple(judge_batches(means, establishing=establishing)),
    )


def rows_of(series: Iterable[Series]) -> Iterator[Row]:
    """The rows of qc_donor.csv."""
    for one in series:
        for batch, day, n_tubes, judged in zip(
            one.batches, one.acquired, one.n_tubes, one.judged, strict=True
        ):
            yield {
                "panel": one.panel,
                "population": one.population,
                "measure": one.measure,
                "batch": batch,
                "acquired": day,
                "tubes": n_tubes,
                **asdict(judged),
            }


def alarms_of(series: Iterable[Series]) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """(panel, batch, population) → flags of the measures by which the batch is out of control."""
    found: dict[tuple[str, str, str], tuple[str, ...]] = {}
    for one in series:
        for batch, judged in zip(one.batches, one.judged, strict=True):
            if judged.rule:
                key = (one.panel, batch, one.population)
                flag = f"QC_DONOR:{judged.rule}:{one.measure.replace(' ', '_')}"
                found[key] = (*found.get(key, ()), flag)
    return found
