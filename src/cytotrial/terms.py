"""The nouns of the field, each frozen, each meaning one thing in the whole project.

Nothing here opens a file, reads a setting or computes: modules hand these on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
BoolArray = npt.NDArray[np.bool_]

ROOT = "root"
"""The population of all events, parent of every tree."""

BY_HAND, STALE_BY_HAND = "OVERRIDE", "STALE_OVERRIDE"
"""How the flag begins of a gate placed by hand, and of one that was and is no more."""
EXCLUDED = "excluded by hand"
"""How the reason begins why a population is not used that a person took out."""
APPLIED, ACCEPTED, STALE, NOT_GATED = "applied", "accepted", "stale", "not_gated"
"""What became of an override: its gate counts, the automatic gate stays, or it is not applied."""


class Outcome(StrEnum):
    """What became of one row of the sample sheet."""

    OK = "ok"
    WARN = "warn"
    REJECT = "reject"
    NOT_DONE = "not_done"


class Status(StrEnum):
    """What a value of the trial dataset is worth."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"
    NOT_DONE = "NOT_DONE"


class Role(StrEnum):
    """What a tube was stained for."""

    SAMPLE = "sample"
    UNSTIMULATED = "unstimulated"
    FMO = "fmo"
    ISOTYPE = "isotype"
    SINGLE_STAIN = "single_stain"
    UNSTAINED = "unstained"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was noticed about a file, a sheet or a tube.

    `seen` and `expected` are short, escaped values; never bytes of a file and
    never the value of a keyword that could identify a person.
    """

    code: str
    outcome: Outcome
    message: str
    keyword: str = ""
    seen: str = ""
    expected: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of the events: `name` is its $PnN, `label` its $PnS, `index` from 0."""

    name: str
    label: str
    index: int


@dataclass(frozen=True, slots=True)
class Tube:
    """One row of the sample sheet: one stained aliquot, one acquisition (or none)."""

    sample_id: str
    fcs: str
    panel: str
    role: Role
    batch: str
    subject: str = ""
    visit: str = ""
    specimen: str = ""
    collected: str = ""
    control_for: str = ""
    beads_per_tube: float | None = None
    blood_ul: float | None = None
    dilution: float | None = None
    sha256: str = ""
    status: Literal["DONE", "NOT_DONE"] = "DONE"
    reason_not_done: str = ""
    line: int = 0


@dataclass(frozen=True, eq=False)
class Events:
    """The events of one tube in detector units, channel-major.

    values : ndarray, shape (n_channels, n_events)
        Decoded values: gain divided out, log-scaled integers made linear. float32 for files of
        single-precision numbers; float64 for the others, which float32 would round.
    channels : tuple of str
        The $PnN of each row of `values`.
    """

    values: FloatArray
    channels: tuple[str, ...]

    @property
    def n_events(self) -> int:
        return int(self.values.shape[1])

    def row(self, channel: str) -> FloatArray:
        return np.asarray(self.values[self.channels.index(channel)])


@dataclass(frozen=True, eq=False)
class SpilloverMatrix:
    """Rows fluorochromes, columns detectors, diagonal 1.

    values : ndarray, shape (n_fluorochromes, n_detectors), float64, both in the order of `detectors`
    detectors : tuple of str
        $PnN of the channels; row i is the fluorochrome whose primary detector is `detectors[i]`.
    origin : str
        Where it comes from: `controls`, `embedded`, `file` or `none`.
    flags : tuple of str
        What flags every value that rests on this matrix.
    """

    detectors: tuple[str, ...]
    values: npt.NDArray[np.float64]
    origin: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transform:
    """An invertible scale on which gates are drawn.

    kind : `linear` (t, a), `log` (t, m), `logicle`, `asinh`, `hyperlog` (t, w, m, a) as in GatingML 2.0,
        or `biex` (FlowJo). The identity is `linear` without parameters.
    parameters : name and value pairs, sorted by name.
    """

    kind: str = "linear"
    parameters: tuple[tuple[str, float], ...] = ()

    def parameter(self, name: str) -> float:
        return dict(self.parameters)[name]


IDENTITY = Transform()

