"""Bins in acquisition order, and the density of every channel in every bin.

Everything is counted on quantised values: one histogram per half bin and channel, smoothed for all
bins of a channel by one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cytotrial.terms import FloatArray

COFACTOR = 150.0
"""Scale of the signal: arcsinh(value / 150), about linear within the noise of a dim detector and
logarithmic above it (Finak G, et al. BMC Bioinformatics 2010;11:546 for arcsinh on flow cytometry)."""

MIN_EVENTS_PER_BIN, MAX_BINS = 150, 500
"""Defaults of PeacoQC; the overlap by half too."""
MIN_BINS = 20
"""Fewer bins give no spread to speak of: a robust SD of 20 normal values errs by a quarter."""

N_LEVELS = 64
"""Quantised levels of a channel, at whose middles its densities are evaluated; the bandwidth is never less
than one of them, and a parabola finds a peak between them."""
EVENTS_OF_A_HALF = MIN_EVENTS_PER_BIN // 2
"""Events of a half bin whose density is looked at, if it holds more: every k-th. A peak of so many is
followed well enough (docs/quality.md), and the time does not grow with the tube."""
N_SUMMARY = 2_048
"""Events, evenly spaced over the tube, from which a channel's range and bandwidth are read."""
PEAK_BANDWIDTH = (4 / 5) ** (1 / 7)
"""Times SD and n^(−1/7): the normal-reference bandwidth for a density's slope, whose zeros are the peaks."""
KERNEL_END = 5.0
"""Bandwidths beyond which a Gaussian's weight (4e-6) is taken as none: subnormal products are slow."""
CENTRAL = (0.002, 0.998)
"""Quantiles between which peaks are looked for; rarer events have none."""

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Bins:
    """Overlapping bins of equally many events: bin i is made of the half bins i and i + 1.

    edges : ndarray of int, shape (n_bins + 2,)
        First event of every half bin, in acquisition order, and the number of events.
    """

    edges: npt.NDArray[np.intp]

    @property
    def n_bins(self) -> int:
        return self.edges.size - 2

    @property
    def n_halves(self) -> int:
        return self.edges.size - 1

    @property
    def events_per_bin(self) -> npt.NDArray[np.intp]:
        return self.edges[2:] - self.edges[:-2]


