"""Look at a unit's tubes one by one: where each puts its gates, before its batch has a say."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path

from cytotrial.errors import CytotrialError
from cytotrial.files.tables import Row, read_table, write_table
from cytotrial.science.gating import gate_tube, without_second
from cytotrial.steps.bench import Bench, Checked, checked_rows, usable
from cytotrial.steps.controls import ControlBench
from cytotrial.steps.gates_table import gate_of_row, gate_row
from cytotrial.steps.layout import PLACED
from cytotrial.steps.outline import outline_of_strategy
from cytotrial.steps.plan import Plan
from cytotrial.steps.steadiness import Steadiness, write_steadiness
from cytotrial.terms import GatingStrategy, PlacedGate, Role, Tube


def place_unit(plan: Plan, *, panel: str, unit: str) -> None:
    """Write where every sample tube of a unit puts its gates, and which events of every tube are masked.

    A tube that cannot be read has no rows here; gating says why.
    """
    bench = Bench(plan, panel)
    tubes = plan.tubes_to_gate(panel, unit)
    others = plan.controls_of(panel, unit)
    checked = checked_rows(plan, plan.units_looked_at(panel, unit))
    controls = ControlBench(bench, (*tubes, *others), checked, _looked_at(bench.strategies))
    placed: dict[str, list[Row]] = {}
    steadiness: dict[str, Steadiness] = {}
    for tube in sorted(tubes, key=lambda tube: tube.batch):
        if usable(checked[tube.sample_id]):
            placed[tube.sample_id] = _place_tube(bench, tube, checked, controls, steadiness)
    rows = [row for tube in tubes for row in placed.get(tube.sample_id, ())]
    write_table(plan.layout.unit_placed(panel, unit), PLACED, rows)
    write_steadiness(plan.layout.unit_steadiness(panel, unit), steadiness)


def _looked_at(strategies: Mapping[str, GatingStrategy]) -> frozenset[tuple[str, str]]:
    """Controls that decide where a gate lies; those of second finders do not."""
    keys = [outline_of_strategy(without_second(strategy)).controls for strategy in strategies.values()]
    return frozenset().union(*keys)


def _place_tube(
    bench: Bench, tube: Tube, checked: Checked, controls: ControlBench, steadiness: dict[str, Steadiness]
) -> list[Row]:
    try:
        loaded = bench.load(tube, checked[tube.sample_id])
        steadiness[tube.sample_id] = loaded.steadiness
        if tube.role is not Role.SAMPLE:
            return []
        gated = gate_tube(without_second(loaded.strategy), loaded.stained, controls=controls.of(tube))
        return [{**gate_row(tube.sample_id, gate), "batch": tube.batch} for gate in gated.placed]
    except CytotrialError:  # gating meets it again, and writes the reason
        return []
    except Exception:
        traceback.print_exc()
        return []


def read_placed(path: Path) -> dict[str, dict[str, PlacedGate]]:
    """sample_id → population → the gate that the tube by itself puts there."""
    tubes: dict[str, dict[str, PlacedGate]] = {}
    for sample_id, gate in _gates_in(path):
        tubes.setdefault(sample_id, {})[gate.population] = gate
    return tubes


def _gates_in(path: Path) -> Iterator[tuple[str, PlacedGate]]:
    for row in read_table(path):
        yield row["sample_id"], gate_of_row(row)
