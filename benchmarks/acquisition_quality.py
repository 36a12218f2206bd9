"""How well the acquisition check finds what was disturbed, what it takes from steady tubes, and its speed.

    python benchmarks/acquisition_quality.py --seeds 20 --shared ../shared

Four tables are printed:

- simulated tubes whose disturbances are known (`simulate` below);
- tubes of the demo's simulated cytometer, of other seeds than the demo trial's;
- agreement with the events that PeacoQC kept of its example file, where `--shared` holds it;
- CPU time on 100,000 events of 10 channels against a floor: reading the same bytes, one matrix product
  for compensation and six comparisons.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cytotrial.demo.cohort import cohort_subject
from cytotrial.demo.panels import PANELS, RANGE
from cytotrial.demo.tubes import acquire_tube, plan_tubes
from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.science.quality import AcquisitionQuality, assess_acquisition
from cytotrial.terms import BoolArray, Events

SCATTER = ("FSC-A", "FSC-H", "SSC-A")
TOP = 262_143.0
PER_SECOND, TICK_S = 1_000.0, 0.01
KINDS = ("lymphocytes", "monocytes", "granulocytes", "debris", "beads")
SHARES = np.array([0.5, 0.1, 0.2, 0.1, 0.1])
FORWARD = np.array([90e3, 110e3, 130e3, 25e3, 45e3])
SIDE = np.array([25e3, 60e3, 140e3, 12e3, 150e3])
SCATTER_LOG_SD = np.array([0.12, 0.12, 0.13, 0.35, 0.04])
MARKERS = {
    "A-A": (0.70, 8e3),
    "B-A": (0.50, 3e4),
    "C-A": (0.30, 2e3),
    "D-A": (0.05, 5e3),
    "E-A": (0.01, 1e4),
    "F-A": (0.00, 1e3),
    "G-A": (0.95, 6e4),
}
"""Share of cells that carry a marker, and their median signal; the others glow at 120."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What goes wrong, for which share of the events, and by which factors on signal and event rate.

    `clog` and `jump` lie anywhere, `start` and `step` at the ends of the tube, `drift` grows through it.
    Scatter feels half of what the fluorescence does.
    """

    kind: str = ""
    share: float = 0.1
    signal: float = 1.0
    rate: float = 1.0


STEADY = Disturbance()
DISTURBANCES = (
    Disturbance("clog", 0.10, signal=0.75, rate=0.35),
    Disturbance("clog", 0.06, signal=0.80, rate=0.50),
    Disturbance("jump", 0.10, signal=0.75),
    Disturbance("jump", 0.05, signal=1.30),
    Disturbance("step", 0.30, signal=0.80),
    Disturbance("start", 0.10, signal=0.75),
    Disturbance("drift", 1.00, signal=0.88),
    Disturbance("drift", 1.00, signal=1.12),
)


def simulate(
    n_events: int, *, seed: int, disturbance: Disturbance = STEADY, beads: float = 0.1
) -> tuple[Events, BoolArray]:
    """A tube of cells, debris and beads, and which of its events were disturbed (none, by a drift).

    Signals are log-normal, seen through Poisson photo-electrons and electronic noise; arrivals are
    Poisson, on a clock of 10 ms.
    """
    rng = np.random.default_rng(seed)
    cells = SHARES[:-1] / SHARES[:-1].sum() * (1 - beads)
    kinds = rng.choice(len(KINDS), n_events, p=[*cells, beads])
    affected, factor = _disturb(n_events, disturbance, rng)
    values = [*_scatter(kinds, factor, rng), *(_marker(name, kinds, factor, rng) for name in MARKERS)]
    gaps = rng.exponential(1 / PER_SECOND, n_events) / np.where(affected, disturbance.rate, 1.0)
    clock = np.floor(np.cumsum(gaps) / TICK_S) * TICK_S
    table = np.stack([*values, clock]).astype(np.float32)
    return Events(table, (*SCATTER, *MARKERS, "Time")), affected


def _disturb(n_events: int, what: Disturbance, rng: np.random.Generator) -> tuple[BoolArray, np.ndarray]:
    place = np.arange(n_events) / n_events
    anywhere = 0.1 + float(rng.random()) * max(0.0, 0.8 - what.share)
    begin = {"start": 0.0, "step": 1 - what.share}.get(what.kind, anywhere)
    if what.kind == "drift":
        return np.zeros(n_events, bool), 1 + (what.signal - 1) * place
    affected = (place >= begin) & (place < begin + what.share) & bool(what.kind)
    return affected, np.where(affected, what.signal, 1.0)


def _scatter(kinds: np.ndarray, factor: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    n = kinds.size
    felt = (1 + factor) / 2
    area = FORWARD[kinds] * np.exp(SCATTER_LOG_SD[kinds] * rng.normal(size=n))
    height = 0.8 * area * (1 + 0.03 * rng.normal(size=n))
    side = SIDE[kinds] * np.exp(SCATTER_LOG_SD[kinds] * rng.normal(size=n))
    for light in (area, height, side):
        yield np.clip(light * felt + 250 * rng.normal(size=n), 0, TOP)


def _marker(name: str, kinds: np.ndarray, factor: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    share, bright = MARKERS[name]
    n = kinds.size
    carries = (rng.random(n) < share) & (kinds < KINDS.index("debris"))
    light = np.where(
        carries, bright * np.exp(0.45 * rng.normal(size=n)), 120 * np.exp(0.5 * rng.normal(size=n))
    )
    light[kinds == KINDS.index("debris")] *= 0.4
    light = np.where(kinds == KINDS.index("beads"), 150e3 * (1 + 0.03 * rng.normal(size=n)), light)
    photoelectrons = rng.poisson(np.maximum(light * factor * 0.3, 0))
    return np.minimum(photoelectrons / 0.3 + 18 * rng.normal(size=n), TOP)


def assess(events: Events, *, time_channel: str | None = "Time") -> AcquisitionQuality:
    """All channels but the time are followed; scatter only is masked at the ends of its scale."""
    channels = [name for name in events.channels if name != "Time"]
    return assess_acquisition(
        events,
        time_channel=time_channel,
        signal_channels=channels,
        ranges=dict.fromkeys(channels, TOP),
        margin_channels=[name for name in SCATTER if name in channels],
    )


@dataclass(frozen=True, slots=True)
class Score:
    """Per cent of the affected events that were removed, of the others that were lost, and drift seen."""

    removed: float
    lost: float
    drift: bool


def score(events: Events, affected: BoolArray) -> Score:
    found = assess(events)
    removed = 100 * float(np.mean(~found.steady[affected])) if affected.any() else float("nan")
    return Score(removed, 100 * float(np.mean(~found.steady[~affected])), bool(found.drift))


def _line(name: str, scores: Iterable[Score]) -> str:
    scores = list(scores)
    removed = np.array([one.removed for one in scores])
    lost = np.array([one.lost for one in scores])
    found = (
        f"{np.nanmean(removed):7.1f} {np.nanmin(removed):7.1f}"
        if np.isfinite(removed).any()
        else 7 * " " + "-       -"
    )
    drift = 100 * np.mean([one.drift for one in scores])
    return (
        f"{name:52} {found} {lost.mean():7.2f} {lost.max():7.2f} {100 * np.mean(lost > 0):7.0f} {drift:7.0f}"
    )


HEAD = f"{'':52} {'removed':>7} {'least':>7} {'lost':>7} {'most':>7} {'touched':>7} {'drift':>7}"


def simulated_table(seeds: range) -> Iterator[str]:
    yield "Simulated tubes, per cent: affected events removed (mean, least), other events lost (mean, most),"
    yield "tubes that lost any, tubes flagged for drift"
    yield HEAD
    for n_events in (2_400, 10_000, 40_000, 100_000):
        for beads in (0.0, 0.1, 0.5):
            tubes = (score(*simulate(n_events, seed=seed, beads=beads)) for seed in seeds)
            yield _line(f"{n_events:7,} steady, {100 * beads:.0f} % beads", tubes)
        for what in DISTURBANCES:
            name = f"{what.kind} of {100 * what.share:.0f} %, signal x {what.signal}, rate x {what.rate}"
            tubes = (score(*simulate(n_events, seed=seed, disturbance=what)) for seed in seeds)
            yield _line(f"{n_events:7,} {name}", tubes)


def demo_table(seeds: range) -> Iterator[str]:
    """Sample tubes of the Treg and Th17 panels.

    The count tube is left out here: its threshold on CD45 drops more events during a clog, so that
    shares of the acquisition are no shares of the recorded events.
    """
    yield "Tubes of the demo's simulated cytometer"
    yield HEAD
    scores: dict[str, list[Score]] = {}
    for seed in seeds:
        subjects = [cohort_subject(index, seed=900 + seed) for index in range(4)]
        for plan in plan_tubes(subjects, n_events=40_000, seed=900 + seed):
            if plan.missed or plan.draw is None or plan.panel == "count":
                continue
            truth = acquire_tube(plan, seed=900 + seed)
            values = np.ascontiguousarray(truth.acquired.values.T)
            events = Events(values, tuple(name for name, _ in PANELS[plan.panel].channels))
            place = np.arange(events.n_events) / events.n_events
            clogged = (
                (place >= truth.stretch.begin) & (place < truth.stretch.end) & (truth.stretch.kind == "clog")
            )
            scores.setdefault(plan.artefact or "steady", []).append(score(events, clogged))
    for name, tubes in sorted(scores.items()):
        yield _line(f"{name}, {len(tubes)} tubes", tubes)


def read_tube(path: Path) -> Events:
    report = inspect_fcs(path, root=path.parent)
    assert report.header is not None, report
    return read_events(path, report.header).events


def kept_by_peacoqc(folder: Path) -> tuple[Events, BoolArray]:
    """PeacoQC's example file, and which of its events PeacoQC kept: scatter identifies every event."""
    events = read_tube(folder / "111.fcs")
    kept = read_tube(folder / "expected" / "111_QC_by_PeacoQC.fcs")
    place = {tuple(column): index for index, column in enumerate(events.values[:3].T.tolist())}
    mask = np.zeros(events.n_events, bool)
    mask[[place[tuple(column)] for column in kept.values[:3].T.tolist()]] = True
    return events, mask


