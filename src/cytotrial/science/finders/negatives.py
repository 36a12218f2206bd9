"""Cuts at a distance from a tube's own negative peak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.batches import towards_batch
from cytotrial.science.densities import counts_of, density, heights_of, range_and_bandwidth, resampled
from cytotrial.science.finders.learning import centre_and_error, cut_of, usable
from cytotrial.science.finders.registry import Example, Found, View, bounded, learns, registered, threshold
from cytotrial.terms import FloatArray


@registered("negative_offset", uses_batch=True)
def find_negative_offset(
    view: View,
    *,
    offset: float,
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
    adjust: float = 1.0,
    max_move: float = 0.06,
) -> Found:
    """The tube's own negative peak plus an offset that was learnt from reference tubes.

    Parameters
    ----------
    view : View
        One dimension, in a parent most of whose events are negative. `view.reference` holds `offset`.
    offset : float
        Distance of the cut from the mode of the parent, on the gate's scale, where there is no reference.
    adjust : float
        Smoothing, as a factor on the rule-of-thumb bandwidth.
    max_move : float
        The most by which the batch may move the cut.
    """
    if view.n_events < 50:
        raise GateError(f"{view.n_events} events in the parent; the negative peak needs 50.")
    distance = float(view.reference["offset"]) if view.reference else offset
    mode, error = _mode(view.values[0], adjust=adjust)
    own = mode + distance
    cut, flags = bounded(towards_batch((own,), (error,), view.batch, max_move=max_move)[0], bounds)
    return Found(
        threshold(view.dimensions[0], cut, keep=keep), flags=flags, position=(own,), position_se=(error,)
    )


def _mode(values: FloatArray, *, adjust: float) -> tuple[float, float]:
    """The highest place of the density, and its standard error."""
    (low, high), rule = range_and_bandwidth(values, margin=0.1)
    counts, smoothing = counts_of(values, low=low, high=high), adjust * rule
    width = (high - low) / counts.size
    rows = heights_of(np.vstack([counts, resampled(counts)]), width=width, bandwidth=smoothing)
    modes = low + (np.argmax(rows, axis=1) + 0.5) * width
    return float(modes[0]), float(np.std(modes[1:]))


@learns("negative_offset")
def learn_negative_offset(
    examples: Sequence[Example], *, keep: str = "above", adjust: float = 1.0, **_: object
) -> dict[str, Any]:
    """Centre over the reference tubes (Huber) of the expert's cut less the tube's own mode, and its error.

    Returns
    -------
    dict
        `offset`, `offset_se` on the gate's scale.
    """
    tubes = usable(examples, n_inside=5, n_events=50)
    offsets = [
        cut_of(tube.view.values[0], tube.inside, keep=keep) - density(tube.view.values[0], adjust=adjust).mode
        for tube in tubes
    ]
    offset, error = centre_and_error(offsets)
    return {"offset": offset, "offset_se": error}
