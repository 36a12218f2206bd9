"""Pictures of densities as SVG, without a plotting library: an image of the bins under lines and text.

A report shows more than a hundred small densities. Laying out and rasterising each takes a plotting
library a tenth of a second; writing the few lines of SVG that they consist of takes next to nothing,
and they stay sharp in print.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt

Anchor = Literal["start", "middle", "end"]
Ends = tuple[float, float]
Colours = npt.NDArray[np.uint8]

FONT = "DejaVu Sans, Verdana, sans-serif"


@dataclass
class Scene:
    """An SVG picture in the making; units are CSS pixels, y runs down."""

    width: float
    height: float
    _parts: list[str] = field(default_factory=list)

    def image(self, colours: Colours, *, left: float, top: float, width: float, height: float) -> None:
        """Bins as coloured boxes; `colours` has shape (n_rows, n_columns, 3), the first row on top."""
        place = f'x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}"'
        look = 'preserveAspectRatio="none" style="image-rendering:pixelated"'
        self._parts.append(f'<image {place} {look} href="{_png_uri(colours)}"/>')

    def line(
        self, points: Iterable[Sequence[float]], *, colour: str = "#000", width: float = 1.0, dash: str = ""
    ) -> None:
        """A line through points (x, y)."""
        path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        look = f'fill="none" stroke="{colour}" stroke-width="{_n(width)}" stroke-linejoin="round"{dashed}'
        self._parts.append(f'<polyline points="{path}" {look}/>')

    def box(
        self, left: float, top: float, width: float, height: float, *, colour: str, opacity: float = 1.0
    ) -> None:
        """A filled rectangle."""
        place = f'x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}"'
        self._parts.append(f'<rect {place} fill="{colour}" fill-opacity="{_n(opacity)}"/>')

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 9.5,
        anchor: Anchor = "middle",
        colour: str = "#000",
        bold: bool = False,
        halo: bool = False,
        turn: float = 0.0,
    ) -> None:
        """Words with their baseline at (x, y), turned by degrees; a halo keeps them legible on colours."""
        look = f'font-size="{_n(size)}" text-anchor="{anchor}" fill="{colour}"'
        look += ' font-weight="bold"' if bold else ""
        look += ' paint-order="stroke" stroke="#fff" stroke-width="3.5" stroke-opacity="0.85"' if halo else ""
        look += f' transform="rotate({_n(turn)} {_n(x)} {_n(y)})"' if turn else ""
        self._parts.append(f'<text x="{_n(x)}" y="{_n(y)}" {look}>{escape(words)}</text>')

    def inside(self, frame: Frame) -> None:
        """Clip what follows to a frame, until `outside`."""
        name = f"c{len(self._parts)}"
        place = (
            f'x="{_n(frame.left)}" y="{_n(frame.top)}" width="{_n(frame.width)}" height="{_n(frame.height)}"'
        )
        self._parts.append(f'<clipPath id="{name}"><rect {place}/></clipPath><g clip-path="url(#{name})">')

    def outside(self) -> None:
        """End of the clipping."""
        self._parts.append("</g>")

    def svg(self) -> str:
        """The picture as SVG text."""
        size = f'width="{_n(self.width)}" height="{_n(self.height)}"'
        view = f'viewBox="0 0 {_n(self.width)} {_n(self.height)}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} font-family={quoteattr(FONT)}>'
        back = f'<rect width="{_n(self.width)}" height="{_n(self.height)}" fill="#fff"/>'
        return "".join([head, back, *self._parts, "</svg>"])

    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg().encode()).decode('ascii')}"


@dataclass(frozen=True)
class Frame:
    """A plot's area in a scene, and the ends of its axes: data to pixels."""

    left: float
    top: float
    width: float
    height: float
    x_range: Ends
    y_range: Ends

    def x(self, value: float) -> float:
        """Pixel of a place on the axis across."""
        low, high = self.x_range
        return self.left + self.width * (value - low) / (high - low)

    def y(self, value: float) -> float:
        """Pixel of a place on the axis up."""
        low, high = self.y_range
        return self.top + self.height * (high - value) / (high - low)

    def points(self, values: npt.ArrayLike) -> list[tuple[float, float]]:
        """Pixels of places, shape (n_points, 2)."""
        return [(self.x(x), self.y(y)) for x, y in np.asarray(values, dtype=np.float64)]

    def density(self, scene: Scene, colours: Colours) -> None:
        """Fill the frame with coloured bins, shape (n_x_bins, n_y_bins, 3)."""
        place = {"left": self.left, "top": self.top, "width": self.width, "height": self.height}
        scene.image(colours.transpose(1, 0, 2)[::-1], **place)

    def border(self, scene: Scene) -> None:
        """The frame's four sides."""
        right, bottom = self.left + self.width, self.top + self.height
        corners = [(self.left, self.top), (right, self.top), (right, bottom), (self.left, bottom)]
        scene.line([*corners, corners[0]], width=0.8)

    def x_ticks(self, scene: Scene, ticks: Iterable[tuple[float, str]], *, size: float = 9.0) -> None:
        """Ticks below; one without a label is short."""
        bottom = self.top + self.height
        for value, label in ticks:
            if self.x_range[0] <= value <= self.x_range[1]:
                at = self.x(value)
                scene.line([(at, bottom), (at, bottom + (4 if label else 2.5))], width=0.8)
                if label:
                    scene.text(at, bottom + 5 + size, label, size=size)

    def y_ticks(self, scene: Scene, ticks: Iterable[tuple[float, str]], *, size: float = 9.0) -> None:
        """Ticks on the left; one without a label is short."""
        for value, label in ticks:
            if self.y_range[0] <= value <= self.y_range[1]:
                at = self.y(value)
                scene.line([(self.left - (4 if label else 2.5), at), (self.left, at)], width=0.8)
                if label:
                    scene.text(self.left - 6, at + 0.36 * size, label, size=size, anchor="end")

    def x_label(self, scene: Scene, words: str, *, below: float, size: float = 9.5) -> None:
        """What the axis across shows, so far below the frame."""
        scene.text(self.left + self.width / 2, self.top + self.height + below, words, size=size)

    def y_label(self, scene: Scene, words: str, *, before: float, size: float = 9.5) -> None:
        """What the axis up shows, so far left of the frame."""
        scene.text(self.left - before, self.top + self.height / 2, words, size=size, turn=-90)


