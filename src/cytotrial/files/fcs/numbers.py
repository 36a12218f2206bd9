"""Numbers as FCS writes them: ASCII digits only, blanks around them allowed, nothing else."""

from __future__ import annotations

import re

INTEGER = re.compile(r"[0-9]{1,20}", re.ASCII)
DECIMAL = re.compile(r"[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?", re.ASCII)


def whole_number(text: str) -> int | None:
    """The non-negative integer a keyword holds, or None if it holds anything else.

    Examples
    --------
    >>> whole_number(" 000024 "), whole_number("2_4"), whole_number("-1")
    (24, None, None)
    """
    text = text.strip(" ")
    return int(text) if INTEGER.fullmatch(text) else None


def decimal_number(text: str) -> float | None:
    """The finite decimal number a keyword holds, or None if it holds anything else.

    Examples
    --------
    >>> decimal_number("0.01"), decimal_number("0,01"), decimal_number("nan"), decimal_number("1e999")
    (0.01, None, None, None)
    """
    text = text.strip(" ")
    if not DECIMAL.fullmatch(text):
        return None
    value = float(text)
    return value if abs(value) != float("inf") else None
