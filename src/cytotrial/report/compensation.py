"""Figures of compensation: the matrix as a heat map, and channel pairs before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cytotrial.report.scene import Frame, Scene, log_density
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


CELL_WIDTH, CELL_HEIGHT, MARGIN = 44.0, 29.0, 10.0


def draw_matrix(name: str, matrix: pd.DataFrame) -> str:
    """A spillover matrix as a heat map in per cent, as a data URI (SVG).

    Rows are fluorochromes, columns detectors. Blue is light of a dye where it does not belong, the darker the
    more; orange is a negative entry.
    """
    values = matrix.to_numpy(dtype=np.float64)
    n_rows, n_columns = values.shape
    left = MARGIN + LETTER * max(len(str(label)) for label in matrix.index)
    across = LETTER * max(len(str(label)) for label in matrix.columns)
    top = 24 + 0.65 * across
    scene = Scene(left + n_columns * CELL_WIDTH + 0.77 * across + MARGIN, top + n_rows * CELL_HEIGHT + MARGIN)
    scene.text(MARGIN, 15, name, size=12, anchor="start", bold=True)
    colours = np.rint(255 * _colours(values)).astype(int)
    for (row, column), value in np.ndenumerate(values):
        x, y = left + column * CELL_WIDTH, top + row * CELL_HEIGHT
        red, green, blue = colours[row, column]
        scene.box(x, y, CELL_WIDTH - 1.5, CELL_HEIGHT - 1.5, colour=f"rgb({red},{green},{blue})")
        dark = row != column and value >= DARK
        colour = "#fff" if dark else "#8c8c8c" if row == column or abs(value) < 0.0005 else "#000"
        text = "100" if row == column else number(100 * value, 1)
        scene.text(x + CELL_WIDTH / 2, y + CELL_HEIGHT / 2 + 3, text, colour=colour)
    for column, label in enumerate(map(str, matrix.columns)):
        scene.text(left + (column + 0.45) * CELL_WIDTH, top - 5, label, anchor="start", turn=-40)
    for row, label in enumerate(map(str, matrix.index)):
        scene.text(left - 5, top + (row + 0.5) * CELL_HEIGHT + 3, label, anchor="end")
    return scene.uri()


LETTER = 6.2
"""Pixels that a letter of a label takes at most, on average."""


def _colours(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Red, green and blue of every cell: white to blue by the root of the spillover, orange below zero."""
    share = np.clip(values, 0, 1) / (np.clip(values, 0, 1) + DIM)
    blue, orange, white = np.array([0, 0.36, 0.62]), np.array([0.90, 0.62, 0.0]), np.ones(3)
    colours = white + share[..., None] * (blue - white)
    below = np.clip(-values / 0.02, 0, 1)[..., None]
    colours = np.clip(colours + below * (orange - white), 0, 1)
    colours[np.eye(*values.shape, dtype=np.bool_)] = 0.93
    return np.asarray(colours)


PAIR_WIDTH, PAIR_HEIGHT, PLOT_WIDTH, PLOT_HEIGHT = 430.0, 226.0, 168.0, 164.0


def draw_pair(picture: PairPicture) -> str:
    """A channel pair before and after compensation, as a data URI (SVG).

    The dashed line is the middle of the unstained events: after right compensation the middle of the
    stained ones (the cross) lies on it.
    """
    scene = Scene(PAIR_WIDTH, PAIR_HEIGHT)
    sides = (
        (50.0, "uncompensated", picture.before, picture.middles_before),
        (256.0, "compensated", picture.after, picture.middles_after),
    )
    for left, word, counts, middles in sides:
        frame = Frame(left, 22, PLOT_WIDTH, PLOT_HEIGHT, picture.x_range, picture.y_range)
        frame.density(scene, log_density(counts))
        scene.inside(frame)
        _draw_middles(scene, frame, middles)
        scene.outside()
        frame.border(scene)
        frame.x_ticks(scene, zip(*decade_ticks(picture.cofactor, picture.x_range), strict=True))
        frame.y_ticks(scene, zip(*decade_ticks(picture.cofactor, picture.y_range), strict=True))
        frame.x_label(scene, picture.detector, below=32)
        scene.text(left, 14, word, size=10.5, anchor="start", bold=True)
        if word == "uncompensated":
            frame.y_label(scene, picture.into, before=38)
    return scene.uri()


def _draw_middles(scene: Scene, frame: Frame, middles: Middles) -> None:
    level = frame.y(middles[0][1])
    scene.line([(frame.left, level), (frame.left + frame.width, level)], width=1.2, dash="5 3")
    for width, colour in ((4.4, "#fff"), (1.9, "#000")):
        for place in middles:
            x, y = frame.x(place[0]), frame.y(place[1])
            scene.line([(x - 6, y), (x + 6, y)], colour=colour, width=width)
            scene.line([(x, y - 6), (x, y + 6)], colour=colour, width=width)


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
