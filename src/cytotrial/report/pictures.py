"""The picture of one gate: the parent's events on the gate's own scale, and the gate's outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cytotrial.report.scene import Anchor, Frame, Scene, log_density
from cytotrial.report.text import superscript
from cytotrial.terms import EllipsoidGate, Gate, PolygonGate, RectangleGate, Transform

Ticks = tuple[tuple[float, str], ...]
Outline = list[npt.NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class GatePicture:
    """Everything needed to draw one gate of one tube; already binned and scaled.

    Parameters
    ----------
    sample_id, population, parent : str
        The tube, the population that the gate keeps, and the population that is drawn.
    x_label, y_label : str
        Marker and channel, such as "CD25 (PE-A)".
    x_transform, y_transform : Transform
        The scales on which the picture is drawn and the gate is stated.
    x_range, y_range : tuple of float
        Ends of the axes, on the display scale.
    counts : ndarray, shape (n_x_bins, n_y_bins), uint32
        Events of the parent in equal bins between the ends of the axes.
    gate : Gate
        In display units, first dimension x, second y. A rectangle with one dimension is a
        threshold on x. A boolean gate has no outline.
    percent_of_parent : float or None
        Frequency; None if the parent is empty.
    events, parent_events : int
        Events of the population and of its parent.
    x_ticks, y_ticks : tuple of (position, label)
        Positions on the display scale; an empty label is a minor tick; "10^3" is a decade.
    flags : tuple of str
        Printed under the picture.
    """

    sample_id: str
    population: str
    parent: str
    x_label: str
    y_label: str
    x_transform: Transform
    y_transform: Transform
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    counts: npt.NDArray[np.uint32]
    gate: Gate
    percent_of_parent: float | None
    events: int
    parent_events: int
    x_ticks: Ticks = ()
    y_ticks: Ticks = ()
    flags: tuple[str, ...] = ()


WIDTH, HEIGHT = 240.0, 236.0
LEFT, TOP, SIDE_X, SIDE_Y = 48.0, 22.0, 184.0, 172.0
"""Pixels of the picture and of the plot in it."""


def draw_gate(picture: GatePicture) -> str:
    """The picture as a data URI (SVG).

    Colour is the number of events in a bin, on a log scale; bins without an event are white.
    """
    scene = Scene(WIDTH, HEIGHT)
    frame = Frame(LEFT, TOP, SIDE_X, SIDE_Y, picture.x_range, picture.y_range)
    frame.density(scene, log_density(picture.counts))
    scene.inside(frame)
    for line in gate_outline(picture.gate, x_range=picture.x_range, y_range=picture.y_range):
        scene.line(frame.points(line), colour="#fff", width=3.6)
        scene.line(frame.points(line), width=1.7)
    scene.outside()
    frame.border(scene)
    _draw_axes(scene, frame, picture)
    _draw_percent(scene, frame, picture)
    return scene.uri()


def gate_outline(gate: Gate, *, x_range: tuple[float, float], y_range: tuple[float, float]) -> Outline:
    """The lines, shape (n_points, 2), that show a gate between the ends of the axes.

    Examples
    --------
    >>> from cytotrial.terms import Dimension
    >>> threshold = RectangleGate((Dimension("PE-A"),), (0.5,), (None,))
    >>> [line.tolist() for line in gate_outline(threshold, x_range=(0, 1), y_range=(0, 1))]
    [[[0.5, 0.0], [0.5, 1.0]]]
    """
    if isinstance(gate, RectangleGate):
        return _rectangle(gate, x_range, y_range)
    if isinstance(gate, PolygonGate):
        return [np.array([*gate.vertices, gate.vertices[0]], dtype=np.float64)]
    if isinstance(gate, EllipsoidGate):
        return [_ellipse(gate)]
    return []


def _rectangle(gate: RectangleGate, x_range: tuple[float, float], y_range: tuple[float, float]) -> Outline:
    x_low, x_high = gate.low[0], gate.high[0]
    if len(gate.dimensions) == 1:
        return [np.array([(x, y) for y in y_range], np.float64) for x in (x_low, x_high) if x is not None]
    left, right = (end if side is None else side for side, end in zip((x_low, x_high), x_range, strict=True))
    sides = (gate.low[1], gate.high[1])
    bottom, top = (end if side is None else side for side, end in zip(sides, y_range, strict=True))
    corners = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    return [np.array(corners, dtype=np.float64)]


def _ellipse(gate: EllipsoidGate) -> npt.NDArray[np.float64]:
    angle = np.linspace(0, 2 * np.pi, 181)
    circle = np.stack([np.cos(angle), np.sin(angle)])
    stretch = np.linalg.cholesky(np.array(gate.covariance, dtype=np.float64)[:2, :2])
    points = np.array(gate.mean[:2])[:, None] + np.sqrt(gate.distance_square) * stretch @ circle
    return np.asarray(points.T, dtype=np.float64)


def _draw_axes(scene: Scene, frame: Frame, picture: GatePicture) -> None:
    frame.x_ticks(scene, _shown_ticks(picture.x_ticks, picture.x_range))
    frame.y_ticks(scene, _shown_ticks(picture.y_ticks, picture.y_range))
    frame.x_label(scene, f"{picture.x_label}, {picture.x_transform.kind}", below=32)
    frame.y_label(scene, f"{picture.y_label}, {picture.y_transform.kind}", before=37)
    scene.text(frame.left, 14, f"{picture.parent} → {picture.population}", size=11, anchor="start", bold=True)


def _shown_ticks(ticks: Ticks, ends: tuple[float, float]) -> list[tuple[float, str]]:
    named = legible_ticks(ticks, least=0.085 * (ends[1] - ends[0]))
    minor = [(position, "") for position, text in ticks if not text]
    return [*minor, *((position, superscript(text)) for position, text in named)]


def legible_ticks(ticks: Ticks, *, least: float) -> Ticks:
    """The labelled ticks that stand at least so far apart; of two that do not, the higher is kept.

    Examples
    --------
    >>> legible_ticks(((0.10, "-10^3"), (0.14, "0"), (0.2, ""), (0.3, "10^3")), least=0.08)
    ((0.14, '0'), (0.3, '10^3'))
    """
    kept: list[tuple[float, str]] = []
    for position, text in sorted(ticks, reverse=True):
        if text and (not kept or kept[-1][0] - position >= least):
            kept.append((position, text))
    return tuple(reversed(kept))


def _draw_percent(scene: Scene, frame: Frame, picture: GatePicture) -> None:
    """The percentage, in the corner that holds the fewest events."""
    half = [size // 2 for size in picture.counts.shape]
    corners: dict[tuple[float, float, Anchor], npt.NDArray[np.uint32]] = {
        (0.03, 0.09, "start"): picture.counts[: half[0], half[1] :],
        (0.97, 0.09, "end"): picture.counts[half[0] :, half[1] :],
        (0.97, 0.97, "end"): picture.counts[half[0] :, : half[1]],
        (0.03, 0.97, "start"): picture.counts[: half[0], : half[1]],
    }
    x, y, anchor = min(corners, key=lambda corner: int(corners[corner].sum()))
    text = "no event in parent" if picture.percent_of_parent is None else f"{picture.percent_of_parent:.3g} %"
    place = (frame.left + x * frame.width, frame.top + y * frame.height)
    scene.text(*place, text, size=12, anchor=anchor, bold=True, halo=True)
