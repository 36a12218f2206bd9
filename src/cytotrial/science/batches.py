"""What the tubes of one batch say together about a gate, and how far a single tube follows them.

Tubes of one batch share the cytometer's settings and the staining: where their gates differ more than
their own sampling errors explain, the difference is real; the rest is noise, and is taken back.

References
----------
DerSimonian R, Laird N. Meta-analysis in clinical trials. Control Clin Trials 1986;7:177-188 (the spread
between units beyond their own errors). Efron B, Morris C. J Am Stat Assoc 1975;70:311 (shrinkage).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cytotrial.terms import FloatArray

MIN_TUBES = 3


@dataclass(frozen=True, slots=True)
class Batch:
    """Where the tubes of one batch have a gate; a tube's own, noisier position is drawn towards it.

    position : the batch's median of `Found.position`, number by number
    spread : SD between its tubes beyond their own errors, number by number
    n_tubes : tubes it was made from
    """

    position: tuple[float, ...]
    spread: tuple[float, ...]
    n_tubes: int


def pool_batch(positions: FloatArray, errors: FloatArray) -> Batch | None:
    """The middle and the true spread of a gate's position over the tubes of one batch.

    Parameters
    ----------
    positions, errors : ndarray, shape (n_tubes, n_numbers)
        `Found.position` and `Found.position_se` of each tube.

    Returns
    -------
    Batch or None
        None with fewer than three tubes: their middle says no more than each tube itself. The spread is
        robust (1.4826 MAD), less the median sampling variance, not below 0.
    """
    if len(positions) < MIN_TUBES:
        return None
    middle = np.median(positions, axis=0)
    total = 1.4826 * np.median(np.abs(positions - middle), axis=0)
    spread = np.sqrt(np.maximum(total**2 - np.median(errors, axis=0) ** 2, 0.0))
    return Batch(tuple(map(float, middle)), tuple(map(float, spread)), len(positions))


def towards_batch(
    position: Sequence[float], errors: Sequence[float], batch: Batch | None, *, max_move: float
) -> tuple[float, ...]:
    """A tube's position drawn towards its batch by the weight of its own error, by at most `max_move`.

    Examples
    --------
    >>> towards_batch((0.5,), (0.02,), Batch((0.4,), (0.02,), 10), max_move=0.06)
    (0.45,)
    """
    if batch is None:
        return tuple(position)
    drawn = []
    for own, error, middle, spread in zip(position, errors, batch.position, batch.spread, strict=True):
        weight = spread**2 / (spread**2 + error**2) if spread or error else 1.0
        move = (1 - weight) * (middle - own)
        drawn.append(own + min(max(move, -max_move), max_move))
    return tuple(drawn)
