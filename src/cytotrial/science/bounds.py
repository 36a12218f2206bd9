"""What a control tube says of a gate: a bound below which no cut should lie, and the background above one.

An FMO or unstimulated tube shows how far events reach that are certainly not positive. It is no gate: it
lacks what the antibody binds without being specific (see docs/gating.md). It is a bound, told and flagged,
and a background, told beside the value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.finders import View, find_gate
from cytotrial.science.placing import cut_of, on_channel
from cytotrial.science.stained import ControlKey, GatedTube
from cytotrial.terms import Find, FloatArray, GatingStrategy

TAIL_SHARE = 0.2
MOST_VALUES = 4_000


@dataclass(frozen=True, eq=False)
class ControlTail:
    """The upper tail of a control on the axis of one gate, within the gate's parent.

    n_events : events of the parent in the control
    bound : the quantile that the template asks for
    flags : CONTROL_TOO_SMALL where it is median + 3 robust SD, for want of events beyond the quantile
    every : each value stands for so many events
    values : ndarray, shape (n_values,), the highest fifth of the parent's events, falling, every n-th
    """

    population: str
    n_events: int
    bound: float
    flags: tuple[str, ...]
    every: int
    values: FloatArray

    def percent_above(self, cut: float) -> float | None:
        """Per cent of the control's parent at or above a cut; None where the cut lies below the tail.

        Examples
        --------
        >>> tail = ControlTail("FOXP3+", 1000, 0.5, (), 1, np.array([0.9, 0.7, 0.6]))
        >>> tail.percent_above(0.65), tail.percent_above(0.5)
        (0.2, None)
        """
        if not self.values.size or cut < self.values[-1]:
            return None
        above = int(np.count_nonzero(self.values >= cut))
        return 100 * min(above * self.every, self.n_events) / self.n_events


def tails_of(strategy: GatingStrategy, control: GatedTube, key: ControlKey) -> Iterator[ControlTail]:
    """The tails of a gated control for every gate of the strategy that is bounded by controls of its kind."""
    for population in strategy.populations:
        bound = population.find.bound if population.find else None
        if bound and (bound.control, bound.control_marker) == key and population.parent in control.masks:
            try:
                yield _tail(population.name, bound, population.parent, control)
            except GateError:
                continue


def _tail(population: str, find: Find, parent: str, control: GatedTube) -> ControlTail:
    dimension = on_channel(find.dimensions[0], control.tube.channels)
    values = control.tube.events.axes((dimension,), control.masks[parent])[0]
    found = find_gate(find.finder, View((dimension,), (values,), (values,)), find.arguments)
    n_tail = int(np.ceil(TAIL_SHARE * values.size))
    every = max(1, int(np.ceil(n_tail / MOST_VALUES)))
    tail = -np.sort(-values)[:n_tail:every]
    return ControlTail(population, int(values.size), cut_of(found.gate), found.flags, every, tail)
