"""Three simulated tubes and eight fixed gates on each: two polygons, five rectangles, one quadrant gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cytotrial.files.fcs import inspect_fcs
from cytotrial.files.overrides import write_overrides
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
SCATTER = (Dimension("FSC-A"), Dimension("SSC-A"))
SCATTER_REGION = ((30e3, 4e3), (110e3, 2e3), (135e3, 20e3), (120e3, 42e3), (60e3, 45e3), (28e3, 20e3))
LOGICLE_REGION = ((0.2, 0.25), (0.7, 0.3), (1.0, 0.5), (1.0, 0.95), (0.6, 1.0), (0.2, 0.8))
"""Six vertices each: lymphocytes by scatter, and most of what is bright on two markers."""

Limit = float | None


@dataclass(frozen=True)
class Gating:
    """What the gates of a panel look at, on the logicle scale.

    region : two markers of the second polygon
    thresholds : five rectangles (marker, low, high), each within the one before
    quadrant : two markers and where they are cut; within the last rectangle but one
    """

    region: tuple[str, str]
    thresholds: tuple[tuple[str, Limit, Limit], ...]
    quadrant: tuple[tuple[str, float], tuple[str, float]]


GATINGS = MappingProxyType(
    {
        "count": Gating(
            ("CD45", "CD3"),
            (
                ("CD45", 0.5, None),
                ("CD3", 0.5, None),
                ("CD8", None, 0.55),
                ("Beads", None, 0.7),
                ("CD4", 0.5, None),
            ),
            (("CD4", 0.5), ("CD45", 0.8)),
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
            (("CD25", 0.45), ("FOXP3", 0.4)),
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
            (("IL-17A", 0.35), ("CD4", 0.6)),
        ),
    }
)


@dataclass(frozen=True, eq=False)
class GatedAlike:
    """A tube with the gates that every contestant applies to it.

    single : the two polygons and five rectangles
    quadrant : the four rectangles of the quadrant gate
    """

    panel: str
    path: Path
    matrix: SpilloverMatrix
    single: tuple[PlacedGate, ...]
    quadrant: tuple[PlacedGate, ...]

    @property
    def placed(self) -> tuple[PlacedGate, ...]:
        return self.single + self.quadrant


def write_study(folder: Path, *, events: int) -> Path:
    """Write a count, a Treg and a Th17 tube of one draw as a study of its own.

    Returns
    -------
    Path
        Its configuration: the embedded one, with the files' own spillover matrices.
    """
    from cytotrial.demo.cohort import case_subject, cohort_subject  # noqa: PLC0415
    from cytotrial.demo.folder import write_tube  # noqa: PLC0415
    from cytotrial.demo.sheets import write_sheets  # noqa: PLC0415
    from cytotrial.demo.tubes import plan_draw  # noqa: PLC0415
    from cytotrial.steps.example import configuration_for  # noqa: PLC0415

    subject = cohort_subject(0, seed=SEED)
    plans = plan_draw(subject, subject.draws[0], n_events=events, seed=SEED)[:3]
    for plan in plans:
        write_tube(plan, folder=folder, seed=SEED, labels=False)
    write_sheets(folder / "sheets", [subject, case_subject(seed=SEED)], plans, seed=SEED)
    embedded = Path(__file__).resolve().parents[1] / "config"
    text = configuration_for((embedded / "config.yaml").read_text(encoding="utf-8"), folder)
    text = text.replace("compensation: controls", "compensation: embedded")
    write_overrides(folder / "overrides.tsv", ())
    config = folder / "config.yaml"
    config.write_text(text.replace("config/gating", f"{embedded.as_posix()}/gating"), encoding="utf-8")
    return config


def gated_alike(panel: str, path: Path) -> GatedAlike:
    """Place the eight gates of a panel on a file's own channels."""
    header = inspect_fcs(path).header
    assert header is not None
    assert header.spillover is not None
    channels = {channel.label: channel.name for channel in header.channels if channel.label}
    axes = {marker: Dimension(name, SCALE, TUBE_MATRIX) for marker, name in channels.items()}
    single = tuple(_single(GATINGS[panel], axes))
    quadrant = tuple(_quadrant(GATINGS[panel], axes, parent=single[-1].parent))
    return GatedAlike(panel, path, header.spillover, single, quadrant)


def _single(gating: Gating, axes: Mapping[str, Dimension]) -> Iterator[PlacedGate]:
    first, second = gating.region
    yield PlacedGate("scatter", ROOT, PolygonGate(SCATTER, SCATTER_REGION))
    yield PlacedGate("region", "scatter", PolygonGate((axes[first], axes[second]), LOGICLE_REGION))
    parent = "region"
    for marker, low, high in gating.thresholds:
        name = f"{marker} {'high' if high is None else 'low'}"
        yield PlacedGate(name, parent, RectangleGate((axes[marker],), (low,), (high,)))
        parent = name


def _quadrant(gating: Gating, axes: Mapping[str, Dimension], *, parent: str) -> Iterator[PlacedGate]:
    (first, x), (second, y) = gating.quadrant
    for across in ("-", "+"):
        for up in ("-", "+"):
            low = (None if across == "-" else x, None if up == "-" else y)
            high = (x if across == "-" else None, y if up == "-" else None)
            gate = RectangleGate((axes[first], axes[second]), low, high)
            yield PlacedGate(f"{first}{across} {second}{up}", parent, gate)
