"""Figures of compensation: the matrix as a heat map, and channel pairs before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytotrial.report.drawing import new_figure, png_uri
from cytotrial.report.text import number, superscript

DIM, DARK = 0.15, 0.30
"""Spillover from which a cell of the heat map is half coloured, and from which its number is white."""

Counts = npt.NDArray[np.uint32]
Middles = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, eq=False)
class PairPicture:
    """A single-stain control on its own detector and another, before and after compensation.

    Parameters
    ----------
    title : str
        Whose control, such as "treg, B01".
    detector, into : str
        Detector of the stain (across) and the one it spills into (up).
    spillover : float
    residual_slope, standard_error : float or None
        Left after compensation, and how well the slope is known.
    flags : tuple of str
    cofactor : float
        The scale is arcsinh(value / cofactor).
    x_range, y_range : (low, high) on this scale
    before, after : ndarray, shape (n_x_bins, n_y_bins)
        Events of the control, stained and unstained together.
    middles_before, middles_after : ((x, y), (x, y))
        Middle of the unstained and of the stained events.
    severity : float
        By which pairs are ordered: the worst figure in multiples of its threshold.
    """

    title: str
    detector: str
    into: str
    spillover: float
    residual_slope: float | None
    standard_error: float | None
    flags: tuple[str, ...]
    cofactor: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    before: Counts
    after: Counts
    middles_before: Middles
    middles_after: Middles
    severity: float


def draw_matrix(name: str, matrix: pd.DataFrame) -> str:
    """A spillover matrix as a heat map in per cent, as a data URI (PNG); call it within `house_style`.

    Rows are fluorochromes, columns detectors. Blue is light of a dye where it does not belong, the darker the
    more; orange is a negative entry.
    """
    values = matrix.to_numpy(dtype=np.float64)
    n_rows, n_columns = values.shape
    figure = new_figure(1.35 + 0.46 * n_columns, 0.95 + 0.30 * n_rows)
    axes = figure.add_subplot()
    axes.imshow(_colours(values), aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        dark = row != column and value >= DARK
        colour = "white" if dark else "0.55" if row == column or abs(value) < 0.0005 else "black"
        text = "100" if row == column else number(100 * value, 1)
        axes.text(column, row, text, color=colour, fontsize=7, ha="center", va="center")
    axes.set_xticks(range(n_columns), [*map(str, matrix.columns)], rotation=40, ha="left", fontsize=7)
    axes.set_yticks(range(n_rows), [*map(str, matrix.index)], fontsize=7)
    axes.xaxis.set_ticks_position("top")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(n_columns + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(n_rows + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    axes.set_title(name, fontsize=9)
    return png_uri(figure)


def _colours(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Red, green and blue of every cell: white to blue by the root of the spillover, orange below zero."""
    share = np.clip(values, 0, 1) / (np.clip(values, 0, 1) + DIM)
    blue, orange, white = np.array([0, 0.36, 0.62]), np.array([0.90, 0.62, 0.0]), np.ones(3)
    colours = white + share[..., None] * (blue - white)
    below = np.clip(-values / 0.02, 0, 1)[..., None]
    colours = np.clip(colours + below * (orange - white), 0, 1)
    colours[np.eye(*values.shape, dtype=np.bool_)] = 0.93
    return np.asarray(colours)


def draw_pair(picture: PairPicture) -> str:
    """A channel pair before and after compensation, as a data URI (PNG); call it within `house_style`.

    The dashed line is the middle of the unstained events: after right compensation the middle of the
    stained ones (the cross) lies on it.
    """
    figure = new_figure(4.5, 2.35)
    sides = (
        ("uncompensated", picture.before, picture.middles_before),
        ("compensated", picture.after, picture.middles_after),
    )
    for place, (word, counts, middles) in enumerate(sides, start=1):
        axes = figure.add_subplot(1, 2, place)
        _draw_events(axes, picture, counts)
        axes.axhline(middles[0][1], color="black", linewidth=0.9, linestyle=(0, (4, 2)))
        for x, y in middles:
            axes.plot(x, y, "+", color="white", markersize=9, markeredgewidth=3.2)
            axes.plot(x, y, "+", color="black", markersize=8, markeredgewidth=1.4)
        axes.set_title(word, fontsize=8)
        axes.set_xlabel(picture.detector, fontsize=7.5)
        if place == 1:
            axes.set_ylabel(picture.into, fontsize=7.5)
    return png_uri(figure)


def _draw_events(axes: Any, picture: PairPicture, counts: Counts) -> None:
    shown = np.ma.masked_where(counts.T == 0, np.log1p(counts.T.astype(np.float64)))
    extent = (*picture.x_range, *picture.y_range)
    colours = {"cmap": "turbo", "interpolation": "nearest", "vmin": -0.15}
    axes.imshow(shown, origin="lower", extent=extent, aspect="auto", **colours)
    for axis, ends in ((axes.xaxis, picture.x_range), (axes.yaxis, picture.y_range)):
        places, labels = decade_ticks(picture.cofactor, ends)
        axis.set_ticks(places, labels)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(True)


def decade_ticks(cofactor: float, ends: tuple[float, float]) -> tuple[list[float], list[str]]:
    """Places and labels of 0 and of the decades between two ends of an arcsinh scale.

    Examples
    --------
    >>> decade_ticks(150.0, (-1.0, 5.0))[1]
    ['0', '10³', '10⁴']
    """
    powers = [(sign * 10.0**decade, sign, decade) for decade in range(2, 7) for sign in (1, -1)]
    least = 3 * cofactor
    marks = [(0.0, "0")] + [
        (value, superscript(f"{'-' if sign < 0 else ''}10^{decade}"))
        for value, sign, decade in powers
        if abs(value) >= least
    ]
    placed = sorted((float(np.arcsinh(value / cofactor)), label) for value, label in marks)
    inside = [(place, label) for place, label in placed if ends[0] <= place <= ends[1]]
    return [place for place, _ in inside], [label for _, label in inside]


def pair_caption(picture: PairPicture) -> str:
    """What stands under a pair."""
    spillover = number(100 * picture.spillover, 2)
    parts = [f"{picture.title}: {picture.detector} into {picture.into}, spillover {spillover} %"]
    if picture.standard_error is not None:
        parts.append(f"known to ±{number(100 * picture.standard_error, 2)} %")
    if picture.residual_slope is not None:
        parts.append(f"left after compensation {number(100 * picture.residual_slope, 2)} %")
    return "; ".join([*parts, *picture.flags])


def worst_of(pictures: Sequence[PairPicture], *, most: int) -> tuple[PairPicture, ...]:
    """The worst pairs of several matrices, the worst first."""
    return tuple(sorted(pictures, key=lambda one: (-one.severity, one.title, one.detector, one.into))[:most])
