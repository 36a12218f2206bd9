"""Gate finders: functions that place one gate from data.

Every finder has one signature, `finder(view, **arguments) -> Found`, and is registered under
the name that a gating template uses. A view holds the events of the parent population on the
gate's own scales, the same for the control tubes if the template names a control, what reference
tubes taught about this gate, and where the batch has it. All are deterministic. What a finder
cannot do with the events it is given it says with a `GateError`; the template's `fallback` then
answers, flagged.

A finder whose constants are learnt from tubes that an expert has gated has a learner beside it,
`learner(examples, **arguments) -> constants`, registered under the same name; the constants come
back to the finder as `view.reference`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cytotrial.errors import GateError, TemplateError
from cytotrial.science.batches import Batch
from cytotrial.terms import BoolArray, Dimension, FloatArray, Gate, GatingStrategy, RectangleGate

AT_BOUND = "GATE_AT_BOUND"
CONTROL_TOO_SMALL = "CONTROL_TOO_SMALL"
LOW_SIMILARITY = "LOW_SIMILARITY"


@dataclass(frozen=True, eq=False)
class View:
    """What a finder sees of a tube.

    dimensions : the axes of the gate, with $PnN names
    values : one ndarray of shape (n_events,) for each dimension: the parent's events on that scale
    control : the same for the pooled control tubes, or None
    reference : the constants that the finder's learner made from reference tubes, or None
    batch : where the other tubes of the batch have this gate, or None while these are not known yet
    """

    dimensions: tuple[Dimension, ...]
    values: tuple[FloatArray, ...]
    control: tuple[FloatArray, ...] | None = None
    reference: Mapping[str, Any] | None = None
    batch: Batch | None = None

    @property
    def n_events(self) -> int:
        return int(self.values[0].size)


@dataclass(frozen=True)
class Found:
    """A placed gate.

    confidence : from 0 to 1 where the finder has a measure of it; of a cut at a valley, the valley's depth
    position, position_se : the numbers that say where the gate lies (a cut, a shift) as the tube itself
        puts it, before any pull towards the batch; and their standard errors. Empty if it does not move;
        errors are empty too where a finder has none to tell.
    similarity : of the tube's density to the reference's, 0 to 1
    """

    gate: Gate
    confidence: float | None = None
    flags: tuple[str, ...] = ()
    position: tuple[float, ...] = ()
    position_se: tuple[float, ...] = ()
    similarity: float | None = None


@dataclass(frozen=True, eq=False)
class Example:
    """One reference tube at one gate.

    view : what the finder would see of the tube
    inside : ndarray of bool, shape (n_events,): which of the parent's events the expert kept
    batch : the tube's acquisition run
    """

    view: View
    inside: BoolArray
    batch: str


Finder = Callable[..., Found]
Learner = Callable[..., Mapping[str, Any]]
_REGISTRY: dict[str, Finder] = {}
_LEARNERS: dict[str, Learner] = {}
_USE_BATCH: set[str] = set()


class NoReferenceError(GateError):
    """A finder has no constants of its own, and there are none from reference tubes."""


def registered(name: str, *, uses_batch: bool = False) -> Callable[[Finder], Finder]:
    """Make a finder known to gating templates under `name`; say whether it reads `view.batch`."""

    def enter(function: Finder) -> Finder:
        _REGISTRY[name] = function
        if uses_batch:
            _USE_BATCH.add(name)
        return function

    return enter


def learns(name: str) -> Callable[[Learner], Learner]:
    """Make a learner known as the one whose constants the finder `name` reads."""

    def enter(function: Learner) -> Learner:
        _LEARNERS[name] = function
        return function

    return enter


def finder_names() -> tuple[str, ...]:
    return tuple(sorted(_REGISTRY))


def is_learnt(name: str) -> bool:
    """Whether a finder reads constants that reference tubes teach."""
    return name in _LEARNERS


def uses_batch(name: str) -> bool:
    """Whether a finder draws its gate towards the batch's: such a panel is placed before it is gated."""
    return name in _USE_BATCH


def learn_gate(name: str, examples: Sequence[Example], arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """What reference tubes teach a finder: plain data (numbers, text, lists, mappings).

    Parameters
    ----------
    examples : sequence of Example
        The same gate on several tubes.
    arguments : mapping
        The finder's arguments, as the template gives them; the learner takes those it needs.

    Raises
    ------
    GateError
        If the examples cannot teach the gate.
    """
    return _LEARNERS[name](examples, **arguments)


def find_gate(name: str, view: View, arguments: Mapping[str, Any]) -> Found:
    """Run a registered finder. Raises GateError if the events cannot carry the gate."""
    return _REGISTRY[name](view, **arguments)


def check_finders(strategy: GatingStrategy) -> None:
    """Refuse a strategy whose finders or arguments do not exist, all problems at once.

    Raises
    ------
    TemplateError
        With the population, what was found, and the nearest known name.
    """
    problems = [
        f"population {population.name}: {problem}"
        for population in strategy.populations
        if population.find is not None
        for find in population.find.all()
        for problem in _problems_of(find.finder, find.arguments)
    ]
    if problems:
        raise TemplateError(
            "\n  ".join([f"{strategy.source}, {len(problems)} problem(s) with gate finders", *problems])
        )


def _problems_of(name: str, arguments: Mapping[str, Any]) -> list[str]:
    if name not in _REGISTRY:
        return [f"gate finder '{name}' does not exist{_nearest(name, finder_names())}"]
    parameters = list(inspect.signature(_REGISTRY[name]).parameters.values())[1:]
    known = [parameter.name for parameter in parameters]
    problems = [
        f"{name} has no argument '{argument}'{_nearest(argument, known)}"
        for argument in arguments
        if argument not in known
    ]
    needed = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    return problems + [f"{name} needs the argument '{key}'" for key in needed if key not in arguments]


def _nearest(word: str, known: Any) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(known)}"


def threshold(dimension: Dimension, cut: float, *, keep: str = "above") -> RectangleGate:
    """The gate of all events at or above a cut, or below it, on one dimension."""
    if keep not in {"above", "below"}:
        raise TemplateError(f"keep: '{keep}' is neither above nor below")
    return RectangleGate(
        (dimension,), (cut if keep == "above" else None,), (None if keep == "above" else cut,)
    )


def bounded(cut: float, bounds: tuple[float, float] | None) -> tuple[float, tuple[str, ...]]:
    """A cut moved into its bounds, with the flag that says so."""
    if bounds is None:
        return cut, ()
    low, high = bounds
    inside = min(max(cut, low), high)
    return inside, (() if inside == cut else (AT_BOUND,))
