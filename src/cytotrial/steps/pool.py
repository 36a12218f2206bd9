"""What the tubes of each batch say together about where their gates lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cytotrial.files.entries import read_entries, write_entries
from cytotrial.files.tables import read_table, write_table
from cytotrial.science.batches import Batch, pool_batch
from cytotrial.science.finders import LOW_SIMILARITY
from cytotrial.science.placing import FALLBACK
from cytotrial.steps.gates_table import gate_of_row
from cytotrial.steps.layout import POOLS
from cytotrial.steps.plan import Plan
from cytotrial.terms import PlacedGate

FORM = "cytotrial.batch/1"
DIGITS = 6

SAYS_NOTHING = {FALLBACK, LOW_SIMILARITY}
"""Flags of gates whose position is not the tube's own."""


def pool_panel(plan: Plan, *, panel: str) -> None:
    """Write gating/<panel>/<batch>.batch.json of every batch of a panel.

    It comes from the placed gates of the batch's sample tubes; that of a locked batch is the one it had
    then, and that of a batch without tubes of the panel is empty.
    """
    locked = plan.locked_pools(panel)
    gates: dict[str, list[PlacedGate]] = {}
    for unit in plan.units_pooled(panel):
        for row in read_table(plan.layout.unit_placed(panel, unit)):
            gates.setdefault(row["batch"], []).append(gate_of_row(row))
    for batch in plan.pooled_batches:
        path = plan.layout.pool(panel, batch)
        if batch in locked:
            write_entries(path, FORM, locked[batch])
        else:
            write_pool(path, pooled(gates.get(batch, ())))


def tabulate_pools(plan: Plan, *, panel: str) -> None:
    """Write gating/<panel>/batches.csv: where every batch of the panel has each gate."""
    rows = [
        {"panel": panel, "batch": batch, "population": name, **batch_to_plain(entry)}
        for batch in plan.pooled_batches
        for name, entry in sorted(read_pool(plan.layout.pool(panel, batch)).items())
    ]
    write_table(plan.layout.pool_table(panel), POOLS, rows)


def write_pool(path: Path, batches: Mapping[str, Batch]) -> None:
    """Write population → where the batch has its gate; its content decides what is gated anew."""
    write_entries(path, FORM, {name: batch_to_plain(batch) for name, batch in batches.items()})


def read_pool(path: Path) -> dict[str, Batch]:
    """What `write_pool` wrote. Raises CytotrialError if the file is not of that form."""
    return read_entries(path, FORM, batch_from_plain)


def batch_to_plain(batch: Batch) -> dict[str, Any]:
    return {
        "position": [round(value, DIGITS) for value in batch.position],
        "spread": [round(value, DIGITS) for value in batch.spread],
        "tubes": batch.n_tubes,
    }


def batch_from_plain(plain: Mapping[str, Any]) -> Batch:
    position, spread = (tuple(map(float, plain[name])) for name in ("position", "spread"))
    return Batch(position, spread, int(plain["tubes"]))


def pooled(gates: Iterable[PlacedGate]) -> Mapping[str, Batch]:
    """Population → middle and spread of the positions of its gates, of those that have any."""
    by_population: dict[str, list[PlacedGate]] = {}
    for gate in gates:
        if gate.position and gate.position_se and SAYS_NOTHING.isdisjoint(gate.flags):
            by_population.setdefault(gate.population, []).append(gate)
    pools = {
        name: pool_batch(
            np.array([gate.position for gate in of_it]), np.array([gate.position_se for gate in of_it])
        )
        for name, of_it in by_population.items()
    }
    return {name: pool for name, pool in pools.items() if pool is not None}
