"""How well two ways to measure the same thing agree: per tube, and event by event.

Correlation says whether two methods rank tubes alike, not whether they give the same number. Bland and
Altman's bias and limits say by how much they differ, Lin's coefficient how far the pairs lie from the line
of identity, and F1 whether the same events were meant.

References
----------
Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of clinical
measurement. Lancet 1986;327:307-310.
Bland JM, Altman DG. Measuring agreement in method comparison studies. Stat Methods Med Res 1999;8:135-160.
Lin LI. A concordance correlation coefficient to evaluate reproducibility. Biometrics 1989;45:255-268;
correction of the variance, Biometrics 2000;56:324-325.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.terms import ROOT, BoolArray

Values = npt.NDArray[np.float64]

NAN = float("nan")
Z95 = 1.959963984540054
"""The 97.5th percentile of the standard normal distribution."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Bias and limits of agreement of pairs, in the unit of the values; each with its 95 % limits.

    bias : mean of one − other
    sd : SD of the differences; NaN for fewer than two pairs, as are the limits
    low, high : bias − 1.96 SD and bias + 1.96 SD, between which 95 % of differences are expected
    """

    n: int
    bias: float
    bias_low: float
    bias_high: float
    sd: float
    low: float
    low_low: float
    low_high: float
    high: float
    high_low: float
    high_high: float


@dataclass(frozen=True, slots=True)
class Concordance:
    """Lin's coefficient with 95 % limits, and its two factors: correlation × nearness to identity."""

    ccc: float
    low: float
    high: float
    correlation: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """How far two populations of one tube are the same events; NaN where there is nothing to divide by."""

    precision: float
    recall: float
    f1: float


def difference(one: npt.ArrayLike, other: npt.ArrayLike) -> Difference:
    """Bland and Altman's bias and limits of agreement.

    Parameters
    ----------
    one, other : array_like, shape (n_pairs,)
        In the same order; a pair that lacks a value is left out.

    Returns
    -------
    Difference
        The limits' own intervals are those of the first paper (standard error √(3/n) SD).

    Examples
    --------
    >>> found = difference([11, 12, 13], [10, 10, 10])
    >>> found.bias, found.sd, round(found.high, 2)
    (2.0, 1.0, 3.96)
    """
    x, y = _pairs(one, other)
    apart = x - y
    if not apart.size:
        return Difference(0, *[NAN] * 10)
    bias = float(apart.mean())
    sd = float(apart.std(ddof=1)) if apart.size > 1 else NAN
    t = _t95(apart.size - 1)
    error, error_of_limit = t * sd / math.sqrt(apart.size), t * sd * math.sqrt(3 / apart.size)
    low, high = bias - Z95 * sd, bias + Z95 * sd
    around = ((end - error_of_limit, end + error_of_limit) for end in (low, high))
    (low_low, low_high), (high_low, high_high) = around
    return Difference(
        int(apart.size),
        *(bias, bias - error, bias + error, sd),
        *(low, low_low, low_high, high, high_low, high_high),
    )


def ratio(one: npt.ArrayLike, other: npt.ArrayLike) -> Difference:
    """Bias and limits of agreement of one / other: differences of logarithms, put back as ratios.

    For values whose scatter grows with their size, as counts and percentages do. `sd` is that of the
    natural logarithms.

    Returns
    -------
    Difference
        NaN throughout if any value is not above 0: no ratio is then known for that pair.

    Examples
    --------
    >>> found = ratio([2, 4, 8], [1, 2, 4])
    >>> round(found.bias, 9), round(found.low, 9), round(found.high, 9)
    (2.0, 2.0, 2.0)
    """
    x, y = _pairs(one, other)
    if not x.size or min(x.min(), y.min()) <= 0:
        return Difference(int(x.size), *[NAN] * 10)
    logs = difference(np.log(x), np.log(y))
    ends = ("bias", "bias_low", "bias_high", "low", "low_low", "low_high", "high", "high_low", "high_high")
    back = {end: _as_ratio(getattr(logs, end)) for end in ends}
    return Difference(n=logs.n, sd=logs.sd, **back)


def _as_ratio(logarithm: float) -> float:
    return math.exp(logarithm) if logarithm < 700 else math.inf


