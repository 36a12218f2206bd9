"""Statistics per visit, against published values and arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cytotrial.science.statistics import (
    analysis_records,
    baseline_values,
    cell_counts_by_visit,
    clinical_by_visit,
    completeness,
    geometric_mean,
    hodges_lehmann,
    holm,
    median_ratio,
    paired_changes,
    proportion,
    quartiles,
    summarise_visits,
    wilcoxon_signed_rank,
)

# Hamilton depression scale factor IV of nine patients before and after a tranquillizer:
# Hollander & Wolfe, Nonparametric Statistical Methods (1973), table 3.1; also R's example(wilcox.test).
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]


def test_quartiles_are_those_of_r_and_ignore_what_is_missing():
    # R: quantile(c(2, 4, 7, 20, 33)) gives 4, 7, 20
    found = quartiles([33, 2, np.nan, 4, 20, 7])
    assert (found.n, found.q1, found.median, found.q3) == (5, 4.0, 7.0, 20.0)


def test_no_value_has_no_median():
    found = quartiles([np.nan])
    assert found.n == 0
    assert math.isnan(found.median)


def test_the_signed_rank_test_repeats_the_published_example():
    # R: wilcox.test(x, y, paired = TRUE) gives V = 40, p-value = 0.03906 (0.01953 one-sided)
    found = wilcoxon_signed_rank(paired_changes(BEFORE, AFTER))
    assert found.p == pytest.approx(0.0390625, abs=1e-12)
    assert (found.method, found.n_used, found.n_zero) == ("exact", 9, 0)


def test_the_hodges_lehmann_estimate_repeats_the_published_example():
    # Hollander & Wolfe, examples 3.3 and 3.4: -0.46, interval (-0.786, -0.010)
    found = hodges_lehmann(paired_changes(BEFORE, AFTER))
    assert found.estimate == pytest.approx(-0.46, abs=5e-4)
    assert (found.low, found.high) == (pytest.approx(-0.786), pytest.approx(-0.010))
    assert found.method == "exact"


def test_six_subjects_who_all_rise_give_the_smallest_possible_p():
    # 2 of 2^6 sign patterns are as extreme
    assert wilcoxon_signed_rank([1, 2, 3, 4, 5, 6]).p == pytest.approx(2 / 64)


def test_one_subject_is_a_curve_and_not_a_test():
    found = wilcoxon_signed_rank([7.0])
    assert math.isnan(found.p)
    assert found.n_used == 1


def test_zero_changes_are_dropped_and_counted():
    found = wilcoxon_signed_rank([0, 0, 1, 2, 3, 4, 5, 6])
    assert found.p == pytest.approx(2 / 64)
    assert (found.n_used, found.n_zero) == (6, 2)


def test_tied_changes_of_few_subjects_get_a_permutation_p():
    # Four changes of size 1, three up: at least three of four up in 5 of 16 patterns, two-sided 10/16
    found = wilcoxon_signed_rank([1, 1, 1, -1])
    assert found.p == pytest.approx(10 / 16)
    assert found.method == "exact, ties"


def test_ties_stay_exact_where_sign_permutations_are_too_many_to_list():
    # 2 of 2^40 patterns are as extreme as all of 40 equal rises.
    found = wilcoxon_signed_rank([1.0] * 40)
    assert found.p == pytest.approx(2 / 2**40)
    assert found.method == "exact, ties"


def test_exact_p_values_are_those_of_scipy():
    changes = np.random.default_rng(20260101).normal(0.2, 1, 25)
    assert wilcoxon_signed_rank(changes).p == pytest.approx(stats.wilcoxon(changes, method="exact").pvalue)
    few = np.round(changes[:10] * 2) / 2
    every = stats.PermutationMethod(n_resamples=2**10)
    known = stats.wilcoxon(few[few != 0], method=every).pvalue
    assert wilcoxon_signed_rank(few).p == pytest.approx(known)


def test_tied_changes_of_many_subjects_get_a_normal_p_and_say_so():
    # 60 rises by 1: midrank 30.5 each, mean 30 * 30.5, variance 60 * 30.5^2 / 4
    z = (60 * 30.5 - 30 * 30.5) / math.sqrt(60 * 30.5**2 / 4)
    found = wilcoxon_signed_rank([1.0] * 60)
    assert found.p == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert found.method == "approximate"


def test_p_values_of_many_subjects_are_those_of_scipy_with_and_without_ties():
    changes = np.random.default_rng(20260102).normal(0.2, 1, 82)
    for some in (changes, np.round(changes * 4) / 4):
        known = stats.wilcoxon(some[some != 0], method="asymptotic").pvalue
        assert wilcoxon_signed_rank(some).p == pytest.approx(known, rel=1e-14)


def test_five_pairs_cannot_give_a_95_percent_interval():
    # The widest interval of 5 pairs covers 1 - 2/32 = 93.75 %
    found = hodges_lehmann([1, 2, 3, 4, 5])
    assert found.estimate == 3.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_the_interval_of_six_pairs_is_the_whole_range():
    # The outermost Walsh averages of 6 pairs are the extreme changes; coverage 1 - 2/64 = 96.9 %
    found = hodges_lehmann([1, 2, 3, 4, 5, 9])
    assert (found.low, found.high) == (1.0, 9.0)


@pytest.mark.parametrize("n", [8, 60])
def test_the_interval_covers_the_true_shift_in_95_of_100_trials(n):
    # 2000 simulated trials with a true median change of 3: binomial SD of the coverage is 0.5 %
    rng = np.random.default_rng(20240301)
    found = [hodges_lehmann(rng.logistic(3.0, 1.0, n)) for _ in range(2000 if n < 20 else 600)]
    covered = np.mean([interval.low <= 3.0 <= interval.high for interval in found])
    assert 0.935 <= covered <= 0.98


def test_holm_repeats_p_adjust_of_r_and_leaves_untested_visits_out():
    # R: p.adjust(c(0.01, 0.02, 0.03, 0.04), "holm") gives 0.04 0.06 0.06 0.06
    adjusted = holm([0.02, np.nan, 0.01, 0.04, 0.03])
    assert adjusted[[0, 2, 3, 4]] == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert math.isnan(adjusted[1])


def test_adjusted_p_values_stay_below_one():
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


def test_limits_of_a_proportion_are_exact():
    # Clopper-Pearson of 0/10: upper limit 1 - 0.025^(1/10) = 30.85 %; of 10/10: lower limit 69.15 %
    assert proportion(0, 10) == (0.0, 0.0, pytest.approx(30.85, abs=0.005))
    assert proportion(10, 10) == (100.0, pytest.approx(69.15, abs=0.005), 100.0)


def test_nobody_measured_is_not_zero_percent():
    assert all(math.isnan(part) for part in proportion(0, 0))


def test_a_geometric_mean_with_a_zero_is_undefined():
    assert geometric_mean([1, 10, 100]) == pytest.approx(10)
    assert math.isnan(geometric_mean([0, 10]))


def test_the_median_ratio_is_over_subjects_and_not_of_medians():
    # Ratios 4, 1 and 0.5 have the median 1; the ratio of the medians would be 4/2 = 2
    assert median_ratio([1, 2, 8], [4, 2, 4]) == 1.0


def test_a_visit_before_baseline_has_no_change():
    values = np.array([[5.0, 10.0, 20.0], [6.0, 20.0, 50.0]])
    before, baseline, after = summarise_visits(values, baseline=1)
    assert (before.n_paired, baseline.n_paired, after.n_paired) == (0, 0, 2)
    assert after.change_median == 20.0
    assert math.isnan(before.p)


VISITS = pd.DataFrame(
    {
        "visit": ["Week 6", "Baseline"],
        "visit_num": ["6", "0"],
        "target_day": ["43", "1"],
        "baseline": ["", "Y"],
    }
)


def records(*rows: tuple[object, ...]) -> pd.DataFrame:
    """The trial dataset: every value answers for its visit; limits of 20 and 50 events."""
    columns = ["subject", "visit", "value", "events", "status", "flags"]
    table = pd.DataFrame(rows, columns=columns)
    events = pd.to_numeric(table["events"])
    return table.assign(
        parameter="TREGABS",
        unit="10^6/L",
        analysis=np.where(table["value"].notna(), "Y", ""),
        quantifiable=np.where(
            events.isna(), "", np.where(events < 50, "DETECTED, NOT QUANTIFIABLE", "QUANTIFIABLE")
        ),
        lloq_value=pd.to_numeric(table["value"]) / events * 50,
    )


def test_losses_are_counted_by_subject_and_reason():
    counts = records(
        ("001", "Baseline", 10.0, 500, "OK", ""),
        ("002", "Baseline", 2.0, 40, "WARN", "BELOW_LLOQ"),
        ("001", "Week 6", None, None, "FAIL", "NO_COUNT"),
        ("002", "Week 6", None, None, "NOT_DONE", "NOT_DONE:clotted"),
        ("003", "Week 6", None, None, "NOT_DONE", "NO_TUBE_IN_SHEET"),
    )
    table = cell_counts_by_visit(counts, VISITS, n_planned=3)
    baseline, week6 = table.to_dict("records")
    assert baseline["visit"] == "Baseline"
    assert (baseline["n_planned"], baseline["n"], baseline["n_below_lloq"]) == (3, 2, 1)
    # The third subject's visit is not in the sheet: it may not be due.
    assert (week6["n"], week6["n_failed"], week6["n_not_done"]) == (0, 1, 1)
    # 50 events would have been 10/500*50 = 1.0 and 2/40*50 = 2.5 cells/µL
    assert baseline["lloq_value"] == pytest.approx(1.75)


CANDIDATES = pd.DataFrame(
    [
        ("001", "a", "Screening", "Y", "", 9.0, 180, 20_000, None, None),
        ("001", "b", "Baseline", "Y", "Y", 10.0, 200, 20_000, None, None),
        ("001", "c", "Week 6", "", "", 11.0, 220, 20_000, None, None),
        ("001", "d", "Week 6", "Y", "", 12.0, 300, 20_000, 30, 10_000),
        ("002", "e", "Screening", "Y", "Y", 20.0, 400, 20_000, None, None),
        ("002", "f", "Week 6", "Y", "", 30.0, 600, 20_000, None, None),
    ],
    columns=[
        *("subject", "specimen", "analysis_visit", "answers", "baseline", "value", "events"),
        *("parent_events", "background_events", "background_parent_events"),
    ],
).assign(parameter="TREGABS", lod_events=20, lloq_events=50, quantifiable="QUANTIFIABLE")


def dataset(*specimens: tuple[str, str, str, float | None]) -> pd.DataFrame:
    rows = pd.DataFrame(specimens, columns=["subject", "visit", "specimen", "value"])
    known = CANDIDATES.set_index("specimen")
    return rows.assign(
        parameter="TREGABS",
        unit="10^6/L",
        status="OK",
        flags="",
        events=rows["specimen"].map(known["events"]),
        parent_events=20_000,
    )


def test_a_record_is_used_at_the_visit_that_it_answers_for_and_nowhere_else():
    found = analysis_records(
        dataset(
            ("001", "Week 6", "d", 12.0), ("001", "UNSCHEDULED", "d", 12.0), ("001", "Week 12", "", None)
        ),
        CANDIDATES,
    )
    assert found["analysis"].tolist() == ["Y", "", ""]
    assert found["quantifiable"].tolist() == ["QUANTIFIABLE", "QUANTIFIABLE", ""]


def test_the_value_at_the_limit_of_quantitation_is_that_of_events_above_background():
    # 300 events less 30 of 10,000 · 20,000 = 60 are 240 for 12 cells/µL: 50 are 2.5.
    found = analysis_records(dataset(("001", "Week 6", "d", 12.0)), CANDIDATES)
    assert found["lloq_value"].tolist() == [2.5]


def test_changes_are_counted_from_the_flagged_baseline_though_it_is_of_another_visit():
    # 001: 12 − 10; 002 has no baseline visit, its screening value is flagged: 30 − 20.
    counts = analysis_records(
        dataset(("001", "Baseline", "b", 10.0), ("001", "Week 6", "d", 12.0), ("002", "Week 6", "f", 30.0)),
        CANDIDATES,
    )
    table = cell_counts_by_visit(counts, VISITS, n_planned=2, baselines=baseline_values(CANDIDATES))
    week6 = table[table["visit"] == "Week 6"].iloc[0]
    assert (week6["n_paired"], week6["change_median"]) == (2, 6.0)
    assert cell_counts_by_visit(counts, VISITS, n_planned=2)["n_paired"].tolist() == [0, 1]


def test_what_there_is_of_a_subject_at_a_visit_is_what_the_worst_parameter_has():
    rows = pd.DataFrame(
        [
            ("001", "Baseline", "CD4ABS", "OK", ""),
            ("001", "Baseline", "TREGABS", "WARN", "FEW_BEADS"),
            ("002", "Baseline", "CD4ABS", "OK", ""),
            ("002", "Baseline", "TREGABS", "NOT_DONE", "NOT_DONE:clotted"),
            ("003", "Baseline", "CD4ABS", "FAIL", "NO_COUNT:no bead"),
            ("003", "Baseline", "TREGABS", "NOT_DONE", "NO_TUBE:treg"),
            ("004", "Baseline", "CD4ABS", "NOT_DONE", "NO_TUBE_IN_SHEET"),
            ("004", "Baseline", "TREGABS", "NOT_DONE", "NO_TUBE_IN_SHEET"),
        ],
        columns=["subject", "visit", "parameter", "status", "flags"],
    )
    found = completeness(rows, subjects=["001", "002", "003", "004", "005"], visits=["Baseline"])
    assert found["state"].tolist() == ["W", "N", "F", ".", "."]
    assert found["available"].tolist() == [2, 1, 0, 0, 0]
    assert found["reasons"].tolist()[1:3] == ["NOT_DONE:clotted", "NO_COUNT:no bead;NO_TUBE:treg"]


def test_changes_pair_each_subject_with_itself():
    counts = records(
        ("001", "Baseline", 10.0, 500, "OK", ""),
        ("002", "Baseline", 20.0, 500, "OK", ""),
        ("003", "Week 6", 99.0, 500, "OK", ""),
        ("002", "Week 6", 25.0, 500, "OK", ""),
        ("001", "Week 6", 13.0, 500, "OK", ""),
    )
    table = cell_counts_by_visit(counts, VISITS, n_planned=3)
    week6 = table[table["visit"] == "Week 6"].iloc[0]
    # Changes 3 and 5; subject 003 has no baseline
    assert (week6["n"], week6["n_paired"], week6["change_median"]) == (3, 2, 4.0)


def test_clinical_tests_are_measured_or_counted():
    wide = pd.DataFrame(
        {
            "subject": ["001", "002", "001", "002"],
            "visit": ["Baseline", "Baseline", "Week 6", "Week 6"],
            "SLEDAI": ["8", "12", "4", "<1"],
            "Crithidia": ["positive", "positive", "negative", ""],
        }
    )
    table = clinical_by_visit(wide, VISITS, units={"SLEDAI": "score", "Crithidia": ""}, n_planned=2)
    sledai, crithidia = (table[table["test"] == test].to_dict("records") for test in ("SLEDAI", "Crithidia"))
    assert (sledai[0]["median"], sledai[1]["median"], sledai[1]["n_not_numeric"]) == (10.0, 4.0, 1)
    assert sledai[1]["change_median"] == -4.0
    assert [(row["kind"], row["x"], row["n"]) for row in crithidia] == [("counted", 2, 2), ("counted", 0, 1)]


def test_an_empty_dataset_gives_an_empty_table_with_its_columns():
    table = cell_counts_by_visit(records(), VISITS, n_planned=0)
    assert len(table) == 0
    assert {"parameter", "visit", "median", "p_holm", "lloq_value"} <= set(table.columns)
