"""Populations learnt on reference tubes, found again on a tube: the same cells, moved and stretched.

What differs between batches is gain and staining. On a display scale both move an axis, and stretch it
a little where it turns linear towards zero. So the reference's populations (a mixture of normals on all
axes together) are fitted to a tube with two numbers for each axis, a shift and a stretch, and a share for
each population; what they look like among themselves stays. All events take part, and no rare population
has to be found on its own.

References
----------
Dempster AP, Laird NM, Rubin DB. J R Stat Soc B 1977;39:1-38 (EM). Greenland S, Robins J. Epidemiology
1991;2:244 and Gelman A, et al. Bayesian Data Analysis, 3rd ed. 2013, ch. 5 (priors learnt from the other
units). Hahne F et al. Cytometry A 2010;77A:121 (per-channel normalisation by landmarks, its ancestor).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.science.densities import counts_of, range_and_bandwidth, smoothed
from cytotrial.terms import FloatArray

Float64 = npt.NDArray[np.float64]

_CELLS = 24
"""Cells along each axis: three axes have a few thousand filled ones, whatever the number of events."""
_POOLED = 32
_MOST = 40_000
"""Events that are binned; of more, every n-th."""
_STEPS = 60
_WORTH = 300.0
"""All events together count for no more than so many: beyond, it is not chance but that real populations are
not quite normal which decides, and the priors between tubes must keep a say in that."""
_SHARES_WORTH = 0.05
"""Weight of the reference's shares in a tube's, so that no population vanishes and frees its place."""
_MOST_STRETCH_SD = 0.15
"""Gain shifts a display scale; staining stretches it. A third more antibody moves stained cells by 0.03 of a
scale of 4.5 decades (log10 1.33 / 4.5) and unstained ones not at all; 0.2 to 0.3 lie between them."""
_CLOSE = 0.002
"""A fit has settled when no axis moves by more of its populations' SD."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Events binned on d axes: `place` is the mean of a cell's events, shape (n, d); `events`, shape (n,)."""

    place: Float64
    events: Float64


@dataclass(frozen=True, eq=False)
class Populations:
    """A mixture of k normals on d axes.

    share, shape (k,); mean, shape (k, d); covariance, shape (k, d, d)
    shift_sd, stretch_sd, shape (d,) : how far tubes lie apart
    """

    share: Float64
    mean: Float64
    covariance: Float64
    shift_sd: Float64
    stretch_sd: Float64

    @property
    def anchor(self) -> Float64:
        """The populations' common middle, about which an axis is stretched; shape (d,)."""
        return np.asarray(self.share @ self.mean)

    @property
    def width(self) -> Float64:
        """SD within populations on each axis, shape (d,)."""
        return np.asarray(np.sqrt(self.share @ np.einsum("kdd->kd", self.covariance)))


@dataclass(frozen=True, eq=False)
class Carried:
    """Where a tube has the populations: place = anchor + shift + stretch · (reference place − anchor).

    shift, stretch, shape (d,); share, shape (k,)
    error, shape (d, 2, 2) : covariance of shift and stretch of each axis
    """

    anchor: Float64
    shift: Float64
    stretch: Float64
    error: Float64
    share: Float64

    def at(self, axis: int, place: float) -> float:
        """A place of the reference, on the tube."""
        away = place - self.anchor[axis]
        return float(self.anchor[axis] + self.shift[axis] + self.stretch[axis] * away)

    def back(self, axis: int, place: float) -> float:
        """A place on the tube, in the reference."""
        away = place - self.anchor[axis] - self.shift[axis]
        return float(self.anchor[axis] + away / self.stretch[axis])

    def followed(self, follow: Sequence[float]) -> Carried:
        """The same move, followed only in part on the first axes: 1 is all of it, 0 none."""
        part = np.ones(self.shift.size)
        part[: len(follow)] = follow
        error = self.error * (part**2)[:, None, None]
        return Carried(self.anchor, part * self.shift, 1 + part * (self.stretch - 1), error, self.share)

    def reordered(self, order: Sequence[int]) -> Carried:
        """The same with axes in another order."""
        new = np.asarray(order)
        return Carried(self.anchor[new], self.shift[new], self.stretch[new], self.error[new], self.share)

    def error_at(self, axis: int, place: float) -> float:
        """Standard error of `at`."""
        by = np.array([1.0, place - self.anchor[axis]])
        return float(np.sqrt(by @ self.error[axis] @ by))


