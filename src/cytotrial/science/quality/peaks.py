"""Peaks of the density in every bin, followed through the acquisition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.science.quality.bins import Densities
from cytotrial.science.quality.medians import nan_median
from cytotrial.terms import BoolArray, FloatArray

LEAST_HEIGHT = 1 / 3
"""A peak counts if it is higher than a third of the highest of its bin (PeacoQC)."""
LEAST_BINS = 0.1
"""The number of peaks of a channel is the greatest seen in more than a tenth of its bins (PeacoQC)."""
LEAST_PRESENT = 0.5
"""A peak that fewer bins than half show is not followed (PeacoQC)."""
N_STRETCHES, THROUGHOUT = 10, 0.7
"""A peak seen in seven of ten stretches is there all through: a disturbance is looked for in less than half
of a tube, which reaches into six of them at most."""

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Trajectories:
    """The place of each reference peak in every bin.

    channels : channel of each trajectory
    place : ndarray, shape (n_bins, n_trajectories), arcsinh scale; NaN where the bin does not show the peak
    """

    channels: tuple[str, ...]
    place: FloatArray


def follow_peaks(densities: Densities) -> Trajectories:
    """Reference peaks of every channel, and where each bin has them.

    Every peak of a bin belongs to the nearest reference peak, and to each reference peak at most one,
    the nearest.
    """
    n_bins = densities.height.shape[1]
    channel, in_bin, place = _find_peaks(densities)
    stops = np.searchsorted(channel, np.arange(len(densities.channels) + 1))
    names: list[str] = []
    places: list[FloatArray] = [np.empty((n_bins, 0))]
    for index, name in enumerate(densities.channels):
        own = slice(stops[index], stops[index + 1])
        followed = _follow(in_bin[own], place[own], n_bins)
        names += [name] * followed.shape[1]
        places.append(followed)
    return Trajectories(tuple(names), np.hstack(places))


def _find_peaks(densities: Densities) -> tuple[Positions, Positions, FloatArray]:
    """Channel, bin and place of every peak that is high enough, in this order; a parabola finds its top."""
    _, n_bins, n_levels = densities.height.shape
    height = densities.height.ravel()
    rises = height[1:] > height[:-1]
    tops = np.flatnonzero(rises[:-1] & ~rises[1:]) + 1
    row, level = np.divmod(tops, n_levels)
    least = LEAST_HEIGHT * densities.height.max(axis=2, initial=0.0).ravel()
    counts = (level > 0) & (level < n_levels - 1) & (height[tops] > least[row])
    tops, row, level = tops[counts], row[counts], level[counts]
    channel, in_bin = np.divmod(row, max(n_bins, 1))
    left, top, right = (height[tops + offset].astype(np.float64) for offset in (-1, 0, 1))
    shift = 0.5 * (left - right) / (left - 2 * top + right)
    place = densities.start[channel] + densities.step[channel] * (level + shift)
    return channel, in_bin, np.asarray(place)


def _follow(in_bin: Positions, place: FloatArray, n_bins: int) -> FloatArray:
    """Places of one channel's reference peaks, shape (n_bins, n_peaks), NaN where a bin lacks the peak.

    Peaks that too few bins show are not followed. If they come and go all through the tube, such as the
    small middle one of three populations, what lies nearest to them is left alone. If only a part of the tube
    shows them, they may be a peak that has shifted there: what lies nearest to them is followed as one of the
    others.
    """
    numbers = np.bincount(in_bin, minlength=n_bins)
    common = np.flatnonzero(np.bincount(numbers) > LEAST_BINS * n_bins)
    n_peaks = int(common[-1]) if common.size else 0
    if not n_peaks:
        return np.empty((n_bins, 0))
    reference = nan_median(place[numbers[in_bin] == n_peaks].reshape(-1, n_peaks))
    seen = np.zeros((n_bins, n_peaks), bool)
    seen[in_bin, _nearest(place, reference)] = True
    stays = seen.mean(axis=0) >= LEAST_PRESENT
    if stays.all():
        return _assign(in_bin, place, reference, n_bins)
    kept = stays | _throughout(seen)
    return _assign(in_bin, place, reference[kept], n_bins)[:, stays[kept]]


def _throughout(seen: BoolArray) -> BoolArray:
    """Which peaks are seen in most of ten stretches of the tube."""
    stretches = np.array([part.any(axis=0) for part in np.array_split(seen, N_STRETCHES)])
    return np.asarray(stretches.mean(axis=0) >= THROUGHOUT)


def _nearest(place: FloatArray, reference: FloatArray) -> Positions:
    """Which of the rising references lies nearest to each place; the lower one of two as near."""
    return np.searchsorted((reference[1:] + reference[:-1]) / 2, place)


def _assign(in_bin: Positions, place: FloatArray, reference: FloatArray, n_bins: int) -> FloatArray:
    """Every peak to the nearest reference, and of several in one bin the nearest."""
    followed = np.full((n_bins, reference.size), np.nan)
    if not reference.size:
        return followed
    nearest = _nearest(place, reference)
    cell = in_bin * reference.size + nearest
    if np.bincount(cell, minlength=followed.size).max() > 1:
        order = np.argsort(-np.abs(place - reference[nearest]), kind="stable")  # the nearest is written last
        cell, place = cell[order], place[order]
    followed.ravel()[cell] = place
    return followed
