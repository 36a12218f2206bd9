"""A tube on its way through gating: its events, its gates, and what these may lean on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from cytotrial.science.finders import Batch
from cytotrial.science.gates import TubeEvents
from cytotrial.terms import BoolArray, PlacedGate

ControlKey = tuple[str, str]
"""Role and marker of a control: ("fmo", "FOXP3"), ("unstimulated", "")."""


@dataclass(frozen=True, eq=False)
class StainedTube:
    """A tube ready for gating.

    events : TubeEvents, compensated on demand
    channels : marker → $PnN of the detector it is on; channels that are not markers name themselves
    keep : ndarray of bool, shape (n_events,): events of steady acquisition, the root population
    lacks : the marker that is left out of this tube (FMO) or not bound (isotype); empty for all others
    """

    sample_id: str
    events: TubeEvents
    channels: Mapping[str, str]
    keep: BoolArray
    lacks: str = ""


@dataclass(frozen=True, eq=False)
class GatedTube:
    """What gating made of a tube.

    placed : gates in the strategy's order
    masks : population → ndarray of bool, shape (n_events,); `root` included
    missing : population → why its gate could not be placed
    left_out : population → why a control is not gated so far; none of these is among the missing
    paired : for a control, how it was found for a sample: draw, batch or nearest
    """

    tube: StainedTube
    placed: tuple[PlacedGate, ...]
    masks: Mapping[str, BoolArray]
    missing: Mapping[str, str] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    paired: str = ""

    def events_of(self, population: str) -> int:
        return int(np.count_nonzero(self.masks[population]))

    @property
    def name(self) -> str:
        """Its sample_id and, for a control, how it was paired: `T1:batch`."""
        return f"{self.tube.sample_id}:{self.paired}" if self.paired else self.tube.sample_id


def _nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Around:
    """What the gates of a tube may lean on besides its own events.

    controls : (role, marker) → gated controls of the same draw, batch or of the nearest batch
    borrowed : for a control of a draw, the gates of the draw's sample tube, by population
    batches : population → where the other tubes of the batch have its gate
    known : gates that were placed on this very tube before the batch was looked at, by population
    by_hand : gates that a person placed on this tube, by population; they come before all others
    excluded : populations that a person took out of this tube, with the reason
    calibrated : whether reference tubes taught the strategy's finders
    """

    controls: Mapping[ControlKey, Sequence[GatedTube]] = field(default_factory=_nothing)
    borrowed: Mapping[str, PlacedGate] | None = None
    batches: Mapping[str, Batch] = field(default_factory=_nothing)
    known: Mapping[str, PlacedGate] = field(default_factory=_nothing)
    by_hand: Mapping[str, PlacedGate] = field(default_factory=_nothing)
    excluded: Mapping[str, str] = field(default_factory=_nothing)
    calibrated: bool = False