def agreement_with_peacoqc(folder: Path) -> tuple[float, AcquisitionQuality]:
    """Share of events on which both agree; off-scale events of all channels are masked, as PeacoQC does."""
    events, kept = kept_by_peacoqc(folder)
    channels = [name for name in events.channels if name != "Time"]
    found = assess_acquisition(
        events, time_channel="Time", signal_channels=channels, ranges=dict.fromkeys(channels, TOP)
    )
    return float(np.mean(found.keep == kept)), found


def _cpu_ms(work: Callable[[], object], *, rounds: int = 31) -> float:
    work()
    spent = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        work()
        spent.append((time.process_time_ns() - begin) / 1e6)
    return float(np.median(spent))


def _floor(path: Path, matrix: np.ndarray, channels: int) -> int:
    values = np.frombuffer(path.read_bytes(), np.float32).reshape(-1, channels)
    compensated = values[:, : len(matrix)] @ matrix
    return int(np.count_nonzero(np.logical_and.reduce([compensated[:, i] > 100 for i in range(6)])))


def speed_table() -> Iterator[str]:
    events, _ = simulate(100_000, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.bin"
        path.write_bytes(events.values.T.tobytes())
        matrix = np.eye(6, dtype=np.float32) + 0.01
        floor = _cpu_ms(partial(_floor, path, matrix, len(events.channels)))
        spent = _cpu_ms(partial(assess, events))
    yield "CPU time on 100,000 events of 10 channels and time, median of 31 rounds"
    yield f"floor {floor:.1f} ms, check {spent:.1f} ms, {spent / floor:.1f} x the floor"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20, help="tubes of each kind")
    parser.add_argument("--shared", type=Path, help="folder that holds data/qc_peacoqc")
    given = parser.parse_args()
    seeds = range(given.seeds)
    for table in (speed_table(), simulated_table(seeds), demo_table(range(max(1, given.seeds // 4)))):
        for line in table:
            print(line)
        print()
    if given.shared is not None:
        agreed, found = agreement_with_peacoqc(given.shared / "data" / "qc_peacoqc")
        print(f"PeacoQC's example: both agree on {100 * agreed:.1f} % of events")
        print(f"removed here {found.removed_percent:.1f} %, for {', '.join(found.channels)}")


if __name__ == "__main__":
    assert RANGE - 1 == TOP
    main()
