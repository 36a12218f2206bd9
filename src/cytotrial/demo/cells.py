"""What flies through the laser: populations, what they bind, how they scatter, how they glow.

Medians are in units of the scale (0..262144) at the cytometer's nominal gain; spreads are
standard deviations of the natural logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType


class Kind(IntEnum):
    """What one event truly is; the codes of the label files."""

    DEBRIS = 0
    GRANULOCYTES = 1
    MONOCYTES = 2
    B = 3
    NK = 4
    CD8_T = 5
    DN_T = 6
    CD4_NAIVE = 7
    CD4_MEMORY = 8
    CD4_ACTIVATED = 9
    TREG = 10
    TH17 = 11
    IL17A_BACKGROUND = 12
    DEAD = 13
    BEADS = 14
    COMPENSATION_BEADS = 15
    STAINED_COMPENSATION_BEADS = 16
    DOUBLETS = 17


NAMES = MappingProxyType(
    {
        Kind.DEBRIS: "debris",
        Kind.GRANULOCYTES: "granulocytes",
        Kind.MONOCYTES: "monocytes",
        Kind.B: "B",
        Kind.NK: "NK",
        Kind.CD8_T: "CD8 T",
        Kind.DN_T: "DN T",
        Kind.CD4_NAIVE: "CD4 naive",
        Kind.CD4_MEMORY: "CD4 memory",
        Kind.CD4_ACTIVATED: "CD4 activated",
        Kind.TREG: "Treg",
        Kind.TH17: "Th17",
        Kind.IL17A_BACKGROUND: "IL-17A background",
        Kind.DEAD: "dead",
        Kind.BEADS: "beads",
        Kind.COMPENSATION_BEADS: "compensation beads",
        Kind.STAINED_COMPENSATION_BEADS: "stained compensation beads",
        Kind.DOUBLETS: "doublets",
    }
)

CD4 = (Kind.CD4_NAIVE, Kind.CD4_MEMORY, Kind.CD4_ACTIVATED, Kind.TREG, Kind.TH17, Kind.IL17A_BACKGROUND)
T_CELLS = (Kind.CD8_T, Kind.DN_T, *CD4)
LYMPHOCYTES = (Kind.B, Kind.NK, *T_CELLS)
DERIVED = MappingProxyType({"CD4+": CD4, "T cells": T_CELLS, "lymphocytes": LYMPHOCYTES})
MAN_MADE = (Kind.BEADS, Kind.COMPENSATION_BEADS, Kind.STAINED_COMPENSATION_BEADS)


@dataclass(frozen=True, slots=True)
class Spread:
    """A log-normal: its median and the SD of its natural logarithm."""

    median: float
    log_sd: float


@dataclass(frozen=True, slots=True)
class Body:
    """Scatter and autofluorescence of a population (autofluorescence relative to a lymphocyte)."""

    forward: Spread
    side: Spread
    autofluorescence: float
    autofluorescence_log_sd: float = 0.30


LYMPHOCYTE = Body(Spread(62_000, 0.11), Spread(19_000, 0.20), 1.0)
_COMPENSATION_BEAD = Body(Spread(48_000, 0.05), Spread(30_000, 0.08), 0.4, 0.10)
BODIES = MappingProxyType(
    dict.fromkeys(LYMPHOCYTES, LYMPHOCYTE)
    | {
        Kind.DEBRIS: Body(Spread(16_000, 0.45), Spread(7_000, 0.65), 0.35, 0.6),
        Kind.GRANULOCYTES: Body(Spread(112_000, 0.13), Spread(125_000, 0.20), 2.2),
        Kind.MONOCYTES: Body(Spread(104_000, 0.13), Spread(52_000, 0.18), 2.0),
        Kind.CD4_ACTIVATED: Body(Spread(68_000, 0.13), Spread(21_000, 0.22), 1.15),
        Kind.DEAD: Body(Spread(44_000, 0.22), Spread(29_000, 0.32), 3.5, 0.5),
        Kind.BEADS: Body(Spread(36_000, 0.04), Spread(88_000, 0.05), 0.0),
        Kind.COMPENSATION_BEADS: _COMPENSATION_BEAD,
        Kind.STAINED_COMPENSATION_BEADS: _COMPENSATION_BEAD,
    }
)

NONSPECIFIC = MappingProxyType(
    {
        "CD45": Spread(60, 0.5),
        "CD3": Spread(70, 0.5),
        "CD4": Spread(60, 0.5),
        "CD8": Spread(60, 0.5),
        "CD25": Spread(60, 0.6),
        "CD127": Spread(60, 0.5),
        "FOXP3": Spread(90, 0.5),
        "IL-17A": Spread(60, 0.65),
        "Viability": Spread(150, 0.4),
    }
)
"""Antibody that sticks to any cell; live cells take up a little of the viability dye."""

_CD45 = Spread(14_000, 0.18)
_CD3 = Spread(6_500, 0.24)
_CD4 = Spread(8_500, 0.22)
_CD127 = Spread(1_700, 0.40)
SPECIFIC = MappingProxyType(
    {
        "CD45": dict.fromkeys(LYMPHOCYTES, _CD45)
        | {
            Kind.MONOCYTES: Spread(10_000, 0.20),
            Kind.GRANULOCYTES: Spread(3_000, 0.28),
            Kind.DEBRIS: Spread(350, 0.9),
            Kind.DEAD: Spread(3_000, 0.6),
        },
        "CD3": dict.fromkeys(T_CELLS, _CD3),
        "CD4": dict.fromkeys(CD4, _CD4) | {Kind.MONOCYTES: Spread(1_100, 0.35)},
        "CD8": {Kind.CD8_T: Spread(18_000, 0.28), Kind.NK: Spread(450, 0.9)},
        "CD25": {
            Kind.CD4_NAIVE: Spread(100, 0.60),
            Kind.CD4_MEMORY: Spread(330, 0.65),
            Kind.TH17: Spread(400, 0.65),
            Kind.CD4_ACTIVATED: Spread(1_300, 0.55),
            Kind.TREG: Spread(3_100, 0.48),
            Kind.B: Spread(150, 0.7),
            Kind.CD8_T: Spread(90, 0.6),
        },
        "CD127": {
            Kind.CD4_NAIVE: _CD127,
            Kind.CD4_MEMORY: Spread(2_000, 0.40),
            Kind.TH17: Spread(2_000, 0.40),
            Kind.CD4_ACTIVATED: Spread(900, 0.60),
            Kind.TREG: Spread(260, 0.60),
            Kind.CD8_T: Spread(1_300, 0.60),
            Kind.DN_T: Spread(900, 0.60),
            Kind.NK: Spread(350, 0.70),
            Kind.MONOCYTES: Spread(300, 0.60),
        },
        "FOXP3": {
            Kind.CD4_MEMORY: Spread(140, 0.50),
            Kind.TH17: Spread(140, 0.50),
            Kind.CD4_ACTIVATED: Spread(460, 0.55),
            Kind.TREG: Spread(1_600, 0.50),
        },
        "IL-17A": {Kind.TH17: Spread(2_600, 0.90), Kind.IL17A_BACKGROUND: Spread(1_800, 0.9)},
        "Viability": {Kind.DEAD: Spread(22_000, 0.55), Kind.DEBRIS: Spread(900, 1.2)},
    }
)
"""Median staining of the populations that carry a marker; all others have the non-specific level."""

ACTIVATION = MappingProxyType({"CD25": 0.60, "FOXP3": 0.55, "CD127": -0.45})
"""How far a cell's state of activation moves its markers (correlation with the common factor)."""

STICKY = Spread(650, 0.8)
"""Any antibody on a dead cell."""

BEAD_LIGHT = MappingProxyType(
    {"BV421-A": 130_000.0, "PE-A": 95_000.0, "PerCP-Cy5-5-A": 32_000.0, "FITC-A": 6_000.0, "APC-A": 3_500.0}
)
BEAD_CV = 0.03
"""Counting beads: brightest in the violet and the PE detector, where no cell is as bright."""

STAINED_BEAD = MappingProxyType({"FOXP3": Spread(16_000, 0.15), "Viability": Spread(30_000, 0.15)})
STAINED_BEAD_DEFAULT = Spread(24_000, 0.15)
"""Compensation beads that caught the antibody."""
