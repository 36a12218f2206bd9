"""What a run gated, read back: the gates of a tube from gates.csv, and its events again from the FCS file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cytotrial.errors import ConfigError, CytotrialError, all_problems
from cytotrial.files.strategy import gate_from_json
from cytotrial.files.tables import as_written, read_table
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.steps.gate import Bench
from cytotrial.steps.plan import GATED_ROLES, Plan
from cytotrial.terms import BoolArray, PlacedGate, Tube

HELD_BACK = ""
"""Stands for the events of a population whose number is held back."""

SHOWN = 6
"""Names that a message lists before it says how many more there are."""


@dataclass(frozen=True, eq=False)
class GatedAgain:
    """A tube as the run gated it, with its events.

    events : TubeEvents
    channels : marker → $PnN
    keep : ndarray of bool, shape (n_events,): what acquisition quality left, the root population
    gates : the placed gates, parents first
    masks : population → ndarray of bool, shape (n_events,), each as many events as populations.csv says
    """

    tube: Tube
    events: TubeEvents
    channels: Mapping[str, str]
    keep: BoolArray
    gates: tuple[PlacedGate, ...]
    masks: Mapping[str, BoolArray]


class GatedRun:
    """The tables of a run, by tube; events are read when they are asked for."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._benches: dict[str, Bench] = {}
        for path in (plan.layout.gates, plan.layout.populations, plan.layout.inventory):
            if not path.is_file():
                raise CytotrialError(
                    f"{path} is not there: the study was not run.", hint="Run snakemake first."
                )

    @cached_property
    def tubes(self) -> dict[str, Tube]:
        """sample_id → every tube that the run was to gate, whether it could or not."""
        tubes = sorted(self.plan.trial.tubes, key=lambda tube: tube.sample_id)
        return {tube.sample_id: tube for tube in tubes if tube.role in GATED_ROLES}

    @cached_property
    def gates(self) -> dict[str, tuple[PlacedGate, ...]]:
        """sample_id → its gates as placed; a tube that was not gated is not among them."""
        gates: dict[str, list[PlacedGate]] = {}
        for row in read_table(self.plan.layout.gates):
            placed = PlacedGate(
                as_written(row["population"]), as_written(row["parent"]), gate_from_json(row["gate"])
            )
            gates.setdefault(row["sample_id"], []).append(placed)
        return {sample_id: tuple(placed) for sample_id, placed in gates.items() if sample_id in self.tubes}

    @cached_property
    def populations(self) -> dict[str, dict[str, dict[str, str]]]:
        """sample_id → population → its row of populations.csv."""
        rows: dict[str, dict[str, dict[str, str]]] = {}
        for row in read_table(self.plan.layout.populations):
            own = {**row, "parent": as_written(row["parent"])}
            rows.setdefault(row["sample_id"], {})[as_written(row["population"])] = own
        return rows

    @cached_property
    def _checked(self) -> dict[str, dict[str, str]]:
        return {row["sample_id"]: row for row in read_table(self.plan.layout.inventory)}

    def why_not(self, sample_id: str) -> str:
        """Why a tube has no gates: the reason that the run gave."""
        rows = self.populations.get(sample_id, {})
        reasons = [row["reason"] for row in rows.values() if row["reason"]]
        return reasons[0] if reasons else "the run has no gates of it; run snakemake again"

    def chosen(self, samples: Sequence[str], *, panel: str | None = None) -> list[Tube]:
        """The tubes that are asked for, or all that the run gated.

        Raises
        ------
        ConfigError
            If a sample_id or the panel is not in the study; near misses are suggested.
        """
        known, panels = list(self.tubes), list(self.plan.trial.settings.panels)
        problems = (
            [f"panel '{panel}' is not in the study{nearest(panel, panels)}"]
            if panel and panel not in panels
            else []
        )
        problems += [
            f"tube '{name}' is none that is gated{nearest(name, known)}"
            for name in samples
            if name not in known
        ]
        if problems:
            raise ConfigError(all_problems(str(self.plan.trial.config), problems, outcome="nothing was done"))
        wanted = dict.fromkeys(samples) if samples else self.gates
        return [self.tubes[name] for name in wanted if panel in {None, self.tubes[name].panel}]

    def again(self, tube: Tube) -> GatedAgain:
        """Read a tube's events and apply its gates.

        Raises
        ------
        CytotrialError
            If the counts are not those of populations.csv: the file, a matrix or the settings changed
            since the run.
        """
        loaded = self._bench(tube.panel).load(tube, self._checked[tube.sample_id])
        stained, gates = loaded.stained, self.gates[tube.sample_id]
        masks = apply_strategy(gates, stained.events, root=stained.keep)
        self._compare_counts(tube, masks)
        return GatedAgain(tube, stained.events, stained.channels, stained.keep, gates, masks)

    def _bench(self, panel: str) -> Bench:
        return self._benches.setdefault(panel, Bench(self.plan, panel))

    def _compare_counts(self, tube: Tube, masks: Mapping[str, BoolArray]) -> None:
        rows = self.populations[tube.sample_id]
        counted = {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}
        other = [
            f"{name}: {n} events, populations.csv says {rows[name]['events'] if name in rows else 'nothing'}"
            for name, n in counted.items()
            if name not in rows or rows[name]["events"] not in {str(n), HELD_BACK}
        ]
        if other:
            more = f" (and {len(other) - 1} more)" if len(other) > 1 else ""
            raise CytotrialError(
                f"tube {tube.sample_id}: {other[0]}{more}.",
                hint="The file, its matrix or the settings changed since the run: run snakemake again.",
            )


def nearest(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or those there are."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1) or _holding(word, names)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; there are {listed(names)}" if names else "; there is none"


def _holding(word: str, names: Sequence[str]) -> list[str]:
    """Names one of whose parts is the word but for case: `T cells/CD4+` for `cd4+`."""
    folded = word.casefold()
    return [name for name in names if Path(name).name.casefold() == folded or name.casefold() == folded]


def listed(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
