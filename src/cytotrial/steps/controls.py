"""Read and gate the control tubes that the gates of others look at."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cytotrial.errors import CytotrialError
from cytotrial.science.gating import ControlKey, GatedTube, gate_control
from cytotrial.steps.bench import Bench, Checked, usable
from cytotrial.steps.pairing import key_of, pair
from cytotrial.terms import GatingStrategy, Tube


@dataclass(eq=False)
class ControlBench:
    """Reads and gates controls for the samples that look at them, each once for a batch.

    Only those of one batch are held: ask for a batch's tubes one after another.

    keys : (role, marker) of the controls that are looked at
    strategy : by which controls are gated, if it is not the panel's
    """

    bench: Bench
    candidates: Sequence[Tube]
    checked: Checked
    keys: frozenset[ControlKey]
    strategy: GatingStrategy | None = None
    _gated: dict[str, GatedTube | None] = field(default_factory=dict)
    _batch: str = ""

    def of(self, tube: Tube) -> dict[ControlKey, list[GatedTube]]:
        """The controls of one tube, gated as far as other gates need them."""
        if tube.batch != self._batch:
            self._gated.clear()
            self._batch = tube.batch
        looked_at = [
            other
            for other in self.candidates
            if key_of(other) in self.keys
            and other.sample_id != tube.sample_id
            and usable(self.checked[other.sample_id])
        ]
        acquired = {name: row["acquired"] for name, row in self.checked.items()}
        paired = pair(tube, looked_at, acquired)
        return {
            key: [replace(gated, paired=how) for other in controls if (gated := self._gate(other))]
            for key, (how, controls) in paired.items()
        }

    def _gate(self, tube: Tube) -> GatedTube | None:
        """A control down to the parents of controlled gates; None if it cannot be read."""
        if tube.sample_id not in self._gated:
            try:
                loaded = self.bench.load(tube, self.checked[tube.sample_id], self.strategy)
                self._gated[tube.sample_id] = gate_control(loaded.strategy, loaded.stained)
            except CytotrialError:  # the reason stands in the control's own rows
                self._gated[tube.sample_id] = None
            except Exception as error:
                print(f"control {tube.sample_id}: {type(error).__name__}", file=sys.stderr)
                self._gated[tube.sample_id] = None
        return self._gated[tube.sample_id]
