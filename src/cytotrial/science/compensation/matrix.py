"""Whether a spillover matrix can be used, and its inverse."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from cytotrial.errors import CompensationError, all_problems
from cytotrial.terms import Finding, Outcome, SpilloverMatrix

MAX_CONDITION = 1e6
"""Above this the inverse turns the digitisation of the detectors into signal."""

PERCENT_DIAGONAL = 50.0
"""No detector is read in these units: a diagonal this large holds per cent (100), not fractions (1)."""


def condition_number(matrix: SpilloverMatrix) -> float:
    """How much compensation can amplify an error: ratio of largest to smallest singular value, ≥ 1."""
    return float(np.linalg.cond(matrix.values))


def check_spillover(matrix: SpilloverMatrix) -> tuple[Finding, ...]:
    """Everything that speaks against a spillover matrix.

    Parameters
    ----------
    matrix : SpilloverMatrix
        Rows fluorochromes, columns detectors, as fractions with diagonal 1.

    Returns
    -------
    tuple of Finding
        Outcome `reject`: not square, no or twice the same detector, a value that is not a number,
        a diagonal ≤ 0, per cent in place of fractions, a condition number above 1e6.
        Outcome `warn`: spillover above 1, a negative spillover below −0.01, a diagonal that is
        not 1, the identity. Empty when nothing was found.

    Examples
    --------
    >>> good = SpilloverMatrix(("FITC-A", "PE-A"), np.array([[1.0, 0.2], [0.01, 1.0]]))
    >>> check_spillover(good)
    ()
    """
    broken = tuple(_shape_findings(matrix)) or tuple(_number_findings(matrix))
    if broken:
        return broken
    singular = tuple(_condition_findings(matrix))
    return singular + tuple(_unusual_findings(matrix))


def compensation_matrix(spillover: SpilloverMatrix) -> npt.NDArray[np.float64]:
    """The inverse of a spillover matrix: compensated events = events @ inverse.

    Returns
    -------
    ndarray, shape (n_detectors, n_detectors), float64
        Rows and columns in the order of `spillover.detectors`.

    Raises
    ------
    CompensationError
        With every finding of outcome `reject` of `check_spillover`.

    References
    ----------
    Bagwell CB, Adams EG. Fluorescence spectral overlap compensation for any number of flow
    cytometry parameters. Ann N Y Acad Sci 1993;677:167.

    Examples
    --------
    >>> spillover = SpilloverMatrix(("FITC-A", "PE-A"), np.array([[1.0, 0.25], [0.0, 1.0]]))
    >>> compensation_matrix(spillover)
    array([[ 1.  , -0.25],
           [ 0.  ,  1.  ]])
    """
    raise_rejected(check_spillover(spillover), where=f"spillover matrix ({spillover.origin or 'given'})")
    return np.linalg.inv(np.asarray(spillover.values, dtype=np.float64))


def raise_rejected(findings: Iterable[Finding], *, where: str) -> None:
    """Raise one CompensationError that lists every finding of outcome `reject`, if there is one."""
    rejected = [f for f in findings if f.outcome is Outcome.REJECT]
    if rejected:
        lines = [f"{f.message} {f.remedy}".rstrip() for f in rejected]
        raise CompensationError(all_problems(where, lines, outcome="no compensation was made"))


def _shape_findings(matrix: SpilloverMatrix) -> Iterable[Finding]:
    n = len(matrix.detectors)
    if matrix.values.shape != (n, n) or n == 0:
        yield _reject(
            "spillover.shape",
            f"the matrix has shape {matrix.values.shape} for {n} detectors; one row and one column per "
            "detector were expected.",
            remedy="Give detectors without a fluorochrome a row of zeros with 1 on the diagonal.",
        )
    for name in sorted({d for d in matrix.detectors if matrix.detectors.count(d) > 1}):
        yield _reject(
            "spillover.duplicate",
            f"detector {name!r} is named {matrix.detectors.count(name)} times; once was expected.",
            keyword=name,
            remedy="Remove the double row and column.",
        )


def _number_findings(matrix: SpilloverMatrix) -> Iterable[Finding]:
    names = matrix.detectors
    for i, j in np.argwhere(~np.isfinite(matrix.values)):
        yield _reject(
            "spillover.not_finite",
            f"row {names[i]!r}, column {names[j]!r}: {matrix.values[i, j]} is not a number.",
            keyword=names[i],
            remedy="Enter the fraction, or 0 where there is no spillover.",
        )
    for name, value in zip(names, np.diagonal(matrix.values), strict=True):
        if value <= 0:
            yield _reject(
                "spillover.diagonal",
                f"row and column {name!r}: the diagonal is {value:g}; 1 was expected.",
                keyword=name,
                remedy="A fluorochrome is seen by its own detector: set 1.",
            )
        elif value >= PERCENT_DIAGONAL:
            yield _reject(
                "spillover.percent",
                f"row and column {name!r}: the diagonal is {value:g}, so the values look like per cent; "
                "fractions with diagonal 1 were expected.",
                keyword=name,
                remedy="Divide every value by 100.",
            )


def _condition_findings(matrix: SpilloverMatrix) -> Iterable[Finding]:
    condition = condition_number(matrix)
    if not condition <= MAX_CONDITION:
        yield _reject(
            "spillover.singular",
            f"the condition number is {condition:.2g}; at most {MAX_CONDITION:.0g} was expected: two rows "
            "are (nearly) alike, so their fluorochromes cannot be told apart.",
            remedy="Look for a row that was copied twice, or drop one of the two fluorochromes.",
        )


def _unusual_findings(matrix: SpilloverMatrix) -> Iterable[Finding]:
    values, names = matrix.values, matrix.detectors
    if len(names) > 1 and np.array_equal(values, np.eye(len(names))):
        yield _warn(
            "spillover.identity",
            "the matrix is the identity: the events are uncompensated, or were compensated before export.",
            remedy="Say which of the two it is; nothing is changed by this matrix.",
        )
    for i, j in np.argwhere(~np.eye(len(names), dtype=bool) & ((values > 1) | (values < -0.01))):
        kind = (
            "above 1: the dye is brighter there than in its own detector" if values[i, j] > 1 else "negative"
        )
        yield _warn(
            "spillover.above_one" if values[i, j] > 1 else "spillover.negative",
            f"row {names[i]!r}, column {names[j]!r}: the spillover is {values[i, j]:.4g}, {kind}.",
            keyword=names[i],
            remedy="Check the single-stain control, the detector voltages and the orientation of the matrix.",
        )
    for name, value in zip(names, np.diagonal(values), strict=True):
        if abs(value - 1) > 1e-6:
            yield _warn(
                "spillover.diagonal_not_one",
                f"row and column {name!r}: the diagonal is {value:.6g} and not 1, so compensated values of "
                "this detector are rescaled.",
                keyword=name,
                remedy="Divide the row by its diagonal.",
            )


def _reject(code: str, message: str, *, keyword: str = "", remedy: str = "") -> Finding:
    return Finding(code, Outcome.REJECT, message, keyword=keyword, remedy=remedy)


def _warn(code: str, message: str, *, keyword: str = "", remedy: str = "") -> Finding:
    return Finding(code, Outcome.WARN, message, keyword=keyword, remedy=remedy)
