"""How doubtful each gate of each tube is, from its place and its percentage beside those of other tubes.

Used where no better score is at hand. It finds gates that are misplaced; it does not find a batch that is
wrong as a whole, nor a tube whose biology overlaps.

References
----------
Iglewicz B, Hoaglin DC. How to detect and handle outliers. ASQC Quality Press 1993 (robust z from the MAD).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

HALF_DOUBTFUL = 4.0
"""Robust z at which the score is one half."""

FLAGGED = 0.9
"""Least score of a gate that its finder flagged."""

FEWEST = 4
"""Tubes that must be there to compare one with."""

_TO_SD = 0.6745


def doubt(
    positions: Sequence[float | None],
    percents: Sequence[float | None],
    batches: Sequence[str],
    *,
    confidences: Sequence[float | None],
    flags: Sequence[Sequence[str]],
) -> list[tuple[float, tuple[str, ...]]]:
    """Score from 0 to 1 (most doubtful) and reasons for one population's gate in each of some tubes.

    Parameters
    ----------
    positions : sequence of float or None
        Where the gate is on its axis, compared within the batch; None for gates without one number.
    percents : sequence of float or None
        Per cent of parent, compared across all tubes on the logit scale.
    batches : sequence of str
    confidences : sequence of float or None
        Of the gate finder, from 0 to 1.
    flags : sequence of sequences of str
        Of the gate itself.

    Examples
    --------
    >>> same = [0.5, 0.51, 0.49, 0.5, 0.9]
    >>> found = doubt(same, [None] * 5, ["B1"] * 5, confidences=[None] * 5, flags=[()] * 5)
    >>> [round(score, 2) for score, _ in found]
    [0.0, 0.03, 0.03, 0.0, 0.98]
    """
    placed = _within(np.array(batches), _numbers(positions))
    found = _robust_z(_logit(_numbers(percents)))
    return [
        _score(abs(place), abs(percent), confidence, flag)
        for place, percent, confidence, flag in zip(placed, found, confidences, flags, strict=True)
    ]


def _score(
    place: float, percent: float, confidence: float | None, flags: Sequence[str]
) -> tuple[float, tuple[str, ...]]:
    parts = {
        f"{place:.1f} robust SD from the gates of its batch": _from_z(place),
        f"percentage {percent:.1f} robust SD from all tubes": _from_z(percent),
        f"confidence {confidence}": 0.0 if confidence is None else 1 - confidence,
        f"flagged {', '.join(flags)}": FLAGGED if flags else 0.0,
    }
    reasons = sorted((part for part in parts if parts[part] >= 0.25), key=lambda part: -parts[part])
    return float(max(parts.values())), tuple(reasons)


def _from_z(z: float) -> float:
    return z**2 / (z**2 + HALF_DOUBTFUL**2)


def _numbers(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _logit(percents: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    share = np.clip(percents / 100, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(share / (1 - share)))


def _within(batches: npt.NDArray[np.str_], values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    z = np.zeros(values.size)
    for batch in np.unique(batches):
        z[batches == batch] = _robust_z(values[batches == batch])
    return z


def _robust_z(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Distance from the median in robust SD; 0 where it cannot be told."""
    known = values[np.isfinite(values)]
    if known.size < FEWEST:
        return np.zeros(values.size)
    middle = np.median(known)
    spread = np.median(np.abs(known - middle)) / _TO_SD
    spread = max(spread, 0.01 * max(abs(float(middle)), 1.0))
    return np.asarray(np.nan_to_num((values - middle) / spread))
