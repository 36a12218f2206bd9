"""Descriptive statistics per visit and change from baseline, for small single-arm trials.

Everything here is exploratory: medians and quartiles, the paired change from baseline with
its Hodges-Lehmann estimate, Wilcoxon's signed-rank test and Holm's adjustment over the
post-baseline visits of one parameter. The functions on arrays come first; the last three
make the tables of a report from the trial dataset.

References
----------
Hyndman & Fan, Am Stat 1996;50:361: sample quantiles (definition 7 is used).
Hodges & Lehmann, Ann Math Stat 1963;34:598; Hollander, Wolfe & Chicken, Nonparametric
Statistical Methods, 3rd ed. 2014, sections 3.1-3.3: signed-rank test, estimate, interval.
Holm, Scand J Stat 1979;6:65.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytotrial.science.counting import Z95, clopper_pearson
from cytotrial.terms import Status

Values = npt.NDArray[np.float64]

NAN = float("nan")

EXACT = "exact"
PERMUTATION = "exact, ties"
APPROXIMATE = "approximate"

_EXACT_PAIRS = 50
_PERMUTATION_PAIRS = 13


@dataclass(frozen=True, slots=True)
class Quartiles:
    """Number of values, lower quartile, median, upper quartile; NaN where there is no value."""

    n: int
    q1: float
    median: float
    q3: float


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
    known = _finite(values)
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
    known = _finite(values)
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
    return _finite(np.asarray(value, dtype=np.float64) - np.asarray(baseline, dtype=np.float64))


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
    known = _finite(changes)
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
        `method` is "exact" (up to 50 changes, no ties), "exact, ties" (all sign permutations,
        up to 13 changes) or "approximate" (normal, corrected for ties, not for continuity).
        With fewer than two changes other than 0 there is no P value (NaN): one subject is a
        curve, not a test.

    References
    ----------
    Wilcoxon, Biometrics Bull 1945;1:80; zeros are dropped as there.
    """
    from scipy import stats  # noqa: PLC0415 (the arrays above do without it)

    known = _finite(changes)
    moved = known[known != 0]
    n_zero = int(known.size - moved.size)
    if moved.size < 2:
        return SignedRank(NAN, "", int(moved.size), n_zero)
    tied = np.unique(np.abs(moved)).size < moved.size
    chosen: Any = "asymptotic"
    name = APPROXIMATE
    if not tied and moved.size <= _EXACT_PAIRS:
        chosen, name = "exact", EXACT
    elif tied and moved.size <= _PERMUTATION_PAIRS:
        chosen, name = stats.PermutationMethod(n_resamples=2**_PERMUTATION_PAIRS), PERMUTATION
    p = float(stats.wilcoxon(moved, zero_method="wilcox", method=chosen).pvalue)
    return SignedRank(p, name, int(moved.size), n_zero)


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


def summarise_visits(values: Values, *, baseline: int | None) -> list[VisitSummary]:
    """Every visit of one parameter, with its change from the baseline visit.

    Parameters
    ----------
    values : ndarray, shape (n_subjects, n_visits)
        One value per subject and visit, visits in time order; NaN where there is none.
    baseline : int or None
        Column of the baseline visit. Visits before it, and itself, have no change; with None
        no visit has.

    Returns
    -------
    list of VisitSummary
        In the order of visits; P values are adjusted (Holm) over the visits after baseline.
    """
    start = values.shape[1] if baseline is None else baseline
    tests = [
        wilcoxon_signed_rank(paired_changes(values[:, start], values[:, visit]))
        if visit > start
        else SignedRank(NAN, "", 0, 0)
        for visit in range(values.shape[1])
    ]
    adjusted = holm([test.p for test in tests])
    return [
        _summary(values[:, visit], values[:, start] if visit > start else None, test, float(adjusted[visit]))
        for visit, test in enumerate(tests)
    ]


def _summary(value: Values, before: Values | None, test: SignedRank, p_holm: float) -> VisitSummary:
    known = _finite(value)
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


def _finite(values: npt.ArrayLike) -> Values:
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def _rank_of_limit(n: int) -> tuple[int, str]:
    """Rank (from 1) of the Walsh average that is the lower 95 % limit; 0 if none reaches 95 %."""
    if n > _EXACT_PAIRS:
        spread = math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
        return max(1, math.floor(n * (n + 1) / 4 - Z95 * spread)), APPROXIMATE
    cumulative = np.cumsum(_signed_rank_counts(n)) / 2.0**n
    return int(np.searchsorted(cumulative, 0.025)), EXACT


