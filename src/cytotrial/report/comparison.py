"""The page that holds two runs of one study against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cytotrial.report.comparison_page import Image, render
from cytotrial.report.drawing import house_style
from cytotrial.report.layout import Group, Table
from cytotrial.report.paired_plots import Pairs, draw_pairs
from cytotrial.report.pictures import GatePicture, draw_gate
from cytotrial.report.text import (
    DASH,
    decimals_for,
    number,
    p_value,
    parameter_label,
    short,
    unit_label,
    whole,
)

Row = Mapping[str, Any]
MOST_ROWS = 60
"""Values that the page lists, largest relative change first; the table beside it has them all."""


@dataclass(frozen=True, eq=False)
class MovedTube:
    """A tube that moved much: its row, the gates that moved, and (gate, old picture, new picture)."""

    row: Row
    gates_moved: tuple[str, ...]
    pictures: tuple[tuple[str, GatePicture | None, GatePicture | None], ...]


@dataclass(frozen=True, eq=False)
class ComparisonPage:
    """What the page shows: the tables beside it, what differs, and the tubes that moved most."""

    facts: Mapping[str, str]
    doubts: tuple[str, ...]
    differences: tuple[tuple[str, str, str], ...]
    summary: tuple[Row, ...]
    values: tuple[Row, ...]
    visits: tuple[Row, ...]
    populations: tuple[Row, ...]
    moved: tuple[MovedTube, ...]
    least_events: int


def render_comparison(page: ComparisonPage) -> str:
    """The page as HTML text: self-contained, the same for the same tables."""
    with house_style():
        figures = [
            _parameter_figure(row, page.values)
            for row in page.summary
            if row["kind"] == "parameter" and row["n_moved"]
        ]
        moved = [_moved_tube(tube) for tube in page.moved]
    return render(
        "compare",
        facts=page.facts,
        doubts=page.doubts,
        differing=_differences(page.differences),
        conclusions=_conclusions(page.visits),
        medians=_medians(page.visits),
        summary=_summary(page.summary, "parameter", "Values of the trial dataset, new − old"),
        populations=_summary(page.summary, "population", "Populations, new − old, in per cent of parent"),
        figures=figures,
        moved=moved,
        values=_values(page.values),
        least_events=page.least_events,
    )


def _differences(found: Sequence[tuple[str, str, str]]) -> Table:
    return Table("differs", "What differs", ("What", "Old", "New"), (Group("", tuple(found)),), texts=3)


def _conclusions(visits: Sequence[Row]) -> Table:
    rows = tuple(
        (
            parameter_label(row["parameter"], row["unit"]),
            row["visit"],
            row["conclusion"],
            *_old_new(row, "hl", short),
            *_old_new(row, "p", p_value),
            *_old_new(row, "p_holm", p_value),
        )
        for row in visits
        if row["conclusion"]
    )
    columns = (
        "Parameter",
        "Visit",
        "What moved",
        "Change, old",
        "new",
        "P, old",
        "new",
        "P (Holm), old",
        "new",
    )
    note = "Change: Hodges-Lehmann estimate of the paired change from baseline. P: Wilcoxon signed-rank."
    return Table("conclusions", "Conclusions that move", columns, (Group("", rows),), texts=3, notes=(note,))


def _old_new(row: Row, name: str, written: Any) -> tuple[str, str]:
    return written(_number(row[f"old_{name}"])), written(_number(row[f"new_{name}"]))


def _medians(visits: Sequence[Row]) -> Table:
    groups = []
    for parameter, unit in dict.fromkeys((row["parameter"], row["unit"]) for row in visits):
        part = [row for row in visits if row["parameter"] == parameter]
        digits = decimals_for(_number(row["new_median"]) for row in part)
        rows = tuple(
            (
                row["visit"],
                *_old_new(row, "n", whole),
                *_old_new(row, "median", lambda value, digits=digits: number(value, digits)),
                number(_number(row["median_difference"]), digits + 1),
                number(_number(row["median_ratio"]), 3),
            )
            for row in part
        )
        groups.append(Group(f"{parameter_label(parameter, unit)} ({parameter})", rows))
    columns = ("Visit", "n, old", "n, new", "Median, old", "new", "New − old", "New / old")
    return Table("medians", "Medians by visit", columns, tuple(groups), texts=1)


def _summary(summary: Sequence[Row], kind: str, caption: str) -> Table:
    mine = [row for row in summary if row["kind"] == kind]
    panels = dict.fromkeys(row["of"] for row in mine)
    groups = tuple(
        Group(
            f"Panel {panel}" if panel else "", tuple(_summary_row(row) for row in mine if row["of"] == panel)
        )
        for panel in panels
    )
    columns = (
        *("Name", "Unit", "Pairs", "Moved", "Gained", "Lost", "Not in both", "Bias (95 % CI)"),
        *("Limits of agreement", "Ratio (limits)", "CCC", "Largest difference"),
    )
    return Table(f"{kind}s", caption, columns, groups, texts=2)


def _summary_row(row: Row) -> tuple[str, ...]:
    return (
        row["name"],
        unit_label(row["unit"]),
        *(str(row[f"n_{name}"]) for name in ("pairs", "moved", "gained", "lost", "not_in_both")),
        _ends(row, "bias", ("bias_ci_low", "bias_ci_high")),
        _ends(row, "", ("lower_limit", "upper_limit")),
        _ends(row, "ratio", ("ratio_lower_limit", "ratio_upper_limit")),
        number(_number(row["ccc"]), 4),
        short(_number(row["largest_difference"])),
    )


def _ends(row: Row, middle: str, names: tuple[str, str]) -> str:
    low, high = (_number(row[name]) for name in names)
    between = f"{short(low)} to {short(high)}" if math.isfinite(low) else ""
    if not middle:
        return between or DASH
    centre = short(_number(row[middle]))
    return f"{centre} ({between})" if between else centre


def _number(value: Any) -> float:
    return math.nan if value in {None, ""} else float(value)


def _parameter_figure(row: Row, values: Sequence[Row]) -> tuple[str, Image]:
    mine = [value for value in values if value["parameter"] == row["parameter"]]
    label = parameter_label(row["parameter"], row["unit"])
    pairs = Pairs(
        [f"{value['subject']} {value['visit']}" for value in mine],
        [_number(value["new"]) for value in mine],
        [_number(value["old"]) for value in mine],
        {name: float(figure) for name, figure in row.items() if isinstance(figure, int | float)},
        labels=("new", "old"),
        unit=unit_label(row["unit"]) or "ratio",
    )
    return f"{label} ({row['parameter']})", Image(draw_pairs(pairs), f"New against old: {label}")


def _moved_tube(tube: MovedTube) -> dict[str, Any]:
    row = tube.row
    parts = [
        f"{row['population']}: {' → '.join(_old_new_percent(row))} % of {row['parent']}",
        f"{row['old_events']} → {row['new_events']} events (× {row['factor']:.3g})",
    ]
    moved = f"gates that moved: {', '.join(tube.gates_moved)}" if tube.gates_moved else "no gate moved"
    return {
        "heading": f"{row['sample_id']} ({row['panel']})",
        "text": "; ".join([*parts, moved]),
        "pairs": [(_gate(old, "old"), _gate(new, "new")) for _, old, new in tube.pictures],
    }


def _old_new_percent(row: Row) -> tuple[str, str]:
    return short(_number(row["old"])), short(_number(row["new"]))


def _gate(picture: GatePicture | None, when: str) -> Image | None:
    if picture is None:
        return None
    events = f"{whole(picture.events)} of {whole(picture.parent_events)} events"
    alt = f"{when}: {picture.population} in {picture.parent} of {picture.sample_id}"
    return Image(draw_gate(picture), alt, "; ".join((f"{when}: {events}", *picture.flags)))


def _values(values: Sequence[Row]) -> Table:
    moved = [row for row in values if row["outcome"] not in {"same", "missing"}]
    moved.sort(key=lambda row: (-_size_of_move(row), row["parameter"], row["subject"], row["visit"]))
    rows = tuple(
        (
            row["parameter"],
            row["subject"],
            row["visit"],
            row["outcome"],
            _was_now(row, "status"),
            _was_now(row, "specimen"),
            short(_number(row["old"])),
            short(_number(row["new"])),
            short(_number(row["difference"])),
            number(_number(row["ratio"]), 3),
        )
        for row in moved[:MOST_ROWS]
    )
    columns = (
        *("Parameter", "Subject", "Visit", "Outcome", "Status", "Specimen"),
        *("Old", "New", "New − old", "New / old"),
    )
    more = f"The {MOST_ROWS} largest of {len(moved)}; " if len(moved) > MOST_ROWS else ""
    note = f"{more}all of them are in the CSV file of values beside this page. Largest relative change first."
    return Table("values", "Values that moved", columns, (Group("", rows),), texts=6, notes=(note,))


def _size_of_move(row: Row) -> float:
    """How far a ratio is from 1 on a logarithmic scale; what was gained, lost or fell to 0 comes first."""
    quotient = _number(row["ratio"])
    return abs(math.log(quotient)) if quotient > 0 else math.inf


def _was_now(row: Row, column: str) -> str:
    before, after = row[f"old_{column}"], row[f"new_{column}"]
    return before if before == after else f"{before or DASH} → {after or DASH}"
