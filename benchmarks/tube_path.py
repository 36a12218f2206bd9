"""What one tube costs: our path, FlowKit's Session with the very same gates, and the floor below both.

    python benchmarks/tube_path.py

Three simulated tubes (count, Treg, Th17) are written to a temporary folder and gated by

- the floor: read the file's bytes, one single-precision matrix product, six comparisons;
- the tube path: pre-flight, decode, compensate, eight fixed gates (2 polygons, 5 rectangles, 1 quadrant);
- FlowKit's Session: one per file, the same eight gates, in one process;
- the whole gating step: as jobs do it, with the first pass where gates lean on the batch, gate finding, time
  check, medians, pictures and tables.

Every population of the tube path and of FlowKit must hold the same events; otherwise nothing is timed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.terms import ROOT, TUBE_MATRIX, BoolArray
from eight_gates import GATINGS, GatedAlike, gated_alike, write_study
from floor import floor_of, reach_floor
from measuring import Spent, in_fresh_process, peak_mib, table, take_turns

FLOOR, TUBE_PATH, FLOWKIT, WHOLE = "floor", "tube path", "FlowKit Session", "whole gating step"
CONTESTANTS = (FLOOR, TUBE_PATH, FLOWKIT, WHOLE)

Counts = dict[str, int]
Action = Callable[[], object]
Times = Mapping[tuple[str, str], Sequence[Spent]]
"""(panel, contestant) → what each round took."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tubes, let the contestants take turns in a fresh process, print the table."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        config = write_study(Path(folder), events=options.events)
        tubes = prepare(config)
        counts = in_fresh_process(counts_of_both, tubes)
        times = in_fresh_process(times_of_all, tubes, config, options.rounds)
        peaks = {name: in_fresh_process(peak_of, name, tubes, config) for name in CONTESTANTS}
    print(f"{options.events} events a tube, {options.rounds} rounds, one core")
    print(f"the same events in all {sum(map(len, counts.values()))} populations: tube path, FlowKit")
    print(_table(times, peaks))
    print(_verdict(times))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What one tube costs.")
    parser.add_argument("--events", type=int, default=100_000, help="events of a tube (default 100000)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds; the median is told (default 9)")
    return parser.parse_args(arguments)


def prepare(config: Path) -> list[GatedAlike]:
    """Check the study and compile its gating, as the workflow does before it gates; place the eight gates."""
    from cytotrial.steps.check import check_unit  # noqa: PLC0415
    from cytotrial.steps.plan import make_plan  # noqa: PLC0415
    from cytotrial.steps.strategies import compile_gating  # noqa: PLC0415

    plan = make_plan(config)
    for unit in plan.units:
        check_unit(plan, unit)
    for panel in GATINGS:
        compile_gating(config, panel=panel)
    return [gated_alike(tube.panel, plan.path_of(tube)) for tube in plan.trial.tubes]


# The contestants


def contestant(name: str, tube: GatedAlike, config: Path) -> Action:
    """A contestant's work on one tube, ready to run; what it shares between tubes is made here."""
    if name == FLOOR:
        floor = floor_of(tube.path)
        assert floor is not None
        return partial(reach_floor, floor)
    if name == TUBE_PATH:
        return partial(our_counts, tube)
    if name == FLOWKIT:
        return partial(flowkit_counts, tube, flowkit_strategy(tube))
    return _whole_step(tube, config)


def our_masks(tube: GatedAlike) -> dict[str, BoolArray]:
    """From the file to the events of every population."""
    header = inspect_fcs(tube.path, root=tube.path.parent).header
    assert header is not None
    assert header.spillover is not None
    events = read_events(tube.path, header).events
    return apply_strategy(tube.placed, TubeEvents(events, {TUBE_MATRIX: header.spillover}))


def our_counts(tube: GatedAlike) -> Counts:
    return {name: int(np.count_nonzero(mask)) for name, mask in our_masks(tube).items() if name != ROOT}


def flowkit_strategy(tube: GatedAlike) -> Any:
    from in_flowkit import add_quadrant, in_flowkit  # noqa: PLC0415

    strategy = in_flowkit(tube.single, tube.matrix)
    add_quadrant(strategy, tube.single, tube.quadrant)
    return strategy


def flowkit_counts(tube: GatedAlike, strategy: Any) -> Counts:
    from in_flowkit import session_of  # noqa: PLC0415

    report = session_of(tube.path, strategy).get_analysis_report()
    counted = dict(zip(report["gate_name"], report["count"], strict=True))
    return {entry.population: int(counted[entry.population]) for entry in tube.placed}


