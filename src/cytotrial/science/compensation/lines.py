"""Robust straight lines through the positives of a control: many detectors over one brightness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.terms import FloatArray

Matrix = npt.NDArray[np.float64]

HUBER = 1.345
"""Residuals beyond this many standard deviations lose weight: 95 % efficient on normal data (Huber 1981)."""

TRIM = 0.01
"""Share of the events set aside at each end of brightness, as AutoSpill does."""

ENOUGH = 1e-7
"""A slope that changes by less in a round has been found."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """Slopes through the origin, one per detector.

    slope, error : ndarray, shape (n_rows,), float64
        And the standard error.
    per_height : ndarray, shape (n_rows,), float64
        How much a slope changes if all events are raised by one unit: one over the brightness that counts.
    """

    slope: Matrix
    error: Matrix
    per_height: Matrix


@dataclass(frozen=True, eq=False)
class Lines:
    """Slope and start of one line per detector, and the standard error of the start."""

    slope: Matrix
    intercept: Matrix
    intercept_error: Matrix


def robust_spread(values: FloatArray) -> Matrix:
    """1.4826 times the median absolute deviation of each row: the SD of normal values; 0 without events."""
    if not values.shape[1]:
        return np.zeros(len(values))
    middle = np.median(values, axis=1)
    return np.asarray(1.4826 * np.median(np.abs(values - middle[:, None]), axis=1), dtype=np.float64)


def trimmed_by_brightness(x: FloatArray, y: FloatArray, *, trim: float = TRIM) -> tuple[Matrix, Matrix]:
    """The events without the brightest and dimmest share, x rising."""
    low, high = np.quantile(x, (trim, 1 - trim))
    kept = np.flatnonzero((x >= low) & (x <= high))
    kept = kept[np.argsort(x[kept], kind="stable")]
    return np.asarray(x[kept], dtype=np.float64), np.asarray(y[:, kept], dtype=np.float64)


def fit_slopes(x: FloatArray, y: FloatArray, *, rounds: int = 100) -> Slopes:
    """Robust slopes through the origin of each row of y on x.

    Parameters
    ----------
    x : ndarray, shape (n_events,)
        Brightness in the primary detector above the negatives.
    y : ndarray, shape (n_rows, n_events)
        The same in every detector.
    rounds : int
        Largest number of reweightings.

    References
    ----------
    Huber PJ. Robust Statistics. Wiley 1981, chapter 7: iteratively reweighted least squares.

    Examples
    --------
    >>> x = np.linspace(100.0, 1000.0, 200)
    >>> fit_slopes(x, np.stack([x, 0.25 * x])).slope.round(6).tolist()
    [1.0, 0.25]
    """
    x, y = trimmed_by_brightness(x, y)
    slope = np.median(y, axis=1) / np.median(x)
    for _ in range(rounds):
        residual = y - slope[:, None] * x
        weight = _weights(x, residual)
        before, slope = slope, (weight * y) @ x / (weight @ x**2)
        if np.all(np.abs(slope - before) < ENOUGH):
            break
    square = weight @ x**2
    return Slopes(slope, np.sqrt((weight * residual) ** 2 @ x**2) / square, weight @ x / square)


def fit_lines(x: Matrix, y: Matrix, *, rounds: int = 100) -> Lines:
    """Robust straight lines of each row of y over rising x, free to start anywhere.

    Parameters
    ----------
    x : ndarray, shape (n_events,)
    y : ndarray, shape (n_rows, n_events)
    rounds : int
        Largest number of reweightings.

    Examples
    --------
    >>> x = np.linspace(100.0, 1000.0, 200)
    >>> line = fit_lines(x, np.stack([40 + 0.25 * x]))
    >>> line.slope.round(6).tolist(), line.intercept.round(3).tolist()
    ([0.25], [40.0])
    """
    slope, start = np.median(y, axis=1) / np.median(x), np.zeros(len(y))
    for _ in range(rounds):
        weight = _weights(x, y - start[:, None] - slope[:, None] * x)
        n, sx, sxx = weight.sum(axis=1), weight @ x, weight @ x**2
        sy, sxy = np.sum(weight * y, axis=1), (weight * y) @ x
        determinant = np.maximum(n * sxx - sx**2, np.finfo(float).tiny)
        before, slope = slope, (n * sxy - sx * sy) / determinant
        start = (sxx * sy - sx * sxy) / determinant
        if np.all(np.abs(slope - before) < ENOUGH):
            break
    return Lines(slope, start, np.sqrt(sxx / determinant))


def _weights(x: Matrix, residual: Matrix) -> Matrix:
    """Huber's weight over the variance at each event's brightness."""
    width = _local_width(x, residual)
    return np.asarray(np.minimum(1.0, HUBER * width / np.maximum(np.abs(residual), 1e-300)) / width**2)


def _local_width(x: FloatArray, residual: FloatArray, *, n_bins: int = 10) -> Matrix:
    """Spread of the residuals at each event's brightness: the MAD in bins of x, joined by straight lines.

    `x` ascends; the shape is that of `residual`.
    """
    bins = np.array_split(np.arange(x.size), max(1, min(n_bins, x.size // 30)))
    middles = np.array([x[b[len(b) // 2]] for b in bins])
    mads = 1.4826 * np.stack([np.median(np.abs(residual[:, b]), axis=1) for b in bins], axis=1)
    floor = np.maximum(0.1 * np.median(mads, axis=1), 1e-9 * np.abs(x[-1]))
    return np.stack([np.interp(x, middles, np.maximum(m, f)) for m, f in zip(mads, floor, strict=True)])
