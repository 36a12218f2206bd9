"""A result from the numbers it was computed from: the formulas once more, from their statement.

This stands apart from the counting on purpose: it is what a reader of SUPPCP would do by hand.

References
----------
CDC, MMWR 2003;52(RR-2): single-platform counts; MMWR 1997;46(RR-2): dual platform.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ACROSS = re.compile(r"XTUBE\((?P<fraction>FRACTION(?:-BACKGROUND)?),(?P<count>[A-Z]+)\)")


def recompute(method: str, numbers: Mapping[str, Any]) -> float | None:
    """The value that a formula gives; None if a number that it needs is missing.

    Parameters
    ----------
    method : str
        BEAD, DUAL, VOL, FRACTION, FRACTION-BACKGROUND or XTUBE(fraction,count).
    numbers : mapping
        By the names of the columns of specimens.csv.

    Examples
    --------
    >>> recompute("BEAD", {"events": 5120, "bead_events": 10000, "beads_per_tube": 50000, "blood_ul": 50})
    512.0
    """
    across = _ACROSS.fullmatch(method)
    if across:
        fraction = recompute(across["fraction"], numbers)
        parent = numbers.get("parent_value")
        return None if fraction is None or parent is None else fraction / 100 * parent
    formula = _FORMULAS.get(method)
    try:
        return None if formula is None else formula(numbers)
    except (KeyError, TypeError, ZeroDivisionError):
        return None


def value_of_events(method: str, numbers: Mapping[str, Any], events: float) -> float | None:
    """The value that a number of events would have given in the same tube, without background."""
    return recompute(method.replace("-BACKGROUND", ""), {**numbers, "events": events})


def _beads(n: Mapping[str, Any]) -> float:
    blood_ul = n["blood_ul"] / (n.get("dilution") or 1)
    return float(n["events"] / n["bead_events"] * n["beads_per_tube"] / blood_ul)


def _dual(n: Mapping[str, Any]) -> float:
    return float(n["cbc_lymphocytes_10e9_per_l"] * 1000 * n["events"] / n["lymphocyte_events"])


def _volumetric(n: Mapping[str, Any]) -> float:
    return float(n["events"] * 1000 * n["dilution"] / n["volume_nl"])


def _fraction(n: Mapping[str, Any]) -> float:
    return float(100 * n["events"] / n["parent_events"])


def _net_fraction(n: Mapping[str, Any]) -> float:
    return max(0.0, _fraction(n) - 100 * float(n["background_events"] / n["background_parent_events"]))


_FORMULAS = {
    "BEAD": _beads,
    "DUAL": _dual,
    "VOL": _volumetric,
    "FRACTION": _fraction,
    "FRACTION-BACKGROUND": _net_fraction,
}
