"""The page of the agreement with a manual gating."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cytotrial.report.comparison_page import Image, render
from cytotrial.report.drawing import house_style
from cytotrial.report.layout import Group, Table
from cytotrial.report.paired_plots import Pairs, draw_pairs
from cytotrial.report.text import DASH, decimals_for, number, short

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class AgreementPage:
    """What the page shows.

    facts : heading → text, on top
    populations : rows of agreement.csv
    tubes : rows of agreement.tubes.csv
    doubts : sentences about what was not compared
    """

    facts: Mapping[str, str]
    populations: tuple[Row, ...]
    tubes: tuple[Row, ...]
    doubts: tuple[str, ...] = ()


def render_agreement(page: AgreementPage) -> str:
    """The page as HTML text: self-contained, the same for the same tables."""
    with house_style():
        figures = [_figure(population, page.tubes) for population in page.populations]
    return render(
        "agreement",
        facts=page.facts,
        doubts=page.doubts,
        summary=_summary(page.populations),
        figures=figures,
        tubes=_tubes(page.tubes),
    )


_SUMMARY = (
    *("Population", "Manual population", "Per cent of", "Tubes", "Ours, median %", "Manual, median %"),
    *("Bias, points (95 % CI)", "Limits of agreement", "Ratio (limits)", "CCC (95 % CI)"),
    *("F1, median", "F1, lowest (tube)"),
)


def _summary(populations: Sequence[Row]) -> Table:
    judged = any(row["verdict"] for row in populations)
    panels = dict.fromkeys(row["panel"] for row in populations)
    groups = tuple(
        Group(
            f"Panel {panel}",
            tuple(_summary_row(row, judged=judged) for row in populations if row["panel"] == panel),
        )
        for panel in panels
    )
    return Table(
        id="summary",
        caption="Agreement by population",
        columns=(_SUMMARY[0], *(("Verdict",) if judged else ()), *_SUMMARY[1:]),
        groups=groups,
        texts=4 if judged else 3,
        notes=(
            "Bias: mean of ours − manual, in percentage points. Limits: 95 % of differences are expected "
            "between them. Ratio: ours / manual, geometric mean. CCC: Lin's concordance. F1: same events.",
        ),
    )


def _summary_row(row: Row, *, judged: bool) -> tuple[str, ...]:
    digits = max(decimals_for([_number(row["median"]), _number(row["manual_median"])]), 1)
    names = row["manual_population"]
    return (
        row["population"],
        *((row["verdict"],) if judged else ()),
        names if isinstance(names, str) else ", ".join(names),
        row["of"],
        str(row["n_tubes"]),
        number(_number(row["median"]), digits),
        number(_number(row["manual_median"]), digits),
        _with_range(row, "bias", ("bias_ci_low", "bias_ci_high"), digits + 1),
        _range(row, ("lower_limit", "upper_limit"), digits + 1),
        _with_range(row, "ratio", ("ratio_lower_limit", "ratio_upper_limit"), 2),
        _with_range(row, "ccc", ("ccc_ci_low", "ccc_ci_high"), 3),
        number(_number(row["f1_median"]), 3),
        _lowest(row),
    )


def _lowest(row: Row) -> str:
    return f"{number(_number(row['f1_lowest']), 3)} ({row['f1_lowest_in']})" if row["f1_lowest_in"] else DASH


def _with_range(row: Row, name: str, ends: tuple[str, str], digits: int) -> str:
    middle = number(_number(row[name]), digits)
    between = _range(row, ends, digits)
    return middle if between == DASH else f"{middle} ({between})"


def _range(row: Row, ends: tuple[str, str], digits: int) -> str:
    low, high = (_number(row[end]) for end in ends)
    return f"{number(low, digits)} to {number(high, digits)}" if math.isfinite(low) else DASH


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _figure(population: Row, tubes: Sequence[Row]) -> tuple[str, Image]:
    mine = [row for row in tubes if all(row[key] == population[key] for key in ("panel", "population"))]
    pairs = Pairs(
        [row["sample_id"] for row in mine],
        [_number(row["percent"]) for row in mine],
        [_number(row["manual_percent"]) for row in mine],
        {name: float(value) for name, value in population.items() if isinstance(value, int | float)},
        labels=("ours", "manual"),
        unit="%",
    )
    uri = draw_pairs(pairs, overlap=[_number(row["f1"]) for row in mine])
    heading = f"{population['population']} in per cent of {population['of']} ({population['panel']})"
    return heading, Image(uri, f"Ours against manual: {heading}, {len(mine)} tubes")


_TUBES = (
    *("Manual population", "Tube", "Batch", "Ours, %", "Manual, %", "Difference", "Ratio"),
    *(
        "Ours, events",
        "Manual, events",
        "Precision",
        "Recall",
        "F1",
        "In the file",
        "FlowJo's count",
        "Masked, %",
    ),
)


def _tubes(tubes: Sequence[Row]) -> Table:
    ordered = dict.fromkeys((row["panel"], row["population"], row["of"]) for row in tubes)
    groups = [
        Group(
            f"{population} in per cent of {of} ({panel})",
            tuple(_tube(row) for row in tubes if (row["panel"], row["population"]) == (panel, population)),
        )
        for panel, population, of in sorted(ordered, key=lambda key: key[0])
    ]
    return Table(
        id="tubes",
        caption="Every tube and population; the same numbers are in the CSV file beside this page",
        columns=_TUBES,
        groups=tuple(groups),
        texts=3,
        notes=("In the file: events of the manual gating over the whole file, masked events too.",),
    )


def _tube(row: Row) -> tuple[str, ...]:
    return (
        row["manual_population"],
        row["sample_id"],
        row["batch"],
        *(short(_number(row[name])) for name in ("percent", "manual_percent", "difference", "ratio")),
        *(str(row[name]) for name in ("events", "manual_events")),
        *(number(_number(row[name]), 3) for name in ("precision", "recall", "f1")),
        str(row["manual_events_in_file"]),
        DASH if row["flowjo_count"] is None else str(row["flowjo_count"]),
        number(_number(row["masked_percent"]), 1),
    )
