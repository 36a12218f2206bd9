"""An ellipse about one component of a mixture of normals that starts from, and is held by, priors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.densities import usual_range
from cytotrial.science.finders.learning import rounded, usable
from cytotrial.science.finders.registry import Example, Found, View, learns, registered
from cytotrial.science.planes import Plane
from cytotrial.terms import EllipsoidGate, FloatArray

_ROUNDS = 60
_STRAY = 1e-3
"""Share of events that belong to no component and lie anywhere."""


@registered("mixture_ellipse")
def find_mixture_ellipse(
    view: View,
    *,
    means: Sequence[Sequence[float]] | None = None,
    spreads: Sequence[Sequence[float]] | None = None,
    covariances: Sequence[Sequence[Sequence[float]]] | None = None,
    prior_percent: float = 5.0,
    quantile: float = 0.95,
    components: int = 3,  # noqa: ARG001 - the learner's; the reference brings back as many
) -> Found:
    """The ellipse of one population in a mixture of two-dimensional normals, fitted with priors.

    Expectation–maximisation on binned events, where every component has a prior mean and covariance that
    count as `prior_percent` of the events (maximum a posteriori). The first component is the one that is
    gated; the others soak up what lies beside it. The start is the prior, so that the answer is always the
    same and no component can change places with another.

    Parameters
    ----------
    view : View
        Two dimensions. `view.reference` as `learn_mixture_ellipse` made it replaces means and covariances.
    means : list of [x, y]
        Prior means, the population's first. Needed where there is no reference.
    spreads : list of [sd_x, sd_y], or covariances : list of 2 × 2
        Prior spread of each component.
    prior_percent : float
        Weight of the prior.
    quantile : float
        Share of a normal population that its ellipse holds; a reference brings its own size.
    components : int
        How many populations reference tubes teach, the gated one included.

    Raises
    ------
    GateError
        With fewer than 100 events, without priors, or where the population vanishes.

    References
    ----------
    Dempster AP et al. J R Stat Soc B 1977;39:1 (EM); Fraley C, Raftery AE. J Classif 2007;24:155 (priors);
    Lo K et al. Cytometry A 2008;73A:321 (mixtures for gating).
    """
    if view.n_events < 100:
        raise GateError(f"{view.n_events} events in the parent; a mixture needs 100.")
    prior = _prior(view, means, spreads, covariances)
    radius = -2 * float(np.log(1 - quantile))
    if view.reference and "distance_square" in view.reference:
        radius = float(view.reference["distance_square"])
    points, weights = _binned(view)
    fitted = _fit(points, weights, prior, prior_events=prior_percent / 100 * float(weights.sum()))
    if fitted.weight[0] < 1e-3:
        raise GateError("the population that the ellipse is for vanished from the mixture.")
    mean = (float(fitted.mean[0, 0]), float(fitted.mean[0, 1]))
    rows = tuple(tuple(map(float, row)) for row in fitted.covariance[0])
    error = np.sqrt(np.diag(fitted.covariance[0]) / (fitted.weight[0] * weights.sum()))
    return Found(
        EllipsoidGate(view.dimensions, mean, rows, radius),
        confidence=float(fitted.certainty),
        position=mean,
        position_se=(float(error[0]), float(error[1])),
    )


@dataclass(frozen=True, eq=False)
class _Mixture:
    """weight, shape (k,); mean, shape (k, 2); covariance, shape (k, 2, 2).

    certainty : mean posterior of the first component over the events that are its most likely
    """

    weight: FloatArray
    mean: FloatArray
    covariance: FloatArray
    certainty: float = 0.0


def _prior(
    view: View,
    means: Sequence[Sequence[float]] | None,
    spreads: Sequence[Sequence[float]] | None,
    covariances: Sequence[Sequence[Sequence[float]]] | None,
) -> _Mixture:
    if view.reference:
        means, covariances = view.reference["means"], view.reference["covariances"]
    elif spreads is not None:
        covariances = [np.diag(np.square(spread)).tolist() for spread in spreads]
    if means is None or covariances is None or len(means) != len(covariances):
        raise GateError("mixture_ellipse needs as many means as spreads or covariances, or a reference.")
    k = len(means)
    return _Mixture(np.full(k, 1 / k), np.asarray(means, float), np.asarray(covariances, float))


def _binned(view: View) -> tuple[FloatArray, FloatArray]:
    """The filled cells of the plane and their events, shapes (n_cells, 2) and (n_cells,)."""
    ends = [usual_range(values, margin=0.05) for values in view.values]
    plane = Plane((ends[0][0], ends[1][0]), (ends[0][1], ends[1][1]))
    counts = plane.counts_of(*view.values).ravel()
    filled = np.flatnonzero(counts)
    x, y = plane.centres()
    return np.column_stack([x.ravel()[filled], y.ravel()[filled]]), counts[filled]


def _fit(points: FloatArray, weights: FloatArray, prior: _Mixture, *, prior_events: float) -> _Mixture:
    """Maximum a posteriori by EM; the prior counts as so many events of each component."""
    mixture = prior
    area = float(np.prod(np.ptp(points, axis=0) + 1e-9))
    for _round in range(_ROUNDS):
        shares = _posteriors(points, mixture, stray=_STRAY / area)
        moved = _maximised(points, weights[:, None] * shares, prior, prior_events)
        done = np.abs(moved.mean - mixture.mean).max() < 1e-4 * np.sqrt(prior.covariance.max())
        mixture = moved
        if done:
            break
    shares = _posteriors(points, mixture, stray=_STRAY / area)
    own = shares.argmax(axis=1) == 0
    certainty = float(np.average(shares[own, 0], weights=weights[own])) if own.any() else 0.0
    return _Mixture(mixture.weight, mixture.mean, mixture.covariance, certainty)


def _posteriors(points: FloatArray, mixture: _Mixture, *, stray: float) -> FloatArray:
    """Share of each component in each cell, shape (n_cells, k)."""
    densities = np.column_stack(
        [
            weight
            * np.exp(-0.5 * squared_distance(points, mean, covariance))
            / (2 * np.pi * np.sqrt(np.linalg.det(covariance)))
            for weight, mean, covariance in zip(mixture.weight, mixture.mean, mixture.covariance, strict=True)
        ]
    )
    return np.asarray(densities / (densities.sum(axis=1, keepdims=True) + stray))


def squared_distance(points: FloatArray, mean: FloatArray, covariance: FloatArray) -> FloatArray:
    """Mahalanobis distance² of points, shape (n_points,)."""
    away = points - mean
    return np.asarray(((away @ np.linalg.inv(covariance)) * away).sum(axis=1))


def _maximised(points: FloatArray, shares: FloatArray, prior: _Mixture, prior_events: float) -> _Mixture:
    n = shares.sum(axis=0)
    total = n + prior_events
    mean = (shares.T @ points + prior_events * prior.mean) / total[:, None]
    covariance = np.empty_like(prior.covariance)
    for k in range(n.size):
        away, moved = points - mean[k], prior.mean[k] - mean[k]
        scatter = (shares[:, k, None] * away).T @ away
        covariance[k] = (scatter + prior_events * (prior.covariance[k] + np.outer(moved, moved))) / total[k]
    return _Mixture(n / n.sum(), mean, covariance)


@learns("mixture_ellipse")
def learn_mixture_ellipse(examples: Sequence[Example], *, components: int = 3, **_: object) -> dict[str, Any]:
    """Priors from reference tubes: the kept events' mean and covariance, and components for the others.

    Returns
    -------
    dict
        `means`, `covariances`, the population's first; `distance_square` : the ellipse that agrees best
        with what the experts kept.
    """
    tubes = usable(examples, n_inside=50, n_events=100)
    points = [np.column_stack(tube.view.values).astype(np.float64) for tube in tubes]
    kept = [p[tube.inside] for p, tube in zip(points, tubes, strict=True)]
    mean = np.median([k.mean(axis=0) for k in kept], axis=0)
    covariance = np.median([np.cov(k.T) for k in kept], axis=0)
    others = [p[~tube.inside][:: max(1, len(p) // 5_000)] for p, tube in zip(points, tubes, strict=True)]
    beside = _beside(np.concatenate(others), mean, components - 1)
    start = _Mixture(
        np.full(len(beside) + 1, 1 / (len(beside) + 1)),
        np.array([mean, *(m for m, _c in beside)]),
        np.array([covariance, *(c for _m, c in beside)]),
    )
    prior = _middle(
        [
            _fit(*_binned(tube.view), start, prior_events=0.02 * len(p))
            for p, tube in zip(points, tubes, strict=True)
        ]
    )
    radii = [_own_radius(tube, p, prior) for p, tube in zip(points, tubes, strict=True)]
    return {
        "means": [rounded(row) for row in prior.mean],
        "covariances": [[rounded(row) for row in c] for c in prior.covariance],
        "distance_square": float(np.median(radii)),
    }


def _middle(fitted: Sequence[_Mixture]) -> _Mixture:
    """The median mixture: a truncated gate's events are narrower than the population they come from."""
    return _Mixture(
        np.median([m.weight for m in fitted], axis=0),
        np.median([m.mean for m in fitted], axis=0),
        np.median([m.covariance for m in fitted], axis=0),
    )


