"""A small sample of a tube's events from which the effect of moving any of its gates can be told.

Moving one gate changes the population of an event only if the event is in it already or fails nothing but
that gate on the way to it. Events are therefore told apart by their *pattern*, which gates they pass, each
gate taken by itself; a pattern that few other events share a population with is kept whole, a common one is
thinned evenly. The number of events of every pattern is kept too, so that all counts at the gates' own
places are exact, and only what crosses a moved edge is estimated.

References
----------
Horvitz DG, Thompson DJ. A generalization of sampling without replacement from a finite universe.
J Am Stat Assoc 1952;47:663-685 (weights are the inverse of the share that was kept).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.science.gates import TubeEvents, combine, contains
from cytotrial.terms import ROOT, BoolArray, BooleanGate, PlacedGate

Patterns = npt.NDArray[np.uint64]
LARGEST = 60
"""Gates that a pattern can hold, a bit each; a tube with more has no sample."""


@dataclass(frozen=True, eq=False)
class EventSample:
    """Chosen events of a tube, grouped by pattern.

    conditions : populations with a gate of their own (not a boolean one); bit i of a pattern is number i
    patterns : ndarray of uint64, shape (n_patterns,), ascending
    totals : ndarray of int64, shape (n_patterns,): events of the tube with each pattern
    kept : ndarray of int64, shape (n_patterns,): how many of them are in the sample, at least 1
    rows : ndarray of int64, shape (kept.sum(),): the events, pattern by pattern
    """

    conditions: tuple[str, ...]
    patterns: Patterns
    totals: npt.NDArray[np.int64]
    kept: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]


def sample_events(
    placed: Sequence[PlacedGate], events: TubeEvents, root: BoolArray, *, per_population: int
) -> EventSample | None:
    """Choose events so that every population has its share of those that a moved gate can bring or take.

    Parameters
    ----------
    placed : sequence of PlacedGate
        Parents, and what boolean gates name, before those that need them.
    events : TubeEvents
    root : ndarray of bool, shape (n_events,)
        The events that are gated.
    per_population : int
        How many events to keep, about, of those that one moved gate can bring into a population or
        take from it; all of them where there are no more.

    Returns
    -------
    EventSample or None
        The same for the same events: nothing is drawn by chance. None for more than 60 gates.
    """
    own = [gate for gate in placed if not isinstance(gate.gate, BooleanGate)]
    if len(own) > LARGEST:
        return None
    rows = np.flatnonzero(root)
    each = _pattern_of_each(own, events, rows)
    narrow: npt.NDArray[Any] = each.astype(np.uint16) if len(own) <= 16 else each
    order = np.argsort(narrow, kind="stable")
    ordered = each[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if rows.size else rows
    patterns = ordered[starts]
    totals = np.diff(np.append(starts, rows.size)).astype(np.int64)
    conditions = tuple(gate.population for gate in own)
    share = _share_of_each(placed, conditions, patterns, totals, per_population)
    kept = np.maximum(1, np.rint(totals * share)).astype(np.int64)
    return EventSample(conditions, patterns, totals, kept, rows[order[_spread(starts, totals, kept)]])


def _pattern_of_each(own: Sequence[PlacedGate], events: TubeEvents, rows: npt.NDArray[np.int64]) -> Patterns:
    """Which gates each event passes, a bit each, shape (n_rows,)."""
    each = np.zeros(rows.size, dtype=np.uint64)
    for bit, gate in enumerate(own):
        each |= contains(gate.gate, events)[rows].astype(np.uint64) << np.uint64(bit)
    return each


def _share_of_each(
    placed: Sequence[PlacedGate],
    conditions: Sequence[str],
    patterns: Patterns,
    totals: npt.NDArray[np.int64],
    per_population: int,
) -> npt.NDArray[np.float64]:
    """What part of each pattern to keep: the most that any population within one gate's reach asks for."""
    within_reach = {gate.population: np.zeros(patterns.size, dtype=bool) for gate in placed}
    for bit in range(-1, len(conditions)):
        near = patterns if bit < 0 else patterns ^ (np.uint64(1) << np.uint64(bit))
        masks = populations_of(placed, passing(conditions, near))
        for population in within_reach:
            within_reach[population] |= masks[population]
    share = np.zeros(patterns.size)
    for reached in within_reach.values():
        n_events = int(totals[reached].sum())
        if n_events:
            share[reached] = np.maximum(share[reached], min(1.0, per_population / n_events))
    return share


def passing(conditions: Sequence[str], patterns: Patterns) -> dict[str, BoolArray]:
    """Population → which patterns pass its gate, shape (n_patterns,)."""
    return {
        name: ((patterns >> np.uint64(bit)) & np.uint64(1)).astype(bool)
        for bit, name in enumerate(conditions)
    }


def populations_of(
    placed: Sequence[PlacedGate], passes: Mapping[str, BoolArray], *, n: int | None = None
) -> dict[str, BoolArray]:
    """The members of every population, from which of its gates each event (or pattern) passes.

    Examples
    --------
    >>> from cytotrial.terms import RectangleGate
    >>> gate = RectangleGate((), (), ())
    >>> tree = [PlacedGate("T cells", "root", gate), PlacedGate("CD4+", "T cells", gate)]
    >>> passes = {"T cells": np.array([True, False]), "CD4+": np.array([True, True])}
    >>> populations_of(tree, passes)["CD4+"]
    array([ True, False])
    """
    size = n if n is not None else next((mask.size for mask in passes.values()), 0)
    masks = {ROOT: np.ones(size, dtype=bool)}
    for gate in placed:
        inside = combine(gate.gate, masks) if isinstance(gate.gate, BooleanGate) else passes[gate.population]
        masks[gate.population] = masks[gate.parent] & inside
    return masks


def _spread(
    starts: npt.NDArray[np.int64], totals: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Positions, evenly spread, of so many of each run: of runs that begin at `starts`."""
    run = np.repeat(np.arange(kept.size), kept)
    number = np.arange(run.size) - np.repeat(np.cumsum(kept) - kept, kept)
    return starts[run] + ((2 * number + 1) * totals[run]) // (2 * kept[run])
