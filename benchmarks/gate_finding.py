"""What finding the gates of a Treg tube costs beside the floor, per 100,000 events × 10 channels.

    python benchmarks/gate_finding.py

One simulated Treg tube (10 channels) is written to a temporary folder and gated by the shipped template with
its reference. Its events are compensated and on the display scale beforehand, and nothing that a finder
remembers of a tube is kept between rounds. Contestants:

- the floor: read the file's bytes, one single-precision matrix product, six comparisons;
- applying: which events lie in the gates, once these are known;
- placing: find every gate, parents before children, and apply it; what it takes beyond applying is finding;
- placing with second opinions: the same with the independent finders that move no gate.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from cytotrial.demo.panels import PANELS
from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.science.finders import carried_gate
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.science.gating import StainedTube, gate_tube, without_second
from cytotrial.steps.strategies import with_reference
from cytotrial.terms import TUBE_MATRIX, GatingStrategy
from eight_gates import write_study
from floor import floor_of, reach_floor
from gating_chain import REPOSITORY, template
from gating_cohort import markers_of
from measuring import Spent, in_fresh_process, table, take_turns

PANEL = "treg"
FLOOR, APPLYING, PLACING, BESIDE = "floor", "applying", "placing", "placing with second opinions"
PER = 100_000


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        write_study(Path(folder), events=options.events)
        path = next(Path(folder).rglob(f"*{PANEL}*.fcs"))
        if options.profile:
            _print_profile(actions_of(path)[PLACING])
            return
        times = in_fresh_process(times_of, path, options.rounds)
    print(f"{options.events} events × 10 channels, {options.rounds} rounds, one core; per 100,000 events")
    print(_table(times, options.events))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=PER, help="events of the tube (default 100000)")
    parser.add_argument("--rounds", type=int, default=25, help="rounds; the median is told (default 25)")
    parser.add_argument("--profile", action="store_true", help="where the time goes, instead")
    return parser.parse_args()


def taught_template() -> GatingStrategy:
    """The shipped template with its reference."""
    reference = REPOSITORY / "config" / "gating" / f"{PANEL}.reference.json"
    return with_reference(template(PANEL), reference, PANEL)


def tube_of(path: Path) -> StainedTube:
    header = inspect_fcs(path, root=path.parent).header
    assert header is not None
    assert header.spillover is not None
    events = TubeEvents(read_events(path, header).events, {TUBE_MATRIX: header.spillover})
    return StainedTube(path.stem, events, markers_of(PANELS[PANEL]), np.ones(events.n_events, dtype=bool))


def actions_of(path: Path) -> dict[str, Callable[[], object]]:
    """What takes turns, on a tube whose events are on the display scale already."""
    strategy, tube, floor = taught_template(), tube_of(path), floor_of(path)
    assert floor is not None
    bare = without_second(strategy)
    placed = gate_tube(strategy, tube, controls={}).placed
    for dimension in {d for gate in placed for d in getattr(gate.gate, "dimensions", ())}:
        tube.events.axis(dimension)

    def place(strategy: GatingStrategy) -> object:
        carried_gate._answer.cache_clear()  # a tube's fit is kept for its other gates
        return gate_tube(strategy, tube, controls={})

    return {
        FLOOR: lambda: reach_floor(floor),
        APPLYING: lambda: apply_strategy(placed, tube.events),
        PLACING: lambda: place(bare),
        BESIDE: lambda: place(strategy),
    }


def times_of(path: Path, rounds: int) -> dict[str, list[Spent]]:
    return take_turns(actions_of(path), rounds=rounds)


def _table(times: Mapping[str, Sequence[Spent]], events: int) -> str:
    milliseconds = {
        name: np.array([1e3 * one.cpu_s for one in spent]) * PER / events for name, spent in times.items()
    }
    milliseconds["finding: placing less applying"] = milliseconds[PLACING] - milliseconds[APPLYING]
    rows = [
        [name, f"{median(each):.1f}", f"{median(each / milliseconds[FLOOR]):.1f}"]
        for name, each in milliseconds.items()
    ]
    return table(["median of rounds", "CPU ms", "x floor"], rows)


def _print_profile(action: Callable[[], object]) -> None:
    action()
    profile = cProfile.Profile()
    profile.enable()
    for _round in range(10):
        action()
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
