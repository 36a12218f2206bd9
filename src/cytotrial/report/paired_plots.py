"""Plots of two ways to measure one thing: identity, difference, ratio, and whether events are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cytotrial.report.drawing import BLUE, GREY, ORANGE, VERMILION, log_axis, new_figure, svg_uri

_WIDE = 10.0
"""Values whose largest is more than this many times the smallest are drawn on logarithmic axes."""
NAMED = 3
_SMALL: dict[str, Any] = {"fontsize": 6.5, "color": "#444444"}


@dataclass(frozen=True)
class Pairs:
    """The pairs of one population or parameter.

    names : what each pair is called, such as a sample_id
    one, other : values of the same unit, in the same order; NaN where one is not known
    figures : bias, lower_limit, upper_limit, ratio, ratio_lower_limit, ratio_upper_limit and their
        `_ci_low`, `_ci_high`, as far as they are known
    labels : names of the two ways, that of `one` first
    """

    names: Sequence[str]
    one: Sequence[float]
    other: Sequence[float]
    figures: Mapping[str, float]
    labels: tuple[str, str]
    unit: str

    def complete(self) -> Pairs:
        """Without the pairs that lack a value."""
        rows = [
            row
            for row in zip(self.names, self.one, self.other, strict=True)
            if math.isfinite(row[1]) and math.isfinite(row[2])
        ]
        names, one, other = zip(*rows, strict=True) if rows else ((), (), ())
        return replace(self, names=names, one=one, other=other)

    def figure(self, name: str) -> float:
        return self.figures.get(name, math.nan)


def draw_pairs(pairs: Pairs, *, overlap: Sequence[float] | None = None) -> str:
    """One row of plots, as a data URI (SVG).

    Parameters
    ----------
    overlap : F1 of each pair; without it there is no fourth plot
    """
    n_plots = 3 if overlap is None else 4
    figure = new_figure(3.15 * n_plots, 2.75)
    axes = figure.subplots(1, n_plots)
    for plot, draw in zip(axes, (_identity, _differences, _ratios), strict=False):
        draw(plot, pairs.complete())
    if overlap is not None:
        _overlaps(axes[3], pairs.names, overlap)
    return svg_uri(figure)


def _points(axes: Any, x: Sequence[float], y: Sequence[float]) -> None:
    style = {"markersize": 4.5, "markerfacecolor": "none", "markeredgecolor": BLUE, "markeredgewidth": 0.9}
    axes.plot(x, y, "o", linestyle="none", zorder=3, **style)


def _identity(axes: Any, pairs: Pairs) -> None:
    x, y = pairs.other, pairs.one
    axes.set_title("Each pair")
    axes.set_xlabel(f"{pairs.labels[1]}, {pairs.unit}")
    axes.set_ylabel(f"{pairs.labels[0]}, {pairs.unit}")
    low, high = min([*x, *y], default=0.0), max([*x, *y], default=1.0)
    if low > 0 and high / low > _WIDE:
        log_axis(axes)
        axes.set_xscale("log")
        ends = (low / 1.3, high * 1.3)
    else:
        edge = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        ends = (low - edge, high + edge)
    axes.set_xlim(ends)
    axes.set_ylim(ends)
    axes.plot(ends, ends, color=GREY, linewidth=0.9, zorder=1)
    _points(axes, x, y)


def _differences(axes: Any, pairs: Pairs) -> None:
    x, y = pairs.other, pairs.one
    axes.set_title("Difference")
    axes.set_xlabel(f"mean of both, {pairs.unit}")
    axes.set_ylabel(f"{pairs.labels[0]} − {pairs.labels[1]}, {_points_of(pairs.unit)}")
    middle = [(a + b) / 2 for a, b in zip(x, y, strict=True)]
    apart = [b - a for a, b in zip(x, y, strict=True)]
    axes.axhline(0, color=GREY, linewidth=0.9, zorder=1)
    _limits(axes, pairs, ("bias", "lower_limit", "upper_limit"))
    _points(axes, middle, apart)
    axes.margins(y=0.14)
    _name_the_farthest(axes, pairs.names, (middle, apart), [value - pairs.figure("bias") for value in apart])


def _points_of(unit: str) -> str:
    return "points" if unit == "%" else unit


def _ratios(axes: Any, pairs: Pairs) -> None:
    x, y = pairs.other, pairs.one
    axes.set_title("Ratio")
    axes.set_xlabel(f"geometric mean of both, {pairs.unit}")
    axes.set_ylabel(f"{pairs.labels[0]} / {pairs.labels[1]}")
    if not x or min(*x, *y) <= 0:
        axes.text(0.5, 0.5, "a value is 0:\nno ratio", transform=axes.transAxes, ha="center", va="center")
        axes.set_xticks([])
        axes.set_yticks([])
        return
    middle = [math.sqrt(a * b) for a, b in zip(x, y, strict=True)]
    quotient = [b / a for a, b in zip(x, y, strict=True)]
    log_axis(axes)
    if max(middle) / min(middle) > _WIDE:
        axes.set_xscale("log")
    axes.axhline(1, color=GREY, linewidth=0.9, zorder=1)
    _limits(axes, pairs, ("ratio", "ratio_lower_limit", "ratio_upper_limit"))
    _points(axes, middle, quotient)
    _plain_ratio_ticks(axes, [*quotient, *_known(pairs, ("ratio_lower_limit", "ratio_upper_limit"))])
    centre = pairs.figure("ratio")
    distances = [math.log(value / centre) if centre > 0 else math.nan for value in quotient]
    _name_the_farthest(axes, pairs.names, (middle, quotient), distances)


def _plain_ratio_ticks(axes: Any, values: Sequence[float]) -> None:
    """Ticks at plain ratios, as many as fit the values' range."""
    from matplotlib.ticker import FixedLocator, NullLocator  # noqa: PLC0415

    low, high = min([*values, 1.0]), max([*values, 1.0])
    near = [0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.25, 1.4]
    nearest = [1 + step / 100 for step in range(-10, 11, 2)]
    far = [value for decade in range(-4, 5) for value in (10.0**decade, 2 * 10.0**decade, 5 * 10.0**decade)]
    ticks = [
        value
        for value in (nearest if high / low < 1.12 else near if high / low < 2 else far)
        if low / 1.1 <= value <= high * 1.1
    ]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_minor_locator(NullLocator())
    edge = max((high / low) ** 0.12, 1.005)
    axes.set_ylim(low / edge, high * edge)


