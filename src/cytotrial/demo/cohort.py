"""The simulated trial as biology: subjects, visits, draws and the true cells in their blood.

Medians at weeks 0 and 24 are those published for a cohort of lupus patients under low-dose
interleukin 2 (Treg 12.98 → 22.1 cells/µL, Th17/Treg 0.44 → 0.29, prednisone 17.20 → 8.87 mg/d);
those in between are interpolated. One more subject is followed over five treatment cycles, in
the manner of a published case.

References
----------
Jing et al. Ann Rheum Dis 2017;76(Suppl 2):872 (SAT0261). Humrich et al. Ann Rheum Dis
2014;73(Suppl 1):A46 (A3.11).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np

from cytotrial.demo.cells import CD4, LYMPHOCYTES, Kind
from cytotrial.demo.chance import generator, lognormal_factor, mirrored_normal

START = datetime(2024, 1, 8)
ENROLMENT_DAYS = 6
BATCH_DAYS = 42
CASE = "S900"
QC_DONOR = "QC01"
MOST_SUBJECTS = 899
MISSED = MappingProxyType(
    {(1, "W12"): "subject did not attend", (7, "W24"): "subject withdrew from the study"}
)
MISSING_TUBES = MappingProxyType({(2, "W06"): {"th17": "specimen clotted"}})
FIRST_BY_CHANCE, MISSED_SHARE = 12, 0.05
UNSCHEDULED = "UNSCHEDULED"


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """A row of visits.tsv, and what the cohort's medians are there.

    treg, cd4 : cells/µL; ratio : Th17/Treg; prednisone : mg/d; sledai : points; dsdna : IU/mL
    """

    visit: str
    number: int
    day: int
    first_day: int | None
    last_day: int | None
    treg: float
    ratio: float
    cd4: float
    prednisone: float
    sledai: float
    dsdna: float


VISITS = (
    PlannedVisit("W00", 1, 1, None, 1, 12.98, 0.44, 420.0, 17.20, 11.0, 310.0),
    PlannedVisit("W06", 2, 43, 2, 64, 16.9, 0.38, 425.0, 13.5, 8.0, 220.0),
    PlannedVisit("W12", 3, 85, 65, 127, 19.6, 0.33, 430.0, 11.0, 6.0, 170.0),
    PlannedVisit("W24", 4, 169, 128, 211, 22.1, 0.29, 435.0, 8.87, 5.0, 140.0),
)

CASE_DRAWS = (
    # study day, visit, Treg/µL, Th17/Treg, SLEDAI, anti-dsDNA IU/mL, prednisone mg/d
    (1, "W00", 12.6, 0.45, 14, 680.0, 30.0),
    (6, UNSCHEDULED, 24.5, 0.25, 14, 640.0, 30.0),
    (22, UNSCHEDULED, 14.8, 0.40, 12, 560.0, 27.5),
    (27, UNSCHEDULED, 29.0, 0.22, 12, 520.0, 25.0),
    (43, "W06", 16.9, 0.36, 10, 430.0, 22.5),
    (48, UNSCHEDULED, 33.5, 0.19, 10, 400.0, 20.0),
    (64, UNSCHEDULED, 19.0, 0.33, 8, 330.0, 17.5),
    (69, UNSCHEDULED, 37.0, 0.17, 8, 300.0, 17.5),
    (85, "W12", 20.5, 0.31, 6, 250.0, 15.0),
    (90, UNSCHEDULED, 40.5, 0.16, 6, 230.0, 12.5),
    (169, "W24", 22.4, 0.285, 4, 160.0, 10.0),
)
CASE_CYCLES = tuple((day, day + 4, 3.0) for day in (1, 22, 43, 64, 85))
COHORT_CYCLES = tuple((day, day + 13, 1.0) for day in (1, 29, 57, 85, 113, 141))
"""First day, last day and daily dose (million IU) of interleukin 2."""


@dataclass(frozen=True, eq=False)
class Blood:
    """The blood of one draw.

    cells_per_ul : true concentration of every population
    foxp3, cd25 : factors of this draw on the Treg markers of CD4 T cells
    cd4_down, cd3_down : fall after stimulation, log10
    """

    cells_per_ul: Mapping[Kind, float]
    foxp3: float = 1.0
    cd25: float = 1.0
    cd4_down: float = 0.3
    cd3_down: float = 0.08

    def sum_of(self, kinds: tuple[Kind, ...]) -> float:
        return math.fsum(self.cells_per_ul.get(kind, 0.0) for kind in kinds)


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw of blood, or a visit that did not take place (`missed` says why)."""

    subject: str
    number: int
    visit: str
    specimen: str
    collected: datetime
    blood: Blood
    clinical: Mapping[str, tuple[float, str]]
    missed: str = ""
    missing_tubes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class DemoSubject:
    """One participant, with all planned draws and the drug's cycles."""

    subject: str
    index: int
    first_dose: datetime
    sex: str
    age: int
    site: str
    draws: tuple[Draw, ...]
    cycles: tuple[tuple[int, int, float], ...]