def reordered(populations: Populations, order: Sequence[int]) -> Populations:
    """The same populations with axes in another order."""
    new = np.asarray(order)
    return Populations(
        populations.share,
        np.ascontiguousarray(populations.mean[:, new]),
        np.ascontiguousarray(populations.covariance[:, new][:, :, new]),
        populations.shift_sd[new],
        populations.stretch_sd[new],
    )


def resemblance(populations: Populations, fit: Carried, axis: int, values: FloatArray) -> float:
    """How like the fitted populations a tube is on one axis: Bhattacharyya's coefficient, 0 to 1."""
    (low, high), smoothing = range_and_bandwidth(values, margin=0.1)
    counts = counts_of(values, low=low, high=high)
    curve = smoothed(counts, low=low, high=high, bandwidth=smoothing, n_events=values.size)
    mean = np.array([fit.at(axis, float(place)) for place in populations.mean[:, axis]])
    sd = np.sqrt(populations.covariance[:, axis, axis] * fit.stretch[axis] ** 2 + smoothing**2)
    each = np.exp(-0.5 * ((curve.grid[:, None] - mean) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
    return float(np.sqrt(curve.height * (each @ fit.share)).sum() * curve.bin_width)


def bin_events(values: Sequence[FloatArray]) -> Cells:
    """Events on d axes in cells between the outermost of each axis, 1 in 2,000 left out on either side."""
    step = max(1, values[0].size // _MOST)
    some = [np.asarray(axis[::step], dtype=np.float32) for axis in values]
    place = np.zeros(some[0].size, dtype=np.int32)
    for axis in some:
        low, high = np.quantile(axis[:: max(1, axis.size // 10_000)], [0.0005, 0.9995])
        scale = np.float32(_CELLS / max(float(high - low), 1e-12))
        cell = np.clip((axis - np.float32(low)) * scale, 0, _CELLS - 1)
        place = place * _CELLS + cell.astype(np.int32)
    events = np.bincount(place, minlength=_CELLS ** len(some))
    filled = np.flatnonzero(events)
    sums = [np.bincount(place, axis, events.size)[filled] for axis in some]
    return Cells(np.column_stack(sums) / events[filled, None], events[filled].astype(np.float64))


def carry(populations: Populations, cells: Cells) -> Carried:
    """Fit shift, stretch and shares of the reference's populations to a tube.

    Expectation–maximisation; the start is the shift of the medians. Shift and stretch have normal priors
    of the SD between reference tubes, so that a tube with few events stays near the reference.
    """
    anchor = populations.anchor
    quadratic = _quadratic(cells.place)
    middle = np.array([_weighted_median(axis, cells.events) for axis in cells.place.T])
    reference = np.array([_mixture_median(populations, axis) for axis in range(anchor.size)])
    shift, stretch, share = middle - reference, np.ones(anchor.size), populations.share
    events = cells.events * min(1.0, _WORTH / cells.events.sum())
    variance = np.einsum("kdd->kd", populations.covariance)
    away = populations.mean - anchor
    information = np.zeros((anchor.size, 2, 2))
    for _step in range(_STEPS):
        mean = anchor + shift + stretch * away
        covariance = populations.covariance * stretch[:, None] * stretch[None, :]
        belongs = _posterior(quadratic, share, mean, covariance) * events
        n = belongs.sum(axis=1)
        share = (n / n.sum() + _SHARES_WORTH * populations.share) / (1 + _SHARES_WORTH)
        found = (belongs @ cells.place) / np.maximum(n, 1e-9)[:, None] - anchor
        moved = shift.copy()
        for axis in range(anchor.size):
            weight = n / variance[:, axis]
            x, y = away[:, axis], found[:, axis]
            prior = 1 / np.array([populations.shift_sd[axis], populations.stretch_sd[axis]]) ** 2
            crossed = weight @ x
            information[axis] = [
                [weight.sum() + prior[0], crossed],
                [crossed, weight @ x**2 + prior[1]],
            ]
            answer = np.linalg.solve(information[axis], [weight @ y, weight @ (x * y) + prior[1]])
            moved[axis], stretch[axis] = answer
        settled = np.abs(moved - shift).max() < _CLOSE * populations.width.min()
        shift = moved
        if settled:
            break
    full = information * (cells.events.sum() / events.sum())
    return Carried(anchor, shift, stretch, np.asarray(np.linalg.inv(full), np.float64), share)


def _quadratic(place: Float64) -> Float64:
    """1, every axis and every product of two, shape (n, 1 + d + d²): a log density is linear in these."""
    n, d = place.shape
    products = (place[:, :, None] * place[:, None, :]).reshape(n, d * d)
    return np.hstack([np.ones((n, 1)), place, products])


def _posterior(quadratic: Float64, share: Float64, mean: Float64, covariance: Float64) -> Float64:
    """To which population each cell's events belong, shape (k, n)."""
    logs = _coefficients(share, mean, covariance).T @ quadratic.T
    logs -= logs.max(axis=0)
    np.exp(logs, out=logs)
    logs /= logs.sum(axis=0)
    return np.asarray(logs)


def _coefficients(share: Float64, mean: Float64, covariance: Float64) -> Float64:
    """Of log(share · density) on `_quadratic`, shape (1 + d + d², k)."""
    precision = np.linalg.inv(covariance)
    linear = np.einsum("kij,kj->ki", precision, mean)
    constant = np.log(share) - 0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * (linear * mean).sum(axis=1)
    d = mean.shape[1]
    return np.vstack([constant, linear.T, -0.5 * precision.reshape(-1, d * d).T])


def _weighted_median(values: Float64, weights: Float64) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(total, total[-1] / 2)]])


def _mixture_median(populations: Populations, axis: int) -> float:
    """Median of the reference's mixture on one axis."""
    mean = populations.mean[:, axis]
    sd = np.sqrt(populations.covariance[:, axis, axis])
    low, high = float((mean - 4 * sd).min()), float((mean + 4 * sd).max())
    grid = np.linspace(low, high, 400)
    height = (populations.share / sd * np.exp(-0.5 * ((grid[:, None] - mean) / sd) ** 2)).sum(axis=1)
    return _weighted_median(grid, height)


def learn_populations(
    tubes: Sequence[Cells], *, k: int, rounds: int = 3
) -> tuple[Populations, list[Carried]]:
    """The populations that reference tubes have in common, and where each tube has them.

    Tubes are laid over one another by their medians, then by their fits; each weighs the same. The
    mixture starts from groups about places far apart, so that rare populations have a start of their own.

    Parameters
    ----------
    tubes : sequence of Cells
        The parent's events of every reference tube, on the same axes.
    k : int
        Number of populations.
    """
    d = tubes[0].place.shape[1]
    middles = np.array([[_weighted_median(axis, t.events) for axis in t.place.T] for t in tubes])
    places = [t.place - middle + np.median(middles, axis=0) for t, middle in zip(tubes, middles, strict=True)]
    pooled = _pooled(places, tubes)
    share, mean, covariance = _start(pooled, k)
    fits: list[Carried] = []
    for _round in range(rounds):
        share, mean, covariance = _fitted(pooled, share, mean, covariance)
        wide = 2 * np.sqrt(share @ np.einsum("kdd->kd", covariance))
        loose = Populations(share, mean, covariance, wide, np.full(d, _MOST_STRETCH_SD))
        fits = [carry(loose, tube) for tube in tubes]
        places = [_in_reference(tube.place, fit) for tube, fit in zip(tubes, fits, strict=True)]
        pooled = _pooled(places, tubes)
    shifts, stretches = np.array([f.shift for f in fits]), np.array([f.stretch for f in fits])
    least = 0.25 * np.sqrt(share @ np.einsum("kdd->kd", covariance))
    populations = Populations(
        share,
        mean,
        covariance,
        np.maximum(2 * _spread(shifts), least),
        np.clip(1.5 * _spread(stretches), 0.01, _MOST_STRETCH_SD),
    )
    return populations, [carry(populations, tube) for tube in tubes]


def _spread(values: Float64) -> Float64:
    return np.asarray(np.std(values, axis=0))


def _in_reference(place: Float64, fit: Carried) -> Float64:
    return np.asarray(fit.anchor + (place - fit.anchor - fit.shift) / fit.stretch)


def _pooled(places: Sequence[Float64], tubes: Sequence[Cells]) -> Cells:
    """All tubes' cells binned anew, each tube with the same weight."""
    place = np.vstack(places)
    weight = np.concatenate([10_000 * tube.events / tube.events.sum() for tube in tubes])
    low, high = np.quantile(place, [0.0005, 0.9995], axis=0)
    cell = np.clip((place - low) / (high - low) * _POOLED, 0, _POOLED - 1).astype(np.int64)
    index = np.ravel_multi_index(tuple(cell.T), (_POOLED,) * place.shape[1])
    _names, where = np.unique(index, return_inverse=True)
    events = np.bincount(where, weight).astype(np.float64)
    sums = [np.bincount(where, weight * axis) for axis in place.T]
    return Cells(np.column_stack(sums) / events[:, None], events)


def _start(cells: Cells, k: int) -> tuple[Float64, Float64, Float64]:
    """Groups about k places far from one another (all but the outermost 1 in 200 events may be one)."""
    unit = np.sqrt(np.cov(cells.place.T, aweights=cells.events).diagonal()) + 1e-12
    place = cells.place / unit
    centres = [np.array([_weighted_median(axis, cells.events) for axis in place.T])]
    while len(centres) < k:
        distance = np.min([((place - centre) ** 2).sum(axis=1) for centre in centres], axis=0)
        order = np.argsort(distance, kind="stable")
        outer = np.searchsorted(np.cumsum(cells.events[order]), 0.995 * cells.events.sum())
        centres.append(place[order[min(int(outer), order.size - 1)]])
    middle = np.array(centres)
    for _round in range(20):
        group = np.argmin([((place - centre) ** 2).sum(axis=1) for centre in middle], axis=0)
        for g in range(k):
            own = cells.events * (group == g)
            if own.sum() > 0:
                middle[g] = own @ place / own.sum()
    share = np.array([cells.events[group == g].sum() for g in range(k)]) / cells.events.sum()
    covariance = np.array([_covariance(cells.place, cells.events * (group == g), unit) for g in range(k)])
    return np.maximum(share, 1e-4), middle * unit, covariance


def _covariance(place: Float64, weight: Float64, unit: Float64) -> Float64:
    """Weighted covariance, held away from zero by a hundredth of the axis' SD."""
    total = max(float(weight.sum()), 1e-9)
    away = place - weight @ place / total
    return np.asarray((weight[:, None] * away).T @ away / total + np.diag((0.05 * unit) ** 2))


def _covariances(quadratic: Float64, belongs: Float64, mean: Float64, unit: Float64) -> Float64:
    """Of every population, from the products of axes; shape (k, d, d)."""
    d = mean.shape[1]
    n = np.maximum(belongs.sum(axis=1), 1e-9)
    products = (belongs @ quadratic[:, 1 + d :] / n[:, None]).reshape(-1, d, d)
    return np.asarray(products - mean[:, :, None] * mean[:, None, :] + np.diag((0.05 * unit) ** 2))


def _fitted(
    cells: Cells, share: Float64, mean: Float64, covariance: Float64
) -> tuple[Float64, Float64, Float64]:
    """A mixture by EM."""
    quadratic = _quadratic(cells.place)
    unit = np.sqrt(np.cov(cells.place.T, aweights=cells.events).diagonal())
    for _step in range(2 * _STEPS):
        belongs = _posterior(quadratic, share, mean, covariance) * cells.events
        n = belongs.sum(axis=1)
        moved = (belongs @ cells.place) / np.maximum(n, 1e-9)[:, None]
        covariance = _covariances(quadratic, belongs, moved, unit)
        share = np.maximum(n / n.sum(), 1e-6)
        settled = np.abs(moved - mean).max() < 1e-3 * unit.min()
        mean = moved
        if settled:
            break
    return share, mean, covariance
