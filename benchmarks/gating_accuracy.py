"""How near the shipped gating comes to the truth of simulated cohorts; other rules beside it.

    python benchmarks/gating_accuracy.py --panels treg --shifts 1 1.5 2.2 --seeds 901 902
    python benchmarks/gating_accuracy.py --panels th17 count --shifts 1 1.5 2.2 --seeds 901
    python benchmarks/gating_accuracy.py --panels treg --shifts 1.5 --seeds 911 --labs 101 102 103

Each cohort has 12 batches of up to 15 draws and three tubes of a quality-control donor. Thirty tubes of
the first six batches are gated by the simulator's imperfect expert and teach the reference; all tubes of
the other six are gated without him and scored against what their events truly are. `--labs` names the
biology: `usual`, `dim` (antibodies stick a third as much), or a number that draws the CD4 subsets anew.
`--individual` lets every draw's subsets depart from their lab's. `--peers` adds other rules. Printed are,
in per cent: the mean and the mean absolute relative error, the share of tubes more than 30 % off (gross),
the mean F1 of events, the within-batch CV of the donor, the share of gross tubes that carry a flag, and
of all tubes.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from cytotrial.demo.biology import USUAL, Biology, Lab, another_biology, dimmer_background
from cytotrial.demo.cells import CD4, Kind
from cytotrial.demo.tubes import TubePlan
from cytotrial.science.gates import apply_strategy
from cytotrial.science.gating import GatedTube, gate_control, gate_tube
from cytotrial.terms import GatingStrategy
from gating_chain import Controls, gate_batch, taught, template
from gating_cohort import Cohort, StudyTube, acquire, fmo_of, plans_of, unstimulated
from gating_doubts import Noted, doubts_of
from gating_methods import th17_methods, treg_methods
from measuring import table

REFERENCE_BATCHES, REFERENCE_TUBES = 6, 5
GROSS = 0.30
REPORTED = {"treg": "Treg", "th17": "Th17", "count": "CD4+"}
FMO = {"treg": ("CD25", "FOXP3"), "th17": ("IL-17A",)}
OURS, EXPERT = "shipped template", "the expert himself"


@dataclass(frozen=True, slots=True)
class Scored:
    """One method on one tube: its value and the true one, in per cent of CD4+ or as CD4+ per bead."""

    method: str
    batch: str
    is_qc: bool
    value: float
    true: float
    f1: float
    doubts: tuple[str, ...] = ()

    @property
    def error(self) -> float:
        return self.value / self.true - 1


def score_cohort(cohort: Cohort, panel: str, *, peers: Sequence[str] | None = None) -> list[Scored]:
    """Learn on the first batches, gate and score the others; beside ours the named peers, or all of them."""
    plans = plans_of(cohort, panel)
    names = list(plans)
    methods = {OURS: template(panel)}
    if peers is not None and panel in FMO:
        others = {"treg": treg_methods, "th17": th17_methods}[panel](methods[OURS])
        methods |= {name: others[name] for name in peers or others}
    teachers = (
        acquire(cohort, plan) for name in names[:REFERENCE_BATCHES] for plan in spread_over(plans[name])
    )
    learnt = taught(methods, teachers)
    rows: list[Scored] = []
    noted: list[Noted] = []
    for name in names[REFERENCE_BATCHES:]:
        tubes = [acquire(cohort, plan) for plan in plans[name]]
        beside = _controls(cohort, panel, name, learnt[OURS], needed=_look_at_controls(methods.values()))
        for method, strategy in learnt.items():
            gated = gate_batch(strategy, tubes, controls=beside)
            pairs = list(zip(tubes, gated, strict=True))
            rows += [_score(method, panel, cohort, strategy, tube, mine) for tube, mine in pairs]
            if method == OURS:
                noted += [Noted.of(mine, name) for mine in gated]
        rows += [_score_expert(panel, tube) for tube in tubes]
    doubts = iter(doubts_of(noted, reported=REPORTED[panel]))
    return [replace(row, doubts=next(doubts)) if row.method == OURS else row for row in rows]


def _look_at_controls(strategies: Iterable[GatingStrategy]) -> bool:
    """Whether a finder asks for control tubes (a bound, which moves no gate, does not count)."""
    finds = [p.find for strategy in strategies for p in strategy.populations if p.find]
    return any(attempt.control for find in finds for attempt in find.attempts())


def spread_over(plans: Sequence[TubePlan]) -> list[TubePlan]:
    """Five draws of a batch, first to last."""
    draws = [plan for plan in plans if plan.draw is not None]
    places = np.linspace(0, len(draws) - 1, min(REFERENCE_TUBES, len(draws))).round().astype(int)
    return [draws[place] for place in places]


def _controls(
    cohort: Cohort, panel: str, batch: str, strategy: GatingStrategy, *, needed: bool
) -> Callable[[StudyTube], Controls]:
    """The FMO tubes of a batch and each draw's unstimulated tube, gated down to what they are for."""
    if not needed or panel not in FMO:
        return lambda _tube: {}
    fmo: dict = {
        ("fmo", marker): (gate_control(strategy, fmo_of(cohort, panel, batch, marker).stained),)
        for marker in FMO[panel]
    }

    def of(tube: StudyTube) -> Controls:
        if panel != "th17":
            return fmo
        partner = acquire(cohort, unstimulated(tube.plan))
        return {**fmo, ("unstimulated", ""): (gate_control(strategy, partner.stained),)}

    return of


