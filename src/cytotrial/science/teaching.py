"""Turn tubes that an expert has gated into examples for the finders, and see how far the lesson carries.

The examples are the events themselves: what the expert kept of each population's parent. A population that
the expert has not gated is gated by the template, so that what lies below it can still be learnt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.finders import Example, View, is_learnt, learn_gate
from cytotrial.science.gates import operands
from cytotrial.science.placing import controls_for, inside, on_channel, own_gate, pooled_values
from cytotrial.science.stained import Around, ControlKey, GatedTube, StainedTube
from cytotrial.terms import ROOT, BoolArray, Find, GatingStrategy, Population

Controls = Mapping[ControlKey, Sequence[GatedTube]]


@dataclass(frozen=True, eq=False)
class Lesson:
    """The examples of one population and finder.

    find : how the template asks for it
    examples : sample_id → the example, of every tube that has one
    """

    population: Population
    find: Find
    examples: Mapping[str, Example]

    def without(self, tubes: Iterable[str]) -> Lesson:
        """The lesson less the examples of some tubes."""
        left_out = set(tubes)
        kept = {name: example for name, example in self.examples.items() if name not in left_out}
        return replace(self, examples=kept)


def masks_with(
    strategy: GatingStrategy, tube: StainedTube, expert: Mapping[str, BoolArray], controls: Controls
) -> dict[str, BoolArray]:
    """Population → its events: the expert's where there are any, else those of the template's own gate.

    Parameters
    ----------
    expert : mapping of population to ndarray of bool, shape (n_events,)
    """
    masks: dict[str, BoolArray] = {ROOT: tube.keep}
    around = Around(controls=controls)
    for population in strategy.populations:
        needed = (population.parent, *(operands(population.gate) if population.gate else ()))
        if population.name in expert:
            masks[population.name] = tube.keep & expert[population.name]
        elif all(name in masks for name in needed):
            try:
                gate = own_gate(population, tube, masks, around)
                masks[population.name] = masks[population.parent] & inside(gate.gate, tube, masks)
            except GateError:
                continue
    return masks


def examples_of(
    strategy: GatingStrategy,
    tube: StainedTube,
    masks: Mapping[str, BoolArray],
    taught: Iterable[str],
    controls: Controls,
    *,
    batch: str,
) -> Iterator[tuple[Population, Find, Example]]:
    """The example of one tube for every finder that learns, of the populations that an expert gated."""
    for population in strategy.populations:
        if population.name not in set(taught) or population.parent not in masks:
            continue
        for find in learners_of(population):
            parent = masks[population.parent]
            dimensions = tuple(on_channel(dimension, tube.channels) for dimension in find.dimensions)
            beside = controls_for(find, population.parent, controls)
            view = View(
                dimensions,
                tube.events.axes(dimensions, parent),
                pooled_values(beside, find, population.parent),
            )
            yield population, find, Example(view, masks[population.name][parent], batch)


def learners_of(population: Population) -> tuple[Find, ...]:
    """The finders of a population that learn: the first, those in its place, and the one beside it."""
    return tuple(
        find for find in (population.find.all() if population.find else ()) if is_learnt(find.finder)
    )


def learn(lesson: Lesson) -> Mapping[str, object]:
    """The constants that a lesson teaches. Raises GateError if its examples cannot."""
    if not lesson.examples:
        raise GateError("no reference tube has this population and its parent.")
    examples = [lesson.examples[name] for name in sorted(lesson.examples)]
    return learn_gate(lesson.find.finder, examples, lesson.find.arguments)


def learn_all(lessons: Iterable[Lesson]) -> dict[tuple[str, str], Mapping[str, object]]:
    """(population, finder) → constants, of the lessons that teach any."""
    taught: dict[tuple[str, str], Mapping[str, object]] = {}
    for lesson in lessons:
        try:
            taught[lesson.population.name, lesson.find.finder] = learn(lesson)
        except GateError:
            continue
    return taught


def with_constants(
    strategy: GatingStrategy, constants: Mapping[tuple[str, str], Mapping[str, object]], *, version: str
) -> GatingStrategy:
    """The strategy whose finders hold what was learnt: (population, finder) → constants."""

    def taught(find: Find, name: str) -> Find:
        fallback = taught(find.fallback, name) if isinstance(find.fallback, Find) else find.fallback
        second = taught(find.second, name) if find.second else None
        return replace(find, reference=constants.get((name, find.finder)), fallback=fallback, second=second)

    populations = tuple(
        replace(entry, find=taught(entry.find, entry.name)) if entry.find else entry
        for entry in strategy.populations
    )
    return replace(strategy, populations=populations, reference=version)


def untaught(strategy: GatingStrategy, population: str, of: str = "") -> bool:
    """Whether a population's number rests on gates that are found, and that no reference tubes calibrated.

    Without any reference that is every population of a strategy that finds gates; with one, those that are
    made (below `of`, where it is a percentage of that) by a finder which could have learnt and did not.
    """
    if not any(entry.find for entry in strategy.populations):
        return False
    entries = {entry.name: entry for entry in strategy.populations}
    found, todo = set[str](), [population]
    while todo:
        entry = entries.get(todo.pop())
        if entry is not None and entry.name not in {*found, of}:
            found.add(entry.name)
            todo += operands(entry.gate) if entry.gate else ()
            todo += [entry.parent] if of else []
    firsts = [find for name in found if (find := entries[name].find)]
    lacking = any(is_learnt(find.finder) and find.reference is None for find in firsts)
    return lacking or not strategy.reference


# How far the lesson carries


def relative_error(
    found: Mapping[str, BoolArray], expert: Mapping[str, BoolArray], population: str, of: str
) -> float | None:
    """Per cent by which a population's found share differs from the expert's; None if it cannot be told."""
    shares = [_share(masks, population, of) for masks in (found, expert)]
    if shares[0] is None or not shares[1]:
        return None
    return 100 * (shares[0] / shares[1] - 1)


def _share(masks: Mapping[str, BoolArray], population: str, of: str) -> float | None:
    if population not in masks or of not in masks:
        return None
    parent = int(np.count_nonzero(masks[of]))
    return int(np.count_nonzero(masks[population])) / parent if parent else None


def figures_of(errors: Sequence[float]) -> dict[str, float]:
    """Mean absolute error, bias (median) and the largest, in per cent of the value, and the number of tubes.

    Examples
    --------
    >>> figures_of([10.0, -20.0, 0.0])
    {'mean_absolute': 10.0, 'bias': 0.0, 'largest': 20.0, 'tubes': 3}
    """
    sizes = np.abs(errors)
    return {
        "mean_absolute": round(float(np.mean(sizes)), 2),
        "bias": round(float(np.median(errors)), 2),
        "largest": round(float(np.max(sizes)), 2),
        "tubes": len(errors),
    }
