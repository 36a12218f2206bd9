"""How a control's events lie on each marker's axis: what the review page draws beside a tube's own curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.files.packing import deflated, pack_counts
from cytotrial.science.gating import GatedTube
from cytotrial.steps.event_samples import Scale
from cytotrial.terms import IDENTITY, BoolArray, BooleanGate, Dimension

STEPS = 512
"""Bins of an axis for one-dimensional counts: a threshold between two of them is counted exactly."""


def curves_of(gated: GatedTube, axis_of: Callable[[Dimension, GatedTube], Scale]) -> dict[str, Any] | None:
    """Counts in 512 bins on every marker's axis, of every population of a control tube.

    A control has no gate on the marker that it lacks; its events there are what the page is after. The
    scale of such an axis is that of most gates of the tube.

    Returns
    -------
    dict or None
        `curves`: population, channel and packed counts; None for a tube without a gate on a marker.
    """
    gates = [entry.gate for entry in gated.placed if not isinstance(entry.gate, BooleanGate)]
    known = {d.channel: d for gate in gates for d in gate.dimensions if _scaled(d)}
    if not known:
        return None
    (usual, _), *_ = Counter((d.transform, d.matrix) for d in known.values()).most_common(1)
    group, members = _groups_of(gated.masks.values())
    everything = np.arange(gated.tube.events.n_events)
    curves = []
    for channel in dict.fromkeys(gated.tube.channels.values()):
        dimension = known.get(channel, Dimension(channel, *usual))
        axis = axis_of(dimension, gated)
        steps = axis.steps(gated, everything, steps=STEPS)
        of_groups = np.bincount(group * STEPS + steps, minlength=members.shape[1] * STEPS)
        counts = members @ of_groups.reshape(-1, STEPS)
        for population, of_population in zip(gated.masks, counts, strict=True):
            curves.append([population, channel, deflated(pack_counts(of_population))])
    return {"sample_id": gated.tube.sample_id, "curves": curves}


def _groups_of(masks: Collection[BoolArray]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Events that are in the very same populations: each event's group, and the groups of each population.

    There are hardly more groups than populations, so that events are counted once and not once for each.

    Returns
    -------
    group : shape (n_events,)
    members : shape (n_populations, n_groups), 1 where a group is in a population
    """
    group = np.zeros(next(iter(masks)).size, dtype=np.intp)
    members: list[npt.NDArray[np.int64]] = []
    for mask in masks:
        split = 2 * group + mask
        filled = np.bincount(split) > 0
        group = (np.cumsum(filled) - 1)[split]
        halves = np.flatnonzero(filled)
        members = [*(of_population[halves // 2] for of_population in members), halves % 2]
    return group, np.stack(members)


def _scaled(dimension: Dimension) -> bool:
    return dimension.transform != IDENTITY and not dimension.denominator