def make_bins(n_events: int) -> Bins | None:
    """At most 500 bins of at least 150 events that overlap by half; None for too few events.

    Examples
    --------
    >>> make_bins(100_000).n_bins, int(make_bins(100_000).events_per_bin[0])
    (499, 400)
    >>> make_bins(1_000) is None
    True
    """
    per_half = max(MIN_EVENTS_PER_BIN // 2, -(-n_events // MAX_BINS))
    n_halves = n_events // per_half
    if n_halves - 1 < MIN_BINS:
        return None
    return Bins(np.arange(n_halves + 1) * n_events // n_halves)


@dataclass(frozen=True, eq=False)
class Densities:
    """Unscaled densities of the channels that have a spread.

    channels : their names
    start, step : ndarray, shape (n_channels,): first grid point and grid spacing, on the arcsinh scale
    height : ndarray, shape (n_channels, n_bins, 64), float32
    """

    channels: tuple[str, ...]
    start: FloatArray
    step: FloatArray
    height: Float32


def bin_densities(rows: Sequence[Float32], channels: Sequence[str], bins: Bins) -> Densities:
    """Gaussian kernel density of every channel in every bin.

    Parameters
    ----------
    rows : sequence of ndarray, shape (n_events,), float32
        Detector units, in acquisition order.

    Notes
    -----
    The bandwidth is that which suits the slope of a density, a peak being where the slope is zero: half as
    wide again as Silverman's for the density itself, which breaks a broad peak of 150 events in two. It is
    one for all bins of a channel: one that changes from bin to bin moves peaks by itself.

    References
    ----------
    Chacón JE, Duong T, Wand MP. Asymptotics for general multivariate kernel density derivative
    estimators. Statistica Sinica 2011;21:807-840.
    """
    every = max(1, int(bins.edges[-1]) // (bins.n_halves * EVENTS_OF_A_HALF))
    edges = -(-bins.edges // every)
    counted = int(edges[1])
    scales = [_scale_of(row, 2 * counted) for row in rows]
    spread = [
        (name, row, scale)
        for name, row, scale in zip(channels, rows, scales, strict=True)
        if scale is not None
    ]
    counts = np.empty((len(spread), bins.n_halves, N_LEVELS), np.float32)
    kernels = np.empty((len(spread), N_LEVELS, N_LEVELS), np.float32)
    offsets = np.repeat(np.arange(bins.n_halves) * N_LEVELS, np.diff(edges))
    placed = np.empty_like(offsets)
    for count, kernel, (_, row, scale) in zip(counts, kernels, spread, strict=True):
        np.add(_levels(row[::every], scale), offsets, out=placed)
        count[:] = np.bincount(placed, minlength=count.size).reshape(count.shape)
        kernel[:] = _kernel(scale)
    counts[:, :, [0, -1]] = 0.0  # what lies beyond the range
    halves = counts @ kernels
    step = np.array([scale.step for _, _, scale in spread])
    start = np.array([scale.start for _, _, scale in spread]) + step / 2
    names = tuple(name for name, _, _ in spread)
    return Densities(names, start, step, np.add(halves[:, :-1], halves[:, 1:]))


@dataclass(frozen=True, slots=True)
class _Scale:
    """Start of a channel's levels, distance of their middles and bandwidth, on the arcsinh scale."""

    start: float
    step: float
    bandwidth: float


def _scale_of(row: Float32, events_per_bin: int) -> _Scale | None:
    """Levels and bandwidth of a channel, from some 2,000 of its events; None for one without spread."""
    some = np.sort(np.arcsinh(row[:: max(1, row.size // N_SUMMARY)] / np.float32(COFACTOR)))
    at = (np.array([CENTRAL[0], 0.25, 0.75, CENTRAL[1]]) * (some.size - 1)).astype(np.intp)
    low, lower, upper, high = some[at].tolist()
    if high <= low:
        return None
    sd = float(np.std(some, dtype=np.float64))
    spread = min(sd, (upper - lower) / 1.34) or sd
    bandwidth = PEAK_BANDWIDTH * spread * float(events_per_bin) ** (-1 / 7)
    step = (high - low + 6 * bandwidth) / N_LEVELS
    return _Scale(low - 3 * bandwidth, step, max(bandwidth, step))


def _kernel(scale: _Scale) -> Float32:
    """Weight of each level at each other, shape (64, 64): it depends on their distance only."""
    distance = np.arange(-N_LEVELS, N_LEVELS, dtype=np.float32) * (scale.step / scale.bandwidth)
    weight = np.where(np.abs(distance) < KERNEL_END, np.exp(-0.5 * distance**2), np.float32(0.0))
    places = np.arange(N_LEVELS)
    kernel: Float32 = weight[places[:, None] - places + N_LEVELS]
    return kernel


@lru_cache(maxsize=1)
def _ordered_codes() -> tuple[Float32, slice, int]:
    """The middle of each stretch of float32 values that share their upper 16 bits, arcsinh-scaled, rising;
    where among them the negative values stand, in the order of their codes, and where the others begin."""
    codes = np.arange(1 << 16, dtype=np.uint32)
    order = np.concatenate([codes[:0x7FFF:-1], codes[:0x8000]])
    middle = ((order << 16) | 0x8000).view(np.float32)
    bounded = np.nan_to_num(middle, nan=np.inf)
    bounded[:0x80] = -np.inf  # negative NaN
    return np.arcsinh(bounded / np.float32(COFACTOR)), slice(0x7FFF, None, -1), 0x8000


def _levels(row: Float32, scale: _Scale) -> npt.NDArray[np.uint8]:
    """The level 0 to 63 of every event, read off a table by the upper 16 bits of its float32 value.

    These bits fix a value to 0.8 %, less than a level in any channel with more than one population.
    """
    scaled, falling, rising = _ordered_codes()
    edges = np.searchsorted(scaled, (scale.start + scale.step * np.arange(1, N_LEVELS)).astype(np.float32))
    ordered = np.repeat(np.arange(N_LEVELS, dtype=np.uint8), np.diff(edges, prepend=0, append=scaled.size))
    table = np.concatenate([ordered[rising:], ordered[falling]])
    codes = row.astype(np.float32, copy=False).view(np.uint32) >> 16
    return np.asarray(table.take(codes.astype(np.intp), mode="clip"))
