"""One simulated tube as an FCS 3.1 file: float32, little endian, written by FlowIO.

References
----------
Spidlen J, et al. Data File Standard for Flow Cytometry, version FCS 3.1. Cytometry A
2010;77:97-100.
"""

from __future__ import annotations

import io
from array import array
from datetime import datetime, timedelta

import flowio
import numpy as np
import numpy.typing as npt

from cytotrial.demo.panels import DETECTORS, RANGE, SCATTER, SCATTER_VOLTS, TIMESTEP_S, DemoPanel

CYTOMETER = "Simulated digital cytometer"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def fcs_bytes(
    values: npt.NDArray[np.float32], panel: DemoPanel, *, embedded: npt.NDArray[np.float64], begun: datetime
) -> bytes:
    """The whole file of a tube.

    Parameters
    ----------
    values : ndarray, shape (n_events, n_channels), float32
        In the order of `panel.channels`.
    embedded : ndarray, shape (n_dyes, n_dyes)
        What $SPILLOVER says.
    begun : datetime
        Start of the acquisition; its end follows from the last event.
    """
    names, labels = zip(*panel.channels, strict=True)
    seconds = float(values[-1, -1]) * TIMESTEP_S if len(values) else 0.0
    keywords = _keywords(panel, embedded, begun=begun, seconds=seconds)
    stream = io.BytesIO()
    events = array("f")
    events.frombytes(np.ascontiguousarray(values, dtype="<f4").tobytes())
    flowio.create_fcs(stream, events, list(names), list(labels), keywords)
    return stream.getvalue()


def _keywords(
    panel: DemoPanel, embedded: npt.NDArray[np.float64], *, begun: datetime, seconds: float
) -> dict[str, str]:
    ended = begun + timedelta(seconds=seconds)
    keywords = {
        "$CYT": CYTOMETER,
        "$DATE": f"{begun.day:02d}-{MONTHS[begun.month - 1]}-{begun.year}",
        "$BTIM": begun.strftime("%H:%M:%S"),
        "$ETIM": ended.strftime("%H:%M:%S"),
        "$TIMESTEP": f"{TIMESTEP_S:g}",
        "$SPILLOVER": spillover_text(panel, embedded),
    }
    volts = dict(zip(SCATTER, SCATTER_VOLTS, strict=True)) | {
        name: row.volts for name, row in DETECTORS.items()
    }
    for number, (name, _) in enumerate(panel.channels, start=1):
        keywords[f"$P{number}R"] = str(RANGE)
        keywords[f"$P{number}G"] = "1.0"
        if name in volts:
            keywords[f"$P{number}V"] = str(volts[name])
    return keywords


def spillover_text(panel: DemoPanel, matrix: npt.NDArray[np.float64]) -> str:
    """$SPILLOVER: number of channels, their names, the matrix by rows."""
    numbers = [f"{value:.6g}" for value in matrix.ravel()]
    return ",".join([str(len(panel.dyes)), *panel.dye_detectors, *numbers])
