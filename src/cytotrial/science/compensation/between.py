"""How far the matrices of one panel's batches lie from each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cytotrial.terms import SpilloverMatrix


def middle_of_batches(matrices: Mapping[str, SpilloverMatrix]) -> dict[tuple[str, str], float]:
    """The median over batches of every spillover off the diagonal, by (dye's detector, detector).

    Parameters
    ----------
    matrices : mapping of batch to SpilloverMatrix
        In any order of detectors.

    Returns
    -------
    dict
        Pairs that two batches or more have.

    Examples
    --------
    >>> one = SpilloverMatrix(("A", "B"), np.array([[1.0, 0.1], [0.0, 1.0]]))
    >>> two = SpilloverMatrix(("B", "A"), np.array([[1.0, 0.0], [0.3, 1.0]]))
    >>> middle_of_batches({"B01": one, "B02": two})
    {('A', 'B'): 0.2, ('B', 'A'): 0.0}
    """
    seen: dict[tuple[str, str], list[float]] = {}
    for batch in sorted(matrices):
        matrix = matrices[batch]
        for i, row in enumerate(matrix.detectors):
            for j, column in enumerate(matrix.detectors):
                if i != j:
                    seen.setdefault((row, column), []).append(float(matrix.values[i, j]))
    return {pair: float(np.median(entries)) for pair, entries in seen.items() if len(entries) > 1}
