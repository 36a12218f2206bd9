"""Apply the gates that a person placed on a tube, or took out of it, to its automatic gating."""

from __future__ import annotations

from cytotrial.files.overrides import applicable, entry_digests
from cytotrial.science.gating import GatedTube, with_gates_by_hand
from cytotrial.steps.bench import LoadedTube
from cytotrial.steps.plan import Plan


def by_hand(plan: Plan, loaded: LoadedTube, gated: GatedTube) -> GatedTube:
    """The tube as its overrides have it; those that no longer stand are flagged and not applied."""
    rows = plan.overrides.get(loaded.tube.sample_id, [])
    if not rows:
        return gated
    content, entries = plan.sha256_of(loaded.tube), entry_digests(loaded.strategy)
    standing = applicable(rows, gated.placed, fcs_sha256=content, entries=entries)
    excluded = {
        name: f"excluded by hand: {row.reason_code}, {row.reason_text} ({row.override_id})".replace(";", ",")
        for name, row in standing.excluded.items()
    }
    stale = [entry.override.population for entry in standing.stale]
    return with_gates_by_hand(gated, standing.gates, excluded, stale=stale)
