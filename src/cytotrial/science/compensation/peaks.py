"""The lowest peak of a distribution: where the cells lie that do not carry a marker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.terms import FloatArray

Ordered = npt.NDArray[np.float64]

N_GRID = 256
LEAST_HEIGHT = 1 / 3
"""A peak counts if it is higher than a third of the highest, as in PeacoQC."""

TAIL = 0.002
"""Share of the events beyond each end of the grid."""

REACH = 2.0
"""Half widths about a peak from which its middle is read again: 95 % of a normal population, and little
of what lies beside it."""


@dataclass(frozen=True, slots=True)
class Peak:
    """The lowest population of some values.

    level, width : float
        Its middle, and the SD of its lower half: what lies above may be something else, nothing lies below.
    n_events : int
        Events within two widths of the level.
    """

    level: float
    width: float
    n_events: int

    @property
    def error(self) -> float:
        """Standard error of the level: of a median, √(π/2) that of a mean."""
        return float(np.sqrt(np.pi / 2) * self.width / np.sqrt(max(self.n_events, 1)))


def lowest_peak(values: FloatArray) -> Peak:
    """The lowest population among some values, at least 20 of them.

    A density with a normal-reference bandwidth gives the lowest peak that counts; its middle and width are
    then read from the events about it, three times over.

    References
    ----------
    Silverman BW. Density Estimation for Statistics and Data Analysis. Chapman & Hall 1986, section 3.4.2.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> values = np.concatenate([rng.normal(10, 2, 4000), rng.normal(60, 5, 6000)])
    >>> peak = lowest_peak(values)
    >>> round(peak.level), round(peak.width)
    (10, 2)
    """
    ordered: Ordered = np.sort(values.astype(np.float64))
    level = _lowest_mode(ordered)
    width = _lower_width(ordered, level)
    for _ in range(3):
        first, last = np.searchsorted(ordered, (level - REACH * width, level + REACH * width))
        if last - first < 2 or width <= 0:
            break
        level = float(np.median(ordered[first:last]))
        width = _lower_width(ordered, level)
    first, last = np.searchsorted(ordered, (level - REACH * width, level + REACH * width))
    return Peak(level, width, int(last - first))


def _lower_width(ordered: Ordered, level: float) -> float:
    """1.4826 times the median distance of the events below a level."""
    below = ordered[: np.searchsorted(ordered, level)]
    return float(1.4826 * (level - np.median(below))) if below.size else 0.0


def _lowest_mode(ordered: Ordered) -> float:
    low, high = np.quantile(ordered, (TAIL, 1 - TAIL))
    if high <= low:
        return float(np.median(ordered))
    step = (high - low) / N_GRID
    edges = np.searchsorted(ordered, low + step * np.arange(N_GRID + 1))
    counts = np.diff(edges).astype(np.float64)
    lower, upper = np.quantile(ordered, (0.25, 0.75))
    spread = min(float(np.std(ordered)), float(upper - lower) / 1.349) or float(np.std(ordered))
    bandwidth = max(0.9 * spread * ordered.size**-0.2, step)
    distance = np.arange(-N_GRID, N_GRID + 1) * step
    density = np.convolve(counts, np.exp(-0.5 * (distance / bandwidth) ** 2))
    density = density[N_GRID : 2 * N_GRID]
    inner = density[1:-1]
    peaks = np.flatnonzero(
        (inner >= density[:-2]) & (inner > density[2:]) & (inner > LEAST_HEIGHT * density.max())
    )
    at = int(peaks[0]) + 1 if peaks.size else int(np.argmax(density))
    return float(low + (at + 0.5) * step)
