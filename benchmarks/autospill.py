"""AutoSpill's published behaviour, written anew from its paper, to compare with.

Roca CP, Burton OT, Gergelits V, et al. AutoSpill is a principled framework that simplifies the analysis of
multichromatic flow cytometry data. Nat Commun 2021;12:2890. A scatter gate about the main population, robust
regression with a free start of every detector on the primary one over all events of the gate, then
correction by the slopes that compensation leaves: on the linear scale until none is larger than 0.01, then
on a scale of arcsinh (here in place of the biexponential) until none is larger than 0.0001, in smaller steps
where it stalls.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import ConvexHull, Delaunay

from cytotrial.science.compensation import Control
from cytotrial.terms import BoolArray, FloatArray

Matrix = npt.NDArray[np.float64]

TRIM, GRID, CONTOUR, LOW_CORNER = 0.01, 100, 0.33, 0.05
HUBER, COFACTOR = 1.345, 150.0
LINEAR_ENOUGH, ENOUGH, MOST_ROUNDS = 1e-2, 1e-4, 100


def autospill(controls: Sequence[Control], detectors: Sequence[str]) -> tuple[Matrix, bool]:
    """Spillover of a set of single stains, and whether the refinement has settled."""
    gated = [control.values[:, scatter_gate(control.scatter)].astype(np.float64) for control in controls]
    rows = [list(detectors).index(control.detector) for control in controls]
    spillover = np.eye(len(detectors))
    step, linear, worst, before = 1.0, True, np.inf, np.zeros_like(spillover)
    for _ in range(MOST_ROUNDS):
        error = _slopes(gated, rows, spillover, linear=linear)
        largest = float(np.abs(error).max())
        if linear and largest < LINEAR_ENOUGH:
            linear, worst = False, np.inf
            continue
        if not linear and largest < ENOUGH:
            return spillover, True
        step = step if largest < worst else 0.1
        worst = min(worst, largest)
        before, spillover = spillover, spillover + step * error @ spillover
        spillover /= np.diagonal(spillover)[:, None]
    return before, False


def scatter_gate(scatter: FloatArray | None) -> BoolArray:
    """The convex hull of the main population on forward and side scatter."""
    assert scatter is not None
    low, high = np.quantile(scatter, (TRIM, 1 - TRIM), axis=1)
    inside = np.all((scatter > low[:, None]) & (scatter < high[:, None]), axis=0)
    peaks = _peaks(scatter[:, inside], low, high)
    nearest = np.argmin(
        [np.sum(((scatter - p[:, None]) / (high - low)[:, None]) ** 2, axis=0) for p in peaks], axis=0
    )
    tile = inside & (nearest == 0)
    middle = np.median(scatter[:, tile], axis=1)
    reach = 3 * 1.4826 * np.median(np.abs(scatter[:, tile] - middle[:, None]), axis=1)
    near = tile & np.all(np.abs(scatter - middle[:, None]) < reach[:, None], axis=0)
    return _within_contour(scatter, near)


def _density(scatter: FloatArray, low: FloatArray, high: FloatArray, *, blur: float) -> Matrix:
    edges = [np.linspace(a, b, GRID + 1) for a, b in zip(low, high, strict=True)]
    counts, _, _ = np.histogram2d(scatter[0], scatter[1], bins=edges)
    return np.asarray(gaussian_filter(counts, blur))


def _peaks(scatter: FloatArray, low: FloatArray, high: FloatArray) -> list[Matrix]:
    """Local maxima of the density outside the low corner, the highest first."""
    density = _density(scatter, low, high, blur=6.0)
    top = np.argwhere((density == maximum_filter(density, 5)) & (density > 0))
    top = top[~np.all(top < LOW_CORNER * GRID, axis=1)]
    order = np.argsort([-density[tuple(place)] for place in top], kind="stable")
    return [low + (top[i] + 0.5) / GRID * (high - low) for i in order]


def _within_contour(scatter: FloatArray, near: BoolArray) -> BoolArray:
    some = scatter[:, near]
    low, high = some.min(axis=1), some.max(axis=1)
    density = _density(some, low, high, blur=4.0)
    high_bins = np.argwhere(density >= CONTOUR * density.max())
    points = low + (high_bins + 0.5) / GRID * (high - low)
    hull = Delaunay(points[ConvexHull(points).vertices])
    return np.asarray(hull.find_simplex(scatter.T) >= 0)


def _slopes(gated: Sequence[Matrix], rows: Sequence[int], spillover: Matrix, *, linear: bool) -> Matrix:
    inverse = np.linalg.inv(spillover)
    error = np.zeros_like(spillover)
    for values, row in zip(gated, rows, strict=True):
        compensated = inverse.T @ values
        low, high = np.quantile(compensated, (TRIM, 1 - TRIM), axis=1)
        for column in set(range(len(spillover))) - {row}:
            x, y = compensated[row], compensated[column]
            kept = (x > low[row]) & (x < high[row]) & (y > low[column]) & (y < high[column])
            error[row, column] = _slope(x[kept], y[kept]) if linear else _scaled_slope(x[kept], y[kept])
    return error


def _scaled_slope(x: Matrix, y: Matrix) -> float:
    """Regression on the arcsinh scale; the ends of the line, brought back, give the slope."""
    scaled = np.arcsinh(x / COFACTOR)
    start, slope = _robust_line(scaled, np.arcsinh(y / COFACTOR))
    ends = np.array([scaled.min(), scaled.max()])
    heights = COFACTOR * np.sinh(start + slope * ends)
    return float(np.diff(heights)[0] / np.diff(COFACTOR * np.sinh(ends))[0])


def _slope(x: Matrix, y: Matrix) -> float:
    return _robust_line(x, y)[1]


def _robust_line(x: Matrix, y: Matrix) -> tuple[float, float]:
    """Start and slope of a line by Huber's weights (MASS::rlm)."""
    design = np.stack([np.ones_like(x), x])
    found = np.linalg.lstsq(design.T, y, rcond=None)[0]
    for _ in range(100):
        residual = y - found @ design
        scale = float(np.median(np.abs(residual))) / 0.6745
        weight = np.minimum(1.0, HUBER * scale / np.maximum(np.abs(residual), 1e-12))
        before, found = found, np.linalg.solve((design * weight) @ design.T, (design * weight) @ y)
        if np.allclose(found, before, rtol=1e-7, atol=1e-10):
            break
    return float(found[0]), float(found[1])
