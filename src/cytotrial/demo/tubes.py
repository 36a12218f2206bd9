"""Every tube of the simulated trial: what it is called, what is in it, and its acquisition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from cytotrial.demo.biology import LAB, Biology, Lab, individual_factors
from cytotrial.demo.cells import CD4, LYMPHOCYTES, T_CELLS, Kind
from cytotrial.demo.chance import generator, lognormal_factor
from cytotrial.demo.cohort import (
    BATCH_DAYS,
    QC_DONOR,
    START,
    Blood,
    DemoSubject,
    Draw,
    batch_of,
    quality_control_donor,
    quality_control_draw,
)
from cytotrial.demo.light import STEADY, Acquired, Conditions, Optics, Stain, Stretch, acquire
from cytotrial.demo.panels import PANELS, DemoPanel, base_spillover
from cytotrial.terms import Role

BEADS_PER_TUBE = 49_850
BLOOD_UL = 50.0
CONTROL_EVENTS = 5_000
FEW_EVENTS_SHARE = 0.06
CD45_THRESHOLD = 3_600.0
RECORDED = MappingProxyType({Kind.GRANULOCYTES: 0.26, Kind.DEBRIS: 0.02})
"""About how much of a population passes the count tube's threshold on CD45; all else does."""
STAINED_ON_CELLS = ("CD3", "CD4", "CD8")
FMO_MARKERS = MappingProxyType({"treg": ("CD25", "FOXP3"), "th17": ("IL-17A",)})
DOUBLETS = MappingProxyType({"count": 0.020, "treg": 0.030, "th17": 0.030})
"""Share of particles that pass the laser in pairs."""
PER_SECOND = MappingProxyType({"count": 900.0, "treg": 1_200.0, "th17": 1_200.0})
UNSTIMULATED_BACKGROUND = 0.0002
"""Share of CD4 T cells that look IL-17A positive whether stimulated or not."""
TRUNCATED = ("S001", "W06", "treg")
TRUNCATED_SHARE = 0.6
FIXED_ARTEFACTS = MappingProxyType(
    {
        ("S002", "W00", "th17"): "clog",
        ("S002", "W06", "treg"): "drift",
        ("S003", "W12", "treg"): "few_events",
        ("S004", "W06", "treg"): "clog",
        ("S006", "W12", "count"): "few_events",
    }
)
ARTEFACT_CHANCES = (("clog", 0.04), ("drift", 0.03), ("few_events", 0.03))
QC_NUMBERS = 950_000
"""Above those of any subject."""
SCRAMBLE, PRIME = 611_953, 999_983


@dataclass(frozen=True, eq=False)
class TubePlan:
    """One row of samples.tsv and what is needed to acquire it.

    acquired : start of the acquisition
    n_events : about how many events are recorded of a tube without artefact
    draw : the draw it belongs to; None for a control of the batch
    artefact : `clog`, `drift`, `few_events` or none
    missed : why the tube was not done; empty if it was
    """

    sample_id: str
    fcs: str
    panel: str
    role: Role
    batch: str
    acquired: datetime
    blood: Blood
    n_events: int
    control_for: str = ""
    draw: Draw | None = None
    artefact: str = ""
    missed: str = ""

    @property
    def counted(self) -> bool:
        """Whether it holds whole blood with counting beads."""
        return self.panel == "count" and self.role is Role.SAMPLE

    @property
    def stimulated(self) -> bool:
        return self.panel == "th17" and self.role in {Role.SAMPLE, Role.FMO}

    @property
    def truncated(self) -> bool:
        """Whether its file breaks off."""
        return self.draw is not None and (self.draw.subject, self.draw.visit, self.panel) == TRUNCATED


@dataclass(frozen=True, eq=False)
class Batch:
    """The cytometer and reagents of one panel in one acquisition run.

    optics : gain and light; staining : marker → factor
    spillover : the true matrix of the values in the files (gain included), diagonal 1
    embedded : what the operator stored in $SPILLOVER: near the truth, not the truth
    """

    optics: Optics
    staining: Mapping[str, float]
    spillover: npt.NDArray[np.float64]
    embedded: npt.NDArray[np.float64]


def opaque_id(prefix: str, number: int) -> str:
    """An id that tells nothing of subject or visit: a one-to-one shuffle of 0 .. 999982.

    Examples
    --------
    >>> opaque_id("T", 1010), opaque_id("T", 1011)
    ('T095381', 'T707334')
    """
    return f"{prefix}{(number * SCRAMBLE + 12_345) % PRIME:06d}"


