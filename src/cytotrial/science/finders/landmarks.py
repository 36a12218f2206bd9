"""Cuts at a place between landmarks of the same tube."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.errors import GateError
from cytotrial.science.batches import towards_batch
from cytotrial.science.finders.learning import centre_and_error, cut_of, usable
from cytotrial.science.finders.registry import Example, Found, View, bounded, learns, registered, threshold
from cytotrial.terms import FloatArray


@registered("landmark_fraction", uses_batch=True)
def find_landmark_fraction(
    view: View,
    *,
    fraction: float,
    landmarks: tuple[str, ...],
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
    top_percent: float = 1.5,
    min_landmark_events: int = 20,
    max_move: float = 0.06,
) -> Found:
    """A cut at a fixed fraction of the way between two landmarks of the same tube.

    For CD25, FOXP3 and CD127 there is no valley to find. But among CD4+ events those that look
    conventional by the **other** markers are certainly negative, and the few that look most
    regulatory by the other markers are certainly positive: the medians of both groups are landmarks
    that move with gain and staining, and the cut keeps its place between them. It is then drawn
    towards the batch by the weight of its own error.

    Parameters
    ----------
    view : View
        The marker that is gated, then the other markers; the parent is CD4+. `view.reference` holds
        `fraction`.
    fraction : float
        (cut − negative) / (positive − negative), where no reference tubes teach it.
    landmarks : tuple of `high` or `low`
        For each other marker, whether the cells that are looked for express much or little of it.
        Negatives are the events on the opposite side of the median of every one; positives those
        with the highest sum of ranks.
    keep : `above` or `below`
        Whether the cells that are looked for are above the cut (CD25, FOXP3) or below it (CD127).
    top_percent : float
        Share of the parent that makes the positive landmark: about half of the rarest share in
        which the cells occur, so that it holds few others (Treg are 2 to 8 % of CD4+).
    min_landmark_events : int
        Least number of events for the positive landmark (the median of 20 errs by 0.28 SD); it may
        take up to 5 % of a small parent to find them.
    max_move : float
        The most by which the batch may move the cut.

    Raises
    ------
    GateError
        With too few events, or landmarks in the wrong order.
    """
    pair = _landmarks(view, landmarks, top_percent=top_percent, min_events=min_landmark_events)
    if (pair.positive <= pair.negative) if keep == "above" else (pair.positive >= pair.negative):
        raise GateError(
            "the positive landmark is on the wrong side of the negative one: is the marker in this tube?"
        )
    share = float(view.reference["fraction"]) if view.reference else fraction
    own, error = pair.at(share), pair.error_at(share)
    cut, flags = bounded(towards_batch((own,), (error,), view.batch, max_move=max_move)[0], bounds)
    return Found(
        threshold(view.dimensions[0], cut, keep=keep), flags=flags, position=(own,), position_se=(error,)
    )


@dataclass(frozen=True, slots=True)
class _Landmarks:
    """Where certain negatives and certain positives lie on a marker, with standard errors."""

    negative: float
    positive: float
    negative_se: float
    positive_se: float

    def at(self, fraction: float) -> float:
        return self.negative + fraction * (self.positive - self.negative)

    def error_at(self, fraction: float) -> float:
        return float(np.hypot((1 - fraction) * self.negative_se, fraction * self.positive_se))


def _landmarks(view: View, sides: tuple[str, ...], *, top_percent: float, min_events: int) -> _Landmarks:
    marker, others = view.values[0], view.values[1:]
    if len(sides) != len(others) or not set(sides) <= {"high", "low"}:
        raise GateError(f"landmarks must say high or low for each of {len(others)} other markers.")
    n_top = max(round(view.n_events * top_percent / 100), min_events)
    if n_top > 0.05 * view.n_events:
        raise GateError(
            f"{view.n_events} events in the parent; the positive landmark needs {20 * min_events}."
        )
    signed = [values if side == "high" else -values for values, side in zip(others, sides, strict=True)]
    unlike = np.logical_and.reduce([values < np.median(values) for values in signed])
    score = np.sum([_rank(values) for values in signed], axis=0)
    top = score >= np.partition(score, view.n_events - n_top)[view.n_events - n_top]
    negative, negative_se = _median_and_error(marker[unlike] if unlike.any() else marker)
    positive, positive_se = _median_and_error(marker[top])
    return _Landmarks(negative, positive, negative_se, positive_se)


def _median_and_error(values: FloatArray) -> tuple[float, float]:
    """A median and its standard error, 1.2533 SD / √n of normal values, with a robust SD."""
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return middle, 1.2533 * spread / float(np.sqrt(values.size))


def _rank(values: FloatArray) -> FloatArray:
    """Place of each value in their order, equal ones as they come.

    Single-precision numbers are put in order by the upper and the lower half of their bits, which is
    several times as fast: once the sign is turned round, the bits of larger numbers are larger.
    """
    ranks = np.empty(values.size)
    ranks[_order(values)] = np.arange(values.size)
    return ranks


def _order(values: FloatArray) -> npt.NDArray[np.intp]:
    if values.dtype != np.float32:
        return np.argsort(values, kind="stable")
    bits = (values + np.float32(0)).view(np.uint32)  # + 0: -0.0 equals 0.0 and so must its bits
    key = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))
    by_lower = np.argsort(key.astype(np.uint16), kind="stable")
    upper = (key >> 16).astype(np.uint16)[by_lower]
    return by_lower[np.argsort(upper, kind="stable")]


@learns("landmark_fraction")
def learn_landmark_fraction(
    examples: Sequence[Example],
    *,
    landmarks: tuple[str, ...],
    keep: str = "above",
    top_percent: float = 1.5,
    min_landmark_events: int = 20,
    **_: object,
) -> dict[str, Any]:
    """Centre over the reference tubes (Huber) of where the expert's cut lies between the landmarks.

    Returns
    -------
    dict
        `fraction` and its standard error over tubes, `fraction_se`.
    """
    fractions = []
    for tube in usable(examples, n_inside=20, n_events=20 * min_landmark_events):
        pair = _landmarks(tube.view, landmarks, top_percent=top_percent, min_events=min_landmark_events)
        cut = cut_of(tube.view.values[0], tube.inside, keep=keep)
        fractions.append((cut - pair.negative) / (pair.positive - pair.negative))
    fraction, error = centre_and_error(fractions)
    return {"fraction": fraction, "fraction_se": error}