def concordance(one: npt.ArrayLike, other: npt.ArrayLike) -> Concordance:
    """Lin's concordance correlation coefficient.

    Parameters
    ----------
    one, other : array_like, shape (n_pairs,)
        A pair that lacks a value is left out.

    Returns
    -------
    Concordance
        Variances with divisor n, as Lin has them. The interval comes from his Z transform with the
        corrected variance, divisor n − 2; there is none for fewer than four pairs. All NaN for fewer than
        two pairs and for values that are all the same.

    Examples
    --------
    >>> round(concordance([1, 2, 3], [2, 3, 4]).ccc, 9) == round(4 / 7, 9)
    True
    """
    x, y = _pairs(one, other)
    if x.size < 2 or not (x.var() + y.var() + (x.mean() - y.mean()) ** 2):
        return Concordance(NAN, NAN, NAN, NAN, NAN)
    covariance = float(np.mean((x - x.mean()) * (y - y.mean())))
    spread = math.sqrt(float(x.var()) * float(y.var()))
    ccc = 2 * covariance / float(x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    if not spread:
        return Concordance(0.0, NAN, NAN, NAN, NAN)
    r = max(-1.0, min(covariance / spread, 1.0))
    shift = float(x.mean() - y.mean()) ** 2 / spread
    low, high = _limits_of_ccc(ccc, r, shift, x.size)
    return Concordance(ccc, low, high, r, ccc / r if r else NAN)


def _limits_of_ccc(ccc: float, r: float, shift: float, n: int) -> tuple[float, float]:
    """95 % limits by the Z transform; `shift` is u², the squared difference of means over the SDs."""
    if abs(ccc) >= 1:
        return ccc, ccc
    if n < 4 or not r:
        return NAN, NAN
    rest = 1 - ccc**2
    variance = (
        (1 - r**2) * ccc**2 / (rest * r**2)
        + 2 * ccc**3 * (1 - ccc) * shift / (r * rest**2)
        - ccc**4 * shift**2 / (2 * r**2 * rest**2)
    ) / (n - 2)
    reach = Z95 * math.sqrt(max(variance, 0.0))
    return math.tanh(math.atanh(ccc) - reach), math.tanh(math.atanh(ccc) + reach)


def overlap(ours: BoolArray, theirs: BoolArray) -> Overlap:
    """Precision, recall and F1 of our events of a population, theirs being the truth.

    Parameters
    ----------
    ours, theirs : ndarray of bool, shape (n_events,)

    Returns
    -------
    Overlap
        F1 is 2 |both| / (|ours| + |theirs|): 1 for the same events, 0 for none in common, NaN if both are
        empty.

    Examples
    --------
    >>> overlap(np.array([True, True, False]), np.array([True, False, False]))
    Overlap(precision=0.5, recall=1.0, f1=0.6666666666666666)
    """
    both, n_ours, n_theirs = (int(np.count_nonzero(part)) for part in (ours & theirs, ours, theirs))
    return Overlap(
        both / n_ours if n_ours else NAN,
        both / n_theirs if n_theirs else NAN,
        2 * both / (n_ours + n_theirs) if n_ours + n_theirs else NAN,
    )


def denominators(
    population: str, *, ours: Mapping[str, str], theirs: Mapping[str, str], pairs: Mapping[str, str]
) -> list[str]:
    """The populations of ours that a percentage of both gatings can be stated of, nearest first.

    Parameters
    ----------
    population : str
        One of ours.
    ours, theirs : mapping of population to parent
    pairs : mapping of our population to theirs

    Returns
    -------
    list of str
        Ancestors of ours whose counterpart is an ancestor of the counterpart; `root` last.

    Examples
    --------
    >>> ours = {"CD4+": "T cells", "T cells": "root"}
    >>> denominators("CD4+", ours=ours, theirs={"Th": "T", "T": "root"}, pairs={"CD4+": "Th", "T cells": "T"})
    ['T cells', 'root']
    """
    above = ancestors(pairs[population], theirs)
    return [name for name in ancestors(population, ours) if name == ROOT or pairs.get(name) in above]


def ancestors(population: str, parents: Mapping[str, str]) -> Sequence[str]:
    """Parent, parent's parent and so on, to `root`."""
    found: list[str] = []
    while population in parents:
        population = parents[population]
        found.append(population)
    return found


def _pairs(one: npt.ArrayLike, other: npt.ArrayLike) -> tuple[Values, Values]:
    x, y = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    return x[known], y[known]


def _t95(degrees: int) -> float:
    if degrees < 1:
        return NAN
    from scipy import stats  # noqa: PLC0415 (half a second that only comparisons pay)

    return float(stats.t.ppf(0.975, degrees))
