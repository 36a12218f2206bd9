"""How a figure becomes part of the page: same figure, same bytes, no clock, no remote address."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8C8C8C"
"""Colours that people with any colour vision tell apart (Okabe & Ito 2008)."""

_STYLE: dict[str, Any] = {
    "svg.hashsalt": "cytotrial",
    "svg.fonttype": "path",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.7,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 7.5,
}


@contextmanager
def house_style() -> Iterator[None]:
    """Fonts, lines and salt of every figure, whatever the user's own matplotlib settings are.

    Text is never read as a formula: a marker or drug may be called "$x$".
    """
    import matplotlib  # noqa: PLC0415 (a second that only the report pays)

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float, *, layout: Literal["constrained"] | None = "constrained") -> Any:
    """An empty figure of so many inches that no window or global state knows of."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def svg_uri(figure: Any) -> str:
    """The figure as a data URI with SVG; `savefig` would draw it twice for its layout."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415

    file = io.BytesIO()
    FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def log_axis(axes: Any) -> None:
    """A logarithmic y axis that is labelled with plain numbers: 0.5, 1, 2, 5, 10."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: PLC0415

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0), numticks=30))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
