"""A gating template on simulated tubes in memory: learn its reference, place, pool by batch, gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gating_cohort import StudyTube
from cytotrial.errors import GateError
from cytotrial.files.template import read_template
from cytotrial.science.batches import Batch, pool_batch
from cytotrial.science.finders import Example, Found, View, find_gate, is_learnt, learn_gate, threshold
from cytotrial.science.gates import apply_strategy, combine, contains
from cytotrial.science.gating import on_channel, on_channels
from cytotrial.terms import ROOT, BooleanGate, GatingStrategy, Population

REPOSITORY = Path(__file__).resolve().parents[1]
Reference = Mapping[str, Mapping[str, Any]]
Batches = Mapping[str, Batch]


@dataclass(frozen=True, eq=False)
class Gated:
    """One tube with its masks and what the finders said."""

    tube: StudyTube
    masks: dict[str, np.ndarray]
    found: dict[str, Found]

    def percent(self, population: str, of: str = "CD4+") -> float:
        return 100 * np.count_nonzero(self.masks[population]) / np.count_nonzero(self.masks[of])


def template(panel: str) -> GatingStrategy:
    return read_template(REPOSITORY / "config" / "gating" / f"{panel}.yaml")


def view_of(
    tube: StudyTube, population: Population, mask: np.ndarray, **beside: Any
) -> View:
    """What the population's finder sees of the events of `mask`."""
    assert population.find is not None
    dimensions = tuple(on_channel(d, tube.stained.channels) for d in population.find.dimensions)
    return View(dimensions, tube.stained.events.axes(dimensions, mask), **beside)


def learn(strategy: GatingStrategy, tubes: Iterable[StudyTube]) -> dict[str, Mapping[str, Any]]:
    """The constants of every learnt population, from the expert's gates."""
    examples: dict[str, list[Example]] = {}
    taught = [p for p in strategy.populations if p.find and is_learnt(p.find.finder)]
    for tube in tubes:
        masks = apply_strategy(tube.expert, tube.stained.events)
        for population in taught:
            if population.name not in masks:
                continue
            parent = masks[population.parent]
            view = view_of(tube, population, parent)
            examples.setdefault(population.name, []).append(
                Example(view, masks[population.name][parent], tube.plan.batch)
            )
    return {
        p.name: learn_gate(p.find.finder, examples[p.name], p.find.arguments)
        for p in taught
        if p.find and p.name in examples
    }


def gate(
    strategy: GatingStrategy,
    tube: StudyTube,
    *,
    reference: Reference,
    batches: Batches | None = None,
    controls: Mapping[str, View] | None = None,
    borrowed: Mapping[str, Found] | None = None,
) -> Gated:
    """Every gate of a strategy on one tube; what cannot be found falls back to the template's number."""
    masks, found = {ROOT: tube.stained.keep}, {}
    for population in strategy.populations:
        parent = masks[population.parent]
        if population.find is None:
            own = on_channels(population.gate, tube.stained.channels)
        elif borrowed and population.from_sample and population.name in borrowed:
            own = borrowed[population.name].gate
        else:
            control = (controls or {}).get(population.name)
            view = view_of(
                tube,
                population,
                parent,
                reference=reference.get(population.name),
                batch=(batches or {}).get(population.name),
                control=control.values if control else None,
            )
            found[population.name] = _find(population, view)
            own = found[population.name].gate
        inside = combine(own, masks) if isinstance(own, BooleanGate) else contains(own, tube.stained.events)
        masks[population.name] = parent & inside
    return Gated(tube, masks, found)


def _find(population: Population, view: View) -> Found:
    find = population.find
    assert find is not None
    try:
        return find_gate(find.finder, view, find.arguments)
    except GateError:
        if find.fallback is None:
            raise
        keep = str(find.arguments.get("keep", "above"))
        return Found(threshold(view.dimensions[0], find.fallback, keep=keep), flags=("GATE_FALLBACK",))


def pool(gated: Sequence[Gated]) -> dict[str, Batch]:
    """Where the tubes of one batch have each gate."""
    batches = {}
    for name in gated[0].found:
        told = [g.found[name] for g in gated if g.found[name].position_se]
        if told:
            pooled = pool_batch(
                np.array([f.position for f in told]), np.array([f.position_se for f in told])
            )
            if pooled:
                batches[name] = pooled
    return batches


def gate_batch(
    strategy: GatingStrategy,
    tubes: Sequence[StudyTube],
    *,
    reference: Reference,
    done: Callable[[Gated], Any] = lambda gated: gated,
) -> list[Any]:
    """Place all tubes of a batch, pool their positions, gate them."""
    batches = pool([gate(strategy, tube, reference=reference) for tube in tubes])
    return [done(gate(strategy, tube, reference=reference, batches=batches)) for tube in tubes]
