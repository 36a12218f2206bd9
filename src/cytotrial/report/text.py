"""How numbers and names are written on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

DASH = "–"
"""Stands for a number that is not known or does not apply."""

PARAMETERS = {
    "LYMABS": "Lymphocytes",
    "CD4ABS": "CD4⁺ T cells",
    "TREGABS": "Regulatory T cells (Treg)",
    "TREGPCD4": "Treg in CD4⁺ T cells",
    "TH17ABS": "Th17 cells",
    "TH17PCD4": "Th17 in CD4⁺ T cells",
    "TH17TREG": "Th17/Treg ratio",
}
_UNITS = {"10^6/L": "cells/µL"}


def unit_label(unit: str) -> str:
    """The unit as figures write it: 10^6/L is cells/µL."""
    return _UNITS.get(unit, unit)


def parameter_label(code: str, unit: str) -> str:
    """Name and unit of a parameter.

    Examples
    --------
    >>> parameter_label("TREGABS", "10^6/L")
    'Regulatory T cells (Treg), cells/µL'
    """
    name = PARAMETERS.get(code, code)
    return f"{name}, {unit_label(unit)}" if unit else name


def decimals_for(values: Iterable[float]) -> int:
    """Decimals that show the largest of some values with three digits (0 to 3).

    Examples
    --------
    >>> [decimals_for([v]) for v in (512.0, 12.98, 5.7, 0.44)]
    [0, 1, 2, 3]
    """
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return next((digits for digits, least in enumerate((100, 10, 1)) if largest >= least), 3)


def number(value: float, decimals: int) -> str:
    """A number with fixed decimals, or a dash.

    Examples
    --------
    >>> number(12.984, 1), number(float("nan"), 1)
    ('13.0', '–')
    """
    if not math.isfinite(value):
        return DASH
    shown = f"{value:.{decimals}f}"
    return shown.removeprefix("-") if float(shown) == 0 else shown


def whole(value: float) -> str:
    """A count of things, or a dash."""
    return str(int(value)) if math.isfinite(value) else DASH


def short(value: float) -> str:
    """A number with four significant digits, or a dash.

    Examples
    --------
    >>> short(12.9834), short(81234.0), short(0.00123456)
    ('12.98', '81234', '0.001235')
    """
    if not math.isfinite(value):
        return DASH
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def middle_and_range(middle: float, low: float, high: float, decimals: int) -> str:
    """Median [Q1, Q3].

    Examples
    --------
    >>> middle_and_range(12.98, 9.1, 17.25, 1)
    '13.0 [9.1, 17.2]'
    """
    if not math.isfinite(middle):
        return DASH
    return f"{number(middle, decimals)} [{number(low, decimals)}, {number(high, decimals)}]"


def estimate_and_limits(estimate: float, low: float, high: float, decimals: int) -> str:
    """Estimate (95 % CI), or the estimate with "no CI" where no interval reaches 95 %.

    Examples
    --------
    >>> estimate_and_limits(9.12, 7.0, 11.33, 1)
    '9.1 (7.0 to 11.3)'
    """
    if not math.isfinite(estimate):
        return DASH
    if not math.isfinite(low):
        return f"{number(estimate, decimals)} (no CI)"
    return f"{number(estimate, decimals)} ({number(low, decimals)} to {number(high, decimals)})"


def p_value(p: float) -> str:
    """A P value with three decimals, or a dash.

    Examples
    --------
    >>> p_value(0.0391), p_value(0.00002)
    ('0.039', '<0.001')
    """
    if not math.isfinite(p):
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def of_all(part: float, whole_number: float) -> str:
    """x/N, or a dash where either is not known.

    Examples
    --------
    >>> of_all(24, 83), of_all(float("nan"), 83)
    ('24/83', '–')
    """
    return f"{whole(part)}/{whole(whole_number)}" if math.isfinite(part + whole_number) else DASH


def limits_in_words(limits: Mapping[str, tuple[int, int]]) -> str:
    """Limits of detection and of quantitation, each with the parameters it holds for.

    Examples
    --------
    >>> limits_in_words({"TREGABS": (20, 50), "CD4ABS": (20, 50)})
    'not detected below 20 events, not quantifiable below 50'
    >>> limits_in_words({"TREGABS": (20, 50), "TH17ABS": (30, 80)})
    'not detected below 20 events, not quantifiable below 50 (TREGABS); 30 and 80 (TH17ABS)'
    """
    groups: dict[tuple[int, int], list[str]] = {}
    for code, pair in limits.items():
        groups.setdefault(pair, []).append(code)
    named = [
        f"{lod} and {lloq}" if place else f"not detected below {lod} events, not quantifiable below {lloq}"
        for place, (lod, lloq) in enumerate(groups)
    ]
    if len(groups) > 1:
        named = [f"{words} ({', '.join(codes)})" for words, codes in zip(named, groups.values(), strict=True)]
    return "; ".join(named)


def superscript(label: str) -> str:
    """A decade tick with a raised exponent.

    Examples
    --------
    >>> superscript("10^3"), superscript("-10^4"), superscript("50K")
    ('10³', '-10⁴', '50K')
    """
    base, caret, exponent = label.partition("^")
    raised = exponent.translate(str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"))
    return base + raised if caret else label