def _known(pairs: Pairs, names: tuple[str, str]) -> list[float]:
    return [value for name in names if math.isfinite(value := pairs.figure(name))]


def _limits(axes: Any, pairs: Pairs, names: tuple[str, str, str]) -> None:
    """Bias and limits as lines, their confidence intervals as bands."""
    for name, colour, style in zip(names, (ORANGE, VERMILION, VERMILION), ("-", "--", "--"), strict=True):
        value = pairs.figure(name)
        if not math.isfinite(value):
            continue
        axes.axhline(value, color=colour, linestyle=style, linewidth=1.2, zorder=2)
        band = _known(pairs, (f"{name}_ci_low", f"{name}_ci_high"))
        if len(band) == 2:
            axes.axhspan(*band, color=colour, alpha=0.12, linewidth=0, zorder=0)


def _name_the_farthest(
    axes: Any,
    names: Sequence[str],
    at: tuple[Sequence[float], Sequence[float]],
    distances: Sequence[float],
) -> None:
    """The names of the few points that are farthest from the bias, as far as they can be read."""
    x, y = at
    away = [(-abs(distance), names[place], place) for place, distance in enumerate(distances) if distance]
    written: list[int] = []
    for distance, name, place in sorted(away)[:NAMED] if len(names) > 1 else ():
        if not math.isfinite(distance) or any(_on_top(x, y, place, other) for other in written):
            continue
        written.append(place)
        left = x[place] <= (min(x) + max(x)) / 2
        axes.annotate(
            name,
            (x[place], y[place]),
            xytext=(5 if left else -5, 3 if distances[place] > 0 else -8),
            textcoords="offset points",
            ha="left" if left else "right",
            **_SMALL,
        )


def _on_top(x: Sequence[float], y: Sequence[float], one: int, other: int) -> bool:
    """Whether the names of two points would be written over each other."""
    wide, high = max(x) - min(x) or 1.0, max(y) - min(y) or 1.0
    return abs(x[one] - x[other]) < 0.3 * wide and abs(y[one] - y[other]) < 0.06 * high


def _overlaps(axes: Any, names: Sequence[str], overlap: Sequence[float]) -> None:
    known = sorted((value, name) for value, name in zip(overlap, names, strict=True) if math.isfinite(value))
    axes.set_title("F1 of each tube")
    axes.set_xlabel("tubes, lowest first")
    values = [value for value, _ in known]
    _points(axes, list(range(1, len(values) + 1)), values)
    axes.set_xlim(0, max(len(values), 1) + 1)
    axes.set_ylim(min([0.9, *values]) - 0.03, 1.005)
    axes.axhline(1, color=GREY, linewidth=0.9, zorder=1)
    if known and known[0][0] < 1:
        axes.annotate(known[0][1], (1, values[0]), xytext=(6, -2), textcoords="offset points", **_SMALL)
