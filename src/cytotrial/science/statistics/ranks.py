"""Paired changes by ranks: Wilcoxon's test, the Hodges-Lehmann estimate, Holm's adjustment.

References
----------
Hodges & Lehmann, Ann Math Stat 1963;34:598; Hollander, Wolfe & Chicken, Nonparametric
Statistical Methods, 3rd ed. 2014, sections 3.1-3.3: signed-rank test, estimate, interval.
Holm, Scand J Stat 1979;6:65.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.science.counting import Z95
from cytotrial.science.statistics.descriptive import NAN, Values, finite

EXACT = "exact"
TIES = "exact, ties"
APPROXIMATE = "approximate"

_EXACT_PAIRS = 50


@dataclass(frozen=True, slots=True)
class HodgesLehmann:
    """Estimate of the typical change with its 95 % limits, and how these were found.

    `low` and `high` are NaN if fewer than 6 changes are known: no interval reaches 95 % then.
    """

    estimate: float
    low: float
    high: float
    method: str


@dataclass(frozen=True, slots=True)
class SignedRank:
    """Two-sided P value of Wilcoxon's signed-rank test, how it was found, and on what."""

    p: float
    method: str
    n_used: int
    n_zero: int


def hodges_lehmann(changes: npt.ArrayLike) -> HodgesLehmann:
    """Median of the Walsh averages (the means of all pairs, each with itself too), with 95 % limits.

    Parameters
    ----------
    changes : array_like, shape (n_pairs,)
        Paired changes; what is not finite is not counted, zeros are kept.

    Returns
    -------
    HodgesLehmann
        The limits are order statistics of the Walsh averages. Their ranks come from the exact
        signed-rank distribution up to 50 pairs, else from its normal approximation; coverage is
        at least 95 % (with ties: conservative).

    References
    ----------
    Hollander, Wolfe & Chicken 2014, equations 3.23 (estimate) and 3.29 (interval).

    Examples
    --------
    >>> hodges_lehmann([1, 2, 4]).estimate
    2.25
    """
    known = finite(changes)
    if known.size == 0:
        return HodgesLehmann(NAN, NAN, NAN, "")
    row, column = np.triu_indices(known.size)
    walsh = np.sort((known[row] + known[column]) / 2)
    estimate = float(np.median(walsh))
    rank, method = _rank_of_limit(known.size)
    if rank < 1:
        return HodgesLehmann(estimate, NAN, NAN, method)
    return HodgesLehmann(estimate, float(walsh[rank - 1]), float(walsh[-rank]), method)


def wilcoxon_signed_rank(changes: npt.ArrayLike) -> SignedRank:
    """Two-sided signed-rank test that changes are symmetric about 0; zero changes are dropped.

    Parameters
    ----------
    changes : array_like, shape (n_pairs,)
        Paired changes; what is not finite is not counted.

    Returns
    -------
    SignedRank
        `method` is "exact" (up to 50 changes), "exact, ties" (the same with mid-ranks: the
        distribution over all sign permutations) or "approximate" (more changes: normal, corrected
        for ties, not for continuity).
        With fewer than two changes other than 0 there is no P value (NaN): one subject is a
        curve, not a test.

    References
    ----------
    Wilcoxon, Biometrics Bull 1945;1:80; zeros are dropped as there.
    """
    from scipy import stats  # noqa: PLC0415 (the arrays above do without it)

    known = finite(changes)
    moved = known[known != 0]
    n_zero = int(known.size - moved.size)
    if moved.size < 2:
        return SignedRank(NAN, "", int(moved.size), n_zero)
    if moved.size > _EXACT_PAIRS:
        options: dict[str, Any] = {"zero_method": "wilcox", "method": "asymptotic"}
        p = float(stats.wilcoxon(moved, **options).pvalue)
        return SignedRank(p, APPROXIMATE, int(moved.size), n_zero)
    doubled = np.rint(2 * stats.rankdata(np.abs(moved))).astype(np.intp)
    tied = np.unique(doubled).size < moved.size
    p = _exact_p(doubled, int(doubled[moved > 0].sum()))
    return SignedRank(p, TIES if tied else EXACT, int(moved.size), n_zero)


def _exact_p(ranks: npt.NDArray[np.intp], positive: int) -> float:
    """Twice the smaller tail of the sum of positive ranks, over all sign permutations."""
    share = _rank_sum_counts(ranks) / 2.0**ranks.size
    return min(1.0, 2 * float(min(share[: positive + 1].sum(), share[positive:].sum())))


def holm(p_values: npt.ArrayLike) -> Values:
    """Holm's step-down adjusted P values, in the order given; NaN stays NaN and is not counted.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, NAN)
    known = np.flatnonzero(np.isfinite(p))
    ordered = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(ordered.size, 0, -1)
    adjusted[ordered] = np.minimum(1.0, np.maximum.accumulate(p[ordered] * factors))
    return adjusted


def _rank_of_limit(n: int) -> tuple[int, str]:
    """Rank (from 1) of the Walsh average that is the lower 95 % limit; 0 if none reaches 95 %."""
    if n > _EXACT_PAIRS:
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return max(1, math.floor(n * (n + 1) / 4 - Z95 * spread)), APPROXIMATE
    cumulative = np.cumsum(_rank_sum_counts(np.arange(1, n + 1))) / 2.0**n
    return int(np.searchsorted(cumulative, 0.025)), EXACT


def _rank_sum_counts(ranks: npt.NDArray[np.intp]) -> Values:
    """How many of the 2ⁿ sign patterns give each sum of positive ranks (exact in float64 up to n = 50)."""
    counts = np.zeros(int(ranks.sum()) + 1)
    counts[0] = 1
    for rank in ranks:
        counts[rank:] += counts[:-rank].copy()
    return counts
