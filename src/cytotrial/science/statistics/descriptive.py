"""Medians, quartiles, means and shares of some values; what is not finite is not counted.

References
----------
Hyndman & Fan, Am Stat 1996;50:361: sample quantiles (definition 7 is used).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.science.counting import clopper_pearson

Values = npt.NDArray[np.float64]

NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Number of values, lower quartile, median, upper quartile; NaN where there is no value."""

    n: int
    q1: float
    median: float
    q3: float


def quartiles(values: npt.ArrayLike) -> Quartiles:
    """Median and quartiles by linear interpolation (Hyndman & Fan's definition 7, R's default).

    Parameters
    ----------
    values : array_like
        Any unit. What is not finite is not counted.

    Examples
    --------
    >>> quartiles([1, 2, 3, 4])
    Quartiles(n=4, q1=1.75, median=2.5, q3=3.25)
    """
    known = finite(values)
    if known.size == 0:
        return Quartiles(0, NAN, NAN, NAN)
    q1, median, q3 = (float(q) for q in np.percentile(known, [25, 50, 75], method="linear"))
    return Quartiles(int(known.size), q1, median, q3)


def geometric_mean(values: npt.ArrayLike) -> float:
    """Geometric mean; NaN without a value, or if any value is not above 0.

    Examples
    --------
    >>> round(geometric_mean([2, 8]), 9)
    4.0
    """
    known = finite(values)
    if known.size == 0 or known.min() <= 0:
        return NAN
    return float(np.exp(np.log(known).mean()))


def paired_changes(baseline: npt.ArrayLike, value: npt.ArrayLike) -> Values:
    """value − baseline of each subject who has both.

    Parameters
    ----------
    baseline, value : array_like, shape (n_subjects,)
        In the same order of subjects; NaN where there is no value.

    Examples
    --------
    >>> paired_changes([1, 2, np.nan], [4, np.nan, 9])
    array([3.])
    """
    return finite(np.asarray(value, dtype=np.float64) - np.asarray(baseline, dtype=np.float64))


def median_ratio(baseline: npt.ArrayLike, value: npt.ArrayLike) -> float:
    """Median over subjects of value / baseline; subjects whose baseline is not above 0 are left out.

    Examples
    --------
    >>> median_ratio([10, 10, 0], [20, 30, 5])
    2.5
    """
    before = np.asarray(baseline, dtype=np.float64)
    after = np.asarray(value, dtype=np.float64)
    usable = before > 0
    return quartiles(after[usable] / before[usable]).median


def proportion(x: int, n: int) -> tuple[float, float, float]:
    """Per cent x / n with its Clopper-Pearson 95 % limits in per cent; NaN if n is 0.

    Examples
    --------
    >>> [round(limit, 1) for limit in proportion(24, 83)]
    [28.9, 19.5, 39.9]
    """
    if n == 0:
        return NAN, NAN, NAN
    low, high = clopper_pearson(x, n)
    return 100 * x / n, 100 * low, 100 * high


def finite(values: npt.ArrayLike) -> Values:
    """The values that are known, as one row."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]
