"""How well real mouse tubes are gated by a reference learnt on others, against their author's gates.

    python benchmarks/mouse_activation.py data/cytoexplorer_mouse_activation

Activated mouse splenocytes (CytoExploreRData), gated by the package's author by hand; cytolib wrote which
events lie in each gate. Each tube in turn is left out: the shipped gate finders learn from the author's gates
on the others, place their gates on it, and every event is compared. Two F1 are printed of each population,
their median and the lowest over tubes: of the gate alone, within the author's own parent, and of the
population after all gates above it. CD69 is placed by more than one finder.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cytotrial.errors import GateError
from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.files.template import read_template
from cytotrial.science.gates import TubeEvents
from cytotrial.science.gating import Around, StainedTube, gate_tube
from cytotrial.science.placing import inside, own_gate
from cytotrial.science.teaching import Lesson, examples_of, learn_all, with_constants
from cytotrial.terms import ROOT, TUBE_MATRIX, BoolArray, Find, GatingStrategy, Population
from measuring import table

TEMPLATE = Path(__file__).with_name("mouse_activation.yaml")
DETECTORS = {
    "CD8": "Alexa Fluor 488-A",
    "Va2": "PE-A",
    "CD69": "7-AAD-A",
    "Hoechst-405": "Alexa Fluor 405-A",
    "Hoechst-430": "Alexa Fluor 430-A",
    "CD44": "Alexa Fluor 647-A",
    "CD4": "Alexa Fluor 700-A",
    "CD11c": "APC-Cy7-A",
}
CD69 = ("CD69+ CD4 T Cells", "CD69+ CD8 T Cells")
CD69_FINDERS: Mapping[str, tuple[tuple[str, ...], Mapping[str, object]]] = {
    "negative_offset": (("CD69",), {"offset": 0.2}),
    "reference_valley": (("CD69",), {"min_similarity": 0.0}),
    "carried_gate": (("CD69", "CD44"), {}),
}
"""Finder → the markers it looks at, and its arguments."""


@dataclass(frozen=True, eq=False)
class Mouse:
    """A tube, and the author's events of every population."""

    stained: StainedTube
    author: Mapping[str, BoolArray]


@dataclass(frozen=True, slots=True)
class Compared:
    """F1 of one population on one tube: of its gate within the author's parent, and of the whole chain."""

    population: str
    events: int
    alone: float
    chain: float


def read_mouse(path: Path) -> Mouse:
    """One tube with its embedded matrix, and which of its events the author kept."""
    header = inspect_fcs(path, root=path.parent).header
    assert header is not None
    assert header.spillover is not None
    events = read_events(path, header).events
    tube = TubeEvents(events, {TUBE_MATRIX: header.spillover})
    everything = np.ones(events.n_events, dtype=bool)
    stained = StainedTube(path.stem, tube, DETECTORS, everything)
    indices = np.load(path.parents[1] / "expected" / f"{path.stem}_event_indices.npz")
    author = {ROOT: everything}
    for key in indices.files:
        author[key.split("|")[-1]] = _mask(indices[key], events.n_events)
    author["Live Cells"] = author["Single Cells"] & ~author["Dead Cells"]
    return Mouse(stained, author)


def _mask(rows: np.ndarray, n_events: int) -> BoolArray:
    mask = np.zeros(n_events, dtype=bool)
    mask[rows] = True
    return mask


def strategies() -> dict[str, GatingStrategy]:
    """The template, once for each finder of CD69."""
    shipped = read_template(TEMPLATE)
    return {finder: _with_cd69(shipped, finder) for finder in CD69_FINDERS}


def _with_cd69(strategy: GatingStrategy, finder: str) -> GatingStrategy:
    markers, arguments = CD69_FINDERS[finder]

    def changed(population: Population) -> Population:
        if population.name not in CD69 or population.find is None:
            return population
        (axis,) = population.find.dimensions
        axes = tuple(replace(axis, channel=marker) for marker in markers)
        return replace(population, find=Find(finder, axes, arguments))

    return replace(strategy, populations=tuple(map(changed, strategy.populations)))


def learnt(strategy: GatingStrategy, mice: Sequence[Mouse]) -> GatingStrategy:
    """The strategy with what the author's gates on these tubes teach its finders."""
    lessons: dict[tuple[str, str], Lesson] = {}
    for mouse in mice:
        found = examples_of(strategy, mouse.stained, mouse.author, mouse.author, {}, batch="study")
        for population, find, example in found:
            key = population.name, find.finder
            known = lessons.get(key, Lesson(population, find, {}))
            lessons[key] = replace(known, examples={**known.examples, mouse.stained.sample_id: example})
    return with_constants(strategy, learn_all(lessons.values()), version="study")


def compare(strategy: GatingStrategy, mouse: Mouse) -> Iterator[Compared]:
    """Every population of a tube that was not learnt from."""
    chain = gate_tube(strategy, mouse.stained, controls={}).masks
    around = Around(controls={}, calibrated=True)
    nothing = np.zeros(mouse.stained.events.n_events, dtype=bool)
    for population in strategy.populations:
        true = mouse.author[population.name]
        try:
            gate = own_gate(population, mouse.stained, mouse.author, around).gate
            alone = mouse.author[population.parent] & inside(gate, mouse.stained, mouse.author)
        except GateError:
            alone = nothing
        yield Compared(
            population.name,
            int(np.count_nonzero(true)),
            f1(alone, true),
            f1(chain.get(population.name, nothing), true),
        )


def f1(found: BoolArray, true: BoolArray) -> float:
    return 2 * np.count_nonzero(found & true) / max(np.count_nonzero(found) + np.count_nonzero(true), 1)


def leave_one_out(mice: Sequence[Mouse]) -> dict[str, list[Compared]]:
    """`population` (CD69's with its finder) → each tube, gated by what the others taught."""
    rows: dict[str, list[Compared]] = {}
    for finder, strategy in strategies().items():
        for left_out in mice:
            taught = learnt(strategy, [mouse for mouse in mice if mouse is not left_out])
            for row in compare(taught, left_out):
                label = f"{row.population}: {finder}" if row.population in CD69 else row.population
                if row.population in CD69 or finder == next(iter(CD69_FINDERS)):
                    rows.setdefault(label, []).append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the study: samples/ and expected/")
    arguments = parser.parse_args()
    paths = sorted((arguments.data / "samples").glob("*.fcs"))
    rows = leave_one_out([read_mouse(path) for path in paths])
    print(f"{len(paths)} tubes, each gated by what the author's gates on the others taught")
    head = ("population", "events", "gate: F1", "lowest", "chain: F1", "lowest")
    print(table(head, [_line(label, each) for label, each in rows.items()]))


def _line(label: str, rows: Sequence[Compared]) -> list[str]:
    numbers = sorted(row.events for row in rows)
    each = ([row.alone for row in rows], [row.chain for row in rows])
    figures = [f"{value:.3f}" for values in each for value in (float(np.median(values)), min(values))]
    return [label, f"{numbers[0]} to {numbers[-1]}", *figures]


if __name__ == "__main__":
    main()
