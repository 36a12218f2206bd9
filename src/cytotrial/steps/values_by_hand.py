"""Which values rest on gates placed by hand, and what they would be without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cytotrial.files.tables import Row, read_table
from cytotrial.settings import ParameterCode, Settings
from cytotrial.steps.draws import Draw, TubePopulations, Value
from cytotrial.steps.layout import Layout
from cytotrial.steps.values import values_of
from cytotrial.terms import APPLIED, BY_HAND, EXCLUDED

Override = Mapping[str, str]
"""A row of gating/by_hand.csv."""

Values = Mapping[ParameterCode, Value]


@dataclass(frozen=True, eq=False)
class Overrides:
    """What the overrides of a trial changed.

    automatic : sample_id → the populations of a tube that overrides change, as they would be without
    applied : the overrides that were applied
    """

    automatic: Mapping[str, TubePopulations]
    applied: Sequence[Override]

    def without(self, draw: Draw, settings: Settings) -> Values:
        """The values of a draw as they would be without any override; nothing if none concerns it."""
        concerned = [tube.sample_id for tube in draw.tubes if tube.sample_id in self.automatic]
        if not concerned:
            return {}
        replaced = {name: self.automatic[name] for name in concerned}
        return values_of(replace(draw, populations={**draw.populations, **replaced}), settings)


def read_by_hand(layout: Layout) -> Overrides:
    """What the gating jobs wrote about overrides, joined."""
    automatic: dict[str, dict[str, Mapping[str, str]]] = {}
    for row in read_table(layout.automatic):
        automatic.setdefault(row["sample_id"], {})[row["population"]] = row
    return Overrides(automatic, [row for row in read_table(layout.by_hand) if row["outcome"] == APPLIED])


def marked(value: Value, without: Value | None) -> Value:
    """The value, flagged if an override decides it.

    The flag names the population where the value still has it; a value that is missing because a person
    took its population out, or that is held back, says `OVERRIDE` alone.
    """
    if rests_on_hand(value) or without is None or _number(value) == _number(without):
        return value
    return replace(value, flags=(*value.flags, BY_HAND))


def rests_on_hand(value: Value) -> bool:
    """Whether the flags of a value tell of an override that was applied."""
    return any(_tells(flag) for flag in value.flags)


def _tells(flag: str) -> bool:
    word = flag.removeprefix("UNSTIMULATED_").split(":")[0]
    return word == BY_HAND or EXCLUDED in flag


def _number(value: Value) -> float | None:
    return value.count.value if value.count else None


def changes_of(
    draw: Draw, values: Values, without: Values, overrides: Sequence[Override], units: Mapping[str, str]
) -> Iterator[Row]:
    """A row for each override of a draw's tubes and each value that rests on it, before and after."""
    tubes = {tube.sample_id for tube in draw.tubes}
    for row in overrides:
        if row["sample_id"] not in tubes:
            continue
        for code, value in sorted(values.items()):
            if rests_on_hand(value) and _concerns(row, value):
                yield {
                    **{name: row[name] for name in ("override_id", "sample_id", "population")},
                    **{name: getattr(draw.tubes[0], name) for name in ("subject", "visit", "specimen")},
                    "parameter": code,
                    "unit": units[code],
                    **_numbers(without.get(code), "before"),
                    **_numbers(value, "after"),
                }


def _concerns(row: Override, value: Value) -> bool:
    """Whether a value rests on an override, by the gates or override ids that its flags name, if any."""
    if row["sample_id"] not in value.tubes:
        return False
    told = [flag for flag in value.flags if _tells(flag) and flag != BY_HAND]
    named = f"{BY_HAND}:{row['population']}", f"({row['override_id']})"
    return not told or any(flag.endswith(named) for flag in told)


def _numbers(value: Value | None, when: str) -> Row:
    count = value.count if value else None
    numbers = {
        "value": count.value if count else None,
        "events": count.events if count else None,
        "parent_events": count.parent_events if count else None,
    }
    return {f"{name}_{when}": number for name, number in numbers.items()}
