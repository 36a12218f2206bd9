"""Which bins are off, given where each reference peak lies in each of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log2

import numpy as np
import numpy.typing as npt

from cytotrial.science.quality.medians import median_of_last, nan_median, nan_quantile, robust_sd
from cytotrial.science.quality.peaks import Trajectories
from cytotrial.terms import BoolArray, FloatArray

MANY_BINS = 100
WIDTH_OF_MANY, WIDTH_OF_FEW = 9, 5
"""Bins of the running median: from a hundred bins on about the reach of PeacoQC's smoothing spline, so that
what lasts five half bins is seen; otherwise as many as the shortest stretch that is called good."""
SMOOTHED_SD = {WIDTH_OF_MANY: 0.51, WIDTH_OF_FEW: 0.66}
"""SD of the running median of that many overlapping bins against that of one bin, for normal values."""
STEP_QUANTILE, NORMAL_QUANTILE = 0.8, 1.2816
"""80 % of normal values lie within 1.2816 SD; the estimate from n of them errs by about 1/√n."""
SMALLEST_NODE = 3
"""Nodes of no more bins are not split (PeacoQC)."""
N_STRETCHES, DRIFT_TAU = 10, 0.75
"""A tau of 0.75 or more among ten has a probability of about 0.001 where there is no trend (Kendall MG.
A new measure of rank correlation. Biometrika 1938;30:81-93)."""

Positions = npt.NDArray[np.intp]


def smoothing_width(n_bins: int) -> int:
    """Bins of the running median."""
    return WIDTH_OF_MANY if n_bins >= MANY_BINS else WIDTH_OF_FEW


def running_median(places: FloatArray) -> FloatArray:
    """Running median over the bins that show the peak, shape (n_bins, n_trajectories).

    A median keeps a step where it is. Where fewer than half of the bins around show the peak nothing
    is known, and the trajectory's own median stands.
    """
    n_bins, n_curves = places.shape
    width = smoothing_width(n_bins)
    padded = np.full((n_curves, n_bins + width - 1), np.nan)
    padded[:, width // 2 : width // 2 + n_bins] = places.T
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=1)
    here, n_there = median_of_last(windows)
    return np.asarray(np.where(n_there > width // 2, here, nan_median(places)[:, None]).T)


def least_shift(trajectories: Trajectories, *, k: float, min_shift: float) -> FloatArray:
    """What chance alone does not do to a smoothed trajectory: k times its sampling error, or `min_shift`.

    The error of a place is read from bins that follow each other without sharing events, so that
    neither a step nor a drift adds to it: the 80th percentile of their differences, which a fifth of
    leaps between two peaks does not escape, raised by two of its own standard errors.
    """
    places = trajectories.place
    steps = np.abs(places[2:] - places[:-2])
    n_steps = np.count_nonzero(~np.isnan(steps), axis=0)
    error = nan_quantile(steps, STEP_QUANTILE) / (NORMAL_QUANTILE * np.sqrt(2))
    error *= 1 + 2 / np.sqrt(np.maximum(n_steps, 1))
    return np.asarray(np.fmax(k * SMOOTHED_SD[smoothing_width(len(places))] * error, min_shift))


def off_by_mad(
    curves: FloatArray, trajectories: Trajectories, among: BoolArray, *, k: float, least: FloatArray
) -> BoolArray:
    """Bins whose curve leaves the median of the bins `among` by more than k robust SD, and by `least`."""
    known = np.where(among[:, None] & ~np.isnan(trajectories.place), curves, np.nan)
    return np.asarray(np.abs(curves - nan_median(known)) > np.fmax(k * robust_sd(known), least))


def isolated(curves: FloatArray, *, gain: float, least: FloatArray) -> tuple[BoolArray, Positions]:
    """Bins outside the largest leaf of PeacoQC's isolation tree, and the columns that were split.

    A node is split where the mean SD of the two sides is least against the SD of the node; the split
    holds if the SD falls by more than the share `gain` and the medians of the sides differ by `least`.
    A node of three or fewer bins is not split.
    """
    n_bins, n_curves = curves.shape
    outside = np.zeros(n_bins, bool)
    if not n_curves:
        return outside, np.empty(0, np.intp)
    leaves: list[Positions] = []
    split: list[int] = []
    nodes = [(np.arange(n_bins), 0)]
    while nodes:
        node, depth = nodes.pop()
        found = _best_split(curves[node], least) if depth < ceil(log2(n_bins)) else None
        if found is None or found[0] <= gain or node.size <= SMALLEST_NODE:
            leaves.append(node)
            continue
        _, column, cut = found
        high = curves[node, column] > cut
        split.append(column)
        nodes += [(node[high], depth + 1), (node[~high], depth + 1)]
    outside[:] = True
    outside[max(leaves, key=lambda leaf: leaf.size)] = False
    return outside, np.unique(split).astype(np.intp)


def _best_split(curves: FloatArray, least: FloatArray) -> tuple[float, int, float] | None:
    """Gain, column and cut of the best split of a node, or None if no side can be told from another."""
    n = len(curves)
    if n <= SMALLEST_NODE:
        return None
    ordered = np.sort(curves, axis=0)
    centred = ordered - ordered.mean(axis=0)
    below = np.arange(1, n)[:, None]
    sums, squares = np.cumsum(centred, axis=0), np.cumsum(centred**2, axis=0)
    left = _sd(sums[:-1], squares[:-1], below)
    right = _sd(sums[-1] - sums[:-1], squares[-1] - squares[:-1], n - below)
    whole = _sd(sums[-1], squares[-1], np.array(n))
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = (whole - (left + right) / 2) / whole
    apart = ordered[(below[:, 0] + n) // 2] - ordered[(below[:, 0] - 1) // 2] >= least
    gains = np.where(apart & (ordered[1:] > ordered[:-1]), np.nan_to_num(gains, nan=-np.inf), -np.inf)
    at, column = np.unravel_index(int(np.argmax(gains)), gains.shape)
    if not np.isfinite(gains[at, column]):
        return None
    return float(gains[at, column]), int(column), float(ordered[at, column])


def _sd(sums: FloatArray, squares: FloatArray, n: npt.NDArray[np.integer]) -> FloatArray:
    """Standard deviation from sums; 0 for a single value."""
    variance = (squares - sums**2 / n) / np.maximum(n - 1, 1)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def runs(mask: BoolArray) -> Iterator[tuple[int, int]]:
    """First and one past last of every run of True."""
    steps = np.diff(np.concatenate([[0], mask.astype(np.int8), [0]]))
    yield from zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True)


def short_runs(bad: BoolArray, *, shortest: int) -> BoolArray:
    """Good bins in runs of fewer than `shortest`, which go with their bad neighbours."""
    short = np.zeros_like(bad)
    for start, stop in runs(~bad):
        if stop - start < min(shortest, bad.size):
            short[start:stop] = True
    return short


def drifting(trajectories: Trajectories, good: BoolArray, *, min_shift: float) -> tuple[str, ...]:
    """Channels with a peak that climbs or falls through the tube by at least `min_shift`.

    The good bins are cut into ten stretches; Kendall's tau of their medians with their order must
    reach 0.75 (one in a thousand by chance, to either side).
    """
    if good.sum() < 2 * N_STRETCHES:
        return ()
    places = trajectories.place[good]
    stretches = [nan_median(part) for part in np.array_split(places, N_STRETCHES)]
    first, second = np.triu_indices(N_STRETCHES, 1)
    medians = np.array(stretches)
    tau = np.mean(np.sign(medians[second] - medians[first]), axis=0)
    ends = medians[-2:].mean(axis=0) - medians[:2].mean(axis=0)
    return channels_of(trajectories, (np.abs(tau) >= DRIFT_TAU) & (np.abs(ends) >= min_shift))


def channels_of(trajectories: Trajectories, chosen: BoolArray) -> tuple[str, ...]:
    """Channels of the chosen trajectories, each once."""
    names = (name for name, one in zip(trajectories.channels, chosen, strict=True) if one)
    return tuple(dict.fromkeys(names))
