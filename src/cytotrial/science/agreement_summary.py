"""The agreement of a run with a manual gating, population by population, from the figures of each tube."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from cytotrial.science.agreement import Difference, concordance, difference, ratio

Row = Mapping[str, Any]

NAN = float("nan")


@dataclass(frozen=True)
class Wanted:
    """The least that a population must reach; None: it is not judged."""

    ccc: float | None = None
    f1: float | None = None

    def verdict(self, ccc: float, f1: float) -> str:
        """`pass`, or what was missed, or nothing where nothing is asked; an unknown figure is not enough."""
        missed = [
            name
            for name, least, found in (("CCC", self.ccc, ccc), ("F1", self.f1, f1))
            if least is not None and not found >= least
        ]
        if self.ccc is None and self.f1 is None:
            return ""
        return f"{' and '.join(missed)} too low" if missed else "pass"


def summarise(rows: Sequence[Row], wanted: Wanted) -> Iterator[dict[str, Any]]:
    """One row for each panel and population, in the order of the gating.

    Parameters
    ----------
    rows : sequence of mapping
        One for each tube and population: panel, population, manual_population, of, sample_id, percent,
        manual_percent, precision, recall, f1.
    wanted : Wanted
        What each population must reach.
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["panel"], row["population"]), []).append(row)
    for (panel, population), part in sorted(groups.items(), key=lambda group: group[0][0]):
        yield _population(panel, population, part, wanted)


def _population(panel: str, population: str, rows: Sequence[Row], wanted: Wanted) -> dict[str, Any]:
    ours = [row["percent"] for row in rows]
    theirs = [row["manual_percent"] for row in rows]
    apart, quotient, lin = difference(ours, theirs), ratio(ours, theirs), concordance(ours, theirs)
    known = [row for row in rows if not unknown(row["f1"])]
    lowest = min(known, key=lambda row: row["f1"], default=None)
    f1 = _median(row["f1"] for row in known)
    return {
        "panel": panel,
        "population": population,
        "manual_population": list(dict.fromkeys(row["manual_population"] for row in rows)),
        "of": rows[0]["of"],
        "n_tubes": apart.n,
        "median": _median(ours),
        "manual_median": _median(theirs),
        **_difference(apart),
        "ratio": quotient.bias,
        "ratio_ci_low": quotient.bias_low,
        "ratio_ci_high": quotient.bias_high,
        "ratio_lower_limit": quotient.low,
        "ratio_upper_limit": quotient.high,
        "ccc": lin.ccc,
        "ccc_ci_low": lin.low,
        "ccc_ci_high": lin.high,
        "correlation": lin.correlation,
        "accuracy": lin.accuracy,
        "f1_median": f1,
        "f1_lowest": lowest["f1"] if lowest else None,
        "f1_lowest_in": lowest["sample_id"] if lowest else "",
        "precision_median": _median(row["precision"] for row in rows),
        "recall_median": _median(row["recall"] for row in rows),
        "verdict": wanted.verdict(lin.ccc, f1),
    }


def _difference(apart: Difference) -> dict[str, float]:
    return {
        "bias": apart.bias,
        "bias_ci_low": apart.bias_low,
        "bias_ci_high": apart.bias_high,
        "sd": apart.sd,
        "lower_limit": apart.low,
        "lower_limit_ci_low": apart.low_low,
        "lower_limit_ci_high": apart.low_high,
        "upper_limit": apart.high,
        "upper_limit_ci_low": apart.high_low,
        "upper_limit_ci_high": apart.high_high,
    }


def unknown(value: Any) -> bool:
    """Whether a figure is not known: None or NaN."""
    return value is None or math.isnan(value)


def _median(values: Iterable[float]) -> float:
    known = [value for value in values if not unknown(value)]
    return median(known) if known else NAN