def _signed_rank_counts(n: int) -> Values:
    """How many of the 2ⁿ sign patterns give each rank sum 0..n(n+1)/2 (exact in float64 up to n = 50)."""
    counts = np.zeros(n * (n + 1) // 2 + 1)
    counts[0] = 1
    for rank in range(1, n + 1):
        counts[rank:] += counts[:-rank].copy()
    return counts


def mark_analysis_records(counts: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """The counts with a column `analysis`: "Y" on the one record used per subject, parameter and visit.

    Parameters
    ----------
    counts : DataFrame
        Columns subject, visit, parameter, value, status, study_day, collected, specimen.
    visits : DataFrame
        Columns visit, target_day.

    Returns
    -------
    DataFrame
        A copy in the same order. A record with a value and the status OK or WARN competes at its
        planned visit; the one nearest to the target day is used, then the later draw, then the
        last specimen by name. A record of any other visit (UNSCHEDULED) is never used.
    """
    target = visits.drop_duplicates("visit").set_index("visit")["target_day"]
    days = pd.to_numeric(counts["study_day"], errors="coerce")
    ranked = pd.DataFrame(
        {
            "subject": counts["subject"],
            "parameter": counts["parameter"],
            "visit": counts["visit"],
            "distance": (days - pd.to_numeric(counts["visit"].map(target), errors="coerce")).abs(),
            "collected": counts["collected"].fillna("").astype(str),
            "specimen": counts["specimen"].fillna("").astype(str),
        }
    )
    usable = _usable(counts) & counts["visit"].isin(target.index)
    ranked = ranked[usable].sort_values(
        ["distance", "collected", "specimen"],
        ascending=[True, False, False],
        kind="stable",
        na_position="last",
    )
    used = ranked.drop_duplicates(["subject", "parameter", "visit"]).index
    return counts.assign(analysis=np.where(counts.index.isin(used), "Y", ""))


def _usable(counts: pd.DataFrame) -> npt.NDArray[np.bool_]:
    value = pd.to_numeric(counts["value"], errors="coerce").to_numpy(np.float64)
    passed = counts["status"].isin([Status.OK.value, Status.WARN.value]).to_numpy(np.bool_)
    return np.asarray(np.isfinite(value) & passed, dtype=np.bool_)


def cell_counts_by_visit(
    counts: pd.DataFrame, visits: pd.DataFrame, *, n_planned: int, lloq_events: int
) -> pd.DataFrame:
    """The numbers of table T1: every parameter at every planned visit.

    Parameters
    ----------
    counts : DataFrame
        The trial dataset with the column `analysis` (see `mark_analysis_records`).
    visits : DataFrame
        Columns visit, visit_num, baseline ("Y" on one row).
    n_planned : int
        Subjects for whom the visits are planned.
    lloq_events : int
        Fewer events than this are below the lower limit of quantitation.

    Returns
    -------
    DataFrame
        One row per parameter and visit, in the order of the dataset and of visit_num: parameter,
        unit, visit, n_planned, the fields of `VisitSummary`, n_below_lloq, n_not_done, n_failed
        (subjects without a value, by the status of their record) and lloq_value: the median over
        tubes of the value that `lloq_events` events would have given.
    """
    planned = _in_order(visits)
    rows = [
        {"parameter": parameter, "unit": _first_text(part["unit"]), "n_planned": n_planned, **row}
        for parameter, part in counts.groupby("parameter", sort=False)
        for row in _parameter_rows(part, planned, lloq_events)
    ]
    return pd.DataFrame(rows, columns=_CELL_COUNT_COLUMNS)


_SUMMARY_COLUMNS = list(VisitSummary.__dataclass_fields__)
_CELL_COUNT_COLUMNS = [
    *("parameter", "unit", "visit", "n_planned"),
    *_SUMMARY_COLUMNS,
    *("n_below_lloq", "n_not_done", "n_failed", "lloq_value"),
]


def _parameter_rows(part: pd.DataFrame, planned: pd.DataFrame, lloq_events: int) -> list[dict[str, Any]]:
    used = part[part["analysis"] == "Y"]
    matrix = _matrix(used["subject"], used["visit"], used["value"], planned)
    summaries = summarise_visits(matrix, baseline=_baseline(planned))
    return [
        {"visit": visit, **asdict(summary), **_limits_and_losses(part, visit, lloq_events)}
        for visit, summary in zip(planned["visit"], summaries, strict=True)
    ]


def _limits_and_losses(part: pd.DataFrame, visit: str, lloq_events: int) -> dict[str, Any]:
    here = part[part["visit"] == visit]
    used = here[here["analysis"] == "Y"]
    events = pd.to_numeric(used["events"], errors="coerce").to_numpy(np.float64)
    value = pd.to_numeric(used["value"], errors="coerce").to_numpy(np.float64)
    seen = (events > 0) & (value > 0)
    lost = here[~here["subject"].isin(used["subject"])]
    failed = set(lost.loc[lost["status"] == Status.FAIL.value, "subject"])
    not_done = set(lost.loc[lost["status"] == Status.NOT_DONE.value, "subject"]) - failed
    return {
        "n_below_lloq": int((events < lloq_events).sum()),
        "n_not_done": len(not_done),
        "n_failed": len(failed),
        "lloq_value": quartiles(value[seen] / events[seen] * lloq_events).median,
    }


def clinical_by_visit(
    visit_wide: pd.DataFrame, visits: pd.DataFrame, *, units: Mapping[str, str], n_planned: int
) -> pd.DataFrame:
    """The numbers of table T2: every clinical test at every planned visit.

    Parameters
    ----------
    visit_wide : DataFrame
        Columns subject, visit and one column per test. A test whose known values are all of
        yes/no kind (positive, negative, yes, no, true, false) is counted, any other is measured.
    visits : DataFrame
        Columns visit, visit_num, baseline.
    units : mapping of str to str
        Test (a column of `visit_wide`) → unit, in the order of the table.
    n_planned : int
        Subjects for whom the visits are planned.

    Returns
    -------
    DataFrame
        One row per test and visit: test, unit, visit, kind ("measured" or "counted"), n_planned,
        the fields of `VisitSummary`, n_not_numeric (values that are text), x (number positive),
        percent, percent_low, percent_high (of n).
    """
    planned = _in_order(visits)
    rows = [
        {"test": test, "unit": unit, "n_planned": n_planned, **row}
        for test, unit in units.items()
        for row in _test_rows(visit_wide[["subject", "visit", test]], test, planned)
    ]
    return pd.DataFrame(rows, columns=_CLINICAL_COLUMNS)


_CLINICAL_COLUMNS = [
    *("test", "unit", "visit", "kind", "n_planned"),
    *_SUMMARY_COLUMNS,
    *("n_not_numeric", "x", "percent", "percent_low", "percent_high"),
]
_YES = {"positive", "pos", "yes", "y", "true"}
_NO = {"negative", "neg", "no", "n", "false"}


def _test_rows(wide: pd.DataFrame, test: str, planned: pd.DataFrame) -> list[dict[str, Any]]:
    text = wide[test].fillna("").astype(str).str.strip().str.lower()
    if (text != "").any() and set(text) <= _YES | _NO | {""}:
        return [_counted_row(text[wide["visit"] == visit], visit) for visit in planned["visit"]]
    matrix = _matrix(wide["subject"], wide["visit"], wide[test], planned)
    summaries = summarise_visits(matrix, baseline=_baseline(planned))
    is_text = (text != "") & pd.to_numeric(text, errors="coerce").isna()
    return [
        {
            "visit": visit,
            "kind": "measured",
            **asdict(summary),
            "n_not_numeric": int((is_text & (wide["visit"] == visit)).sum()),
        }
        for visit, summary in zip(planned["visit"], summaries, strict=True)
    ]


def _counted_row(text: pd.Series, visit: str) -> dict[str, Any]:
    x, n = int(text.isin(_YES).sum()), int((text != "").sum())
    percent, low, high = proportion(x, n)
    limits = {"percent": percent, "percent_low": low, "percent_high": high}
    return {"visit": visit, "kind": "counted", "n": n, "n_not_numeric": 0, "x": x, **limits}


def _in_order(visits: pd.DataFrame) -> pd.DataFrame:
    number = pd.to_numeric(visits["visit_num"], errors="coerce")
    return visits.assign(visit_num=number).sort_values("visit_num", kind="stable").reset_index(drop=True)


def _baseline(planned: pd.DataFrame) -> int | None:
    marked = np.flatnonzero(planned["baseline"].isin(["Y", True]).to_numpy())
    return int(marked[0]) if marked.size else None


def _matrix(subject: pd.Series, visit: pd.Series, value: pd.Series, planned: pd.DataFrame) -> Values:
    """Values as subjects × planned visits, NaN where there is none."""
    column = visit.map({name: place for place, name in enumerate(planned["visit"])})
    rows, subjects = pd.factorize(subject, sort=True)
    matrix = np.full((len(subjects), len(planned)), NAN)
    known = column.notna().to_numpy()
    numbers = pd.to_numeric(value, errors="coerce").to_numpy(np.float64)
    matrix[rows[known], column.to_numpy(np.float64)[known].astype(int)] = numbers[known]
    return matrix


def _first_text(column: pd.Series) -> str:
    known = column.dropna().astype(str)
    known = known[known != ""]
    return str(known.iloc[0]) if len(known) else ""
