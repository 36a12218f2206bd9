"""One-dimensional densities on a fixed grid, and what can be read off them.

Binned counts smoothed by a Gaussian: an exact kernel density of 100,000 events costs
hundreds of times more and moves a cut by less than a hundredth of the display scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from cytotrial.terms import FloatArray

N_BINS = 520
RESAMPLES = 16
_ENOUGH = 20_000
"""Events from which a range or a bandwidth is read: every n-th of a larger number says the same."""


@dataclass(frozen=True, eq=False)
class Density:
    """A smoothed histogram: `grid` are the centres of the bins, `height` has unit area.

    `n_events` are the events it was made from, outliers included.
    """

    grid: FloatArray
    height: FloatArray
    n_events: int

    @property
    def mode(self) -> float:
        return float(self.grid[int(np.argmax(self.height))])

    @property
    def bin_width(self) -> float:
        return float(self.grid[1] - self.grid[0])


def density(
    values: FloatArray, *, adjust: float = 1.0, low: float | None = None, high: float | None = None
) -> Density:
    """Gaussian density of values on 520 bins.

    Parameters
    ----------
    values : ndarray, shape (n_events,)
    adjust : float
        Factor on the rule-of-thumb bandwidth 0.9 · min(SD, IQR/1.34) · n^(−1/5) (Silverman 1986).
    low, high : float, optional
        Range of the grid; by default the central 99.8 % of the values, widened by a tenth.
    """
    (start, stop), rule = range_and_bandwidth(values, margin=0.1)
    start, stop = (start if low is None else low), (stop if high is None else high)
    return smoothed(
        counts_of(values, low=start, high=stop),
        low=start,
        high=stop,
        bandwidth=adjust * rule,
        n_events=int(values.size),
    )


def usual_range(values: FloatArray, *, margin: float) -> tuple[float, float]:
    """The central 99.8 % of values, widened on both sides by a share `margin` of its length."""
    if not values.size:
        return -0.5, 1.5
    low, high = np.percentile(_some(values), [0.1, 99.9])
    return _widened(float(low), float(high), margin)


def _widened(low: float, high: float, margin: float) -> tuple[float, float]:
    wider = margin * (high - low) or 0.5
    return low - wider, high + wider


def counts_of(values: FloatArray, *, low: float, high: float) -> FloatArray:
    """Events in each of 520 bins of equal width from `low` to `high`; those outside are not counted."""
    place = (values - low) * (N_BINS / (high - low))
    with np.errstate(invalid="ignore"):
        inside = (place >= 0) & (place < N_BINS)
    return np.bincount(place[inside].astype(np.int32), minlength=N_BINS).astype(np.float64)


def smoothed(counts: FloatArray, *, low: float, high: float, bandwidth: float, n_events: int) -> Density:
    """The density of binned counts, smoothed by a Gaussian of SD `bandwidth` (in the values' unit)."""
    width = (high - low) / counts.size
    height = heights_of(counts[None, :], width=width, bandwidth=bandwidth)[0]
    grid = low + (np.arange(counts.size) + 0.5) * width
    return Density(grid, height, n_events)


def heights_of(counts: FloatArray, *, width: float, bandwidth: float) -> FloatArray:
    """Densities of several rows of binned counts, shape (n_rows, n_bins); zero where no event is."""
    smooth = _gaussian_filter(counts, bandwidth / width)
    area = smooth.sum(axis=1, keepdims=True) * width
    return np.asarray(smooth / np.where(area > 0, area, 1.0))


def bandwidth(values: FloatArray) -> float:
    """Silverman's rule of thumb; 1 for values without spread."""
    if values.size < 2:
        return 1.0
    some = _some(values)
    lower, upper = np.percentile(some, [25, 75])
    return _rule_of_thumb(some, float(upper - lower), n_events=values.size)


def _rule_of_thumb(some: FloatArray, quartiles: float, *, n_events: int) -> float:
    sd = float(np.std(some))
    spread = min(sd, quartiles / 1.34) or sd or 1.0
    return float(0.9 * spread * n_events**-0.2)


def range_and_bandwidth(values: FloatArray, *, margin: float) -> tuple[tuple[float, float], float]:
    """`usual_range` and `bandwidth`, the values put in order once for both."""
    if values.size < 2:
        return usual_range(values, margin=margin), bandwidth(values)
    some = _some(values)
    low, lower, upper, high = np.percentile(some, [0.1, 25, 75, 99.9])
    rule = _rule_of_thumb(some, float(upper - lower), n_events=values.size)
    return _widened(float(low), float(high), margin), rule


def _some(values: FloatArray) -> FloatArray:
    return values[:: max(1, values.size // _ENOUGH)]


def _gaussian_filter(counts: FloatArray, sigma: float) -> FloatArray:
    """Each row convolved with a Gaussian of `sigma` bins, mirrored at both ends so that no area is lost."""
    radius = int(min(4 * sigma + 1, counts.shape[1] - 1))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-9)) ** 2)
    kernel /= kernel.sum()
    padded = np.hstack([counts[:, radius - 1 :: -1], counts, counts[:, : -radius - 1 : -1]])
    joined = np.convolve(padded.ravel(), kernel, mode="full")[2 * radius : 2 * radius + padded.size]
    return np.asarray(joined.reshape(padded.shape)[:, : counts.shape[1]])