def batch_of(collected: datetime) -> str:
    """The acquisition run of a date: periods of six weeks that several subjects share."""
    return f"B{(collected - START).days // BATCH_DAYS + 1:02d}"


def true_values(blood: Blood) -> dict[str, float]:
    """Cells/µL and percentages of the blood, by the codes of the trial dataset."""
    cd4, treg, th17 = blood.sum_of(CD4), blood.cells_per_ul[Kind.TREG], blood.cells_per_ul[Kind.TH17]
    return {
        "LYMABS": blood.sum_of(LYMPHOCYTES),
        "CD4ABS": cd4,
        "TREGABS": treg,
        "TH17ABS": th17,
        "TREGPCD4": 100.0 * treg / cd4,
        "TH17PCD4": 100.0 * th17 / cd4,
        "TH17TREG": th17 / treg,
    }


def cohort_subject(index: int, *, seed: int) -> DemoSubject:
    """Subject `index` (from 0) of the cohort; no other subject has a say in it."""
    subject = f"S{index + 1:03d}"
    rng = generator(seed, "subject", subject)
    first_dose = START + timedelta(days=ENROLMENT_DAYS * index + int(rng.integers(0, 4)))
    female, age = rng.random() < 0.9, int(rng.integers(19, 62))
    site = f"{1 + int(rng.integers(0, 2)):02d}"
    draws = tuple(_cohort_draw(index, subject, first_dose, planned, seed=seed) for planned in VISITS)
    return DemoSubject(subject, index, first_dose, "F" if female else "M", age, site, draws, COHORT_CYCLES)


def _cohort_draw(index: int, subject: str, first_dose: datetime, planned: PlannedVisit, *, seed: int) -> Draw:
    rng = generator(seed, "draw", subject, planned.visit)
    late = 0 if planned.number == 1 else int(rng.integers(-4, 5))
    collected = _morning(first_dose, planned.day + late, rng)
    treg, ratio, cd4 = _levels(index, planned, seed=seed)
    blood = draw_blood(cd4=cd4, treg=treg, th17=treg * ratio, rng=rng)
    missed, missing_tubes = _not_done(index, planned, rng)
    return Draw(
        subject,
        planned.number,
        planned.visit,
        f"{subject}.{planned.visit}",
        collected,
        blood,
        _clinical(index, planned, seed=seed),
        missed,
        missing_tubes,
    )


def _levels(index: int, planned: PlannedVisit, *, seed: int) -> tuple[float, float, float]:
    """Treg/µL, Th17/Treg and CD4/µL: a level of the subject, and a smaller part of the visit."""
    own = [mirrored_normal(index, dimension=dimension, seed=seed) for dimension in range(3)]
    visit = [mirrored_normal(index, dimension=3 * planned.number + part, seed=seed) for part in range(3)]
    cd4 = planned.cd4 * math.exp(0.32 * own[0] + 0.10 * visit[0])
    percent = planned.treg / planned.cd4 * math.exp(0.26 * own[1] + 0.12 * visit[1])
    ratio = planned.ratio * math.exp(0.30 * own[2] + 0.14 * visit[2])
    return percent * cd4, ratio, cd4


def _clinical(index: int, planned: PlannedVisit, *, seed: int) -> dict[str, tuple[float, str]]:
    own = [mirrored_normal(index, dimension=dimension, seed=seed) for dimension in (15, 16, 17)]
    return {
        "SLEDAI": (float(max(0, round(planned.sledai + 2.5 * own[0]))), "points"),
        "ANTI-DSDNA": (round(planned.dsdna * math.exp(0.55 * own[1]), 1), "IU/mL"),
        "PREDNISONE": (round(planned.prednisone * math.exp(0.30 * own[2]), 2), "mg/d"),
    }


