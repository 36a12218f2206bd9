"""What is true of the simulated trial: written beside it, never read by the pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cytotrial.demo.cells import CD4, DERIVED, NAMES, Kind
from cytotrial.demo.cohort import DemoSubject, true_values
from cytotrial.demo.panels import PANELS, DemoPanel
from cytotrial.demo.tubes import Batch, TubePlan, TubeTruth, batch_of_panel
from cytotrial.files.tables import write_table

Row = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class TubeRows:
    """The rows of the truth tables that one tube gives."""

    events: tuple[Row, ...]
    tube: Row


def event_rows(plan: TubePlan, truth: TubeTruth) -> Iterator[Row]:
    """True numbers of events: single events by population, sums of populations, doublets."""
    acquired = truth.acquired
    numbers = np.bincount(acquired.kinds, minlength=len(Kind))
    counts = {NAMES[kind]: int(numbers[kind]) for kind in Kind}
    counts |= {name: int(numbers[list(kinds)].sum()) for name, kinds in DERIVED.items()}
    members = np.bincount(acquired.members.ravel(), minlength=len(Kind))
    counts["CD4+ in doublets"] = int(members[list(CD4)].sum())
    counts["beads in doublets"] = int(members[Kind.BEADS])
    counts["all"] = int(acquired.kinds.size)
    for population, events in counts.items():
        yield {"sample_id": plan.sample_id, "population": population, "events": events}


def tube_row(plan: TubePlan, truth: TubeTruth) -> Row:
    """What was done to a tube, on purpose or by the draw's biology."""
    stretch = truth.stretch
    return {
        "sample_id": plan.sample_id,
        "specimen": plan.draw.specimen if plan.draw else "",
        "panel": plan.panel,
        "role": str(plan.role),
        "batch": plan.batch,
        "artefact": "truncated" if plan.truncated else plan.artefact,
        "from_share": stretch.begin if stretch.kind else None,
        "to_share": stretch.end if stretch.kind else None,
        "rate_factor": stretch.rate if stretch.kind else None,
        "signal_factor": stretch.signal if stretch.kind else None,
        "blood_acquired_ul": truth.blood_acquired_ul or None,
        "cd4_down_log10": plan.blood.cd4_down if plan.stimulated else None,
        "cd3_down_log10": plan.blood.cd3_down if plan.stimulated else None,
        "foxp3_factor": plan.blood.foxp3,
        "cd25_factor": plan.blood.cd25,
    }


def write_truth(
    folder: Path,
    people: Iterable[DemoSubject],
    plans: Sequence[TubePlan],
    rows: Sequence[TubeRows],
    *,
    seed: int,
    shift: float = 1.0,
) -> None:
    """Tables of true events, tubes, specimens, batches, and the true spillover matrices."""
    events = (row for tube in rows for row in tube.events)
    write_table(folder / "events.csv", ("sample_id", "population", "events"), events)
    write_table(folder / "draws.csv", list(rows[0].tube), (tube.tube for tube in rows))
    codes = ({"code": int(kind), "population": NAMES[kind]} for kind in Kind)
    write_table(folder / "codes.csv", ("code", "population"), codes)
    draws = [draw for subject in people for draw in subject.draws if not draw.missed]
    specimens = [
        {"specimen": draw.specimen, "subject": draw.subject, "visit": draw.visit} | true_values(draw.blood)
        for draw in draws
    ]
    write_table(folder / "specimens.csv", list(specimens[0]), specimens)
    _write_batches(folder, sorted({plan.batch for plan in plans}), seed=seed, shift=shift)


def _write_batches(folder: Path, batches: Sequence[str], *, seed: int, shift: float) -> None:
    factors: list[Row] = []
    for name in batches:
        for panel in PANELS.values():
            batch = batch_of_panel(panel, name, seed=seed, shift=shift)
            factors += [{"batch": name, "panel": panel.key, **row} for row in _factor_rows(panel, batch)]
            rows = [
                {"": detector} | dict(zip(panel.dye_detectors, map(float, row), strict=True))
                for detector, row in zip(panel.dye_detectors, batch.spillover, strict=True)
            ]
            write_table(folder / "spillover" / f"{panel.key}.{name}.csv", ("", *panel.dye_detectors), rows)
    write_table(folder / "batches.csv", ("batch", "panel", "kind", "name", "factor"), factors)


def _factor_rows(panel: DemoPanel, batch: Batch) -> Iterator[Row]:
    gains = dict(zip(panel.detectors, map(float, batch.optics.gain), strict=True))
    gains |= dict(zip(("FSC-A", "SSC-A"), batch.optics.scatter_gain, strict=True))
    for kind, factors in (
        ("gain", gains),
        ("staining", batch.staining),
        ("background", {"": batch.optics.background}),
    ):
        for name, factor in factors.items():
            yield {"kind": kind, "name": name, "factor": factor}
