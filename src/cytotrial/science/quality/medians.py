"""Medians and spreads of values of which some are missing (NaN)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cytotrial.terms import FloatArray

MAD_TO_SD = 1.4826
"""Median absolute deviation of normal values times this is their SD."""

Positions = npt.NDArray[np.intp]


def nan_median(values: FloatArray) -> FloatArray:
    """Median along the first axis of the values that are there; NaN where there is none."""
    return median_of_last(np.moveaxis(values, 0, -1))[0]


def median_of_last(values: FloatArray) -> tuple[FloatArray, Positions]:
    """Median along the last axis of the values that are there, and their number."""
    ordered = np.sort(values, axis=-1)  # NaN last
    n_values = ordered.shape[-1]
    n_there = n_values - np.count_nonzero(np.isnan(ordered), axis=-1)
    first = np.arange(n_there.size) * n_values
    flat, number = ordered.ravel(), n_there.ravel()
    lower = flat[first + np.maximum(number - 1, 0) // 2]
    upper = flat[first + np.minimum(number // 2, n_values - 1)]
    return ((lower + upper) / 2).reshape(n_there.shape), n_there


def nan_quantile(values: FloatArray, q: float) -> FloatArray:
    """Quantile along the first axis of the values that are there (the next greater one); NaN if none is."""
    n_there = np.count_nonzero(~np.isnan(values), axis=0)[None]
    at = np.minimum(np.ceil(q * n_there).astype(np.intp), np.maximum(n_there - 1, 0))
    return np.asarray(np.take_along_axis(np.sort(values, axis=0), at, axis=0)[0])


def robust_sd(values: FloatArray) -> FloatArray:
    """1.4826 times the median absolute deviation from the median, along the first axis."""
    return MAD_TO_SD * nan_median(np.abs(values - nan_median(values)))
