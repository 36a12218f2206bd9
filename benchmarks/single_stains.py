"""Simulated single-stain controls whose spillover is known.

Cells of uneven size and autofluorescence with debris and dead cells, a log-normal stain on one cell type,
photo-electrons, amplifier noise. What a case changes is what goes wrong in a laboratory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cytotrial.science.compensation import Control

Matrix = npt.NDArray[np.float64]

DETECTORS = ("B1-A", "B2-A", "B3-A", "R1-A", "R2-A", "V1-A")

TRUE = np.array(
    [
        [1.0, 0.20, 0.08, 0.0, 0.0, 0.01],
        [0.012, 1.0, 0.52, 0.001, 0.0005, 0.0],
        [0.002, 0.15, 1.0, 0.02, 0.30, 0.0],
        [0.0, 0.0, 0.02, 1.0, 0.36, 0.0],
        [0.0, 0.001, 0.01, 0.05, 1.0, 0.002],
        [0.03, 0.01, 0.0, 0.0, 0.0, 1.0],
    ]
)
"""Of the size of a three-laser panel, a tandem dye (B3) included."""

AUTOFLUORESCENCE = np.array([60.0, 50, 45, 20, 12, 90])
UNITS_PER_PHOTOELECTRON = 4.0
NOISE = 15.0
STAINED_SHARE_OF_A_GOOD_CONTROL = 0.92


@dataclass(frozen=True, slots=True)
class Case:
    """How a control was stained and acquired.

    stained : share of the cells that carry the marker; the others are unstained cells among them
    brightness, log_sd : median of the stain, and its spread
    glow : autofluorescence of the cells that carry the marker, as a multiple of the others'
    grows_with_glow : exponent with which the stain of a cell grows with its autofluorescence
    dim_kind : share of the stained cells that are another kind: a tenth as bright, five times the glow
    noisy : factor on the units per photo-electron
    debris, dead : shares
    """

    stained: float = STAINED_SHARE_OF_A_GOOD_CONTROL
    brightness: float = 8_000.0
    log_sd: float = 0.4
    glow: float = 1.0
    grows_with_glow: float = 0.0
    dim_kind: float = 0.0
    noisy: float = 1.0
    debris: float = 0.1
    dead: float = 0.03
    n_events: int = 20_000


GOOD = Case()
BEADS = Case(stained=0.93, brightness=40_000.0, log_sd=0.05, debris=0.0, dead=0.0)


def single_stain(rng: np.random.Generator, stain: int | None, case: Case) -> Control:
    """One tube; `stain` is the row of `TRUE`, None for the unstained cells."""
    n = case.n_events
    size = rng.lognormal(0, 0.3, n)
    scatter = np.stack([60_000 * size * rng.lognormal(0, 0.1, n), 25_000 * size * rng.lognormal(0, 0.25, n)])
    glow = size * rng.lognormal(0, 0.35, n)
    dead, debris = rng.random(n) < case.dead, rng.random(n) < case.debris
    scatter[:, debris] *= 0.2
    scatter[0, dead] *= 0.6
    scatter[1, dead] *= 1.5
    glow[debris] *= 0.3
    glow[dead] *= rng.lognormal(1.5, 0.5, int(dead.sum()))
    carries = (rng.random(n) < case.stained) & ~debris
    dim = carries & (rng.random(n) < case.dim_kind)
    glow[carries] *= case.glow
    glow[dim] *= 5.0
    light = glow * AUTOFLUORESCENCE[:, None] * rng.lognormal(0, 0.15, (len(DETECTORS), n))
    if stain is not None:
        dye = case.brightness * rng.lognormal(0, case.log_sd, n) * glow**case.grows_with_glow
        light += TRUE[stain][:, None] * np.where(carries, np.where(dim, 0.1 * dye, dye), 0.0)
    unit = UNITS_PER_PHOTOELECTRON * case.noisy
    values = rng.poisson(light / unit) * unit + rng.normal(0, NOISE, light.shape)
    detector = "" if stain is None else DETECTORS[stain]
    name = "unstained" if stain is None else f"tube-{detector}"
    return Control(name, detector, values.astype(np.float32), scatter.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Kit:
    """The single stains of a panel and its unstained tube."""

    controls: tuple[Control, ...]
    unstained: Control

    def with_control(self, index: int, control: Control) -> Kit:
        """The same kit with one other tube, under the name and detector of the one it replaces."""
        old = self.controls[index]
        new = replace(control, name=old.name, detector=old.detector)
        return Kit((*self.controls[:index], new, *self.controls[index + 1 :]), self.unstained)


def simulate_kit(case: Case = GOOD, *, seed: int) -> Kit:
    """A control per detector and an unstained tube, all of one case."""
    rng = np.random.default_rng(seed)
    controls = tuple(single_stain(rng, row, case) for row in range(len(DETECTORS)))
    return Kit(controls, single_stain(rng, None, case))


def errors(found: npt.NDArray[np.float64], rows: Sequence[int] = range(len(DETECTORS))) -> Matrix:
    """Absolute errors of the entries off the diagonal, of some rows."""
    off = ~np.eye(len(TRUE), dtype=bool)[list(rows)]
    return np.asarray(np.abs(found - TRUE)[list(rows)][off])
