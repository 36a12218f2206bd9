"""What one tube costs: our path, FlowKit's Session with the very same gates, and the floor below both.

    python benchmarks/tube_path.py

Three simulated tubes (count, Treg, Th17) are written to a temporary folder and gated by

- the floor: read the file's bytes, one single-precision matrix product, six comparisons;
- the tube path: pre-flight, decode, compensate, eight fixed gates (two polygons, five rectangles, a quadrant);
- FlowKit's Session: one per file, the same eight gates, in one process;
- the whole gating step: gate finding, time check, medians, pictures and tables included.

The populations of the tube path and of FlowKit must hold the same events, or nothing is timed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measuring import Spent, in_fresh_process, median_ratio, peak_mib, table, take_turns

from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.science.transforms import logicle
from cytotrial.terms import (
    ROOT,
    TUBE_MATRIX,
    Dimension,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    SpilloverMatrix,
)

SEED = 20170
SCALE = logicle()
FLOOR_LIMITS = (200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0)
Limits = tuple[float | None, float | None]


@dataclass(frozen=True)
class Gating:
    """Eight gates on a panel's markers: a polygon on scatter, and these on the logicle scale.

    polygon : two markers; thresholds : five rectangles (marker, low, high), each the child of the one before
    quadrant : two markers, cut at `cut`, below the last rectangle but one
    """

    polygon: tuple[str, str]
    thresholds: tuple[tuple[str, float | None, float | None], ...]
    quadrant: tuple[str, str]
    cut: tuple[float, float]


GATINGS = {
    "count": Gating(
        ("CD45", "CD3"),
        (("CD45", 0.5, None), ("CD3", 0.5, None), ("CD8", None, 0.55), ("Beads", None, 0.7), ("CD4", 0.5, None)),
        ("CD4", "CD8"),
        (0.5, 0.4),
    ),
    "treg": Gating(
        ("CD4", "CD3"),
        (
            ("Viability", None, 0.5),
            ("CD3", 0.45, None),
            ("CD4", 0.5, None),
            ("CD127", None, 0.6),
            ("FOXP3", 0.4, 0.95),
        ),
        ("CD25", "FOXP3"),
        (0.45, 0.4),
    ),
    "th17": Gating(
        ("CD4", "CD3"),
        (
            ("Viability", None, 0.5),
            ("CD3", 0.42, None),
            ("CD8", None, 0.55),
            ("CD4", 0.45, None),
            ("IL-17A", 0.35, None),
        ),
        ("IL-17A", "CD4"),
        (0.35, 0.45),
    ),
}
SCATTER_REGION = ((30e3, 4e3), (110e3, 2e3), (135e3, 20e3), (120e3, 42e3), (60e3, 45e3), (28e3, 20e3))
LOGICLE_REGION = ((0.2, 0.25), (0.7, 0.3), (1.0, 0.5), (1.0, 0.95), (0.6, 1.0), (0.2, 0.8))


@dataclass(frozen=True, eq=False)
class Prepared:
    """A tube with its eight gates, and what the floor needs to know of the file."""

    panel: str
    path: Path
    placed: tuple[PlacedGate, ...]
    matrix: SpilloverMatrix
    quadrant: tuple[Dimension, Dimension]
    unmix: np.ndarray
    data_begin: int


Counts = dict[str, int]


# The tubes and their gates


def write_tubes(folder: Path, *, events: int) -> Path:
    """A study of one draw: three tubes, sheets, and a configuration without controls. Returns the latter."""
    from cytotrial.demo.cohort import cohort_subject  # noqa: PLC0415
    from cytotrial.demo.folder import write_tube  # noqa: PLC0415
    from cytotrial.demo.sheets import write_sheets  # noqa: PLC0415
    from cytotrial.demo.tubes import plan_draw  # noqa: PLC0415
    from cytotrial.steps.example import configuration_for  # noqa: PLC0415

    subject = cohort_subject(0, seed=SEED)
    plans = plan_draw(subject, subject.draws[0], n_events=events, seed=SEED)[:3]
    for plan in plans:
        write_tube(plan, folder=folder, seed=SEED, labels=False)
    write_sheets(folder / "sheets", [subject], plans, seed=SEED)
    repository = Path(__file__).resolve().parents[1]
    embedded = (repository / "config" / "config.yaml").read_text(encoding="utf-8")
    text = configuration_for(embedded, folder).replace("compensation: controls", "compensation: embedded")
    config = folder / "config.yaml"
    config.write_text(text.replace("config/gating", f"{repository}/config/gating"), encoding="utf-8")
    return config


def prepare(config: Path) -> list[Prepared]:
    """Check the study, compile its gating, and place the eight gates on each tube."""
    from cytotrial.steps.check import check_unit  # noqa: PLC0415
    from cytotrial.steps.plan import make_plan  # noqa: PLC0415
    from cytotrial.steps.strategies import compile_gating  # noqa: PLC0415

    plan = make_plan(config)
    for unit in plan.units:
        check_unit(plan, unit)
    for panel in GATINGS:
        compile_gating(config, panel=panel)
    return [_prepared(tube.panel, plan.path_of(tube)) for tube in plan.trial.tubes]


def _prepared(panel: str, path: Path) -> Prepared:
    header = inspect_fcs(path).header
    assert header is not None
    assert header.spillover is not None
    channels = {channel.label: channel.name for channel in header.channels if channel.label}
    gating = GATINGS[panel]
    x, y = (Dimension(channels[marker], SCALE, TUBE_MATRIX) for marker in gating.quadrant)
    return Prepared(
        panel,
        path,
        tuple(_placed(gating, channels, (x, y))),
        header.spillover,
        (x, y),
        _floor_matrix(header.names, header.spillover),
        header.data_begin,
    )


def _placed(
    gating: Gating, channels: dict[str, str], quadrant: tuple[Dimension, Dimension]
) -> Sequence[PlacedGate]:
    first, second = (Dimension(channels[marker], SCALE, TUBE_MATRIX) for marker in gating.polygon)
    scatter = PolygonGate((Dimension("FSC-A"), Dimension("SSC-A")), SCATTER_REGION)
    placed = [
        PlacedGate("scatter", ROOT, scatter),
        PlacedGate("region", "scatter", PolygonGate((first, second), LOGICLE_REGION)),
    ]
    for number, (marker, low, high) in enumerate(gating.thresholds, start=1):
        gate = RectangleGate((Dimension(channels[marker], SCALE, TUBE_MATRIX),), (low,), (high,))
        placed.append(PlacedGate(f"threshold {number}", placed[-1].population, gate))
    parent = placed[-2].population
    for name, (across, up) in quadrants(gating.cut).items():
        gate = RectangleGate(quadrant, (across[0], up[0]), (across[1], up[1]))
        placed.append(PlacedGate(name, parent, gate))
    return placed


def quadrants(cut: tuple[float, float]) -> dict[str, tuple[Limits, Limits]]:
    """The four regions of a quadrant gate and their limits on both axes."""
    x, y = cut
    below, above = (None, x), (x, None)
    under, over = (None, y), (y, None)
    return {"-+": (below, over), "++": (above, over), "+-": (above, under), "--": (below, under)}


def _floor_matrix(names: Sequence[str], spillover: SpilloverMatrix) -> np.ndarray:
    """The inverse of the spillover matrix, transposed, with zeros for the other channels."""
    unmix = np.zeros((len(spillover.detectors), len(names)), dtype=np.float32)
    columns = [names.index(detector) for detector in spillover.detectors]
    unmix[:, columns] = np.linalg.inv(spillover.values).T
    return unmix


# The contestants: each gates one tube


def floor(tube: Prepared) -> int:
    """Bytes, one matrix product, six comparisons: no program that looks at all events does less."""
    content = tube.path.read_bytes()
    n_channels = tube.unmix.shape[1]
    n_values = (len(content) - tube.data_begin) // (4 * n_channels) * n_channels
    events = np.frombuffer(content, dtype="<f4", count=n_values, offset=tube.data_begin)
    compensated = tube.unmix @ events.reshape(-1, n_channels).T
    rows = len(compensated)
    return sum(
        int(np.count_nonzero(compensated[i % rows] > limit)) for i, limit in enumerate(FLOOR_LIMITS)
    )


def our_masks(tube: Prepared) -> dict[str, np.ndarray]:
    report = inspect_fcs(tube.path, root=tube.path.parent)
    assert report.header is not None
    assert report.header.spillover is not None
    events = read_events(tube.path, report.header).events
    return apply_strategy(tube.placed, TubeEvents(events, {TUBE_MATRIX: report.header.spillover}))


def our_path(tube: Prepared) -> Counts:
    return {name: int(np.count_nonzero(mask)) for name, mask in our_masks(tube).items() if name != ROOT}


def flowkit_strategy(tube: Prepared) -> Any:
    """The eight gates as FlowKit has them, the quadrant as one gate."""
    import flowkit  # noqa: PLC0415
    from in_flowkit import axis, in_flowkit, transform_name  # noqa: PLC0415

    strategy = in_flowkit(tube.placed[:-4], tube.matrix)
    cut, dimensions = GATINGS[tube.panel].cut, tube.quadrant
    assert axis(strategy, dimensions[0]) is not None
    dividers = [
        flowkit.QuadrantDivider(
            name, dimension.channel, "tube", [value], transform_name(strategy, dimension.transform)
        )
        for name, dimension, value in zip("xy", dimensions, cut, strict=True)
    ]
    regions = [
        flowkit.gates.Quadrant(name, ["x", "y"], list(limits)) for name, limits in quadrants(cut).items()
    ]
    gate = flowkit.gates.QuadrantGate("quadrant", dividers, regions)
    parent = tube.placed[-1].parent
    strategy.add_gate(gate, (*_above(tube.placed, parent), parent))
    return strategy


def _above(placed: Sequence[PlacedGate], population: str) -> tuple[str, ...]:
    from in_flowkit import path_of  # noqa: PLC0415

    return path_of(population, placed)


def flowkit_session(tube: Prepared, strategy: Any) -> Any:
    import flowkit  # noqa: PLC0415

    session = flowkit.Session(strategy, fcs_samples=str(tube.path))
    session.analyze_samples(use_mp=False)
    return session


def flowkit_counts(tube: Prepared, strategy: Any) -> Counts:
    report = flowkit_session(tube, strategy).get_analysis_report()
    counted = dict(zip(report["gate_name"], report["count"], strict=True))
    return {entry.population: int(counted[entry.population]) for entry in tube.placed}


def whole_step(config: Path) -> Callable[[Prepared], None]:
    """The gating step of the workflow on one tube: finds its gates and writes its tables."""
    from cytotrial.steps.gate import gate_unit  # noqa: PLC0415
    from cytotrial.steps.plan import make_plan  # noqa: PLC0415

    plan = make_plan(config)
    (unit,) = plan.units
    return lambda tube: gate_unit(plan, panel=tube.panel, unit=unit)


def contestants(names: Sequence[str], config: Path, tubes: Sequence[Prepared]) -> dict[str, Any]:
    """Name → function of a tube. Only what is asked for is imported."""
    found: dict[str, Any] = {"floor": floor, "tube path": our_path}
    if "FlowKit Session" in names:
        strategies = {tube.panel: flowkit_strategy(tube) for tube in tubes}
        found["FlowKit Session"] = lambda tube: flowkit_counts(tube, strategies[tube.panel])
    if "whole gating step" in names:
        found["whole gating step"] = whole_step(config)
    return {name: found[name] for name in names}


NAMES = ("floor", "tube path", "FlowKit Session", "whole gating step")


# Measuring


def compare_events(tubes: Sequence[Prepared]) -> list[str]:
    """Populations of which FlowKit has other events than we have."""
    differing = []
    for tube in tubes:
        session = flowkit_session(tube, flowkit_strategy(tube))
        (sample_id,) = session.get_sample_ids()
        for population, mask in our_masks(tube).items():
            if population == ROOT:
                continue
            path = _above(tube.placed, population)
            path = (*path, "quadrant") if population in quadrants((0, 0)) else path
            if not np.array_equal(mask, session.get_gate_membership(sample_id, population, path)):
                differing.append(f"{tube.panel}: {population}")
    return differing


def time_all(config: Path, rounds: int) -> tuple[dict[str, dict[str, list[Spent]]], dict[str, Counts], int]:
    """Panel → contestant → what each round took; panel → events per population; populations that differ."""
    tubes = prepare(config)
    differing = compare_events(tubes)
    if differing:
        sys.exit(f"FlowKit has other events in {', '.join(differing)}")
    actions = contestants(NAMES, config, tubes)
    spent = {
        tube.panel: take_turns({name: _bound(action, tube) for name, action in actions.items()}, rounds=rounds)
        for tube in tubes
    }
    counts = {tube.panel: our_path(tube) for tube in tubes}
    return spent, counts, sum(len(tube.placed) for tube in tubes)


def _bound(action: Callable[[Prepared], object], tube: Prepared) -> Callable[[], object]:
    return lambda: action(tube)


def peak_of(name: str, config: Path) -> float:
    """Most memory of a process that gates the three tubes once, in MiB."""
    tubes = [] if name == "python" else prepare(config)
    for action in contestants([name], config, tubes).values():
        for tube in tubes:
            action(tube)
    return peak_mib()