def _whole_step(tube: GatedAlike, config: Path) -> Action:
    """The first pass, what its batch says, and gating; only the last for a panel that does not lean on it."""
    from cytotrial.steps.gate import gate_unit  # noqa: PLC0415
    from cytotrial.steps.place import place_unit  # noqa: PLC0415
    from cytotrial.steps.plan import make_plan  # noqa: PLC0415
    from cytotrial.steps.pool import pool_panel  # noqa: PLC0415

    plan = make_plan(config)
    (unit,) = plan.units

    def gate() -> None:
        if tube.panel in plan.placed_panels:
            place_unit(plan, panel=tube.panel, unit=unit)
            pool_panel(plan, panel=tube.panel)
        gate_unit(plan, panel=tube.panel, unit=unit)

    return gate


# What is measured, each in a process of its own


def counts_of_both(tubes: Sequence[GatedAlike]) -> dict[str, Counts]:
    """Panel → events of every population.

    Raises
    ------
    SystemExit
        If FlowKit has other events in any population.
    """
    differing = [f"{tube.panel} {name}" for tube in tubes for name in _differing(tube)]
    if differing:
        sys.exit(f"FlowKit has other events than we have in: {', '.join(differing)}")
    return {tube.panel: our_counts(tube) for tube in tubes}


def _differing(tube: GatedAlike) -> list[str]:
    from in_flowkit import QUADRANT, route_of, session_of  # noqa: PLC0415

    strategy, ours = flowkit_strategy(tube), our_masks(tube)
    session = session_of(tube.path, strategy)
    (sample,) = session.get_sample_ids()
    quadrants = {entry.population for entry in tube.quadrant}
    differing = []
    for entry in tube.placed:
        name = entry.population
        route = route_of(name, tube.placed) + ((QUADRANT,) if name in quadrants else ())
        if not np.array_equal(ours[name], session.get_gate_membership(sample, name, route)):
            differing.append(name)
    same_counts = flowkit_counts(tube, strategy) == our_counts(tube)
    return differing if same_counts else [*differing, "(counts)"]


def times_of_all(tubes: Sequence[GatedAlike], config: Path, rounds: int) -> Times:
    actions = {(tube.panel, name): contestant(name, tube, config) for tube in tubes for name in CONTESTANTS}
    return take_turns(actions, rounds=rounds)


def peak_of(name: str, tubes: Sequence[GatedAlike], config: Path) -> float:
    """Most memory of a process that runs one contestant on every tube, in MiB."""
    for tube in tubes:
        contestant(name, tube, config)()
    return peak_mib()


# What is printed


def _table(times: Times, peaks: Mapping[str, float]) -> str:
    panels = list(dict.fromkeys(panel for panel, _ in times))
    head = ["median of rounds", *(f"{panel}, CPU ms" for panel in panels), "wall ms", "x floor", "peak MiB"]
    rows = []
    for name in CONTESTANTS:
        cpu = [1e3 * median(spent.cpu_s for spent in times[panel, name]) for panel in panels]
        wall = 1e3 * median(spent.wall_s for spent in _rounds(times, name)) / len(panels)
        ratio = _ratio(times, name, FLOOR).cpu_s
        numbers = [*(f"{value:.2f}" for value in cpu), f"{wall:.2f}", f"{ratio:.1f}", f"{peaks[name]:.0f}"]
        rows.append([name, *numbers])
    return table(head, rows)


def _rounds(times: Times, name: str) -> list[Spent]:
    """What a contestant took for one tube of every panel, round by round."""
    rounds = zip(*(spent for (_, who), spent in times.items() if who == name), strict=True)
    return [Spent(sum(s.wall_s for s in each), sum(s.cpu_s for s in each)) for each in rounds]


def _ratio(times: Times, name: str, other: str) -> Spent:
    """What one contestant takes over what another takes, median of the rounds."""
    pairs = list(zip(_rounds(times, name), _rounds(times, other), strict=True))
    return Spent(median(a.wall_s / b.wall_s for a, b in pairs), median(a.cpu_s / b.cpu_s for a, b in pairs))


def _verdict(times: Times) -> str:
    faster, above = _ratio(times, FLOWKIT, TUBE_PATH), _ratio(times, TUBE_PATH, FLOOR)
    return (
        f"per-tube path: {faster.cpu_s:.1f} x FlowKit's Session, {above.cpu_s:.1f} x floor "
        f"(CPU time; by the clock {faster.wall_s:.1f} x and {above.wall_s:.1f} x)"
    )


if __name__ == "__main__":
    main()
