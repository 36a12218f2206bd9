"""What has to be known of a panel's gating before any job runs: which jobs there are hangs on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cytotrial.errors import CytotrialError
from cytotrial.terms import GatingStrategy


@dataclass(frozen=True)
class Outline:
    """Which controls the gate finders of a template look at, and whether any is drawn towards its batch.

    controls : (role, marker) of every control that decides where a gate lies; bounds do not
    """

    controls: frozenset[tuple[str, str]] = frozenset()
    drawn: bool = False


def outline_of(gating: Path) -> Outline:
    """The outline of a gating file; only templates find gates, and one that has problems is refused later."""
    if gating.suffix.lower() not in {".yaml", ".yml"}:
        return Outline()
    from cytotrial.files.template import read_template  # noqa: PLC0415 (only plans of trials with templates)

    try:
        return outline_of_strategy(read_template(gating))
    except CytotrialError:
        return Outline()


def outline_of_strategy(strategy: GatingStrategy) -> Outline:
    from cytotrial.science.finders import uses_batch  # noqa: PLC0415

    named = [population.find for population in strategy.populations if population.find]
    finds = [find for first in named for find in first.all() if find is not first.bound]
    return Outline(
        frozenset((find.control, find.control_marker) for find in finds if find.control),
        any(uses_batch(find.finder) for find in finds),
    )
