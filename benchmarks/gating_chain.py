"""A gating template on simulated tubes in memory: learn its reference, place, pool by batch, gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from cytotrial.files.template import read_template
from cytotrial.science.batches import Batch, pool_batch
from cytotrial.science.gates import apply_strategy
from cytotrial.science.gating import ControlKey, GatedTube, gate_tube
from cytotrial.science.teaching import Lesson, examples_of, learn_all, masks_with, with_constants
from cytotrial.terms import GatingStrategy
from gating_cohort import StudyTube

REPOSITORY = Path(__file__).resolve().parents[1]
Controls = Mapping[ControlKey, Sequence[GatedTube]]


def template(panel: str) -> GatingStrategy:
    return read_template(REPOSITORY / "config" / "gating" / f"{panel}.yaml")


def taught(strategies: Mapping[str, GatingStrategy], tubes: Iterable[StudyTube]) -> dict[str, GatingStrategy]:
    """The strategies with what the expert's gates on these tubes teach their finders."""
    lessons: dict[tuple[str, str], Lesson] = {}
    for tube in tubes:
        expert = apply_strategy(tube.expert, tube.stained.events)
        seen = set()
        for strategy in strategies.values():
            masks = masks_with(strategy, tube.stained, expert, {})
            for population, find, example in examples_of(
                strategy, tube.stained, masks, expert, {}, batch=tube.plan.batch
            ):
                key = population.name, find.finder
                if key in seen:
                    continue
                seen.add(key)
                known = lessons.get(key, Lesson(population, find, {}))
                lessons[key] = replace(known, examples={**known.examples, tube.plan.sample_id: example})
    constants = learn_all(lessons.values())
    return {name: with_constants(entry, constants, version="study") for name, entry in strategies.items()}


def pool(gated: Sequence[GatedTube]) -> dict[str, Batch]:
    """Where the tubes of one batch have each gate."""
    told: dict[str, list[tuple[tuple[float, ...], tuple[float, ...]]]] = {}
    for tube in gated:
        for gate in tube.placed:
            if gate.position_se:
                told.setdefault(gate.population, []).append((gate.position, gate.position_se))
    batches = {
        name: pool_batch(np.array([p for p, _ in pairs]), np.array([e for _, e in pairs]))
        for name, pairs in told.items()
    }
    return {name: batch for name, batch in batches.items() if batch}


def gate_batch(
    strategy: GatingStrategy,
    tubes: Sequence[StudyTube],
    *,
    controls: Callable[[StudyTube], Controls] = lambda _tube: {},
) -> list[GatedTube]:
    """Place all tubes of a batch, pool their positions, gate them."""
    first = [gate_tube(strategy, tube.stained, controls=controls(tube)) for tube in tubes]
    batches = pool(first)
    return [
        gate_tube(
            strategy,
            tube.stained,
            controls=controls(tube),
            batches=batches,
            known={gate.population: gate for gate in placed.placed},
        )
        for tube, placed in zip(tubes, first, strict=True)
    ]
