"""A quality-control donor followed from batch to batch: Levey–Jennings limits and Westgard's rules.

The limits are prediction limits: they hold the next batch of a process in control as often as ± 2 and ± 3 SD
of a normal distribution do, however few batches they were made from. With many batches they are mean ± 2 SD
and mean ± 3 SD; with five they lie farther out, for five batches say little about an SD.

References
----------
Levey S, Jennings ER. Am J Clin Pathol 1950;20:1059. Westgard JO, Barry PL, Hunt MR, Groth T. Clin Chem
1981;27:493 (rules 1-3s and 2-2s). Hahn GJ. J Am Stat Assoc 1969;64:878 (prediction limits for a next value).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_BATCHES = 3
RULE_13S, RULE_22S = "1-3s", "2-2s"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One batch on a Levey–Jennings chart.

    value : the donor's value in the batch
    n_batches, mean, sd : of the batches it was judged by
    low3, low2, high2, high3 : prediction limits; None where there are too few batches
    z : where the value lies between them, in SD of a normal distribution
    rule : `1-3s` (beyond ± 3 SD), `2-2s` (this batch and the one before beyond the same 2 SD limit), or none
    """

    value: float
    n_batches: int
    mean: float | None = None
    sd: float | None = None
    low3: float | None = None
    low2: float | None = None
    high2: float | None = None
    high3: float | None = None
    z: float | None = None
    rule: str = ""


def judge_batches(values: Sequence[float], *, establishing: int) -> list[Judgement]:
    """Judge every batch of a series, in the order of acquisition.

    Parameters
    ----------
    values : sequence of float
        The donor's value in each batch, on a scale on which it varies evenly.
    establishing : int
        The first so many batches set the limits: each of them is judged by the others of them. Each later
        batch is judged by all before it that broke no rule. A batch is never judged by itself.

    Returns
    -------
    list of Judgement
        Without limits where fewer than three batches could judge.

    Examples
    --------
    >>> [batch.rule for batch in judge_batches([5.0, 5.1, 4.9, 5.0, 5.1, 9.0], establishing=5)]
    ['', '', '', '', '', '1-3s']
    """
    judged: list[Judgement] = []
    for place in range(len(values)):
        others = [values[i] for i in _judges(place, judged, len(values), establishing)]
        alone = _judge(values[place], others)
        judged.append(_with_rule(alone, judged[-1] if judged else None))
    return judged


def _judges(place: int, judged: Sequence[Judgement], n_values: int, establishing: int) -> Iterator[int]:
    if place < establishing:
        yield from (i for i in range(min(establishing, n_values)) if i != place)
    else:
        yield from (i for i in range(place) if not judged[i].rule)


def _judge(value: float, others: Sequence[float]) -> Judgement:
    n = len(others)
    if n < FEWEST_BATCHES:
        return Judgement(value, n)
    mean, sd = float(np.mean(others)), float(np.std(others, ddof=1))
    wide = sd * math.sqrt(1 + 1 / n)
    two, three = (wide * _factor(k, n - 1) for k in (2.0, 3.0))
    z = _normal_z((value - mean) / wide, n - 1) if wide > 0 else (0.0 if value == mean else None)
    return Judgement(value, n, mean, sd, mean - three, mean - two, mean + two, mean + three, z)


def _with_rule(judged: Judgement, before: Judgement | None) -> Judgement:
    values = {name: getattr(judged, name) for name in Judgement.__slots__}
    if judged.low3 is None or judged.high3 is None:
        return judged
    if not judged.low3 <= judged.value <= judged.high3:
        return Judgement(**{**values, "rule": RULE_13S})
    side = _side(judged)
    if side and before is not None and _side(before) == side:
        return Judgement(**{**values, "rule": RULE_22S})
    return judged


def _side(judged: Judgement) -> int:
    """On which side the value lies beyond 2 SD: −1, 1, or 0 for neither."""
    if judged.low2 is None or judged.high2 is None:
        return 0
    return int(judged.value > judged.high2) - int(judged.value < judged.low2)


def _factor(k: float, degrees: int) -> float:
    """The t of as many degrees of freedom beyond which there is as much as beyond k normal SD."""
    from scipy.special import ndtr, stdtrit  # noqa: PLC0415 (only where a donor is followed)

    return float(stdtrit(degrees, ndtr(k)))


def _normal_z(t: float, degrees: int) -> float:
    from scipy.special import ndtri, stdtr  # noqa: PLC0415

    return float(np.clip(ndtri(stdtr(degrees, t)), -37.0, 37.0))
