"""Descriptive statistics per visit and change from baseline, for small single-arm trials.

Everything here is exploratory: medians and quartiles, the paired change from baseline with
its Hodges-Lehmann estimate, Wilcoxon's signed-rank test and Holm's adjustment over the
post-baseline visits of one parameter.
"""

from cytotrial.science.statistics.clinical import clinical_by_visit
from cytotrial.science.statistics.completeness import completeness
from cytotrial.science.statistics.descriptive import (
    Quartiles,
    geometric_mean,
    median_ratio,
    paired_changes,
    proportion,
    quartiles,
)
from cytotrial.science.statistics.ranks import (
    HodgesLehmann,
    SignedRank,
    hodges_lehmann,
    holm,
    wilcoxon_signed_rank,
)
from cytotrial.science.statistics.records import analysis_records, baseline_values
from cytotrial.science.statistics.tables import cell_counts_by_visit
from cytotrial.science.statistics.visits import VisitSummary, summarise_visits

__all__ = [
    "HodgesLehmann",
    "Quartiles",
    "SignedRank",
    "VisitSummary",
    "analysis_records",
    "baseline_values",
    "cell_counts_by_visit",
    "clinical_by_visit",
    "completeness",
    "geometric_mean",
    "hodges_lehmann",
    "holm",
    "median_ratio",
    "paired_changes",
    "proportion",
    "quartiles",
    "summarise_visits",
    "wilcoxon_signed_rank",
]
