"""What learners share: a cut read off the events that an expert kept, whatever gate he drew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cytotrial.errors import GateError
from cytotrial.science.finders.registry import Example
from cytotrial.terms import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Known:
    """What reference tubes taught, told apart by which object it is: what is made of it can be remembered.

    A job gates many tubes by the same constants.
    """

    constants: Mapping[str, Any]

    def __hash__(self) -> int:
        return id(self.constants)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Known) and self.constants is other.constants


def cut_of(values: FloatArray, inside: BoolArray, *, keep: str = "above") -> float:
    """The threshold that parts the events an expert kept from the others with the fewest mistakes.

    Of an expert's threshold it is that threshold, to half the gap between the nearest events on its two
    sides; of a polygon or an ellipse, the nearest thing to it on this one axis.

    Examples
    --------
    >>> cut_of(np.array([0.1, 0.2, 0.6, 0.8]), np.array([False, False, True, True]))
    0.4
    """
    order = np.argsort(values, kind="stable")
    kept = inside[order] if keep == "above" else ~inside[order]
    mistakes = np.concatenate([[0], np.cumsum(kept)]) + np.concatenate([np.cumsum(~kept[::-1])[::-1], [0]])
    best = np.flatnonzero(mistakes == mistakes.min())
    place = int(best[best.size // 2])
    ordered = values[order]
    low, high = ordered[max(place - 1, 0)], ordered[min(place, values.size - 1)]
    return float((float(low) + float(high)) / 2)


def usable(examples: Sequence[Example], *, n_inside: int, n_events: int) -> list[Example]:
    """The examples with enough events to teach a gate.

    Raises
    ------
    GateError
        If there is none.
    """
    enough = [
        example
        for example in examples
        if example.view.n_events >= n_events and np.count_nonzero(example.inside) >= n_inside
    ]
    if not enough:
        raise GateError(
            f"none of {len(examples)} reference tubes has {n_inside} events in the gate and {n_events} in "
            "its parent."
        )
    return enough


def rounded(values: FloatArray, *, digits: int = 6) -> list[float]:
    """Numbers as they stand in a reference file: plain, to so many significant digits."""
    return [float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=np.float64).ravel()]


def centre_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Centre over tubes and its standard error: Huber's M-estimate.

    An expert's hand is unsteady by much the same on every tube, and now and then slips. The mean would make
    the most of the first and fall for the second; Huber's estimate (tuning constant 1.345) needs 5 % more
    tubes than the mean where there is no slip, the median 57 % more (Huber, Ann Math Stat 1964;35:73).
    """
    each = np.asarray(values, dtype=np.float64)
    centre = float(np.median(each))
    spread = 1.4826 * float(np.median(np.abs(each - centre)))
    for _round in range(30 if spread else 0):
        away = np.maximum(np.abs(each - centre), 1e-12)
        centre = float(np.average(each, weights=np.minimum(1.0, 1.345 * spread / away)))
    return centre, 1.026 * spread / float(np.sqrt(each.size))
