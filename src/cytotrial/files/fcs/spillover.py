"""The spillover matrix that a file brings along, parsed here and nowhere else."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cytotrial.files.fcs.findings import Notes, escape, some
from cytotrial.files.fcs.numbers import decimal_number, whole_number
from cytotrial.files.fcs.text import BLANKED_OUT, MATRIX_KEYWORDS, Keywords
from cytotrial.terms import SpilloverMatrix

STANDARD_KEYWORDS = ("$SPILLOVER", "SPILLOVER", "SPILL")
"""The standard's keyword and the forms without `$` that instruments write; others bring a warning."""

MAX_CONDITION = 1e6
REMEDY = "Give the matrix in the configuration, estimate it from single stains, or export the file again"


def parse_spillover(keywords: Keywords, channels: tuple[str, ...], notes: Notes) -> SpilloverMatrix | None:
    """The embedded spillover matrix over any subset of the channels, or None.

    Parameters
    ----------
    keywords : Keywords
    channels : tuple of str
        $PnN of the file.

    Returns
    -------
    SpilloverMatrix or None
        None if there is none or it is rejected. Coefficients are as the file has them.

    References
    ----------
    Spidlen et al., Cytometry A 2010;77A:97-100 (FCS 3.1: $SPILLOVER).
    """
    _check_applied(keywords, channels, notes)
    found = [key for key in MATRIX_KEYWORDS if key in keywords and not _is_nameless(key, keywords, notes)]
    matrices = [(key, _parse(key, keywords.values[key], channels, notes)) for key in found]
    good = [(key, matrix) for key, matrix in matrices if matrix is not None]
    if not good or notes.rejected:
        return None
    key, matrix = good[0]
    others = [other for other, values in good[1:] if not _same(matrix, values)]
    if others:
        notes.reject(
            "SPILLOVER_CONFLICT",
            key,
            f"{key} and {some(others)} hold different matrices",
            expected="one matrix",
            remedy="Choose one and give it in the configuration",
        )
        return None
    if key not in STANDARD_KEYWORDS:
        notes.warn(
            "SPILLOVER_KEYWORD", key, f"the matrix stands under {key}; it was read as a spillover matrix"
        )
    _warn_odd_values(key, matrix.values, notes)
    return matrix


def _check_applied(keywords: Keywords, channels: tuple[str, ...], notes: Notes) -> None:
    for key in ("APPLY COMPENSATION", "APPLY_COMPENSATION"):
        if (keywords.get(key) or "").strip().upper() in ("TRUE", "YES", "1"):
            notes.warn(
                "COMPENSATION_FLAG",
                key,
                "the instrument software says that compensation was applied; "
                "data are taken as uncompensated, as this flag usually concerns its display",
                seen="TRUE",
                remedy="Check on one tube that data and matrix do not compensate twice",
            )
    done = [name for name in channels if name.upper().startswith(("COMP-", "COMP_", "<COMP"))]
    if done:
        notes.warn(
            "NAMES_SAY_COMPENSATED",
            "$PnN",
            f"names of channels ($PnN) say that the values are compensated already: {some(done)}",
            remedy="Use `compensation: none` for files with compensated values",
        )


def _is_nameless(key: str, keywords: Keywords, notes: Notes) -> bool:
    """Whether there is nothing to read: a blank, or the $COMP of FCS 3.0, which names no channels."""
    items = keywords.values[key].split(",")
    n = whole_number(items[0])
    redacted = [name for name in items[1 : 1 + (n or 0)] if name and BLANKED_OUT.fullmatch(name)]
    if BLANKED_OUT.fullmatch(keywords.values[key]) or redacted:
        notes.warn(
            "SPILLOVER_BLANK", key, f"{key} is blank or blanked out; the file brings no matrix", remedy=REMEDY
        )
        return True
    if key == "$COMP" and n and len(items) == 1 + n * n:
        notes.warn("COMP_IGNORED", key, "the $COMP matrix of FCS 3.0 names no channels and was not used")
        return True
    return False


