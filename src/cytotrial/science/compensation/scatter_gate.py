"""Where on scatter a stained population lies, so that positives and negatives are the same kind of cell."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from cytotrial.terms import BoolArray, FloatArray

N_BINS = 64
HILL = 1 / 3
"""The gate is the hill around the densest place, down to this share of its top (as AutoSpill's contour)."""

BELL = np.array([comb(16, k) for k in range(17)]) / 2.0**16

Edges = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class ScatterGate:
    """The bins of a scatter histogram that belong to a population; no bins means every event."""

    edges: Edges | None = None
    bins: BoolArray | None = None

    def keeps(self, scatter: FloatArray | None, n_events: int) -> BoolArray:
        """Which events lie in the gate; scatter has the shape (2, n_events)."""
        if self.edges is None or self.bins is None or scatter is None:
            return np.ones(n_events, bool)
        n = len(self.bins)
        x, y = (np.searchsorted(e, s, side="right") - 1 for e, s in zip(self.edges, scatter, strict=True))
        within = (x >= 0) & (x < n) & (y >= 0) & (y < n)
        return np.asarray(within & self.bins[np.clip(x, 0, n - 1), np.clip(y, 0, n - 1)])


EVERY_EVENT = ScatterGate()


def place_scatter_gate(
    stained: FloatArray, chance: FloatArray | None = None, *, scale: float = 1.0
) -> ScatterGate:
    """The hill of stained events on scatter.

    Parameters
    ----------
    stained : ndarray, shape (2, n_events)
        Forward and side scatter of the events above the unstained level.
    chance : ndarray, shape (2, n), optional
        The same of an unstained tube: events that exceed the level without a stain.
    scale : float
        Events of the stained tube per event of the unstained one.

    Returns
    -------
    ScatterGate
        `EVERY_EVENT` if the events have no spread.
    """
    ends = [np.quantile(s, (0.005, 0.995)) for s in stained]
    if any(low == high for low, high in ends):
        return EVERY_EVENT
    x, y = (np.linspace(low, high, N_BINS + 1) for low, high in ends)
    excess = _histogram(stained, x, y)
    if chance is not None:
        excess = excess - scale * _histogram(chance, x, y)
    return ScatterGate((x, y), _hill(_smooth(excess), height=HILL))


def common_scatter_gate(one: FloatArray, other: FloatArray) -> ScatterGate:
    """The hill of scatter in which both of two groups of events lie.

    Parameters
    ----------
    one, other : ndarray, shape (2, n_events)
        Forward and side scatter; at least one event each.
    """
    ends = [np.quantile(s, (0.005, 0.995)) for s in np.hstack([one, other])]
    if any(low == high for low, high in ends):
        return EVERY_EVENT
    x, y = (np.linspace(low, high, N_BINS + 1) for low, high in ends)
    shares = [_smooth(_histogram(s, x, y)) / s.shape[1] for s in (one, other)]
    return ScatterGate((x, y), _hill(np.minimum(*shares), height=HILL))


def _histogram(scatter: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    counts: npt.NDArray[np.float64] = np.histogram2d(scatter[0], scatter[1], bins=[x, y])[0]
    return counts


def _smooth(histogram: FloatArray) -> FloatArray:
    """A histogram blurred by a bell of about two bins on both axes (binomial weights)."""
    down = np.array([np.convolve(column, BELL, "same") for column in histogram.T]).T
    return np.array([np.convolve(row, BELL, "same") for row in down])


def _hill(density: FloatArray, *, height: float) -> BoolArray:
    """The connected bins around the highest one that reach `height` of it."""
    high: BoolArray = np.asarray(density >= height * density.max())
    hill = np.zeros_like(high)
    hill[np.unravel_index(np.argmax(density), density.shape)] = True
    while True:
        grown = hill.copy()
        grown[1:] |= hill[:-1]
        grown[:-1] |= hill[1:]
        grown[:, 1:] |= hill[:, :-1]
        grown[:, :-1] |= hill[:, 1:]
        grown &= high
        if np.array_equal(grown, hill):
            return hill
        hill = grown