def shades(counts: npt.NDArray[Any], *, scheme: str, lowest: float, highest: float) -> Colours:
    """Colours of bins by a colour map between two values, shape (*counts.shape, 3); white where masked."""
    masked = np.ma.asarray(counts)
    if highest <= lowest:
        highest = lowest + 1
    share = (masked.filled(lowest).astype(np.float64) - lowest) / (highest - lowest)
    colours = _table(scheme)[np.clip(share * 256, 0, 255).astype(np.intp)]
    colours[np.ma.getmaskarray(masked)] = 255
    return colours


def log_density(counts: npt.NDArray[Any]) -> Colours:
    """Pseudo-colour of numbers of events on a log scale; bins without an event are white."""
    events = counts.astype(np.float64)
    logs = np.ma.masked_where(events == 0, np.log1p(events))
    return shades(logs, scheme="turbo", lowest=-0.15, highest=float(np.log1p(events.max(initial=0.0))))


@cache
def _table(scheme: str) -> Colours:
    import matplotlib  # noqa: PLC0415 (a second that only the report pays)

    colours = matplotlib.colormaps[scheme].resampled(256)(np.arange(256), bytes=True)
    return np.asarray(colours, dtype=np.uint8)[:, :3]


def _png_uri(colours: Colours) -> str:
    from matplotlib.image import imsave  # noqa: PLC0415 (only the report pays)

    file = io.BytesIO()
    no_clock: dict[str, Any] = {"Software": None}
    imsave(file, np.ascontiguousarray(colours), format="png", metadata=no_clock)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _n(value: float) -> str:
    """A number of the drawing, to a hundredth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
