"""One parameter at every visit: the values, and their change from baseline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytotrial.science.statistics.descriptive import (
    NAN,
    Values,
    finite,
    geometric_mean,
    median_ratio,
    paired_changes,
    quartiles,
)
from cytotrial.science.statistics.ranks import SignedRank, hodges_lehmann, holm, wilcoxon_signed_rank


@dataclass(frozen=True, slots=True)
class VisitSummary:
    """One parameter at one visit: the values, and their change from the baseline visit."""

    n: int
    median: float
    q1: float
    q3: float
    minimum: float
    maximum: float
    geometric_mean: float
    n_paired: int
    change_median: float
    change_q1: float
    change_q3: float
    hl: float
    hl_low: float
    hl_high: float
    hl_method: str
    ratio_median: float
    p: float
    p_holm: float
    p_method: str
    n_zero: int


def summarise_visits(
    values: Values, *, baseline: int | None, before: Values | None = None
) -> list[VisitSummary]:
    """Every visit of one parameter, with its change from baseline.

    Parameters
    ----------
    values : ndarray, shape (n_subjects, n_visits)
        One value per subject and visit, visits in time order; NaN where there is none.
    baseline : int or None
        Column of the baseline visit. Visits before it, and itself, have no change; with None
        no visit has.
    before : ndarray, shape (n_subjects,), optional
        What each subject's changes are counted from; by default its value at the baseline visit.

    Returns
    -------
    list of VisitSummary
        In the order of visits; P values are adjusted (Holm) over the visits after baseline.
    """
    start = values.shape[1] if baseline is None else baseline
    if before is None:
        before = values[:, start] if start < values.shape[1] else np.full(values.shape[0], NAN)
    tests = [
        wilcoxon_signed_rank(paired_changes(before, values[:, visit]))
        if visit > start
        else SignedRank(NAN, "", 0, 0)
        for visit in range(values.shape[1])
    ]
    adjusted = holm([test.p for test in tests])
    return [
        _summary(values[:, visit], before if visit > start else None, test, float(adjusted[visit]))
        for visit, test in enumerate(tests)
    ]


def _summary(value: Values, before: Values | None, test: SignedRank, p_holm: float) -> VisitSummary:
    known = finite(value)
    seen = quartiles(known)
    before = np.full(value.shape, NAN) if before is None else before
    changes = paired_changes(before, value)
    change, typical = quartiles(changes), hodges_lehmann(changes)
    return VisitSummary(
        n=seen.n,
        median=seen.median,
        q1=seen.q1,
        q3=seen.q3,
        minimum=float(known.min()) if seen.n else NAN,
        maximum=float(known.max()) if seen.n else NAN,
        geometric_mean=geometric_mean(known),
        n_paired=change.n,
        change_median=change.median,
        change_q1=change.q1,
        change_q3=change.q3,
        hl=typical.estimate,
        hl_low=typical.low,
        hl_high=typical.high,
        hl_method=typical.method,
        ratio_median=median_ratio(before, value),
        p=test.p,
        p_holm=p_holm,
        p_method=test.method,
        n_zero=test.n_zero,
    )