def plan_draw(subject: DemoSubject, draw: Draw, *, n_events: int, seed: int) -> list[TubePlan]:
    """The four tubes of a draw: count, Treg, Th17 and the unstimulated partner of the Th17 tube."""
    kinds = (
        ("count", Role.SAMPLE),
        ("treg", Role.SAMPLE),
        ("th17", Role.SAMPLE),
        ("th17", Role.UNSTIMULATED),
    )
    return [
        _plan_sample(subject, draw, place, *kind, n_events=n_events, seed=seed)
        for place, kind in enumerate(kinds)
    ]


def _plan_sample(
    subject: DemoSubject, draw: Draw, place: int, panel: str, role: Role, *, n_events: int, seed: int
) -> TubePlan:
    batch = batch_of(draw.collected)
    sample_id = opaque_id("T", (subject.index + 1) * 1_000 + draw.number * 10 + place)
    ending = "_unstim" if role is Role.UNSTIMULATED else ""
    name = f"{draw.specimen.replace('.', '_')}_{panel}{ending}.fcs"
    missed = draw.missed or draw.missing_tubes.get(panel, "")
    return TubePlan(
        sample_id,
        "" if missed else f"{batch}/{name}",
        panel,
        role,
        batch,
        draw.collected + timedelta(hours=5 if panel == "th17" else 2, minutes=4 * place),
        draw.blood,
        n_events,
        draw=draw,
        artefact=_artefact(draw, panel, role, sample_id, seed=seed),
        missed=missed,
    )


def plan_quality_control(batch: str, *, n_events: int, seed: int) -> list[TubePlan]:
    """The donor's tubes of a batch: Treg, Th17 and its unstimulated partner; there is no blood to count."""
    draw = quality_control_draw(batch, seed=seed)
    kinds = (("treg", Role.SAMPLE), ("th17", Role.SAMPLE), ("th17", Role.UNSTIMULATED))
    plans = []
    for place, (panel, role) in enumerate(kinds):
        ending = "_unstim" if role is Role.UNSTIMULATED else ""
        sample_id = opaque_id("T", QC_NUMBERS + 10 * draw.number + place)
        name = f"{batch}/{QC_DONOR}_{panel}{ending}.fcs"
        at = draw.collected + timedelta(hours=5 if panel == "th17" else 2, minutes=4 * place)
        plans.append(TubePlan(sample_id, name, panel, role, batch, at, draw.blood, n_events, draw=draw))
    return plans


def _artefact(draw: Draw, panel: str, role: Role, sample_id: str, *, seed: int) -> str:
    if role is not Role.SAMPLE or (draw.subject, draw.visit, panel) == TRUNCATED:
        return ""
    fixed = FIXED_ARTEFACTS.get((draw.subject, draw.visit, panel))
    if fixed:
        return fixed
    chance = float(generator(seed, "artefact", sample_id).random())
    for name, share in ARTEFACT_CHANCES:
        if chance < share:
            return name
        chance -= share
    return ""


def plan_controls(batch: str, *, n_events: int, seed: int) -> list[TubePlan]:
    """The batch's controls: per panel unstained, one single stain per dye, and the FMO tubes."""
    plans: list[TubePlan] = []
    number = int(batch[1:])
    small = min(CONTROL_EVENTS, max(n_events, 2_000))
    acquired = START + timedelta(days=BATCH_DAYS * (number - 1), hours=7)
    blood = quality_control_donor(batch, seed=seed)
    for panel in PANELS.values():
        kinds = [
            (Role.UNSTAINED, "", small),
            *((Role.SINGLE_STAIN, marker, small) for marker in panel.markers),
            *((Role.FMO, marker, n_events) for marker in FMO_MARKERS.get(panel.key, ())),
        ]
        for role, marker, events in kinds:
            place = len(plans)
            sample_id = opaque_id("C", number * 100 + place)
            name = f"{batch}/controls/{panel.key}_{role}{'_' if marker else ''}{marker}.fcs"
            at = acquired + timedelta(minutes=3 * place)
            plans.append(TubePlan(sample_id, name, panel.key, role, batch, at, blood, events, marker))
    return plans


def plan_tubes(subjects: Iterable[DemoSubject], *, n_events: int, seed: int) -> list[TubePlan]:
    """All tubes of the trial: those of the draws, then donor and controls of the batches these fall into."""
    tubes = [
        plan
        for subject in subjects
        for draw in subject.draws
        for plan in plan_draw(subject, draw, n_events=n_events, seed=seed)
    ]
    batches = sorted({tube.batch for tube in tubes})
    beside = (plan_quality_control, plan_controls)
    return tubes + [
        plan
        for batch in batches
        for planned in beside
        for plan in planned(batch, n_events=n_events, seed=seed)
    ]


