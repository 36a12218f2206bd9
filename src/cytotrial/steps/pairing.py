"""Which control tubes the gates of a tube look at: of its draw, of its batch, of the nearest batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal

from cytotrial.terms import Role, Tube

ControlKey = tuple[str, str]
"""Role and marker of a control: ("fmo", "FOXP3"), ("unstimulated", "")."""

Pairing = Literal["draw", "batch", "nearest"]


def key_of(tube: Tube) -> ControlKey:
    """Role and marker by which a template names a control."""
    return tube.role.value, "" if tube.role is Role.UNSTIMULATED else tube.control_for


def pair(
    tube: Tube, candidates: Iterable[Tube], acquired: Mapping[str, str]
) -> dict[ControlKey, tuple[Pairing, tuple[Tube, ...]]]:
    """(role, marker) → the controls of a tube, and how they were found.

    Parameters
    ----------
    tube : Tube
        A sample, or a control that itself looks at others.
    candidates : iterable of Tube
        Usable controls of the panel: of this draw, and of batches.
    acquired : mapping of sample_id to text
        ISO 8601 date (and time) of the acquisition; a control of another batch without it is not taken.

    Returns
    -------
    dict
        Controls of the same draw come before those of the batch, and these before those of the batch that
        was acquired nearest in time (the earlier of two that are equally near).
    """
    by_key: dict[ControlKey, list[Tube]] = {}
    for candidate in sorted(candidates, key=lambda other: other.sample_id):
        by_key.setdefault(key_of(candidate), []).append(candidate)
    found = {key: _nearest(tube, controls, acquired) for key, controls in sorted(by_key.items())}
    return {key: (how, controls) for key, (how, controls) in found.items() if controls}


def _nearest(
    tube: Tube, controls: Sequence[Tube], acquired: Mapping[str, str]
) -> tuple[Pairing, tuple[Tube, ...]]:
    draw = tuple(other for other in controls if other.specimen and other.specimen == tube.specimen)
    if draw:
        return "draw", draw
    shared = [other for other in controls if not other.subject]
    batch = tuple(other for other in shared if other.batch == tube.batch)
    if batch:
        return "batch", batch
    days = {other.batch: _days_between(tube, other, acquired) for other in shared}
    dated = sorted((away, after, name) for name, (away, after) in days.items() if away is not None)
    return "nearest", tuple(other for other in shared if dated and other.batch == dated[0][2])


def _days_between(tube: Tube, other: Tube, acquired: Mapping[str, str]) -> tuple[int | None, bool]:
    """Days from one acquisition to the other, and whether the other came after; None if one is not known."""
    own, others = acquired.get(tube.sample_id, "")[:10], acquired.get(other.sample_id, "")[:10]
    if not own or not others:
        return None, False
    days = (date.fromisoformat(others) - date.fromisoformat(own)).days
    return abs(days), days > 0