def _score(  # noqa: PLR0917
    method: str, panel: str, cohort: Cohort, strategy: GatingStrategy, tube: StudyTube, gated: GatedTube
) -> Scored:
    masks: Mapping[str, np.ndarray] = gated.masks
    value, truth = _value(panel, masks), _true(panel, tube)
    if panel == "th17" and "Th17" in masks:
        partner = acquire(cohort, unstimulated(tube.plan))
        lent = {gate.population: gate for gate in gated.placed}
        background = gate_tube(strategy, partner.stained, controls={}, borrowed=lent)
        value -= _value(panel, background.masks)
    return Scored(method, tube.plan.batch, tube.is_qc, value, truth, _f1(panel, masks, tube))


def _score_expert(panel: str, tube: StudyTube) -> Scored:
    masks = apply_strategy(tube.expert, tube.stained.events)
    return Scored(
        EXPERT, tube.plan.batch, tube.is_qc, _value(panel, masks), _true(panel, tube), _f1(panel, masks, tube)
    )


def _value(panel: str, masks: Mapping[str, np.ndarray]) -> float:
    """Per cent of CD4+; in the count tube, CD4+ per bead."""
    events = {name: int(np.count_nonzero(mask)) for name, mask in masks.items()}
    if panel == "count":
        return events["CD4+"] / events["beads"]
    return 100 * events.get(REPORTED[panel], 0) / max(events["CD4+"], 1)


def _true(panel: str, tube: StudyTube) -> float:
    if panel != "count":
        return tube.true_percent(Kind.TREG if panel == "treg" else Kind.TH17)
    cells, beads = (
        np.count_nonzero(np.isin(tube.kinds, kinds)) + np.count_nonzero(np.isin(tube.members, kinds))
        for kinds in (CD4, (Kind.BEADS,))
    )
    return float(cells / beads)


def _f1(panel: str, masks: Mapping[str, np.ndarray], tube: StudyTube) -> float:
    kinds = {"treg": (Kind.TREG,), "th17": (Kind.TH17,), "count": CD4}[panel]
    true, found = np.isin(tube.kinds, kinds), masks[REPORTED[panel]]
    return float(
        2 * np.count_nonzero(true & found) / max(np.count_nonzero(true) + np.count_nonzero(found), 1)
    )


# What is told


