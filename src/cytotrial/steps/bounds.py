"""What control tubes say of the gates of samples: the bound below each, and the background above it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from cytotrial.errors import GateError
from cytotrial.files.strategy import gate_from_plain
from cytotrial.science.bounds import ControlTail
from cytotrial.science.placing import cut_of
from cytotrial.steps.cohort import Gated
from cytotrial.steps.pairing import pair
from cytotrial.terms import Role, Tube


@dataclass(frozen=True, slots=True)
class Beside:
    """What the controls of one kind say of one gate of one tube.

    controls : their sample_ids, each with how it was paired
    flags : BELOW_<ROLE>_BOUND where the gate reaches below the bound
    background_percent : of the controls' parent events above the gate's cut; None where the cut lies lower
        than the controls' upper fifth
    """

    controls: tuple[str, ...]
    bound: float
    flags: tuple[str, ...]
    background_percent: float | None


def beside_controls(
    gates: Sequence[Gated],
    tails: Mapping[str, Sequence[ControlTail]],
    tubes: Mapping[str, Tube],
    acquired: Mapping[str, str],
    *,
    locked: Collection[str] = (),
) -> dict[tuple[str, str], Beside]:
    """(sample_id, population) → what its controls say, for every gate of a sample that has any.

    Parameters
    ----------
    tails : sample_id of a control → its tails
    acquired : sample_id → when it was acquired
    locked : tubes to which only controls among them may say anything
    """
    found: dict[tuple[str, str], Beside] = {}
    paired: dict[str, list[tuple[str, ControlTail]]] = {}
    for gate in gates:
        name = gate.tube.sample_id
        if gate.tube.role is not Role.SAMPLE:
            continue
        if name not in paired:
            heard = {control: tails[control] for control in tails if name not in locked or control in locked}
            paired[name] = list(_tails_for(gate.tube, heard, tubes, acquired))
        of_it = [(control, tail) for control, tail in paired[name] if tail.population == gate.population]
        if of_it and (beside := _beside(gate, of_it, tubes)):
            found[name, gate.population] = beside
    return found


def _tails_for(
    tube: Tube,
    tails: Mapping[str, Sequence[ControlTail]],
    tubes: Mapping[str, Tube],
    acquired: Mapping[str, str],
) -> Iterator[tuple[str, ControlTail]]:
    """The tails of a tube's controls, each with the control's name and pairing."""
    candidates = [tubes[name] for name in tails if tubes[name].panel == tube.panel]
    for how, controls in pair(tube, candidates, acquired).values():
        for control in controls:
            yield from ((f"{control.sample_id}:{how}", tail) for tail in tails[control.sample_id])


def _beside(
    gate: Gated, tails: Sequence[tuple[str, ControlTail]], tubes: Mapping[str, Tube]
) -> Beside | None:
    """Bounds of several controls: their median; backgrounds: of all their events together."""
    try:
        cut = cut_of(gate_from_plain(gate.gate))
    except GateError:
        return None
    role = tubes[tails[0][0].split(":")[0]].role.value.upper()
    bound = median(tail.bound for _, tail in tails)
    flags = (f"BELOW_{role}_BOUND",) if cut < bound else ()
    return Beside(
        tuple(name for name, _ in tails), bound, flags, _background(cut, [tail for _, tail in tails])
    )


def _background(cut: float, tails: Sequence[ControlTail]) -> float | None:
    percents = [tail.percent_above(cut) for tail in tails]
    events = sum(tail.n_events for tail in tails)
    if not events or any(percent is None for percent in percents):
        return None
    return (
        sum((percent or 0.0) * tail.n_events for percent, tail in zip(percents, tails, strict=True)) / events
    )
