"""The 95 % intervals that counts are given with.

References
----------
Clopper & Pearson, Biometrika 1934;26:404: exact limits of a binomial proportion.
Wilson, J Am Stat Assoc 1927;22:209: score limits of a proportion.
Newcombe, Stat Med 1998;17:873: limits of a difference of two proportions (method 10).
"""

from __future__ import annotations

import math

Limits = tuple[float, float]

Z95 = 1.959963984540054
"""Two-sided 95 % quantile of the normal distribution."""


def clopper_pearson(hits: int, trials: int) -> Limits:
    """Exact 95 % limits of a proportion.

    Examples
    --------
    >>> low, high = clopper_pearson(507, 20_000)
    >>> round(low, 5), round(high, 5)
    (0.02322, 0.02762)
    """
    from scipy.special import betaincinv  # noqa: PLC0415 (half a second that a gating job never pays)

    low = 0.0 if hits == 0 else float(betaincinv(hits, trials - hits + 1, 0.025))
    high = 1.0 if hits == trials else float(betaincinv(hits + 1, trials - hits, 0.975))
    return low, high


def wilson(hits: int, trials: int) -> Limits:
    """Score limits of a proportion: 95 % on average, where the exact ones are at least 95 %.

    Examples
    --------
    >>> low, high = wilson(10, 100)
    >>> round(low, 4), round(high, 4)
    (0.0552, 0.1744)
    """
    share, weight = hits / trials, Z95**2 / trials
    middle = (share + weight / 2) / (1 + weight)
    half = Z95 / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == trials else middle + half)


def newcombe(hits: int, trials: int, other_hits: int, other_trials: int) -> Limits:
    """95 % limits of hits/trials − other_hits/other_trials, from the Wilson limits of both.

    Examples
    --------
    >>> low, high = newcombe(56, 70, 48, 80)  # Newcombe 1998, table II, example a
    >>> round(low, 4), round(high, 4)
    (0.0524, 0.3339)
    """
    share, other = hits / trials, other_hits / other_trials
    (low, high), (other_low, other_high) = wilson(hits, trials), wilson(other_hits, other_trials)
    difference = share - other
    return (
        difference - math.hypot(share - low, other_high - other),
        difference + math.hypot(high - share, other - other_low),
    )


def log_normal(value: float, log_sd: float) -> Limits:
    """95 % limits of a positive value whose logarithm is normal with this standard deviation.

    Examples
    --------
    >>> low, high = log_normal(512.0, math.sqrt(1 / 5120 + 1 / 10_000))
    >>> round(low, 2), round(high, 2)
    (495.04, 529.54)
    """
    return value * math.exp(-Z95 * log_sd), value * math.exp(Z95 * log_sd)


def poisson_upper_of_zero() -> float:
    """Upper limit (two-sided 95 %) of a Poisson mean of which no event was seen: −ln 0.025 = 3.69."""
    return -math.log(0.025)