def resampled(counts: FloatArray) -> FloatArray:
    """Counts as they might have been, shape (16, n_bins): every bin redrawn from Poisson's law, always alike.

    The SD of what is read off them is its standard error (Efron, Ann Stat 1979;7:1), known to about a
    fifth: enough to weigh a tube against its batch.
    """
    chance = np.random.default_rng(0)
    return np.asarray(chance.poisson(counts, (RESAMPLES, counts.size)) * 1.0)


def local_maxima(height: FloatArray) -> npt.NDArray[np.intp]:
    """Positions of the peaks of a curve, ends included, in order; an empty stretch is no peak."""
    padded = np.concatenate([[-np.inf], height, [-np.inf]])
    return np.flatnonzero((padded[1:-1] > padded[:-2]) & (padded[1:-1] >= padded[2:]) & (height > 0))


def deepest_valley(
    curve: Density, *, low: float, high: float, min_share: float = 0.005, min_events: int = 20
) -> tuple[float, float] | None:
    """The deepest valley of a density that has its place in [low, high].

    Parameters
    ----------
    curve : Density
    low, high : float
        Range of the valley's position.
    min_share, min_events
        A valley counts only if at least this share and number of events lie on either side: a few
        stray events beyond an empty stretch are no population.

    Returns
    -------
    (position, depth) or None
        Depth is 1 − valley / lower of the highest peaks on its two sides: 1 is an empty valley,
        0 none. None if no valley lies in the range.
    """
    peaks = local_maxima(curve.height)
    share_left = np.cumsum(curve.height) / max(float(curve.height.sum()), 1e-300)
    needed = max(min_share, min_events / max(curve.n_events, 1))
    best: tuple[float, float] | None = None
    for left, right in pairwise(peaks):
        at = left + _middle_of_lowest(curve.height[left : right + 1])
        depth = depth_at(curve, int(at))
        populated = needed <= share_left[at] <= 1 - needed
        if populated and low <= curve.grid[at] <= high and (best is None or depth > best[1]):
            best = (float(curve.grid[at]), depth)
    return best


def depth_at(curve: Density, at: int) -> float:
    """How deep a density is at bin `at`: 1 − height / lower of the highest places on its two sides."""
    sides = min(float(curve.height[: at + 1].max()), float(curve.height[at:].max()))
    return 1 - float(curve.height[at]) / sides if sides else 0.0


def _middle_of_lowest(height: FloatArray) -> int:
    """The middle of the run of lowest values: an empty valley is cut in its middle, not at its edge."""
    lowest = np.flatnonzero(height <= height.min() + 1e-3 * height.max())
    return int(lowest[lowest.size // 2])
