"""The simulated cytometer and the three panels: detectors, dyes and the light that spills over."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

SCATTER = ("FSC-A", "FSC-H", "SSC-A")
SCATTER_VOLTS = (310, 310, 420)
TIME = "Time"
RANGE = 262_144
TIMESTEP_S = 0.01


@dataclass(frozen=True, slots=True)
class Detector:
    """One photomultiplier.

    name : $PnN of its area channel
    volts : $PnV
    photoelectrons_per_unit : photo-electrons behind one unit of the scale (0..262144)
    noise_sd : electronic noise, in units
    autofluorescence : median light of an unstained lymphocyte, in units
    """

    name: str
    volts: int
    photoelectrons_per_unit: float
    noise_sd: float
    autofluorescence: float


DETECTORS = MappingProxyType(
    {
        detector.name: detector
        for detector in (
            Detector("BV421-A", 430, 0.25, 18.0, 130.0),
            Detector("FITC-A", 480, 0.25, 15.0, 160.0),
            Detector("PE-A", 470, 0.50, 15.0, 90.0),
            Detector("PerCP-Cy5-5-A", 560, 0.10, 20.0, 60.0),
            Detector("APC-A", 600, 0.20, 20.0, 45.0),
            Detector("APC-Cy7-A", 620, 0.10, 22.0, 40.0),
        )
    }
)
"""Blue light excites most autofluorescence; far red has least, and the fewest photo-electrons."""


@dataclass(frozen=True, slots=True)
class Dye:
    """A fluorochrome on an antibody (or a viability dye), and the detector that is meant to see it."""

    marker: str
    fluorochrome: str
    detector: str


@dataclass(frozen=True, slots=True)
class DemoPanel:
    """One kind of tube: `key` as in the config, its dyes, and detectors without a dye with their label."""

    key: str
    dyes: tuple[Dye, ...]
    empty: tuple[tuple[str, str], ...] = ()

    @property
    def markers(self) -> tuple[str, ...]:
        return tuple(dye.marker for dye in self.dyes)

    @property
    def dye_detectors(self) -> tuple[str, ...]:
        return tuple(dye.detector for dye in self.dyes)

    @property
    def detectors(self) -> tuple[str, ...]:
        return self.dye_detectors + tuple(name for name, _ in self.empty)

    @property
    def channels(self) -> tuple[tuple[str, str], ...]:
        """$PnN and $PnS of every channel, in the order of the file."""
        dyes = tuple((dye.detector, dye.marker) for dye in self.dyes)
        return (*((name, "") for name in SCATTER), *dyes, *self.empty, (TIME, ""))


COUNT = DemoPanel(
    "count",
    (
        Dye("CD3", "FITC", "FITC-A"),
        Dye("CD8", "PE", "PE-A"),
        Dye("CD45", "PerCP-Cy5.5", "PerCP-Cy5-5-A"),
        Dye("CD4", "APC", "APC-A"),
    ),
    empty=(("BV421-A", "Beads"),),
)
TREG = DemoPanel(
    "treg",
    (
        Dye("CD4", "FITC", "FITC-A"),
        Dye("CD25", "PE", "PE-A"),
        Dye("CD3", "PerCP-Cy5.5", "PerCP-Cy5-5-A"),
        Dye("FOXP3", "Alexa Fluor 647", "APC-A"),
        Dye("Viability", "eFluor 780", "APC-Cy7-A"),
        Dye("CD127", "BV421", "BV421-A"),
    ),
)
TH17 = DemoPanel(
    "th17",
    (
        Dye("CD4", "FITC", "FITC-A"),
        Dye("IL-17A", "PE", "PE-A"),
        Dye("CD3", "PerCP-Cy5.5", "PerCP-Cy5-5-A"),
        Dye("CD8", "APC", "APC-A"),
        Dye("Viability", "eFluor 780", "APC-Cy7-A"),
    ),
)
PANELS = MappingProxyType({panel.key: panel for panel in (COUNT, TREG, TH17)})

SPILL = MappingProxyType(
    {
        ("BV421", "FITC-A"): 0.012,
        ("FITC", "BV421-A"): 0.002,
        ("FITC", "PE-A"): 0.160,
        ("FITC", "PerCP-Cy5-5-A"): 0.018,
        ("PE", "FITC-A"): 0.014,
        ("PE", "PerCP-Cy5-5-A"): 0.210,
        ("PE", "APC-A"): 0.004,
        ("PerCP-Cy5.5", "PE-A"): 0.008,
        ("PerCP-Cy5.5", "APC-A"): 0.045,
        ("PerCP-Cy5.5", "APC-Cy7-A"): 0.100,
        ("APC", "PerCP-Cy5-5-A"): 0.012,
        ("APC", "APC-Cy7-A"): 0.110,
        ("Alexa Fluor 647", "PerCP-Cy5-5-A"): 0.015,
        ("Alexa Fluor 647", "APC-Cy7-A"): 0.085,
        ("eFluor 780", "APC-A"): 0.040,
        ("eFluor 780", "PerCP-Cy5-5-A"): 0.006,
    }
)
"""Light of a dye in a detector not meant for it, as a share of its light in its own; 0 where absent."""


def base_spillover(panel: DemoPanel) -> npt.NDArray[np.float64]:
    """Spillover of a panel at unit gain, shape (n_dyes, n_dyes), rows dyes, columns their detectors.

    The empty detector of the count tube (450 nm) receives nothing from the count tube's dyes,
    which all emit above 500 nm.
    """
    rows = [
        [
            1.0 if dye.detector == name else SPILL.get((dye.fluorochrome, name), 0.0)
            for name in panel.dye_detectors
        ]
        for dye in panel.dyes
    ]
    return np.array(rows)
