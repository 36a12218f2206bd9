"""Gates on real files of many makes, written as GatingML: FlowKit reads both and finds the same events."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from cytotrial.errors import CytotrialError
from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.files.gatingml_writer import write_gatingml
from cytotrial.files.in_flowkit import applied_by_flowkit
from cytotrial.science.gates import TubeEvents, apply_strategy
from cytotrial.science.transforms import asinh, logicle
from cytotrial.terms import (
    Dimension,
    EllipsoidGate,
    Events,
    PlacedGate,
    PolygonGate,
    RectangleGate,
    SpilloverMatrix,
)

NOT_READ_BY_FLOWKIT = {
    "data_start_offset_discrepancy_example.fcs",
    "data_stop_offset_discrepancy_example.fcs",
    "fake_large_offsets_in_TEXT.fcs",
    "flowcal_24bit_integer.fcs",
    "variable_int_example.fcs",
}
GARBAGE = "labkey_fake_2_0_garbage_data.fcs"


def real_files(shared: Path) -> Iterator[Path]:
    """One file of each study, and every odd one; those that the pre-flight lets through."""
    for folder in sorted(path for path in (shared / "data").iterdir() if path.is_dir()):
        files = sorted(folder.rglob("*.fcs"))
        for path in files if folder.name == "odd_formats" else files[:1]:
            if inspect_fcs(path, root=shared / "data").header is not None and path.name != GARBAGE:
                yield path


def opened(path: Path, shared: Path) -> tuple[Events, TubeEvents]:
    header = inspect_fcs(path, root=shared / "data").header
    assert header is not None
    events = read_events(path, header).events
    return events, TubeEvents(events, own_matrix(header.spillover))


def own_matrix(spillover: SpilloverMatrix | None) -> dict[str, SpilloverMatrix]:
    return {"tube": spillover} if spillover is not None else {}


def is_scatter_or_time(channel: str) -> bool:
    return channel.upper().startswith(("FSC", "SSC", "TIME"))


def between_events(values: np.ndarray, share: float) -> float:
    """A cut at a quantile, halfway between two neighbours that differ: no event lies on it."""
    known = np.unique(values.astype(np.float64))
    place = min(int(share * (known.size - 1)), max(known.size - 2, 0))
    return float((known[place] + known[min(place + 1, known.size - 1)]) / 2)


def gates_of(events: Events, tube: TubeEvents) -> list[PlacedGate]:
    """Thresholds, polygons and ellipses on pairs of fluorescence channels; thresholds on scatter and time."""
    stained = [name for name in events.channels if not is_scatter_or_time(name)][:7]
    gates = [gate for pair in pairwise(stained) for gate in gates_on(pair, tube)]
    for channel in events.channels:
        if is_scatter_or_time(channel):
            row = events.row(channel)
            if np.ptp(row) > 0:
                cut = RectangleGate((Dimension(channel),), (between_events(row, 0.5),), (None,))
                gates.append(PlacedGate(f"above/{channel}", "root", cut))
    return gates


def gates_on(pair: tuple[str, str], tube: TubeEvents) -> Iterator[PlacedGate]:
    matrix = tube.matrices.get("tube")
    name = "tube" if matrix is not None and set(pair) <= set(matrix.detectors) else ""
    x, y = Dimension(pair[0], logicle(), name), Dimension(pair[1], asinh(), name)
    points = tube.exact((x, y), np.arange(tube.n_events))
    if min(np.ptp(points, axis=0)) < 1e-3:
        return
    low, middle, high = ([between_events(points[:, axis], q) for axis in (0, 1)] for q in (0.1, 0.5, 0.9))
    label = "+".join(pair)
    yield PlacedGate(f"cut {label}", "root", RectangleGate((x,), (middle[0],), (None,)))
    corners = ((low[0], low[1]), (high[0], middle[1]), (middle[0], high[1]))
    yield PlacedGate(f"polygon {label}", f"cut {label}", PolygonGate((x, y), corners))
    covariance = np.cov(points.T)
    if np.linalg.cond(covariance) < 1e5:
        rows = tuple((float(a), float(b)) for a, b in covariance)
        yield PlacedGate(
            f"ellipse {label}", "root", EllipsoidGate((x, y), (middle[0], middle[1]), rows, 1.2345)
        )


def test_flowkit_finds_the_same_events_in_files_of_every_make(shared: Path, tmp_path: Path) -> None:
    compared, not_read = 0, set()
    for path in real_files(shared):
        events, tube = opened(path, shared)
        gates = gates_of(events, tube)
        if not gates:
            continue
        write_gatingml(tmp_path / "gates.xml", gates, matrices=tube.matrices, notes={})
        try:
            theirs = applied_by_flowkit(tmp_path / "gates.xml", path)
        except CytotrialError:
            not_read.add(path.name)
            continue
        ours = apply_strategy(gates, tube)
        for gate in gates:
            np.testing.assert_array_equal(
                ours[gate.population], theirs[gate.population], err_msg=f"{path.name}: {gate.population}"
            )
        compared += len(gates)
    assert not_read <= NOT_READ_BY_FLOWKIT
    assert compared > 400


@pytest.mark.parametrize(
    "name",
    ["flowkit_gatingml_reference/data1.fcs", "calibur_fcs2_itn_cd25", "odd_formats/facscalibur_hts.fcs"],
)
def test_where_many_integers_lie_on_a_cut_flowkit_puts_them_on_the_same_side(
    shared: Path, tmp_path: Path, name: str
) -> None:
    # Logarithmic amplifiers of 1,024 channels: a cut at the median of such a channel has many events on it.
    path = shared / "data" / name
    path = path if path.is_file() else min(path.glob("*.fcs"))
    events, tube = opened(path, shared)
    stained = [channel for channel in events.channels if not is_scatter_or_time(channel)]
    gates, on_the_cut = [], 0
    for channel in stained:
        axis = Dimension(channel, logicle())
        places = tube.exact((axis,), np.arange(tube.n_events))[:, 0]
        cut = float(np.sort(places)[places.size // 2])
        on_the_cut += int(np.count_nonzero(places == cut))
        gates.append(PlacedGate(channel, "root", RectangleGate((axis,), (cut,), (None,))))
    write_gatingml(tmp_path / "gates.xml", gates, matrices={}, notes={})
    theirs = applied_by_flowkit(tmp_path / "gates.xml", path)
    ours = apply_strategy(gates, tube)
    assert on_the_cut > 100
    for channel in stained:
        np.testing.assert_array_equal(ours[channel], theirs[channel], err_msg=channel)