def figures(rows: Sequence[Scored]) -> dict[str, float]:
    """Per cent, but for the number of tubes; the CV is that of the donor's tubes within batches."""
    errors = np.array([row.error for row in rows])
    gross = np.abs(errors) > GROSS
    flagged = np.array([bool(row.doubts) for row in rows])
    donors: dict[str, list[float]] = {}
    for row in rows:
        if row.is_qc:
            donors.setdefault(row.batch, []).append(row.value)
    cv = [np.std(v, ddof=1) / np.mean(v) for v in donors.values() if len(v) > 1 and np.mean(v) > 0]
    return {
        "tubes": float(errors.size),
        "bias": 100 * float(errors.mean()),
        "error": 100 * float(np.abs(errors).mean()),
        "gross": 100 * float(gross.mean()),
        "f1": 100 * float(np.mean([row.f1 for row in rows])),
        "donor_cv": 100 * float(np.sqrt(np.mean(np.square(cv)))) if cv else float("nan"),
        "n_gross": float(gross.sum()),
        "gross_flagged": float(np.count_nonzero(gross & flagged)),
        "flagged": 100 * float(flagged.mean()),
    }


def _lines(label: str, rows: Sequence[Scored]) -> Iterator[list[str]]:
    for method in dict.fromkeys(row.method for row in rows):
        f = figures([row for row in rows if row.method == method])
        flags = (
            [f"{f['gross_flagged']:.0f} of {f['n_gross']:.0f}", f"{f['flagged']:.0f}"]
            if method == OURS
            else ["", ""]
        )
        numbers = [
            f"{f[name]:+.1f}" if name == "bias" else f"{f[name]:.1f}"
            for name in ("bias", "error", "gross", "f1", "donor_cv")
        ]
        yield [f"{label}: {method}", f"{f['tubes']:.0f}", *numbers, *flags]


HEAD = ("", "tubes", "bias", "|error|", "gross", "F1", "donor CV", "gross flagged", "flagged")


def biology_of(name: str) -> Biology:
    named = {"usual": USUAL, "dim": dimmer_background(USUAL, 0.35)}
    return named[name] if name in named else another_biology(int(name))


def _work(job: tuple[str, str, float, float, int, argparse.Namespace]) -> tuple[str, list[Scored]]:
    panel, lab, shift, individual, seed, options = job
    cohort = Cohort(
        seed, Lab(shift, biology_of(lab), individual), options.events, options.batches, options.per_batch
    )
    label = f"{panel}, lab {lab}, shift {shift:g}" + (f", individual {individual:g}" if individual else "")
    return label, score_cohort(cohort, panel, peers=options.peers)


def main() -> None:
    options = _options()
    jobs = [
        (panel, lab, shift, individual, seed, options)
        for panel in options.panels
        for lab in options.labs
        for shift in options.shifts
        for individual in options.individual
        for seed in options.seeds
    ]
    results: dict[str, list[Scored]] = {}
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for label, rows in pool.map(_work, jobs):
            results.setdefault(label, []).extend(rows)
            print(f"{label}: done", file=sys.stderr, flush=True)
    print(table(HEAD, [line for label, rows in results.items() for line in _lines(label, rows)]))
    if options.flags:
        _print_flags(results)
    if options.rows:
        _write_rows(options.rows, results)


def _print_flags(results: Mapping[str, Sequence[Scored]]) -> None:
    for label, rows in results.items():
        counts: dict[str, int] = {}
        for row in rows:
            for flag in row.doubts:
                counts[flag] = counts.get(flag, 0) + 1
        print(
            f"{label}: " + ", ".join(f"{flag} {n}" for flag, n in sorted(counts.items(), key=lambda x: -x[1]))
        )


def _write_rows(path: Path, results: Mapping[str, Sequence[Scored]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["cohort", *(each.name for each in fields(Scored))])
        for label, rows in results.items():
            writer.writerows([label, *astuple(row)[:-1], " ".join(row.doubts)] for row in rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--panels", nargs="+", default=["treg"], choices=list(REPORTED))
    parser.add_argument("--labs", nargs="+", default=["usual"])
    parser.add_argument("--shifts", nargs="+", type=float, default=[1.0])
    parser.add_argument("--individual", nargs="+", type=float, default=[0.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[901])
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--batches", type=int, default=12)
    parser.add_argument("--per-batch", type=int, default=15)
    parser.add_argument("--peers", nargs="*", help="other rules on the same tubes: those named, or all")
    parser.add_argument("--flags", action="store_true", help="how often each flag was raised")
    parser.add_argument("--rows", type=Path, help="a CSV file for the value of every tube by every method")
    parser.add_argument("--workers", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
