"""Apply the gates that a person placed on a tube, or took out of it, beside the automatic ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from cytotrial.files.overrides import Override, Standing, applicable, deciding, entry_digests
from cytotrial.files.tables import Row
from cytotrial.science.gating import GatedTube, count_populations, with_gates_by_hand
from cytotrial.science.populations import PopulationCount
from cytotrial.steps.bench import LoadedTube
from cytotrial.steps.layout import BY_HAND
from cytotrial.steps.plan import Plan
from cytotrial.terms import ACCEPTED, APPLIED, EXCLUDED, NOT_GATED, STALE, Gate, Tube

OF_THE_FILE = (
    "override_id", "utc", "made_by", "reviewed_by", "reviewed_utc", "population", "action", "reason_code",
    "reason_text", "blinded_to_arm", "template",
)  # fmt: skip
"""Columns of the overrides file that are told as they stand there."""


@dataclass(frozen=True, eq=False)
class ByHand:
    """A tube as its overrides have it, and as it would be without them.

    gated : with the overrides that stand
    automatic : without any
    standing : which of the overrides stand
    """

    gated: GatedTube
    automatic: GatedTube
    standing: Standing = field(default_factory=Standing)

    @property
    def changed(self) -> bool:
        """Whether any gate lies elsewhere, or is missing, because of an override."""
        return _places(self.gated) != _places(self.automatic)

    @property
    def stale(self) -> dict[str, str]:
        """Population → why its override is not applied."""
        return {entry.override.population: entry.reason for entry in self.standing.stale}


def by_hand(plan: Plan, loaded: LoadedTube, gated: GatedTube) -> ByHand:
    """The tube with its overrides; those that no longer stand are flagged and not applied."""
    rows = plan.overrides.get(loaded.tube.sample_id, [])
    if not rows:
        return ByHand(gated, gated)
    content, entries = plan.sha256_of(loaded.tube), entry_digests(loaded.strategy)
    standing = applicable(rows, gated.placed, fcs_sha256=content, entries=entries)
    excluded = {
        name: f"{EXCLUDED}: {row.reason_code}, {row.reason_text} ({row.override_id})".replace(";", ",")
        for name, row in standing.excluded.items()
    }
    stale = [entry.override.population for entry in standing.stale]
    for entry in standing.stale:
        print(f"not applied: {entry}", file=sys.stderr)
    return ByHand(with_gates_by_hand(gated, standing.gates, excluded, stale=stale), gated, standing)


def _places(gated: GatedTube) -> dict[str, Gate]:
    return {gate.population: gate.gate for gate in gated.placed}


def rows_by_hand(plan: Plan, loaded: LoadedTube, done: ByHand) -> Iterator[Row]:
    """What each override of a tube did: outcome, events before (as without any override) and after."""
    rows = deciding(plan.overrides.get(loaded.tube.sample_id, []))
    if not rows:
        return
    before, after = (_counted(loaded, gated) for gated in (done.automatic, done.gated))
    for name, row in rows.items():
        applied = name in done.standing.gates or name in done.standing.excluded
        outcome = APPLIED if applied else STALE if name in done.stale else ACCEPTED
        yield {
            **_of_file(loaded.tube, row),
            "outcome": outcome,
            "why": done.stale.get(name, ""),
            "parent": before[name].parent if name in before else "",
            **_numbers(before.get(name), "before"),
            **_numbers(after.get(name), "after"),
        }


def rows_not_gated(plan: Plan, tube: Tube, reason: str) -> Iterator[Row]:
    """The overrides of a tube that has no gates, with the reason."""
    for row in deciding(plan.overrides.get(tube.sample_id, [])).values():
        yield {**dict.fromkeys(BY_HAND), **_of_file(tube, row), "outcome": NOT_GATED, "why": reason}


def _of_file(tube: Tube, row: Override) -> Row:
    told = {name: getattr(row, name) for name in OF_THE_FILE}
    return {**told, "sample_id": tube.sample_id, "gate_before": row.old_gate, "gate_after": row.new_gate}


def _counted(loaded: LoadedTube, gated: GatedTube) -> dict[str, PopulationCount]:
    return {count.population: count for count in count_populations(loaded.strategy, gated)}


def _numbers(count: PopulationCount | None, when: str) -> Row:
    events, parents = (count.events, count.parent_events) if count else (None, None)
    percent = None if events is None or not parents else 100 * events / parents
    values = {"events": events, "parent_events": parents, "percent": percent}
    return {f"{name}_{when}": value for name, value in values.items()}
