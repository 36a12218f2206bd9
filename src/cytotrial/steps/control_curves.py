"""How a control's events lie on each marker's axis: what the review page draws beside a tube's own curve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from cytotrial.files.packing import deflated, pack_counts
from cytotrial.science.gating import GatedTube
from cytotrial.steps.event_samples import Scale
from cytotrial.terms import IDENTITY, BooleanGate, Dimension

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
    curves = []
    for channel in dict.fromkeys(gated.tube.channels.values()):
        dimension = known.get(channel, Dimension(channel, *usual))
        axis = axis_of(dimension, gated)
        steps = axis.steps(gated, np.arange(gated.tube.events.n_events), steps=STEPS)
        for population, mask in gated.masks.items():
            counts = np.bincount(steps[mask], minlength=STEPS)
            curves.append([population, channel, deflated(pack_counts(counts))])
    return {"sample_id": gated.tube.sample_id, "curves": curves}


def _scaled(dimension: Dimension) -> bool:
    return dimension.transform != IDENTITY and not dimension.denominator
