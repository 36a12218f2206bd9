"""The gates of a run as GatingML 2.0, one file a tube, for other programs and for learning a reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cytotrial.errors import CytotrialError
from cytotrial.files.gatingml_writer import write_gatingml
from cytotrial.files.in_flowkit import applied_by_flowkit
from cytotrial.files.tables import Row, write_table
from cytotrial.progress import Progress, told, untold
from cytotrial.science.exchange import portable
from cytotrial.science.gates import apply_strategy
from cytotrial.steps.gated import GatedAgain, GatedRun, listed
from cytotrial.steps.plan import Plan
from cytotrial.terms import ROOT, BoolArray, Tube

MASK_NOTE = (
    "Counts are of the events that acquisition quality kept; a program that does not know the mask "
    "applies the gates to all events of the file."
)
CHECK = ("sample_id", "population", "events", "flowkit_events", "events_that_differ")


@dataclass(frozen=True)
class Exported:
    """What became of the tubes: the files written, the reasons of the others, FlowKit's answers if asked."""

    folder: Path
    written: tuple[str, ...]
    refused: Mapping[str, str]
    n_without_gates: int = 0
    check: tuple[Row, ...] | None = None

    @property
    def complete(self) -> bool:
        """Whether every tube was written and FlowKit, if asked, found the same events."""
        return not self.refused and not any(row["events_that_differ"] for row in self.check or ())

    def in_words(self) -> str:
        lines = [f"{len(self.written)} tubes written to {self.folder}"]
        lines += [f"{sample_id} was not written: {reason}" for sample_id, reason in self.refused.items()]
        if self.n_without_gates:
            lines.append(f"{self.n_without_gates} tubes have no gates: see check/inventory.csv")
        return "\n".join([*lines, *self._check_in_words()])

    def _check_in_words(self) -> Iterator[str]:
        if not self.check:
            return
        differing = [row for row in self.check if row["events_that_differ"]]
        names = [f"{row['sample_id']} {row['population']}" for row in differing]
        yield (
            f"FlowKit finds other events in {len(names)} of {len(self.check)} populations: {listed(names)}"
            if names
            else f"FlowKit finds the same events in all {len(self.check)} populations"
        )


def export_gates(
    plan: Plan,
    *,
    samples: Sequence[str] = (),
    panel: str | None = None,
    check: bool = False,
    progress: Progress = untold,
) -> Exported:
    """Write gatingml/<sample_id>.xml of the tubes that are asked for, or of all that were gated.

    Parameters
    ----------
    samples : sequence of sample_id
    panel : only this panel's tubes
    check : also let FlowKit read both the file and the gates, and compare event by event
    progress : told how many tubes have been written

    Raises
    ------
    ConfigError
        If a sample_id or the panel is not in the study.
    CytotrialError
        If the study was not run.
    """
    run = GatedRun(plan)
    tubes = run.chosen(samples, panel=panel)
    refused: dict[str, str] = {}
    checks: list[Row] = []
    for tube in told(tubes, len(tubes), progress):
        try:
            checks += _export(run, tube, check=check)
        except CytotrialError as error:
            refused[tube.sample_id] = error.message
    if check:
        write_table(plan.layout.gatingml_check, CHECK, checks)
    return Exported(
        plan.layout.gatingml("").parent,
        tuple(tube.sample_id for tube in tubes if tube.sample_id not in refused),
        refused,
        len(run.tubes) - len(run.gates) if not samples and panel is None else 0,
        tuple(checks) if check else None,
    )


def _export(run: GatedRun, tube: Tube, *, check: bool) -> list[Row]:
    """Write one tube's gates; FlowKit's answers for each population if they are asked for."""
    if tube.sample_id not in run.gates:
        raise CytotrialError(f"it was not gated: {run.why_not(tube.sample_id)}")
    path = run.plan.layout.gatingml(tube.sample_id)
    path.unlink(missing_ok=True)
    gated = run.again(tube)
    gates = [replace(entry, gate=portable(entry.gate)) for entry in gated.gates]
    write_gatingml(path, gates, matrices=gated.events.matrices, notes=_notes(run, gated))
    return _differences(gated, path, run.plan.path_of(tube)) if check else []


def _notes(run: GatedRun, gated: GatedAgain) -> dict[str, dict[str, object]]:
    """What stands beside the gates: whose they are, and how many events each population has."""
    rows = run.populations[gated.tube.sample_id]
    about_tube: dict[str, object] = {
        "sample_id": gated.tube.sample_id,
        "panel": gated.tube.panel,
        "gating_version": rows[ROOT]["gating_version"],
        "events_in_file": gated.keep.size,
        "events_kept": _count(gated.keep),
        "fcs_sha256": run.plan.sha256_of(gated.tube),
        "remark": MASK_NOTE,
    }
    unmasked = apply_strategy(gated.gates, gated.events)
    about_populations = {
        name: {"name": name, "events": _count(mask), "events_in_file": _count(unmasked[name])}
        for name, mask in gated.masks.items()
        if name != ROOT
    }
    return {ROOT: about_tube, **about_populations}


def _count(mask: BoolArray) -> int:
    return int(np.count_nonzero(mask))


def _differences(gated: GatedAgain, gates: Path, fcs: Path) -> list[Row]:
    theirs = applied_by_flowkit(gates, fcs)
    return [
        {
            "sample_id": gated.tube.sample_id,
            "population": entry.population,
            "events": _count(ours := gated.masks[entry.population]),
            "flowkit_events": _count(kept := theirs[entry.population] & gated.keep),
            "events_that_differ": _count(ours != kept),
        }
        for entry in gated.gates
    ]