UNCOMPENSATED = ""
TUBE_MATRIX = "tube"
"""A dimension's `matrix`: "" is uncompensated, "tube" the matrix of the tube's panel and batch,
anything else the name of a matrix in the gating strategy."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """One axis of a gate: a channel, how it is compensated, and the scale the gate is stated in.

    In a strategy `channel` may be a marker of the panel; in a placed gate it is a $PnN.
    A ratio axis (GatingML fratio) names its `denominator` and constants A·(x − B)/(y − C).
    """

    channel: str
    transform: Transform = IDENTITY
    matrix: str = UNCOMPENSATED
    denominator: str = ""
    ratio: tuple[float, float, float] = (1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class RectangleGate:
    """low ≤ value < high on each of one or more dimensions; None leaves that side open."""

    dimensions: tuple[Dimension, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class PolygonGate:
    """The inside of a closed polygon on two dimensions (GatingML's even-odd rule)."""

    dimensions: tuple[Dimension, Dimension]
    vertices: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class EllipsoidGate:
    """Mahalanobis distance² ≤ `distance_square` from `mean` under `covariance`."""

    dimensions: tuple[Dimension, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    distance_square: float


@dataclass(frozen=True, slots=True)
class BooleanGate:
    """AND, OR or NOT of other populations, each by name and whether it is complemented."""

    operator: Literal["and", "or", "not"]
    operands: tuple[tuple[str, bool], ...]


Gate = RectangleGate | PolygonGate | EllipsoidGate | BooleanGate


@dataclass(frozen=True)
class Find:
    """How a gate is found from the data: a registered gate finder and what it needs.

    control, control_marker : role and marker of the control tubes that the finder looks at
    fallback : what answers where the finder cannot: a cut on the first dimension, or another finder
    min_events : least number of the parent's events
    second : an independent finder, for its disagreement only
    bound : a quantile of a control tube that the cut should not lie below; it moves no cut
    reference : constants that reference tubes taught the finder, or None
    """

    finder: str
    dimensions: tuple[Dimension, ...]
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    control: str = ""
    control_marker: str = ""
    fallback: float | Find | None = None
    min_events: int = 0
    second: Find | None = None
    bound: Find | None = None
    reference: Mapping[str, Any] | None = None

    def attempts(self) -> Iterator[Find]:
        """This finder, then those that answer where it cannot."""
        yield self
        if isinstance(self.fallback, Find):
            yield from self.fallback.attempts()

    def all(self) -> Iterator[Find]:
        """Every finder that is named: the attempts, second opinions and bounds."""
        for attempt in self.attempts():
            yield attempt
            yield from (aside for aside in (attempt.second, attempt.bound) if aside)


@dataclass(frozen=True, slots=True)
class Instead:
    """When a population is not cut at all, but holds every event of its parent.

    watched : the population whose valley is looked at
    depth_below : it is not cut if that valley is shallower: 1 is an empty valley, 0 none
    flag : what says so on every value that rests on it
    """

    watched: str
    depth_below: float
    flag: str


@dataclass(frozen=True)
class Population:
    """One entry of a gating strategy: the events of `parent` that lie in a gate.

    Exactly one of `gate` and `find` is set. With `from_sample`, the controls of a draw are
    not gated anew: they get the gate of that draw's sample tube, so that background is
    counted in the same region.
    """

    name: str
    parent: str
    gate: Gate | None = None
    find: Find | None = None
    from_sample: bool = False
    instead: Instead | None = None


@dataclass(frozen=True)
class GatingStrategy:
    """The tree of populations of one tube type, parents before children.

    reference : version of the reference tubes whose constants its finders hold; empty without
    """

    name: str
    version: str
    source: str
    populations: tuple[Population, ...]
    matrices: Mapping[str, SpilloverMatrix] = field(default_factory=lambda: MappingProxyType({}))
    reference: str = ""

    @property
    def full_version(self) -> str:
        """Version of the gating and, behind an @, of its reference."""
        return f"{self.version}@{self.reference}" if self.reference else self.version


Origin = Literal["template", "control", "reference", "override"]


@dataclass(frozen=True)
class PlacedGate:
    """A gate on one tube: where it is, where it comes from and how sure that is.

    controls : sample_ids of the controls that were looked at, each with how it was paired: `T1:batch`
    position, position_se : where the tube itself puts the gate, before any pull towards the batch, and
        the standard errors of these numbers; empty if it does not move
    similarity : of the tube's density to the reference's, 0 to 1
    disagreement : of the independent second finder: ln of its per cent of the parent over this gate's
    """

    population: str
    parent: str
    gate: Gate
    origin: Origin = "template"
    controls: tuple[str, ...] = ()
    confidence: float | None = None
    flags: tuple[str, ...] = ()
    position: tuple[float, ...] = ()
    position_se: tuple[float, ...] = ()
    similarity: float | None = None
    disagreement: float | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """A value with its 95 % interval, and the events it rests on. Units are the caller's.

    systematic_cv_percent : what bead lot and pipette add; never part of the interval
    inputs : what else the formula took, by the name of its column: with the events these give the value
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    cv_percent: float | None
    events: int | None
    parent_events: int | None
    method: str
    flags: tuple[str, ...] = ()
    systematic_cv_percent: float = 0.0
    inputs: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Subject:
    """One trial participant. `arm` never reaches gating."""

    subject: str
    first_dose: str = ""
    sex: str = ""
    age: str = ""
    site: str = ""
    arm: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """A planned contact and its window in study days, both ends included; None leaves an end open."""

    visit: str
    visit_num: float
    target_day: int
    first_day: int | None
    last_day: int | None
    baseline: bool = False
