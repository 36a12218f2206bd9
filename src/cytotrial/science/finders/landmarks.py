"""Cuts at a place between landmarks of the same tube."""

from __future__ import annotations

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.finders.registry import Found, View, bounded, registered, threshold
from cytotrial.terms import FloatArray


@registered("landmark_fraction")
def find_landmark_fraction(
    view: View,
    *,
    fraction: float,
    landmarks: tuple[str, ...],
    keep: str = "above",
    bounds: tuple[float, float] | None = None,
    top_percent: float = 1.5,
    min_landmark_events: int = 20,
) -> Found:
    """A cut at a fixed fraction of the way between two landmarks of the same tube.

    For CD25, FOXP3 and CD127 there is no valley to find. But among CD4+ events those that look
    conventional by the **other** markers are certainly negative, and the few that look most
    regulatory by the other markers are certainly positive: the medians of both groups are landmarks
    that move with gain and staining, and the cut keeps its place between them.

    Parameters
    ----------
    view : View
        The marker that is gated, then the other markers; the parent is CD4+.
    fraction : float
        (cut − negative) / (positive − negative), learnt from expert gates.
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

    Raises
    ------
    GateError
        With too few events, or landmarks in the wrong order.
    """
    marker, others = view.values[0], view.values[1:]
    if len(landmarks) != len(others) or not set(landmarks) <= {"high", "low"}:
        raise GateError(f"landmarks must say high or low for each of {len(others)} other markers.")
    n_top = max(round(view.n_events * top_percent / 100), min_landmark_events)
    if n_top > 0.05 * view.n_events:
        raise GateError(
            f"{view.n_events} events in the parent; the positive landmark needs {20 * min_landmark_events}."
        )
    signed = [values if side == "high" else -values for values, side in zip(others, landmarks, strict=True)]
    unlike = np.logical_and.reduce([values < np.median(values) for values in signed])
    score = np.sum([_rank(values) for values in signed], axis=0)
    negative = float(np.median(marker[unlike])) if unlike.any() else float(np.median(marker))
    positive = float(np.median(marker[np.argsort(score, kind="stable")[-n_top:]]))
    if (positive <= negative) if keep == "above" else (positive >= negative):
        raise GateError(
            "the positive landmark is on the wrong side of the negative one: is the marker in this tube?"
        )
    cut, flags = bounded(negative + fraction * (positive - negative), bounds)
    return Found(threshold(view.dimensions[0], cut, keep=keep), flags=flags)


def _rank(values: FloatArray) -> FloatArray:
    ranks = np.empty(values.size)
    ranks[np.argsort(values, kind="stable")] = np.arange(values.size)
    return ranks
