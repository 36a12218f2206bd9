"""Two runs of one study, row by row: which values moved, by how much, and which conclusions with them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from cytotrial.science.agreement import Difference, concordance, difference, ratio
from cytotrial.terms import ROOT, BooleanGate, Gate

Row = Mapping[str, Any]
Key = tuple[str, ...]

NAN = float("nan")
LEVEL = 0.05
"""P below it is called a difference."""

UNSCHEDULED = "UNSCHEDULED"


def number(text: Any) -> float:
    """A cell as a number; NaN for an empty one.

    Examples
    --------
    >>> number("1.5"), number("")
    (1.5, nan)
    """
    return NAN if text in {"", None} else float(text)


def compare_values(old: Sequence[Row], new: Sequence[Row]) -> list[dict[str, Any]]:
    """Every value of two trial datasets, paired by subject, visit and parameter.

    Parameters
    ----------
    old, new : sequence of mapping
        Rows of counts.csv.

    Returns
    -------
    list of dict
        Sorted. The draw (specimen) belongs to the key where a subject has several at a visit; where one
        record answers in each run, the two may come from different draws.
    """
    several = {key for rows in (old, new) for key, n in Counter(map(_visit_key, rows)).items() if n > 1}

    def key_of(row: Row) -> Key:
        draw = row["specimen"] if _visit_key(row) in several or row["visit"] == UNSCHEDULED else ""
        return (*_visit_key(row), draw)

    return [
        {
            "parameter": key[0],
            "unit": _either(before, after, "unit"),
            "subject": key[1],
            "visit": key[2],
            **_both("specimen", before, after),
            **_moved("value", before, after),
            **_both("status", before, after),
            **_both("flags", before, after),
        }
        for key, before, after in _paired(old, new, key_of)
    ]


def _visit_key(row: Row) -> Key:
    return (row["parameter"], row["subject"], row["visit"])


def compare_populations(old: Sequence[Row], new: Sequence[Row]) -> list[dict[str, Any]]:
    """Every population of every tube of two runs, paired by tube and name; rows of populations.csv."""
    return [
        {
            "panel": key[0],
            "sample_id": key[1],
            "population": key[2],
            "parent": _either(before, after, "parent"),
            **_both("events", before, after),
            **_both("parent_events", before, after),
            **_moved("percent_of_parent", before, after),
            **_both("status", before, after),
        }
        for key, before, after in _paired(
            old, new, lambda row: (row["panel"], row["sample_id"], row["population"])
        )
    ]


def _paired(
    old: Sequence[Row], new: Sequence[Row], key_of: Callable[[Row], Key]
) -> Iterator[tuple[Key, Row, Row]]:
    """Rows of one key in both; an empty row where one has none. In the order of the keys."""
    before, after = ({key_of(row): row for row in rows} for rows in (old, new))
    order = list(dict.fromkeys([*after, *before]))
    for key in sorted(order):
        yield key, before.get(key, {}), after.get(key, {})


def _either(before: Row, after: Row, column: str) -> Any:
    return (after or before)[column]


def _both(column: str, before: Row, after: Row) -> dict[str, Any]:
    return {f"old_{column}": before.get(column, ""), f"new_{column}": after.get(column, "")}


def _moved(column: str, before: Row, after: Row) -> dict[str, Any]:
    old, new = number(before.get(column)), number(after.get(column))
    return {
        "old": old,
        "new": new,
        "difference": new - old,
        "ratio": new / old if old > 0 else NAN,
        "outcome": _outcome(old, new, in_both=bool(before and after)),
    }


def _outcome(old: float, new: float, *, in_both: bool) -> str:
    """same, moved, gained, lost or missing (in both); `not in both` for a row that one run does not have."""
    if not in_both:
        return "not in both"
    if math.isnan(old) or math.isnan(new):
        known = (not math.isnan(old), not math.isnan(new))
        return {(False, False): "missing", (True, False): "lost", (False, True): "gained"}[known]
    return "same" if old == new else "moved"


def summarise_moves(rows: Sequence[Row], by: Sequence[str]) -> list[dict[str, Any]]:
    """Bias and limits of new − old for each group of rows, with how many moved.

    Parameters
    ----------
    rows : sequence of mapping
        From `compare_values` or `compare_populations`.
    by : names of the columns that make a group
    """
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return [{**dict(zip(by, key, strict=True)), **_summary(part)} for key, part in groups.items()]


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    old, new = [row["old"] for row in rows], [row["new"] for row in rows]
    apart, quotient = difference(new, old), ratio(new, old)
    outcomes = Counter(row["outcome"] for row in rows)
    return {
        "n_pairs": apart.n,
        **{
            f"n_{name.replace(' ', '_')}": outcomes[name]
            for name in ("moved", "gained", "lost", "not in both")
        },
        **limits_of(apart, "bias", "lower_limit", "upper_limit"),
        "sd": apart.sd,
        **limits_of(quotient, "ratio", "ratio_lower_limit", "ratio_upper_limit"),
        "ccc": concordance(new, old).ccc,
        "largest_difference": max(
            (abs(row["difference"]) for row in rows if row["outcome"] == "moved"), default=0.0
        ),
    }


def limits_of(found: Difference, bias: str, lower: str, upper: str) -> dict[str, float]:
    """Bias and limits of agreement as columns, each with `_ci_low` and `_ci_high`."""
    return {
        bias: found.bias,
        f"{bias}_ci_low": found.bias_low,
        f"{bias}_ci_high": found.bias_high,
        lower: found.low,
        f"{lower}_ci_low": found.low_low,
        f"{lower}_ci_high": found.low_high,
        upper: found.high,
        f"{upper}_ci_low": found.high_low,
        f"{upper}_ci_high": found.high_high,
    }


# Conclusions


def compare_visits(old: Sequence[Row], new: Sequence[Row]) -> list[dict[str, Any]]:
    """Medians and changes from baseline of every parameter at every visit, and what moves in the conclusion.

    Parameters
    ----------
    old, new : sequence of mapping
        Rows of `cell_counts_by_visit`: parameter, unit, visit, n, median, hl, p, p_holm.

    Returns
    -------
    list of dict
        In the order of the visits. `conclusion` says what moved: the direction of the change
        (Hodges-Lehmann), P or Holm's P from one side of 0.05 to the other; empty if nothing did.
    """
    before = {(row["parameter"], row["visit"]): row for row in old}
    return [
        _visit(before[row["parameter"], row["visit"]], row)
        for row in new
        if (row["parameter"], row["visit"]) in before
    ]


def _visit(before: Row, after: Row) -> dict[str, Any]:
    figures = {
        f"{when}_{name}": number(row[name])
        for name in ("n", "median", "hl", "p", "p_holm")
        for when, row in (("old", before), ("new", after))
    }
    old, new = figures["old_median"], figures["new_median"]
    return {
        "parameter": after["parameter"],
        "unit": after["unit"],
        "visit": after["visit"],
        **figures,
        "median_difference": new - old,
        "median_ratio": new / old if old > 0 else NAN,
        "conclusion": "; ".join(_conclusions(figures)),
    }


def _conclusions(figures: Mapping[str, float]) -> Iterator[str]:
    old, new = (direction(figures[f"{when}_hl"]) for when in ("old", "new"))
    if old != new:
        yield f"direction {old or 'unknown'} → {new or 'unknown'}"
    for name, label in (("p", "P"), ("p_holm", "P (Holm)")):
        before, after = (_side(figures[f"{when}_{name}"]) for when in ("old", "new"))
        if before != after:
            yield f"{label} {before} → {after}"


def direction(change: float) -> str:
    """up, down, none; empty if not known.

    Examples
    --------
    >>> direction(3.2), direction(float("nan"))
    ('up', '')
    """
    if math.isnan(change):
        return ""
    return "none" if change == 0 else ("up" if change > 0 else "down")


def _side(p: float) -> str:
    if math.isnan(p):
        return "none"
    return f"below {LEVEL}" if p < LEVEL else f"{LEVEL} or above"


# Which tubes moved most


def moved_most(rows: Sequence[Row], *, least_events: int, n_tubes: int) -> list[dict[str, Any]]:
    """The tubes that moved most, each with the population that moved most, relative to what it was.

    Parameters
    ----------
    rows : sequence of mapping
        From `compare_populations`.
    least_events : int
        A population with fewer events in both runs is not considered: few events move by much.

    Returns
    -------
    list of dict
        sample_id, panel, population, old and new (% of parent), events, and `factor`: new / old events.
    """
    ranked = []
    for row in rows:
        before, after = number(row["old_events"]), number(row["new_events"])
        if row["population"] != ROOT and before != after and max(before, after) >= least_events:
            ranked.append({**row, "factor": (after + 0.5) / (before + 0.5)})
    ranked = [row for row in ranked if math.isfinite(row["factor"])]
    ranked.sort(key=lambda row: (-abs(math.log(row["factor"])), row["sample_id"], row["population"]))
    first: dict[str, dict[str, Any]] = {}
    for row in ranked:
        first.setdefault(row["sample_id"], row)
    return list(first.values())[:n_tubes]


def lineage(population: str, gates: Mapping[str, tuple[str, Gate]]) -> list[str]:
    """A population and all it rests on: its parents, and what its boolean gates join; nearest first.

    Parameters
    ----------
    gates : mapping of population to (parent, gate)
    """
    found: dict[str, None] = {}
    waiting = [population]
    while waiting:
        name = waiting.pop(0)
        if name in gates and name not in found:
            found[name] = None
            parent, gate = gates[name]
            waiting += [*_operands(gate), parent]
    return list(found)


def _operands(gate: Gate) -> Iterable[str]:
    return [name for name, _ in gate.operands] if isinstance(gate, BooleanGate) else []
