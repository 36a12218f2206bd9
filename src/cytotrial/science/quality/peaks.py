"""Peaks of the density in every bin, followed through the acquisition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.science.quality.bins import Densities
from cytotrial.terms import FloatArray

LEAST_HEIGHT = 1 / 3
"""A peak counts if it is higher than a third of the highest of its bin (PeacoQC)."""
LEAST_BINS = 0.1
"""The number of peaks of a channel is the greatest seen in more than a tenth of its bins (PeacoQC)."""
LEAST_PRESENT = 0.5
"""A peak that fewer bins than half show is not followed (PeacoQC)."""

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
    height = densities.height
    inner = height[:, :, 1:-1]
    least = LEAST_HEIGHT * height.max(axis=2, keepdims=True)
    is_peak = (inner > height[:, :, :-2]) & (inner >= height[:, :, 2:]) & (inner > least)
    row, at = np.divmod(np.flatnonzero(is_peak), inner.shape[2])
    channel, in_bin = np.divmod(row, inner.shape[1])
    left, top, right = (height[channel, in_bin, at + offset].astype(np.float64) for offset in (0, 1, 2))
    shift = 0.5 * (left - right) / (left - 2 * top + right)
    place = densities.start[channel] + densities.step[channel] * (at + 1 + shift)
    return channel, in_bin, np.asarray(place)


def _follow(in_bin: Positions, place: FloatArray, n_bins: int) -> FloatArray:
    """Places of one channel's reference peaks, shape (n_bins, n_peaks), NaN where a bin lacks the peak.

    Peaks that too few bins show are dropped as references first: what lay nearest to them, as all of a
    stretch of shifted signal may, is followed as one of those that stay.
    """
    numbers = np.bincount(in_bin, minlength=n_bins)
    common = np.flatnonzero(np.bincount(numbers) > LEAST_BINS * n_bins)
    n_peaks = int(common[-1]) if common.size else 0
    if not n_peaks:
        return np.empty((n_bins, 0))
    reference = np.median(place[numbers[in_bin] == n_peaks].reshape(-1, n_peaks), axis=0)
    shown = np.mean(~np.isnan(_assign(in_bin, place, reference, n_bins)), axis=0)
    return _assign(in_bin, place, reference[shown >= LEAST_PRESENT], n_bins)


def _assign(in_bin: Positions, place: FloatArray, reference: FloatArray, n_bins: int) -> FloatArray:
    """Every peak to the nearest reference, and of several in one bin the nearest."""
    followed = np.full((n_bins, reference.size), np.nan)
    if reference.size:
        distance = np.abs(place[:, None] - reference)
        order = np.argsort(-distance.min(axis=1), kind="stable")  # the nearest is written last
        followed[in_bin[order], distance.argmin(axis=1)[order]] = place[order]
    return followed