def _own_radius(tube: Example, points: FloatArray, prior: _Mixture) -> float:
    own = _fit(*_binned(tube.view), prior, prior_events=0.05 * len(points))
    return _best_radius(points, tube.inside, own.mean[0], own.covariance[0])


def _beside(points: FloatArray, target: FloatArray, n: int) -> list[tuple[FloatArray, FloatArray]]:
    """Means and covariances of n groups of the events that were not kept (k-means from far-apart seeds)."""
    if len(points) < 10 * n or n < 1:
        return []
    unit = points.std(axis=0) + 1e-12
    seeds = [target]
    for _seed in range(n):
        nearest = np.min([(((points - seed) / unit) ** 2).sum(axis=1) for seed in seeds], axis=0)
        seeds.append(points[np.argsort(nearest, kind="stable")[int(0.98 * len(points))]])
    centres = np.array(seeds[1:])
    for _round in range(30):
        group = np.argmin([(((points - centre) / unit) ** 2).sum(axis=1) for centre in centres], axis=0)
        centres = np.array(
            [points[group == k].mean(axis=0) if np.any(group == k) else centres[k] for k in range(n)]
        )
    floor = np.diag((0.02 * unit) ** 2)
    return [
        (points[group == k].mean(axis=0), np.cov(points[group == k].T) + floor)
        for k in range(n)
        if np.sum(group == k) > 5
    ]


def _best_radius(points: FloatArray, inside: np.ndarray, mean: FloatArray, covariance: FloatArray) -> float:
    """The distance² at which the ellipse and the expert's gate share most events (F1)."""
    distance = squared_distance(points, mean, covariance)
    order = np.argsort(distance, kind="stable")
    hits = np.cumsum(inside[order])
    f1 = 2 * hits / (np.arange(1, hits.size + 1) + hits[-1])
    return float(distance[order[int(np.argmax(f1))]])