def batch_of_panel(panel: DemoPanel, batch: str, *, seed: int, shift: float = 1.0) -> Batch:
    """Gain, staining and spillover of a panel in a batch; the gains are common to all panels.

    `shift` multiplies how far batches lie apart: the logarithms of gain, staining and background.
    """

    def factor(*names: str, log_sd: float, limit: float) -> float:
        rng = generator(seed, *names)
        return lognormal_factor(rng, log_sd=shift * log_sd, limit=shift * limit)

    gain = np.array([factor("gain", batch, name, log_sd=0.10, limit=0.20) for name in panel.detectors])
    scatter = [factor("gain", batch, name, log_sd=0.03, limit=0.06) for name in ("FSC-A", "SSC-A")]
    staining = {
        marker: factor("staining", batch, panel.key, marker, log_sd=0.09, limit=0.15)
        for marker in panel.markers
    }
    rng = generator(seed, "spillover", panel.key, batch)
    light = _jitter(base_spillover(panel), rng, relative_sd=0.04)
    n_dyes = len(panel.dyes)
    true = light * gain[None, :n_dyes] / gain[:n_dyes, None]
    background = factor("background", batch, log_sd=0.12, limit=0.25)
    optics = Optics(light, gain, (scatter[0], scatter[1]), background)
    return Batch(optics, staining, true, _operators_matrix(true, rng))


def _jitter(
    matrix: npt.NDArray[np.float64], rng: np.random.Generator, *, relative_sd: float
) -> npt.NDArray[np.float64]:
    jittered = matrix * np.exp(rng.normal(0.0, relative_sd, matrix.shape))
    np.fill_diagonal(jittered, 1.0)
    return jittered


def _operators_matrix(true: npt.NDArray[np.float64], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A few per cent off everywhere, and by a fifth in two of the six largest entries."""
    embedded = _jitter(true, rng, relative_sd=0.03)
    off_diagonal = np.where(np.eye(len(true), dtype=bool), 0.0, true)
    largest = np.argsort(off_diagonal, axis=None)[::-1][:6]
    wrong = rng.choice(largest, 2, replace=False)
    embedded.flat[wrong] = true.flat[wrong] * np.array([0.80, 1.20])
    return np.round(embedded, 5)


def stretch_of(plan: TubePlan, *, seed: int) -> Stretch:
    """When and how far the acquisition of a tube was off."""
    rng = generator(seed, "stretch", plan.sample_id)
    begin = float(rng.uniform(0.2, 0.7))
    if plan.artefact == "clog":
        rate, signal = float(rng.uniform(0.25, 0.5)), float(rng.uniform(0.65, 0.8))
        return Stretch("clog", begin, begin + float(rng.uniform(0.06, 0.14)), rate, signal)
    if plan.artefact == "drift":
        return Stretch("drift", 0.0, 1.0, 1.0, float(rng.choice([0.85, 0.90, 1.12])))
    return STEADY


@dataclass(frozen=True, eq=False)
class TubeTruth:
    """What a tube truly holds.

    blood_acquired_ul : blood behind the recorded events of a count tube; 0 for other tubes
    stretch : when and how far the acquisition was off
    """

    acquired: Acquired
    blood_acquired_ul: float
    stretch: Stretch


def acquire_tube(plan: TubePlan, *, seed: int, lab: Lab = LAB) -> TubeTruth:
    """Simulate one tube from its own random generator; no other tube has a say in it."""
    panel = PANELS[plan.panel]
    rng = generator(seed, "tube", plan.sample_id)
    batch = batch_of_panel(panel, plan.batch, seed=seed, shift=lab.shift)
    kinds, blood_ul = particles(plan, rng)
    stretch = stretch_of(plan, seed=seed)
    acquired = acquire(
        kinds,
        panel,
        _own(stain_of(plan, batch, rng, biology=lab.biology), plan, seed=seed, lab=lab),
        batch.optics,
        Conditions(DOUBLETS[plan.panel], PER_SECOND[plan.panel], stretch, _thresholds(plan)),
        rng=rng,
    )
    return TubeTruth(acquired, blood_ul, stretch)


def _thresholds(plan: TubePlan) -> dict[str, float]:
    """The count tube is triggered on CD45: red cells and most granulocytes are not recorded."""
    return {"PerCP-Cy5-5-A": CD45_THRESHOLD} if plan.counted else {}


def stain_of(plan: TubePlan, batch: Batch, rng: np.random.Generator, *, biology: Biology) -> Stain:
    """Which markers light up in a tube, and how bright they are there."""
    markers = PANELS[plan.panel].markers
    present = {
        Role.UNSTAINED: (),
        Role.SINGLE_STAIN: (plan.control_for,),
        Role.FMO: tuple(marker for marker in markers if marker != plan.control_for),
    }.get(plan.role, markers)
    factor = {
        marker: batch.staining[marker] * lognormal_factor(rng, log_sd=0.03, limit=0.08) for marker in markers
    }
    blood = plan.blood
    shift = {"FOXP3": dict.fromkeys(CD4, blood.foxp3), "CD25": dict.fromkeys(CD4, blood.cd25)}
    if plan.stimulated:
        shift["CD4"] = dict.fromkeys(CD4, 10.0**-blood.cd4_down)
        shift["CD3"] = dict.fromkeys(T_CELLS, 10.0**-blood.cd3_down)
    return Stain(present, factor, shift, biology)


def _own(stain: Stain, plan: TubePlan, *, seed: int, lab: Lab) -> Stain:
    """The stain with what sets the subject's own subsets apart; the QC donor is the same in every batch."""
    if not lab.individual:
        return stain
    names = (plan.draw.specimen,) if plan.draw else ("QC donor",)
    shift = {marker: dict(factors) for marker, factors in stain.shift.items()}
    for marker, factors in individual_factors(names, seed=seed, log_sd=lab.individual).items():
        known = shift.setdefault(marker, {})
        for kind, factor in factors.items():
            known[kind] = known.get(kind, 1.0) * factor
    return replace(stain, shift=shift)


def particles(plan: TubePlan, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], float]:
    """The particles in the acquired part of a tube, and how many µL of blood that part stands for."""
    if plan.role is Role.SINGLE_STAIN and plan.control_for not in STAINED_ON_CELLS:
        half = plan.n_events // 2
        numbers = {Kind.COMPENSATION_BEADS: half, Kind.STAINED_COMPENSATION_BEADS: plan.n_events - half}
        return _array_of(numbers), 0.0
    if plan.counted:
        return _count_tube(plan, rng)
    return _washed_tube(plan, rng), 0.0


