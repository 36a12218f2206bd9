"""From particles to channel values: staining, spillover, photo-electrons, gain, noise, time.

The chain is that of a digital cytometer: dyes emit light in proportion to the antibody bound,
the optics spread each dye over the detectors, photo-electrons follow Poisson's law, the
amplifier multiplies and adds noise around a restored baseline, and the scale ends at 262144.

References
----------
Chase ES, Hoffman RA. Resolution of dimly fluorescent particles: a practical measure of
fluorescence sensitivity. Cytometry 1998;33:267-279 (photo-electrons per unit, background).
Nguyen R, et al. Quantifying spillover spreading for comparing instrument performance and aiding
in multicolor panel design. Cytometry A 2013;83:306-315 (spread from compensated photo-electrons).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cytotrial.demo.biology import USUAL, Biology, loadings
from cytotrial.demo.cells import (
    BEAD_CV,
    BEAD_LIGHT,
    BODIES,
    MAN_MADE,
    STAINED_BEAD,
    STAINED_BEAD_DEFAULT,
    STICKY,
    Kind,
    Spread,
)
from cytotrial.demo.panels import DETECTORS, RANGE, TIMESTEP_S, DemoPanel

Floats = npt.NDArray[np.float64]
Kinds = npt.NDArray[np.uint8]

SIZE_LOG_SD = 0.10
HEIGHT_PER_AREA = 0.78
HEIGHT_CV = 0.028
FORWARD_THRESHOLD = 5_000.0
SCATTER_NOISE_SD = 250.0


@dataclass(frozen=True, eq=False)
class Stain:
    """What is in the tube and how bright it is there.

    markers : the antibodies and dyes in the tube; a control lacks some of the panel's
    factor : marker → factor on all of its light (batch, tube)
    shift : marker → factor on the light of some populations (a draw's state, stimulation)
    biology : whose cells they are
    """

    markers: tuple[str, ...]
    factor: Mapping[str, float]
    shift: Mapping[str, Mapping[Kind, float]] = field(default_factory=dict)
    biology: Biology = USUAL


@dataclass(frozen=True, eq=False)
class Optics:
    """The cytometer on the day of a batch.

    spillover : ndarray, shape (n_dyes, n_dyes), of light, before the gain
    gain : ndarray, shape (n_detectors,), around 1
    scatter_gain : of forward and side scatter
    background : factor on autofluorescence
    """

    spillover: Floats
    gain: Floats
    scatter_gain: tuple[float, float]
    background: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """Acquisition that did not run steadily: from and to as shares of the events; factors at its end.

    A `clog` sets in at once and lasts; a `drift` grows from nothing to its full size at the end.
    """

    kind: str = ""
    begin: float = 0.0
    end: float = 0.0
    rate: float = 1.0
    signal: float = 1.0


STEADY = Stretch()


@dataclass(frozen=True, eq=False)
class Conditions:
    """How a tube was acquired.

    doublets : share of particles that pass the laser in pairs
    per_second : event rate
    thresholds : channel → value below which no event is recorded (at unit gain; it moves with the gain)
    """

    doublets: float
    per_second: float
    stretch: Stretch = STEADY
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Acquired:
    """The events of one file, and what each truly is.

    values : ndarray, shape (n_events, n_channels), float32, in the order of the panel's channels
    kinds : ndarray, shape (n_events,), codes of `Kind`
    members : ndarray, shape (2, n_doublets): the two particles of each recorded doublet
    """

    values: npt.NDArray[np.float32]
    kinds: Kinds
    members: Kinds


def _lognormal(rng: np.random.Generator, median: Floats, log_sd: Floats | float) -> Floats:
    deviates = rng.standard_normal(median.shape, dtype=np.float32)
    return np.asarray(median * np.exp(log_sd * deviates), dtype=np.float64)


def _per_kind(spreads: Mapping[Kind, Spread], otherwise: Spread) -> tuple[Floats, Floats]:
    rows = [spreads.get(kind, otherwise) for kind in Kind]
    return np.array([row.median for row in rows]), np.array([row.log_sd for row in rows])


def marker_light(
    kinds: Kinds, marker: str, stain: Stain, *, size: Floats, activation: Floats, rng: np.random.Generator
) -> Floats:
    """Light of one marker's dye on every particle, in units of its own detector at unit gain.

    Parameters
    ----------
    kinds : ndarray, shape (n_particles,)
        Codes of `Kind`.
    size, activation : ndarray, shape (n_particles,)
        Factor common to all dyes of a cell; standard normal state of activation of a CD4 T cell.

    Returns
    -------
    ndarray, shape (n_particles,)
    """
    median, log_sd = _per_kind(_bound(marker, stain.biology), stain.biology.nonspecific[marker])
    for kind, factor in stain.shift.get(marker, {}).items():
        median[kind] *= factor
    loading = loadings(stain.biology, marker)
    own = rng.standard_normal(kinds.size, dtype=np.float32) * np.sqrt(1.0 - loading**2)[kinds]
    light = median[kinds] * np.exp(log_sd[kinds] * (own + loading[kinds] * activation))
    light *= size * stain.factor.get(marker, 1.0)
    light[np.isin(kinds, (Kind.BEADS, Kind.COMPENSATION_BEADS))] = 0.0
    return np.asarray(light, dtype=np.float64)


def _bound(marker: str, biology: Biology) -> dict[Kind, Spread]:
    bound = dict(biology.specific[marker])
    if marker != "Viability":
        bound.setdefault(Kind.DEAD, STICKY)
    bound[Kind.STAINED_COMPENSATION_BEADS] = STAINED_BEAD.get(marker, STAINED_BEAD_DEFAULT)
    return bound


def detector_light(
    kinds: Kinds, panel: DemoPanel, stain: Stain, optics: Optics, *, size: Floats, rng: np.random.Generator
) -> Floats:
    """Light that reaches each detector, shape (n_particles, n_detectors), in units at unit gain."""
    activation = rng.standard_normal(kinds.size, dtype=np.float32).astype(np.float64)
    dyes = np.zeros((kinds.size, len(panel.dyes)))
    for column, marker in enumerate(panel.markers):
        if marker in stain.markers:
            dyes[:, column] = marker_light(kinds, marker, stain, size=size, activation=activation, rng=rng)
    light = optics.background * _autofluorescence(kinds, panel, rng=rng)
    for row, spill in enumerate(optics.spillover):
        light[:, : spill.size] += dyes[:, row, None] * spill
    beads = np.flatnonzero(kinds == Kind.BEADS)
    emission = np.array([BEAD_LIGHT.get(name, 0.0) for name in panel.detectors])
    light[beads] = emission * (1.0 + BEAD_CV * rng.standard_normal((beads.size, 1)))
    return light


def _autofluorescence(kinds: Kinds, panel: DemoPanel, *, rng: np.random.Generator) -> Floats:
    """A cell's glow: one factor common to all detectors, a smaller one for each."""
    level = np.array([BODIES[kind].autofluorescence if kind in BODIES else 0.0 for kind in Kind])
    log_sd = np.array([BODIES[kind].autofluorescence_log_sd if kind in BODIES else 0.0 for kind in Kind])
    common = _lognormal(rng, level[kinds], log_sd[kinds])
    spectrum = np.array([DETECTORS[name].autofluorescence for name in panel.detectors])
    return common[:, None] * _lognormal(rng, np.tile(spectrum, (kinds.size, 1)), 0.15)


def scatter_light(kinds: Kinds, *, size: Floats, rng: np.random.Generator) -> Floats:
    """Forward area, forward height and side area of single particles, shape (n_particles, 3)."""
    forward = _per_kind({kind: body.forward for kind, body in BODIES.items()}, Spread(1.0, 0.0))
    side = _per_kind({kind: body.side for kind, body in BODIES.items()}, Spread(1.0, 0.0))
    area = _lognormal(rng, forward[0][kinds], forward[1][kinds]) * size**0.3
    height = area * HEIGHT_PER_AREA * (1.0 + HEIGHT_CV * rng.standard_normal(kinds.size))
    return np.column_stack([area, height, _lognormal(rng, side[0][kinds], side[1][kinds]) * size**0.3])


def coincide(
    kinds: Kinds, scatter: Floats, light: Floats, *, share: float, rng: np.random.Generator
) -> tuple[Kinds, Floats, Floats, Kinds]:
    """Let a share of the particles pass the laser in pairs: areas add, heights do not.

    Particles must be in random order; debris is too small to be missed beside a cell and stays
    single. Returns kinds, scatter and light of the events, doublets first, and the members of
    the doublets, shape (2, n_doublets).
    """
    able = np.flatnonzero(kinds != Kind.DEBRIS)
    n_pairs = int(rng.binomial(able.size // 2, share))
    first, second = able[:n_pairs], able[n_pairs : 2 * n_pairs]
    alone = np.setdiff1d(np.arange(kinds.size), np.concatenate([first, second]))
    both = scatter[first] + scatter[second]
    both[:, 1] = np.maximum(scatter[first, 1], scatter[second, 1]) * rng.uniform(1.0, 1.12, n_pairs)
    events = np.concatenate([np.full(n_pairs, Kind.DOUBLETS, np.uint8), kinds[alone]])
    return (
        events,
        np.concatenate([both, scatter[alone]]),
        np.concatenate([light[first] + light[second], light[alone]]),
        np.stack([kinds[first], kinds[second]]),
    )


def detect(light: Floats, *, detectors: tuple[str, ...], gain: Floats, rng: np.random.Generator) -> Floats:
    """Channel values of light: Poisson photo-electrons, gain, electronic noise, end of scale.

    The variance of a detector at steady light is gain² · light / photo-electrons per unit + noise².

    Parameters
    ----------
    light : ndarray, shape (n_events, n_detectors)
        In units at unit gain, not negative.
    """
    per_unit = np.array([DETECTORS[name].photoelectrons_per_unit for name in detectors])
    noise_sd = np.array([DETECTORS[name].noise_sd for name in detectors])
    photoelectrons = rng.poisson(light * per_unit)
    noise = noise_sd * rng.standard_normal(light.shape, dtype=np.float32)
    return np.asarray(np.minimum(photoelectrons / per_unit * gain + noise, RANGE - 1.0))


def arrival_times(n_events: int, *, per_second: float, stretch: Stretch, rng: np.random.Generator) -> Floats:
    """Times of a Poisson stream of events in steps of $TIMESTEP, shape (n_events,), rising."""
    gaps = rng.exponential(1.0 / per_second, n_events)
    gaps /= 1.0 + (stretch.rate - 1.0) * _presence(n_events, stretch)
    return np.floor(np.cumsum(gaps) / TIMESTEP_S)


def _presence(n_events: int, stretch: Stretch) -> Floats:
    """How far a stretch is in force at each event, 0 to 1."""
    place = np.arange(n_events) / max(n_events, 1)
    inside = (place >= stretch.begin) & (place < stretch.end)
    if stretch.kind == "drift":
        return np.asarray(inside * (place - stretch.begin) / (stretch.end - stretch.begin))
    return inside.astype(np.float64)


def acquire(
    kinds: Kinds,
    panel: DemoPanel,
    stain: Stain,
    optics: Optics,
    conditions: Conditions,
    *,
    rng: np.random.Generator,
) -> Acquired:
    """Run particles through the cytometer.

    Parameters
    ----------
    kinds : ndarray, shape (n_particles,)
        What is in the acquired volume, as codes of `Kind`; the order does not matter.
    """
    kinds = rng.permutation(kinds)
    size = _lognormal(rng, np.ones(kinds.size), SIZE_LOG_SD)
    size[np.isin(kinds, MAN_MADE)] = 1.0
    scatter = scatter_light(kinds, size=size, rng=rng)
    light = detector_light(kinds, panel, stain, optics, size=size, rng=rng)
    kinds, scatter, light, members = coincide(kinds, scatter, light, share=conditions.doublets, rng=rng)
    order = rng.permutation(kinds.size)
    signal = 1.0 + (conditions.stretch.signal - 1.0) * _presence(kinds.size, conditions.stretch)
    values = detect(light[order] * signal[:, None], detectors=panel.detectors, gain=optics.gain, rng=rng)
    scattered = _detect_scatter(scatter[order], signal, optics, rng=rng)
    keep = _recorded(scattered, values, panel, optics, conditions.thresholds)
    times = arrival_times(kinds.size, per_second=conditions.per_second, stretch=conditions.stretch, rng=rng)
    table = np.column_stack([scattered, values, times])[keep].astype(np.float32)
    recorded_pairs = order[keep][order[keep] < members.shape[1]]
    return Acquired(table, kinds[order][keep], members[:, recorded_pairs])


def _detect_scatter(scatter: Floats, signal: Floats, optics: Optics, *, rng: np.random.Generator) -> Floats:
    """Scatter feels half of what disturbs the fluorescence; its scale ends at 0 and 262144."""
    gain = np.array([optics.scatter_gain[0], optics.scatter_gain[0], optics.scatter_gain[1]])
    values = scatter * (0.5 + 0.5 * signal[:, None]) * gain
    noise = SCATTER_NOISE_SD * rng.standard_normal(values.shape)
    return np.asarray(np.clip(values + noise, 0.0, RANGE - 1.0))


def _recorded(
    scatter: Floats, values: Floats, panel: DemoPanel, optics: Optics, thresholds: Mapping[str, float]
) -> npt.NDArray[np.bool_]:
    keep = scatter[:, 0] >= FORWARD_THRESHOLD
    for name, least in thresholds.items():
        column = panel.detectors.index(name)
        keep &= values[:, column] >= least * optics.gain[column]
    return keep
