"""Learn the constants of the shipped gating templates from simulated reference trials.

    python benchmarks/learn_cuts.py --seeds 101 102

Each reference trial is simulated with another seed than the demo's and run through the pipeline; the
labels of its events stand in for the expert. Printed are, over all sample tubes:

- Th17: the offset of `negative_offset` (cut − mode of the parent) at which the fraction above the
  cut, less that of the unstimulated tube, is the true one; median and quartiles over tubes.
- Treg: for a grid of fractions of `landmark_fraction` on CD25 and FOXP3 (CD127 at one half), the
  mean F1 against the true Treg and the bias of their number, best first among the unbiased.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cytotrial.demo import write_demo
from cytotrial.files.tables import read_table
from cytotrial.science.densities import density
from cytotrial.science.finders import View, find_gate
from cytotrial.science.gating import GatedTube, gate_tube
from cytotrial.steps.example import write_configuration
from cytotrial.steps.gate import Bench
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.terms import Dimension, Role, Tube

FRACTIONS = np.arange(0.40, 0.86, 0.05)


def reference_trial(folder: Path, seed: int) -> Plan:
    """A simulated trial with labels, checked and compensated by the pipeline."""
    write_demo(folder, seed=seed, labels=True)
    config = write_configuration(folder)
    assert config is not None, "run this from the checkout: the embedded configuration is copied"
    snakemake = Path(sys.executable).parent / "snakemake"
    subprocess.run([snakemake, "--configfile", config, "--quiet", "all"], check=True)
    return make_plan(config)


def gated_tubes(plan: Plan, panel: str) -> Iterator[tuple[Tube, GatedTube, np.ndarray]]:
    """Every usable sample and unstimulated tube of a panel, gated, with its events' true populations."""
    truth = plan.path_of(plan.trial.tubes[0]).parents[2] / "truth"
    with (truth / "codes.csv").open(encoding="utf-8") as stream:
        names = {int(row["code"]): row["population"] for row in csv.DictReader(stream)}
    lookup = np.array([names.get(code, "") for code in range(max(names) + 1)])
    checked = {row["sample_id"]: row for row in read_table(plan.layout.inventory)}
    bench = Bench(plan, panel)
    for tube in plan.trial.tubes:
        if tube.panel != panel or tube.role not in {Role.SAMPLE, Role.UNSTIMULATED}:
            continue
        if checked[tube.sample_id]["status"] != "ok":
            continue
        loaded = bench.load(tube, checked[tube.sample_id])
        labels = lookup[np.load(truth / "labels" / f"{tube.sample_id}.npy")]
        yield tube, gate_tube(loaded.strategy, loaded.stained, controls={}), labels


def parent_values(gated: GatedTube, markers: tuple[str, ...], parent: str = "CD4+") -> tuple[np.ndarray, ...]:
    """The parent's events on the scale of the template."""
    scale = next(gate.gate.dimensions[0] for gate in gated.placed if gate.population == parent)
    dimensions = [Dimension(gated.tube.channels[marker], scale.transform, scale.matrix) for marker in markers]
    return gated.tube.events.axes(dimensions, gated.masks[parent])


def learn_th17(plans: list[Plan]) -> None:
    """Offsets at which the net fraction is the true one."""
    offsets = []
    for plan in plans:
        draws: dict[str, dict[Role, tuple[GatedTube, np.ndarray]]] = {}
        for tube, gated, labels in gated_tubes(plan, "th17"):
            draws.setdefault(tube.specimen, {})[tube.role] = (gated, labels)
        for draw in draws.values():
            if len(draw) == 2:
                offsets.append(unbiased_offset(*draw[Role.SAMPLE], draw[Role.UNSTIMULATED][0]))
    quartiles = np.percentile(offsets, [25, 50, 75])
    print(
        f"Th17 offset: median {quartiles[1]:.3f}, "
        f"quartiles {quartiles[0]:.3f} to {quartiles[2]:.3f}, {len(offsets)} tubes"
    )


def unbiased_offset(gated: GatedTube, labels: np.ndarray, unstimulated: GatedTube) -> float:
    """The offset nearest to which the net number above the cut is the true number of Th17."""
    (values,) = parent_values(gated, ("IL-17A",))
    (background,) = parent_values(unstimulated, ("IL-17A",))
    true = np.mean(labels[gated.masks["CD4+"]] == "Th17")
    mode = density(values).mode
    grid = np.arange(0.08, 0.35, 0.002)
    net = np.array([np.mean(values >= mode + x) - np.mean(background >= mode + x) for x in grid])
    return float(grid[np.argmin(np.abs(net - true))])


def learn_treg(plans: list[Plan]) -> None:
    """F1 and bias of the Treg gate over a grid of fractions."""
    tubes = []
    for plan in plans:
        for tube, gated, labels in gated_tubes(plan, "treg"):
            if tube.role is Role.SAMPLE and gated.events_of("CD4+") >= 400:
                values = parent_values(gated, ("CD25", "FOXP3", "CD127"))
                tubes.append((values, labels[gated.masks["CD4+"]] == "Treg"))
    results = []
    for cd25, foxp3 in itertools.product(FRACTIONS, FRACTIONS):
        scores = [scored(values, treg, cd25=cd25, foxp3=foxp3) for values, treg in tubes]
        f1, bias = np.mean([s[0] for s in scores]), np.median([s[1] for s in scores])
        results.append((f1, bias, np.mean([abs(s[1]) for s in scores]), cd25, foxp3))
    print(f"Treg, {len(tubes)} tubes: CD25, FOXP3: F1, median bias, mean absolute error of the number")
    for f1, bias, error, cd25, foxp3 in sorted((r for r in results if abs(r[1]) < 0.03), reverse=True)[:10]:
        print(f"  {cd25:.2f}, {foxp3:.2f}: {f1:.3f}, {bias:+.3f}, {error:.3f}")


def scored(
    values: tuple[np.ndarray, ...], treg: np.ndarray, *, cd25: float, foxp3: float
) -> tuple[float, float]:
    """F1 and relative error of the number of one tube."""
    inside = (
        (values[0] >= cut(values, (0, 1, 2), ("high", "low"), cd25))
        & (values[1] >= cut(values, (1, 0, 2), ("high", "low"), foxp3))
        & (values[2] < cut(values, (2, 0, 1), ("high", "high"), 0.5, keep="below"))
    )
    hits = np.count_nonzero(inside & treg)
    return 2 * hits / (inside.sum() + treg.sum()), inside.sum() / treg.sum() - 1


def cut(
    values: tuple[np.ndarray, ...],
    order: tuple[int, ...],
    sides: tuple[str, ...],
    fraction: float,
    *,
    keep: str = "above",
) -> float:
    view = View(tuple(Dimension(str(i)) for i in order), tuple(values[i] for i in order))
    gate = find_gate("landmark_fraction", view, {"fraction": fraction, "landmarks": sides, "keep": keep}).gate
    limit = gate.low[0] if keep == "above" else gate.high[0]
    assert limit is not None
    return limit


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plans = [reference_trial(Path(folder) / str(seed), seed) for seed in arguments.seeds]
        learn_th17(plans)
        learn_treg(plans)


if __name__ == "__main__":
    main()
