"""How far a stained cell's own glow may lie from that of the unstained cells.

A positive cell's light in another detector is a fixed share of its stain and its own background. The
spillover is measured as if that background were the middle of the unstained cells. Where the stained cells
glow more (larger, activated or dead cells) the difference, divided by their brightness, is an error of the
spillover. It is read off the positives themselves: the share is the slope over brightness, the background
the height at which the line starts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cytotrial.science.compensation.lines import fit_lines, robust_spread, trimmed_by_brightness

Matrix = npt.NDArray[np.float64]

FEWEST = 30
"""Positives below which nothing is read off their spread."""

BRIGHT = 0.5
"""The line is drawn through the events of at least this share of the brightness that a tenth exceed: dim
positives may be another kind of cell, with another background (CD4 on monocytes)."""

SEES_THE_DYE = 0.02
"""Detectors that receive at least this share of a dye tell how noisy its own detector is."""

NOISIEST = 0.2
"""Noise of a detector, as a share of the brightness, that is assumed where no other detector tells it."""


def stained_background(positive: Matrix, negative: Matrix, *, row: int) -> tuple[Matrix, Matrix]:
    """How far the stained cells' own light lies above the middle of the negatives.

    Parameters
    ----------
    positive, negative : ndarray, shape (n_detectors, n)
        Uncompensated events of one single-stain control and of unstained cells of the same scatter.
    row : int
        The control's own detector.

    Returns
    -------
    reading, error : ndarray, shape (n_detectors,), float64
        In the units of the events, 0 in the control's own detector. `reading` is the best guess, `error`
        how far the background may lie from the middle of the negatives: the guess and what is unknown.

    Notes
    -----
    The stained cells are some of the cells that the unstained tube shows too, so that their background is one
    draw from the spread τ of the negatives. A line through the bright positives, free to start where it
    likes, is a second reading with the standard error s. Noise of the stain's own detector flattens such a
    line and lifts its start; by how much at most, b, the scatter of the detectors that see the same dye
    tells. Weighed as independent normal readings, the share τ² / (τ² + s² + b²) of the start is believed, and
    √(τ² (1 − share)) stays unknown.

    The reading is not subtracted: a mixture of cells, or cells whose light and stain both grow with their
    size, tilt the line as a background does, and the medians of both populations would no longer be level.

    References
    ----------
    Fuller WA. Measurement Error Models. Wiley 1987, chapter 1: a line fitted over a noisy measure is flatter
    by the noise's share of the variance.
    Roederer M. Spectral compensation for flow cytometry: visualization artifacts, limitations, and caveats.
    Cytometry 2001;45:194-205: autofluorescence of positives and negatives must match.
    """
    spread = robust_spread(negative)
    if min(positive.shape[1], negative.shape[1]) < FEWEST:
        return np.zeros(len(spread)), spread
    start = np.median(negative, axis=1)[:, None]
    brightness = positive[row] - start[row]
    bright = brightness >= BRIGHT * np.quantile(brightness, 0.9)
    x, y = trimmed_by_brightness(brightness[bright], positive[:, bright] - start)
    line = fit_lines(x, y)
    lifted = _lifted_at_most(x, y - line.intercept[:, None] - line.slope[:, None] * x, line.slope, row=row)
    share = spread**2 / np.maximum(spread**2 + line.intercept_error**2 + lifted**2, np.finfo(float).tiny)
    reading = share * line.intercept
    error = np.hypot(spread * np.sqrt(1 - share), reading)
    reading[row] = error[row] = 0.0
    return reading, error


def _lifted_at_most(x: Matrix, residual: Matrix, slope: Matrix, *, row: int) -> Matrix:
    """The height by which noise in x lifts the start of each line, at most."""
    others = [i for i in range(len(slope)) if i != row and slope[i] > SEES_THE_DYE]
    middle = float(np.median(x))
    scatter = robust_spread(residual)
    noise = min([NOISIEST * middle, *(float(scatter[i] / slope[i]) for i in others)])
    lower, upper = np.quantile(x, (0.25, 0.75))
    spread = max(float(upper - lower) / 1.349, np.finfo(float).tiny)
    return np.asarray(min(1.0, (noise / spread) ** 2) * np.abs(slope) * middle)
