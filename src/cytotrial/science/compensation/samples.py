"""What slope a spillover matrix leaves in stained samples, where every cell may carry several markers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.science.compensation.controls import Control, detector_limits
from cytotrial.science.compensation.peaks import Peak, lowest_peak
from cytotrial.science.compensation.scatter_gate import common_scatter_gate
from cytotrial.terms import BoolArray, FloatArray, SpilloverMatrix

Matrix = npt.NDArray[np.float64]

COFACTOR = 150.0
"""Scale arcsinh(value / 150) on which populations are told apart, as in acquisition quality."""

BRIGHT_WIDTHS = 10.0
"""Bright for a dye: this many widths of the dim events above them."""

DIM_WIDTHS = 3.0
"""Dim for a dye: no more than this many widths above the middle of the lowest population."""

WINDOW = 0.1
"""Slopes looked for. A matrix that is wrong by more is seen on any picture; a marker on the same cells is
mostly brighter than a tenth of the other."""

RESOLVED = 0.5
"""The dim events must be no wider in the other detector than this share of the window at the brightness of
the others: a marker that all cells carry has no negatives there."""

MIN_BRIGHT, MIN_DIM, MIN_SHARE = 100, 100, 0.05
"""Fewest events, and least share of the bright ones, that a slope may rest on."""

MAX_EVENTS = 20_000
ENOUGH = 5_000
"""Events of a tube that are looked at, and of one population whose level is read: 5,000 of width 100 have a
level known to 2."""


@dataclass(frozen=True, eq=False)
class SampleSlopes:
    """Slopes left in one sample, row dye and column detector; NaN where nothing can be said.

    slope, error : ndarray, shape (n_detectors, n_detectors), float64
        The slope and its standard error.
    """

    slope: Matrix
    error: Matrix


def sample_slopes(tube: Control, matrix: SpilloverMatrix, *, dyes: Sequence[str]) -> SampleSlopes:
    """The slope of the lower edge of each detector over the brightness of each dye, in a compensated sample.

    Parameters
    ----------
    tube : Control
        A stained sample, uncompensated; `detector` is not looked at. Rows in the order of `matrix.detectors`.
    matrix : SpilloverMatrix
    dyes : sequence of str
        Detectors that have a fluorochrome in this tube.

    Returns
    -------
    SampleSlopes

    Notes
    -----
    Two markers may sit on the same cells, so that a positive slope of all events says nothing. Biology adds
    light and never takes any: the events that carry the first marker and not the second are the lowest
    population at each brightness of the first. For every event bright in dye i the ratio (y − y₀) / (x − x₀)
    is taken, with x₀ and y₀ the lowest populations of dim events of the same scatter; the lowest peak of the
    ratios within ±0.1 is the slope. Right compensation gives 0: the lowest populations are level. A negative
    slope can only be too much compensation. A positive one may also be a dim marker that all these cells
    carry, or their greater autofluorescence; either adds the same light whatever the brightness of the first,
    whereas light left over grows with it. A positive slope is therefore believed no further than the lowest
    population rises from the dimmer half of the bright events to the brighter half. Where the second marker
    is on all bright cells no ratio lies in the window, and nothing is said.

    References
    ----------
    Roederer M. Spectral compensation for flow cytometry: visualization artifacts, limitations, and caveats.
    Cytometry 2001;45:194-205: compensation is right where the middle of the negatives is level.
    """
    n = len(matrix.detectors)
    slope, error = np.full((n, n), np.nan), np.full((n, n), np.nan)
    values, scatter = _usable(tube)
    if values.shape[1] < MIN_BRIGHT + MIN_DIM:
        return SampleSlopes(slope, error)
    compensated = np.linalg.inv(matrix.values).T @ values
    for dye in dyes:
        i = matrix.detectors.index(dye)
        bright, dim, level = _bright_and_dim(compensated[i])
        if np.count_nonzero(bright) < MIN_BRIGHT or np.count_nonzero(dim) < MIN_DIM:
            continue
        if scatter is not None:
            gate = common_scatter_gate(scatter[:, _some(bright)], scatter[:, _some(dim)])
            inside = gate.keeps(scatter, values.shape[1])
            bright, dim = bright & inside, dim & inside
        here, there = _some(bright), _some(dim)
        if here.size < MIN_BRIGHT or there.size < MIN_DIM:
            continue
        for j in set(range(n)) - {i}:
            ground = lowest_peak(compensated[j, there])
            slope[i, j], error[i, j] = _lower_slope(
                compensated[i, here] - level, compensated[j, here], ground
            )
    return SampleSlopes(slope, error)


def _usable(tube: Control) -> tuple[Matrix, FloatArray | None]:
    """Every k-th event that no detector ends, and their scatter."""
    whole = np.all(tube.values < detector_limits([tube])[:, None], axis=0)
    rows = np.flatnonzero(whole)
    rows = rows[:: max(1, -(-rows.size // MAX_EVENTS))]
    scatter = None if tube.scatter is None else tube.scatter[:, rows]
    return tube.values[:, rows].astype(np.float64), scatter


def _bright_and_dim(values: Matrix) -> tuple[BoolArray, BoolArray, float]:
    """Which events are bright and which are dim in a dye, and the level of the dim ones."""
    scaled = lowest_peak(np.arcsinh(values / COFACTOR))
    level = COFACTOR * float(np.sinh(scaled.level))
    width = level - COFACTOR * float(np.sinh(scaled.level - scaled.width))
    return values >= level + BRIGHT_WIDTHS * width, values <= level + DIM_WIDTHS * width, level


def _some(chosen: BoolArray) -> npt.NDArray[np.intp]:
    """Places of the chosen events, every k-th if there are more than enough."""
    places = np.flatnonzero(chosen)
    return places[:: max(1, -(-places.size // ENOUGH))]


def _lower_slope(x: Matrix, y: Matrix, ground: Peak) -> tuple[float, float]:
    """The slope of the lowest population of bright events, and its standard error; NaN if it has too few."""
    if ground.width > RESOLVED * WINDOW * np.median(x):
        return np.nan, np.nan
    ratio = (y - ground.level) / x
    near = np.abs(ratio) <= WINDOW
    if np.count_nonzero(near) < max(MIN_BRIGHT, MIN_SHARE * ratio.size):
        return np.nan, np.nan
    peak = lowest_peak(ratio[near])
    slope, error = peak.level, float(np.hypot(peak.error, ground.error / np.median(x)))
    if slope <= 0:
        return slope, error
    rise, rise_error = _rise(x[near], y[near])
    return (slope, error) if rise >= slope else (max(0.0, rise), float(np.hypot(error, rise_error)))


def _rise(x: Matrix, y: Matrix) -> tuple[float, float]:
    """How the lowest population rises from the dimmer half of the events to the brighter half, per x."""
    middle = float(np.median(x))
    dimmer, brighter = lowest_peak(y[x < middle]), lowest_peak(y[x >= middle])
    apart = float(np.median(x[x >= middle]) - np.median(x[x < middle]))
    error = float(np.hypot(dimmer.error, brighter.error))
    apart = max(apart, np.finfo(float).tiny)
    return (brighter.level - dimmer.level) / apart, error / apart
