"""The tubes of one draw: their populations, what became of them, and which of several answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cytotrial.errors import CountError
from cytotrial.files.sheets import BloodCount
from cytotrial.steps.tubes import value_flags
from cytotrial.terms import Count, Role, Status, Tube

TubePopulations = Mapping[str, Mapping[str, str]]
"""Population → its row in populations.csv, for one tube."""

NOTHING: Mapping[str, float] = MappingProxyType({})

SAY_NO_DOUBT = ("OVERRIDE", "UNSTIMULATED_OVERRIDE", "NOT_USED")
"""Flags that begin so tell how a value was made; they are no doubt about it."""


@dataclass(frozen=True)
class Value:
    """A parameter of one specimen: a count, or the reasons why there is none.

    quantifiable : what its events allow to be said, in the words of `science.counting.detection`
    """

    count: Count | None
    status: Status
    flags: tuple[str, ...]
    tubes: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    quantifiable: str = ""


@dataclass(frozen=True)
class Draw:
    """The tubes of one specimen, what the gates hold, and what became of each row of the sheet.

    populations : sample_id → rows of populations.csv
    inventory : sample_id → row of check/inventory.csv
    blood_count : what the haematology analyser found in the draw, if anything
    steady : sample_id → share of the events taken while the instrument ran steadily; 1 if unknown
    """

    tubes: tuple[Tube, ...]
    populations: Mapping[str, TubePopulations]
    inventory: Mapping[str, Mapping[str, str]]
    blood_count: BloodCount | None = None
    steady: Mapping[str, float] = field(default_factory=lambda: NOTHING)


Maker = Callable[[TubePopulations, Tube], Count]
"""Makes a count of one tube, or raises CountError."""


def valued(count: Count, flags: Iterable[str], tubes: tuple[str, ...], versions: tuple[str, ...]) -> Value:
    """A value with its status: WARN if any flag is a doubt."""
    told = tuple(dict.fromkeys(flags))
    doubtful = any(not flag.startswith(SAY_NO_DOUBT) for flag in told)
    return Value(count, Status.WARN if doubtful else Status.OK, told, tubes, versions)


def in_tube(draw: Draw, panel: str, make: Maker, role: Role = Role.SAMPLE) -> Value:
    """A count of the tube of one panel and role that answers for the draw, or why there is none.

    Of repeated tubes the last one acquired that gives a count answers, then the last sample id; that there
    were others, and which were not used, is flagged.
    """
    tubes = [tube for tube in draw.tubes if tube.panel == panel and tube.role is role]
    if not tubes:
        return Value(None, Status.NOT_DONE, (f"NO_TUBE:{panel}",))
    latest_first = sorted(
        tubes, key=lambda tube: (draw.inventory[tube.sample_id]["acquired"], tube.sample_id), reverse=True
    )
    values = [_of_tube(draw, tube, make) for tube in latest_first]
    answer = next((value for value in values if value.count), None)
    if answer is None:
        failed = [value for value in values if value.status is Status.FAIL]
        answer = failed[0] if failed else values[0]
    if len(tubes) == 1:
        return answer
    unused = sorted(tube.sample_id for tube in tubes if tube.sample_id not in answer.tubes)
    flags = (f"REPEAT_TUBES:{len(tubes)}", *(f"NOT_USED:{name}" for name in unused), *answer.flags)
    status = Status.WARN if answer.status is Status.OK else answer.status
    return replace(answer, status=status, flags=flags)


def _of_tube(draw: Draw, tube: Tube, make: Maker) -> Value:
    """A count of one tube, or why it has none."""
    if draw.inventory[tube.sample_id]["status"] not in {"ok", "warn"}:
        return _unavailable(tube, draw)
    rows = draw.populations.get(tube.sample_id, {})
    versions = tuple(sorted({f"{tube.panel}:{row['gating_version']}" for row in rows.values()}))
    warned = value_flags(draw.inventory[tube.sample_id]["code"])
    try:
        count = make(rows, tube)
    except CountError as error:
        return Value(None, Status.FAIL, (*warned, no_count(error)), (tube.sample_id,), versions)
    return valued(count, (*warned, *count.flags), (tube.sample_id,), versions)


def no_count(error: CountError) -> str:
    """The flag of a value that could not be made, with the reason."""
    return f"NO_COUNT:{str(error).replace(';', ',')}"


def _unavailable(tube: Tube, draw: Draw) -> Value:
    """A tube that was not done or was rejected: no value, and the reason."""
    row = draw.inventory[tube.sample_id]
    reason = row["message"] if row["status"] == "not_done" else row["code"].split(";")[0]
    word = "NOT_DONE" if row["status"] == "not_done" else "TUBE_REJECTED"
    return Value(None, Status.NOT_DONE, (f"{word}:{reason.replace(';', ',')}",), (tube.sample_id,))


def events_of(rows: TubePopulations, population: str) -> tuple[int, tuple[str, ...]]:
    """Events of a population and the flags of its gate.

    Raises
    ------
    CountError
        If the population is not in the gating, or its gate could not be placed.
    """
    row = rows.get(population)
    if row is None:
        known = ", ".join(sorted(rows))
        raise CountError(f"population '{population}' is not in the tube's gating; it has: {known}.")
    if row["events"] == "":
        raise CountError(f"population '{population}' could not be gated: {row['reason']}")
    return int(row["events"]), tuple(flag for flag in row["flags"].split(";") if flag)


def ancestors(rows: TubePopulations, population: str) -> set[str]:
    """The populations that a population was drawn on, up to the root."""
    found: set[str] = set()
    while (parent := rows[population]["parent"] if population in rows else "") and parent not in found:
        found.add(parent)
        population = parent
    return found