def _parse(key: str, value: str, channels: tuple[str, ...], notes: Notes) -> SpilloverMatrix | None:
    items = _items(key, value, notes)
    n = whole_number(items[0])
    if not n:
        _reject(key, "does not begin with the number of channels", notes, seen="" if n is None else "0")
    elif n > len(channels):
        _reject(key, f"is for {n} channels, the file has {len(channels)}", notes, seen=str(n))
    elif len(items) != 1 + n + n * n:
        _reject(
            key,
            f"announces {n} channels, so {1 + n + n * n} items, and holds {len(items)}",
            notes,
            seen=str(n),
        )
    else:
        names = _names(key, items[1 : n + 1], channels, notes)
        values = _coefficients(key, items[n + 1 :], n, notes)
        if names is not None and values is not None:
            return SpilloverMatrix(names, values, origin="embedded")
    return None


def _items(key: str, value: str, notes: Notes) -> list[str]:
    if any(mark in value.strip() for mark in "\r\n\t"):
        notes.warn("SPILLOVER_SPELLING", key, f"line breaks or tabs inside {key} were removed")
        value = value.replace("\r", "").replace("\n", "").replace("\t", "")
    items = [item.strip() for item in value.strip().split(",")]
    if len(items) > 1 and items[-1] == "":
        notes.warn("SPILLOVER_SPELLING", key, f"a comma at the end of {key} was removed")
        items.pop()
    return items


def _names(key: str, names: list[str], channels: tuple[str, ...], notes: Notes) -> tuple[str, ...] | None:
    known = {channel.strip(): channel for channel in channels}
    unknown = [name for name in names if name not in known]
    if unknown:
        _reject(key, f"names channels that the file does not have: {some(unknown)}", notes, seen=unknown[0])
        return None
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        _reject(key, f"names {escape(twice)} twice", notes, seen=twice)
        return None
    return tuple(known[name] for name in names)


def _coefficients(key: str, items: list[str], n: int, notes: Notes) -> npt.NDArray[np.float64] | None:
    numbers = [decimal_number(item) for item in items]
    bad = [item for item, number in zip(items, numbers, strict=True) if number is None]
    if bad:
        _reject(key, f"holds {len(bad)} coefficients that are no finite number", notes, seen=bad[0])
        return None
    values = np.array(numbers, dtype=np.float64).reshape(n, n)
    diagonal = np.diag(values)
    if (np.abs(values) > 1e6).any() or (diagonal <= 0).any():
        _reject(key, "has a diagonal that is not positive, or coefficients beyond a million", notes)
    elif (diagonal > 10).all():
        _reject(key, f"holds percent (diagonal {diagonal[0]:g}), fractions were expected", notes)
    elif not np.linalg.cond(values) <= MAX_CONDITION:
        _reject(key, f"is singular or nearly so (condition number above {MAX_CONDITION:g})", notes)
    else:
        return values
    return None


def _warn_odd_values(key: str, values: npt.NDArray[np.float64], notes: Notes) -> None:
    off_diagonal = values[~np.eye(len(values), dtype=bool)]
    oddities = (
        (
            not off_diagonal.any(),
            "IDENTITY",
            "is the identity: the data are uncompensated or compensated already",
        ),
        (bool((np.abs(np.diag(values) - 1) > 1e-6).any()), "DIAGONAL", "has a diagonal that is not 1"),
        (bool((off_diagonal < 0).any()), "NEGATIVE", "holds negative coefficients"),
        (bool((off_diagonal > 1).any()), "ABOVE_ONE", "holds coefficients above 1 beside the diagonal"),
    )
    for is_so, code, what in oddities:
        if is_so:
            notes.warn(
                f"SPILLOVER_{code}", key, f"the matrix {what}", remedy="Compare it with the single stains"
            )


def _same(one: SpilloverMatrix, other: SpilloverMatrix) -> bool:
    if set(one.detectors) != set(other.detectors):
        return False
    order = [other.detectors.index(name) for name in one.detectors]
    return bool(np.array_equal(one.values, other.values[np.ix_(order, order)]))


def _reject(key: str, what: str, notes: Notes, *, seen: str = "") -> None:
    notes.reject(
        "SPILLOVER_INVALID",
        key,
        f"the spillover matrix {what}",
        seen=seen,
        expected="n, n channel names, n rows of n fractions",
        remedy=REMEDY,
    )
