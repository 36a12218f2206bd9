"""The full-size simulated trial: how near counts come to the truth, by true gates and by the pipeline's own.

    python benchmarks/full_trial.py --subjects 82 --events 20000 --shards 8

Writes the trial, then counts it twice. *True gates*: the events of every tube are those that the simulation
put in it, so that only the counting error is left; intervals should hold the truth in 94 to 97 of 100 values.
*Own gates*: the whole pipeline, from FCS files, with the shipped templates. For both, per parameter: values,
how often the interval holds the truth, the median and the mean absolute relative error; then the cohort's
medians and P values beside those of the true values of the same records. The interval of a true median is a
bootstrap over subjects: what another cohort of this size would have shown. `--true-gates-only` leaves the
pipeline out; `--more-seeds 1 2 3` pools the coverage of further trials.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

import numpy as np
import pandas as pd

from cytotrial.demo.cells import DERIVED, NAMES, Kind
from cytotrial.demo.chance import generator
from cytotrial.demo.cohort import Blood, cohort_subject, true_values
from cytotrial.demo.tubes import BEADS_PER_TUBE, BLOOD_UL, TubePlan, particles, plan_draw
from cytotrial.files.tables import read_table, write_table
from cytotrial.science.statistics import analysis_records, baseline_values, cell_counts_by_visit
from cytotrial.settings import Absolute, Percent, Settings
from cytotrial.steps.count import count_specimens
from cytotrial.steps.dataset import write_dataset
from cytotrial.steps.draws import Draw
from cytotrial.steps.layout import AUTOMATIC, BY_HAND, INVENTORY, POPULATIONS, QUALITY
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.steps.values import values_of
from cytotrial.terms import Role, Tube
from measuring import run
from trial_folder import DEMO, install_trial
from whole_pipeline import BIN

MAKE_IL17A = ("Th17", "IL-17A background")
"""What a true gate on IL-17A holds: the cells that make it, and those that look so."""
FIGURE = "{:>10.2f}"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        with contextlib.chdir(folder):
            plan = _count_by_true_gates(options)
            truth = _truth()
            print(f"{options.subjects} + 1 subjects, {len(plan.trial.tubes)} tubes in the sheet")
            _tell("true gates", plan, truth)
            if not options.true_gates_only:
                own = _config("own_gates", shards=options.shards)
                command = [
                    BIN / "snakemake",
                    "--cores",
                    str(options.cores),
                    "--configfile",
                    own,
                    "--quiet",
                    "all",
                ]
                run(command, folder=folder)
                _tell("own gates", make_plan(own), truth)
    _tell_pooled(options, plan.trial.settings)


def _count_by_true_gates(options: argparse.Namespace) -> Plan:
    """Write a trial into the current folder, and count it by the events that it truly holds."""
    install_trial(Path.cwd(), subjects=options.subjects, events=options.events)
    plan = make_plan(_config("true_gates", shards=options.shards))
    write_true_gates(plan)
    count_specimens(plan)
    write_dataset(plan)
    return plan


def _truth() -> dict[str, dict[str, str]]:
    return {row["specimen"]: row for row in read_table(DEMO / "truth" / "specimens.csv")}


def _tell_pooled(options: argparse.Namespace, settings: Settings) -> None:
    """How often intervals hold the truth over several trials, by true gates; no file is written."""
    held: dict[str, list[bool]] = {}
    for seed in options.more_seeds:
        for blood, draw in _draws(options, settings, seed=seed):
            true = true_values(blood)
            for code, value in values_of(draw, settings).items():
                if (count := value.count) is not None:
                    low, high = count.ci_low or 0.0, count.ci_high or 0.0
                    held.setdefault(code, []).append(low <= true[code] <= high)
    if held:
        print(
            f"\ntrue gates, {len(options.more_seeds)} more trials together (cells and beads only, no files)"
        )
        print(f"{'parameter':<10}{'n':>6}{'covers %':>10}")
    for code, values in sorted(held.items()):
        print(f"{code:<10}{len(values):>6}{100 * fmean(values):>10.2f}")


def _draws(options: argparse.Namespace, settings: Settings, *, seed: int) -> Iterator[tuple[Blood, Draw]]:
    """The draws of another trial: the particles of every tube, each in its true population."""
    for index in range(options.subjects):
        subject = cohort_subject(index, seed=seed)
        for drawn in subject.draws:
            plans = plan_draw(subject, drawn, n_events=options.events, seed=seed)
            done = [plan for plan in plans if not plan.missed]
            tubes = tuple(_tube(plan) for plan in done)
            events = {plan.sample_id: _true_events(plan, seed=seed) for plan in done}
            rows = {
                tube.sample_id: {
                    str(row["population"]): {key: str(cell) for key, cell in row.items()}
                    for row in _populations(tube, events, settings)
                }
                for tube in tubes
            }
            checked = {tube.sample_id: {"status": "ok", "code": "", "acquired": ""} for tube in tubes}
            if tubes:
                yield drawn.blood, Draw(tubes, rows, checked)


def _tube(plan: TubePlan) -> Tube:
    beads = {"beads_per_tube": float(BEADS_PER_TUBE), "blood_ul": BLOOD_UL} if plan.counted else {}
    return Tube(plan.sample_id, plan.fcs, plan.panel, plan.role, plan.batch, **beads)


def _true_events(plan: TubePlan, *, seed: int) -> dict[str, int]:
    kinds, _ = particles(plan, generator(seed, "tube", plan.sample_id))
    numbers = np.bincount(kinds, minlength=len(Kind))
    single = {NAMES[kind]: int(numbers[kind]) for kind in Kind}
    return single | {name: int(numbers[list(members)].sum()) for name, members in DERIVED.items()}


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How near the full-size trial comes to its truth.")
    parser.add_argument("--subjects", type=int, default=82, help="subjects of the cohort (default 82)")
    parser.add_argument("--events", type=int, default=20_000, help="events of a tube (default 20000)")
    parser.add_argument("--shards", type=int, default=8, help="jobs per panel (default 8)")
    parser.add_argument("--cores", type=int, default=2, help="jobs at a time (default 2)")
    parser.add_argument("--folder", type=Path, help="where to put the trial for the time (default: system's)")
    parser.add_argument(
        "--more-seeds", type=int, nargs="*", default=[], help="further trials, counted by true gates"
    )
    parser.add_argument("--true-gates-only", action="store_true", help="leave out the pipeline's own gates")
    return parser.parse_args(arguments)


def _config(name: str, *, shards: int) -> Path:
    """The embedded configuration with results of its own."""
    text = Path("config/config.yaml").read_text(encoding="utf-8")
    path = Path(f"config/{name}.yaml")
    own = text.replace("results: results\n", f"results: {name}\n")
    path.write_text(f"{own}\nexecution: {{shards: {shards}}}\n", encoding="utf-8")
    return path


# True gates


def write_true_gates(plan: Plan) -> None:
    """Write inventory, quality and populations as gating without any error would have made them."""
    events: dict[str, dict[str, int]] = {}
    for row in read_table(DEMO / "truth" / "events.csv"):
        events.setdefault(row["sample_id"], {})[row["population"]] = int(row["events"])
    layout, settings = plan.layout, plan.trial.settings
    write_table(
        layout.inventory,
        INVENTORY,
        [
            dict.fromkeys(INVENTORY, "")
            | {"sample_id": tube.sample_id, "status": "ok" if tube.status == "DONE" else "not_done"}
            | {"message": tube.reason_not_done}
            for tube in plan.trial.tubes
        ],
    )
    for path, columns in (
        (layout.quality, QUALITY),
        (layout.automatic, AUTOMATIC),
        (layout.by_hand, BY_HAND),
    ):
        write_table(path, columns, [])
    rows = [row for tube in plan.trial.tubes for row in _populations(tube, events, settings)]
    write_table(layout.populations, POPULATIONS, rows)


def _populations(
    tube: Tube, events: Mapping[str, Mapping[str, int]], settings: Settings
) -> list[dict[str, object]]:
    """The populations that parameters name, in a tube of the draw; each inside its denominator."""
    if tube.sample_id not in events or tube.role not in {Role.SAMPLE, Role.UNSTIMULATED}:
        return []
    inside = dict(events[tube.sample_id])
    inside["Th17"] = sum(inside[name] for name in MAKE_IL17A)
    parents: dict[str, str] = {}
    for entry in settings.parameters.values():
        if isinstance(entry, Absolute) and entry.panel == tube.panel:
            parents |= {entry.population: "root", settings.counts.beads: "root"}
        elif isinstance(entry, Percent) and entry.panel == tube.panel:
            parents |= {entry.of: "root", entry.population: entry.of}
    blank = dict.fromkeys(POPULATIONS, "")
    about = {"sample_id": tube.sample_id, "gating_version": "truth"}
    return [
        blank | about | {"population": name, "parent": parent, "events": inside[name]}
        for name, parent in parents.items()
    ]


# What is told


def _tell(gates: str, plan: Plan, truth: Mapping[str, Mapping[str, str]]) -> None:
    records = _known(plan, truth)
    print(f"\n{gates}: every value of every draw")
    heads = ("covers %", "median %", "mean |%|", "CV %")
    print(f"{'parameter':<10}{'n':>5}", *(f"{head:>10}" for head in heads))
    for code in sorted(plan.trial.settings.parameters):
        rows = [row for row in records if row["parameter"] == code]
        true = [float(truth[row["specimen"]][code]) for row in rows]
        held = [
            float(row["ci_low"]) <= value <= float(row["ci_high"])
            for row, value in zip(rows, true, strict=True)
        ]
        errors = [100 * (float(row["value"]) / value - 1) for row, value in zip(rows, true, strict=True)]
        cv = median(float(row["cv_percent"]) for row in rows if row["cv_percent"])
        figures = (100 * fmean(held), median(errors), fmean(map(abs, errors)), cv)
        print(f"{code:<10}{len(rows):>5}", *(FIGURE.format(figure) for figure in figures))
    _tell_cohort(gates, plan, truth)


def _known(plan: Plan, truth: Mapping[str, Mapping[str, str]]) -> list[dict[str, str]]:
    """Every record with a value, of a draw whose truth is known."""
    rows = read_table(plan.layout.candidates)
    return [row for row in rows if row["value"] and row["specimen"] in truth and row["status"] != "FAIL"]


def _tell_cohort(gates: str, plan: Plan, truth: Mapping[str, Mapping[str, str]]) -> None:
    """Medians, changes and P values of table T1, beside those of the true values of the same records."""
    candidates = pd.read_csv(plan.layout.candidates, dtype=str, keep_default_na=False)
    counts = pd.read_csv(plan.layout.counts, dtype=str, keep_default_na=False)
    counted = _t1(counts, candidates, plan)
    true = _t1(_with_truth(counts, truth), _with_truth(candidates, truth), plan)
    print(f"\n{gates}: the cohort (table T1), beside the true values of the same records")
    heads = ("median", "true", "95 % of true median", "HL change", "true", "P", "true P")
    print(f"{'parameter':<10}{'visit':<6}{'n':>4}" + "".join(f"{head:>21}" for head in heads))
    for code in ("CD4ABS", "TREGABS", "TH17ABS", "TH17TREG"):
        for row, right in zip(_of(counted, code), _of(true, code), strict=True):
            low, high = _bootstrap(counts, truth, code, str(row["visit"]))
            cells = [f"{row['median']:.3f}", f"{right['median']:.3f}", f"{low:.3f} to {high:.3f}"]
            cells += [f"{row['hl']:.3f}", f"{right['hl']:.3f}", f"{row['p']:.1e}", f"{right['p']:.1e}"]
            print(f"{code:<10}{row['visit']:<6}{row['n']:>4}" + "".join(f"{cell:>21}" for cell in cells))
    wide = pd.read_csv(plan.layout.visit_wide)
    doses = wide[wide["visit"] != "UNSCHEDULED"].groupby("visit")["PREDNISONE"].median()
    print("prednisone mg/d, median: " + ", ".join(f"{visit} {dose:.2f}" for visit, dose in doses.items()))


def _t1(counts: pd.DataFrame, candidates: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    visits = pd.DataFrame(
        [
            {"visit": visit.visit, "visit_num": visit.visit_num, "baseline": "Y" if visit.baseline else ""}
            for visit in plan.trial.visits
        ]
    )
    records, start = analysis_records(counts, candidates), baseline_values(candidates)
    return cell_counts_by_visit(records, visits, n_planned=len(plan.trial.subjects), baselines=start)


def _with_truth(table: pd.DataFrame, truth: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """The table with the true value in place of each that was counted."""
    pairs = zip(table["specimen"], table["parameter"], table["value"], strict=True)
    return table.assign(value=[truth[s][p] if value and s in truth else "" for s, p, value in pairs])


def _of(table: pd.DataFrame, code: str) -> list[dict[str, object]]:
    return table[table["parameter"] == code].to_dict("records")  # type: ignore[return-value]


def _bootstrap(
    counts: pd.DataFrame, truth: Mapping[str, Mapping[str, str]], code: str, visit: str
) -> tuple[float, float]:
    """95 % interval of the true median over cohorts drawn with replacement from this one."""
    here = counts[(counts["parameter"] == code) & (counts["visit"] == visit) & (counts["value"] != "")]
    values = np.array([float(truth[specimen][code]) for specimen in here["specimen"]])
    if not values.size:
        return float("nan"), float("nan")
    rng = np.random.default_rng(1)
    medians = np.median(values[rng.integers(0, values.size, (4000, values.size))], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