def _not_done(index: int, planned: PlannedVisit, rng: np.random.Generator) -> tuple[str, Mapping[str, str]]:
    """Why the draw, or single tubes of it, are missing: fixed for the first subjects, by chance later."""
    at = (index, planned.visit)
    later = index >= FIRST_BY_CHANCE and planned.number > 1 and rng.random() < MISSED_SHARE
    missed = MISSED.get(at, "subject did not attend" if later else "")
    return missed, MISSING_TUBES.get(at, {})


def case_subject(*, seed: int) -> DemoSubject:
    """The subject followed over five treatment cycles, at planned visits and in between."""
    first_dose = START + timedelta(days=2)
    numbers = {planned.visit: planned.number for planned in VISITS}
    draws = []
    for place, (day, visit, treg, ratio, sledai, dsdna, prednisone) in enumerate(CASE_DRAWS):
        rng = generator(seed, "draw", CASE, str(day))
        specimen = f"{CASE}.{visit}" if visit in numbers else f"{CASE}.D{day:03d}"
        blood = draw_blood(cd4=420.0 + 2.0 * treg, treg=treg, th17=treg * ratio, rng=rng)
        clinical = {
            "SLEDAI": (float(sledai), "points"),
            "ANTI-DSDNA": (dsdna, "IU/mL"),
            "PREDNISONE": (prednisone, "mg/d"),
        }
        draws.append(Draw(CASE, place + 1, visit, specimen, _morning(first_dose, day, rng), blood, clinical))
    return DemoSubject(CASE, int(CASE[1:]) - 1, first_dose, "F", 36, "01", tuple(draws), CASE_CYCLES)


def _morning(first_dose: datetime, day: int, rng: np.random.Generator) -> datetime:
    return first_dose + timedelta(days=day - 1, hours=8, minutes=5 * int(rng.integers(0, 24)))


def draw_blood(*, cd4: float, treg: float, th17: float, rng: np.random.Generator) -> Blood:
    """Blood with exactly these CD4, Treg and Th17 cells/µL, and the rest drawn around usual shares."""
    lymphocytes = cd4 / (0.45 * lognormal_factor(rng, log_sd=0.10, limit=0.25))
    activated = cd4 * 0.050 * lognormal_factor(rng, log_sd=0.20, limit=0.45)
    rest = cd4 - treg - th17 - activated
    naive = rest * float(rng.uniform(0.45, 0.60))
    others = lymphocytes - cd4
    shares = rng.dirichlet(np.array([52.0, 6.0, 22.0, 20.0]) * 3.0)
    other_kinds = (Kind.CD8_T, Kind.DN_T, Kind.B, Kind.NK)
    cells = {kind: others * float(share) for kind, share in zip(other_kinds, shares, strict=True)}
    cells |= {
        Kind.CD4_NAIVE: naive,
        Kind.CD4_MEMORY: rest - naive,
        Kind.CD4_ACTIVATED: activated,
        Kind.TREG: treg,
        Kind.TH17: th17,
        Kind.MONOCYTES: 300.0 * lognormal_factor(rng, log_sd=0.25, limit=0.5),
        Kind.GRANULOCYTES: 2_300.0 * lognormal_factor(rng, log_sd=0.30, limit=0.6),
    }
    return Blood(
        cells,
        foxp3=lognormal_factor(rng, log_sd=0.06, limit=0.15),
        cd25=lognormal_factor(rng, log_sd=0.06, limit=0.15),
        cd4_down=float(rng.uniform(0.2, 0.5)),
        cd3_down=float(rng.uniform(0.03, 0.15)),
    )


def quality_control_draw(batch: str, *, seed: int) -> Draw:
    """The donor's cells as they are thawed for one batch, on its first day: an unscheduled draw."""
    number = int(batch[1:])
    thawed = START + timedelta(days=BATCH_DAYS * (number - 1), hours=7)
    blood = quality_control_donor(batch, seed=seed)
    return Draw(QC_DONOR, number, UNSCHEDULED, f"{QC_DONOR}.{batch}", thawed, blood, {})


def quality_control_donor(batch: str, *, seed: int) -> Blood:
    """A healthy donor whose cells are thawed for the controls of every batch."""
    return draw_blood(cd4=700.0, treg=38.0, th17=8.4, rng=generator(seed, "donor", batch))
