"""Simulated cohorts in memory: tubes with known truth, compensated by their own controls; an expert gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache

import numpy as np

from cytotrial.demo.biology import Lab
from cytotrial.demo.cells import CD4, Kind
from cytotrial.demo.cohort import BATCH_DAYS, START, batch_of, cohort_subject, quality_control_donor
from cytotrial.demo.expert import expert_gates
from cytotrial.demo.panels import PANELS, SCATTER, DemoPanel
from cytotrial.demo.tubes import TubePlan, acquire_tube, plan_controls, plan_draw
from cytotrial.science.compensation import Control, estimate_spillover
from cytotrial.science.gates import TubeEvents
from cytotrial.science.gating import StainedTube
from cytotrial.terms import TUBE_MATRIX, Events, PlacedGate, Role, SpilloverMatrix

SUBJECTS = 64
QC_TUBES = 3
UNSTEADY = ("clog", "drift")
"""Artefacts that acquisition quality removes before gating; they are left out here."""


@dataclass(frozen=True)
class Cohort:
    """What to simulate: `n_batches` batches of up to `per_batch` draws and three tubes of the QC donor."""

    seed: int
    lab: Lab
    events: int = 100_000
    n_batches: int = 12
    per_batch: int = 15


@dataclass(frozen=True, eq=False)
class StudyTube:
    """A tube ready for gating, and what its events truly are.

    plan : what it is

    kinds : ndarray, shape (n_events,), codes of `Kind`
    expert : the gates that the simulated expert draws on it
    members : ndarray, shape (2, n_doublets)
    """

    plan: TubePlan
    stained: StainedTube
    kinds: np.ndarray
    expert: tuple[PlacedGate, ...]
    members: np.ndarray

    @property
    def is_qc(self) -> bool:
        return self.plan.sample_id.startswith("Q")

    def true_percent(self, kind: Kind) -> float:
        """Per cent of CD4 T cells, of the single events in the file."""
        return 100 * np.count_nonzero(self.kinds == kind) / np.count_nonzero(np.isin(self.kinds, CD4))


def batch_names(cohort: Cohort) -> list[str]:
    return [f"B{number:02d}" for number in range(1, cohort.n_batches + 1)]


def plans_of(cohort: Cohort, panel: str) -> dict[str, list[TubePlan]]:
    """Sample tubes of every batch, in the order of subjects and visits, then the QC donor's."""
    plans: dict[str, list[TubePlan]] = {name: [] for name in batch_names(cohort)}
    for index in range(SUBJECTS):
        subject = cohort_subject(index, seed=cohort.seed)
        for draw in subject.draws:
            mine = plans.get(batch_of(draw.collected))
            if mine is None or draw.missed or len(mine) >= cohort.per_batch:
                continue
            tubes = plan_draw(subject, draw, n_events=cohort.events, seed=cohort.seed)
            plan = next(tube for tube in tubes if tube.panel == panel and tube.role is Role.SAMPLE)
            mine.append(replace(plan, artefact="") if plan.artefact in UNSTEADY else plan)
    for name, mine in plans.items():
        mine.extend(_qc_plans(cohort, panel, name))
    return plans


def _qc_plans(cohort: Cohort, panel: str, batch: str) -> Iterator[TubePlan]:
    blood = quality_control_donor(batch, seed=cohort.seed)
    begun = START + timedelta(days=BATCH_DAYS * (int(batch[1:]) - 1), hours=9)
    for number in range(QC_TUBES):
        yield TubePlan(f"Q{panel}{batch}{number}", "", panel, Role.SAMPLE, batch, begun, blood, cohort.events)


def unstimulated(plan: TubePlan) -> TubePlan:
    return replace(plan, sample_id=f"{plan.sample_id}u", role=Role.UNSTIMULATED)


def fmo_of(cohort: Cohort, panel: str, batch: str, marker: str) -> StudyTube:
    """The batch's FMO tube, cells of the QC donor."""
    controls = plan_controls(batch, n_events=cohort.events, seed=cohort.seed)
    plan = next(p for p in controls if p.panel == panel and p.role is Role.FMO and p.control_for == marker)
    return acquire(cohort, plan)


def acquire(cohort: Cohort, plan: TubePlan) -> StudyTube:
    """Simulate a tube and make it ready for gating."""
    panel = PANELS[plan.panel]
    acquired = acquire_tube(plan, seed=cohort.seed, lab=cohort.lab).acquired
    events = Events(np.ascontiguousarray(acquired.values.T), tuple(name for name, _ in panel.channels))
    tube_events = TubeEvents(events, {TUBE_MATRIX: matrix_of(cohort, plan.panel, plan.batch)})
    stained = StainedTube(
        plan.sample_id,
        tube_events,
        markers_of(panel),
        np.ones(acquired.kinds.size, dtype=bool),
        lacks=plan.control_for if plan.role is Role.FMO else "",
    )
    drawn = expert_gates(plan, seed=cohort.seed, lab=cohort.lab) if plan.role is Role.SAMPLE else ()
    return StudyTube(plan, stained, acquired.kinds, drawn, acquired.members)


def markers_of(panel: DemoPanel) -> Mapping[str, str]:
    """Marker → $PnN."""
    return {label or name: name for name, label in panel.channels}


@lru_cache(maxsize=64)
def matrix_of(cohort: Cohort, panel: str, batch: str) -> SpilloverMatrix:
    """The batch's spillover matrix, estimated from its single stains as the pipeline does."""
    detectors = PANELS[panel].dye_detectors
    by_marker = {dye.marker: dye.detector for dye in PANELS[panel].dyes}
    single, blank = [], None
    for plan in plan_controls(batch, n_events=5_000, seed=cohort.seed):
        if plan.panel != panel or plan.role not in {Role.SINGLE_STAIN, Role.UNSTAINED}:
            continue
        values = acquire_tube(plan, seed=cohort.seed, lab=cohort.lab).acquired.values
        first = len(SCATTER)
        control = Control(
            plan.sample_id,
            by_marker.get(plan.control_for, ""),
            np.ascontiguousarray(values[:, first : first + len(detectors)].T),
            np.ascontiguousarray(values[:, [0, 2]].T),
        )
        if plan.role is Role.UNSTAINED:
            blank = control
        else:
            single.append(control)
    return estimate_spillover(single, unstained=blank, detectors=detectors).matrix
