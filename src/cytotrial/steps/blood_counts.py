"""The lymphocytes that a haematology analyser counted in a draw, for a count on two platforms."""

from __future__ import annotations

from collections.abc import Iterator

from cytotrial.errors import CountError
from cytotrial.files.sheets import BloodCount
from cytotrial.science.endpoints import hours_between
from cytotrial.settings import Counts
from cytotrial.steps.draws import Draw
from cytotrial.terms import Tube

MOST_APART = 1.2
"""Lymphocytes, and leukocytes times their share of lymphocytes, that differ by more are flagged."""


def lymphocytes_10e9_per_l(draw: Draw, tube: Tube, counts: Counts) -> tuple[float, tuple[str, ...]]:
    """Lymphocytes of the draw in 10^9/L, and what is doubtful about them.

    Raises
    ------
    CountError
        If the draw has no blood count, or one that was taken at another time.
    """
    found = draw.blood_count
    if found is None:
        raise CountError(
            f"no blood count of specimen {tube.specimen} in the sheet of blood counts.",
            hint="Add it (lymphocytes, or leukocytes and the share of lymphocytes).",
        )
    by_share = _by_share(found)
    value = found.lymphocytes_10e9_per_l if found.lymphocytes_10e9_per_l is not None else by_share
    if value is None:
        raise CountError(f"the blood count of specimen {tube.specimen} gives no lymphocytes.")
    flags = (*_time_apart(found, tube, counts), *_contradiction(value, by_share))
    return value, flags


def _by_share(found: BloodCount) -> float | None:
    if found.wbc_10e9_per_l is None or found.lymphocyte_percent is None:
        return None
    return found.wbc_10e9_per_l * found.lymphocyte_percent / 100


def _time_apart(found: BloodCount, tube: Tube, counts: Counts) -> Iterator[str]:
    """Refuse a blood count of another time; without times of day, one of another day."""
    if not found.collected or not tube.collected:
        yield "CBC_TIME_UNKNOWN"
        return
    hours = hours_between(found.collected, tube.collected)
    far = found.collected[:10] != tube.collected[:10] if hours is None else hours > counts.max_cbc_hours
    if far:
        raise CountError(
            f"the blood count was taken at {found.collected}, the draw at {tube.collected} "
            f"(expected at most {counts.max_cbc_hours:g} h apart).",
            hint="Give the blood count of this draw, or the times of day if both are of one draw.",
        )


def _contradiction(value: float, by_share: float | None) -> Iterator[str]:
    if by_share is not None and not value / MOST_APART <= by_share <= value * MOST_APART:
        yield f"CBC_CONTRADICTS_ITSELF:{value:g} and {by_share:.3g} x 10^9/L"