def _array_of(numbers: Mapping[Kind, int]) -> npt.NDArray[np.uint8]:
    return np.repeat(np.array(list(numbers), dtype=np.uint8), list(numbers.values()))


def _n_wanted(plan: TubePlan, rng: np.random.Generator) -> float:
    share = FEW_EVENTS_SHARE if plan.artefact == "few_events" else 1.0
    return plan.n_events * share * float(rng.uniform(0.94, 1.06))


def _count_tube(plan: TubePlan, rng: np.random.Generator) -> tuple[npt.NDArray[np.uint8], float]:
    """Lysed, unwashed whole blood with counting beads: cells and beads share the acquired fraction.

    Cells in 50 µL are Poisson around their concentration; the beads are the lot's number; of
    both, the acquired fraction is seen.
    """
    per_ul = dict(plan.blood.cells_per_ul)
    leukocytes = sum(per_ul.values())
    per_ul |= {Kind.DEBRIS: 0.25 * leukocytes, Kind.DEAD: 0.006 * leukocytes}
    recorded = sum(value * RECORDED.get(kind, 1.0) for kind, value in per_ul.items())
    volume = min(_n_wanted(plan, rng) / (recorded + BEADS_PER_TUBE / BLOOD_UL), 0.95 * BLOOD_UL)
    numbers = {kind: int(rng.poisson(value * volume)) for kind, value in per_ul.items()}
    numbers[Kind.BEADS] = int(rng.binomial(BEADS_PER_TUBE, volume / BLOOD_UL))
    return _array_of(numbers), volume


def _washed_tube(plan: TubePlan, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Washed cells: all lymphocytes, some monocytes, few granulocytes, with dead cells and debris."""
    blood = plan.blood
    weights = {kind: blood.cells_per_ul[kind] for kind in LYMPHOCYTES if kind in blood.cells_per_ul}
    lymphocytes = sum(weights.values())
    weights |= {
        Kind.MONOCYTES: 0.25 * blood.cells_per_ul[Kind.MONOCYTES],
        Kind.GRANULOCYTES: 0.015 * blood.cells_per_ul[Kind.GRANULOCYTES],
        Kind.DEAD: lymphocytes * float(rng.uniform(0.03, 0.09)),
        Kind.DEBRIS: lymphocytes * float(rng.uniform(0.06, 0.14)),
    }
    if plan.panel == "th17":
        weights = _cytokine_producers(weights, stimulated=plan.stimulated)
    shares = np.array(list(weights.values())) / sum(weights.values())
    numbers = rng.multinomial(round(_n_wanted(plan, rng)), shares)
    return np.repeat(np.array(list(weights), dtype=np.uint8), numbers)


def _cytokine_producers(weights: dict[Kind, float], *, stimulated: bool) -> dict[Kind, float]:
    """Th17 cells show IL-17A after stimulation only; a few other CD4 T cells seem to, always."""
    background = UNSTIMULATED_BACKGROUND * sum(weights.get(kind, 0.0) for kind in CD4)
    th17 = weights[Kind.TH17]
    silent = 0.0 if stimulated else th17
    return weights | {
        Kind.CD4_MEMORY: weights[Kind.CD4_MEMORY] + silent - background,
        Kind.TH17: th17 - silent,
        Kind.IL17A_BACKGROUND: background,
    }
