"""The folder of the simulated trial: FCS files, sheets, truth."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cytotrial.demo.biology import LAB, Lab
from cytotrial.demo.cohort import MOST_SUBJECTS, case_subject, cohort_subject
from cytotrial.demo.expert_files import write_expert_gates
from cytotrial.demo.fcs_writer import fcs_bytes
from cytotrial.demo.panels import PANELS
from cytotrial.demo.sheets import write_sheets
from cytotrial.demo.truth import TubeRows, event_rows, tube_row, write_truth
from cytotrial.demo.tubes import TRUNCATED_SHARE, TubePlan, acquire_tube, batch_of_panel, plan_tubes
from cytotrial.errors import CytotrialError
from cytotrial.files.atomic import replace_file
from cytotrial.progress import Progress, told, untold

FOLDERS = ("fcs", "sheets", "truth", "expert")
FEWEST_EVENTS = 500
LARGEST_SHIFT = 3.0


@dataclass(frozen=True, slots=True)
class DemoSummary:
    """What was written: participants, tubes acquired, files and their size."""

    subjects: int
    tubes: int
    files: int
    n_bytes: int


def write_demo(
    folder: Path,
    *,
    subjects: int = 12,
    events: int = 40_000,
    seed: int = 20170,
    shift: float = 1.0,
    labels: bool = False,
    expert: bool = False,
    workers: int = 2,
    progress: Progress = untold,
) -> DemoSummary:
    """Write the simulated trial: FCS files below `fcs/`, sheets below `sheets/`, truth below `truth/`.

    The same arguments give the same bytes. A further subject changes no file of the others.

    Parameters
    ----------
    folder : Path
        Where to write; must not hold a trial already.
    subjects : int
        Participants of the cohort, 1 to 899; one more is followed over treatment cycles.
    events : int
        About how many events each tube has, at least 500.
    seed : int
        Seed of everything that is drawn, not negative.
    shift : float
        How far batches lie apart, as a factor on the usual (gain, staining, background); 0 to 3.
    labels : bool
        Also write what every single event is, `truth/labels/<sample_id>.npy`.
    expert : bool
        Also write the simulated expert's gates, `expert/<panel>/<sample_id>.xml`.
    workers : int
        Processes to use; the result does not depend on it.
    progress : callable
        Told how many tubes have been written.

    Raises
    ------
    CytotrialError
        If the folder holds a trial already, or a number is out of range.
    """
    _refuse(folder, subjects=subjects, events=events, seed=seed, shift=shift)
    lab = Lab(shift)
    people = [*(cohort_subject(index, seed=seed) for index in range(subjects)), case_subject(seed=seed)]
    plans = plan_tubes(people, n_events=events, seed=seed)
    done = [plan for plan in plans if not plan.missed]
    written_tubes = _write_tubes(folder, done, seed=seed, lab=lab, labels=labels, workers=workers)
    rows = list(told(written_tubes, len(done), progress))
    write_truth(folder / "truth", people, plans, rows, seed=seed, shift=shift)
    write_sheets(folder / "sheets", people, plans, seed=seed)
    if expert:
        write_expert_gates(folder / "expert", plans, seed=seed, lab=lab)
    written = [path for path in folder.rglob("*") if path.is_file()]
    return DemoSummary(len(people), len(done), len(written), sum(path.stat().st_size for path in written))


def _refuse(folder: Path, *, subjects: int, events: int, seed: int, shift: float) -> None:
    if not 1 <= subjects <= MOST_SUBJECTS:
        raise CytotrialError(f"{subjects} subjects; expected 1 to {MOST_SUBJECTS}.")
    if events < FEWEST_EVENTS:
        raise CytotrialError(f"{events} events per tube; expected at least {FEWEST_EVENTS}.")
    if seed < 0:
        raise CytotrialError(f"The seed is {seed}; expected 0 or more.")
    if not 0 <= shift <= LARGEST_SHIFT:
        raise CytotrialError(f"The shift between batches is {shift:g}; expected 0 to {LARGEST_SHIFT:g}.")
    for name in FOLDERS:
        if (folder / name).exists():
            raise CytotrialError(
                f"{folder / name} exists already; expected a folder without a trial.",
                hint="Name another folder, or delete this one.",
            )


def _write_tubes(
    folder: Path, plans: Sequence[TubePlan], *, seed: int, lab: Lab, labels: bool, workers: int
) -> Iterator[TubeRows]:
    work = partial(write_tube, folder=folder, seed=seed, lab=lab, labels=labels)
    if workers <= 1:
        yield from map(work, plans)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(work, plans, chunksize=8)


def write_tube(plan: TubePlan, *, folder: Path, seed: int, lab: Lab = LAB, labels: bool) -> TubeRows:
    """Simulate one tube, write its file, and say what is in it."""
    panel = PANELS[plan.panel]
    truth = acquire_tube(plan, seed=seed, lab=lab)
    embedded = batch_of_panel(panel, plan.batch, seed=seed, shift=lab.shift).embedded
    content = fcs_bytes(truth.acquired.values, panel, embedded=embedded, begun=plan.acquired)
    if plan.truncated:
        content = content[: int(len(content) * TRUNCATED_SHARE)]
    replace_file(folder / "fcs" / plan.fcs, content)
    if labels:
        stream = io.BytesIO()
        np.save(stream, truth.acquired.kinds)
        replace_file(folder / "truth" / "labels" / f"{plan.sample_id}.npy", stream.getvalue())
    return TubeRows(tuple(event_rows(plan, truth)), tube_row(plan, truth))
