"""How a value follows from events, worked out again from the tables and apart from what made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cytotrial.errors import CountError
from cytotrial.settings import Absolute, CrossTube, ParameterCode, Percent, Ratio, Settings
from cytotrial.terms import Role, Tube

Row = Mapping[str, str]

TOLERANCE = 1e-9
"""Largest relative difference between a value and its formula that is not a mismatch."""


@dataclass(frozen=True)
class Formula:
    """A value as a formula: in words, with its numbers, and worked out; and the values it rests on."""

    code: ParameterCode
    words: str
    numbers: str
    value: float
    parts: tuple[Formula, ...] = ()


@dataclass(frozen=True)
class Draw:
    """What is known of one specimen.

    values : parameter → its row of counts/specimens.csv
    tubes : the tubes that the traced value rests on
    populations : (sample_id, population) → its row of populations.csv
    """

    settings: Settings
    values: Mapping[str, Row]
    tubes: tuple[Tube, ...]
    populations: Mapping[tuple[str, str], Row]

    def tube(self, panel: str, role: Role) -> Tube:
        """The tube of a panel and role that the value rests on."""
        for tube in self.tubes:
            if (tube.panel, tube.role) == (panel, role):
                return tube
        raise CountError(f"the value names no {role.value} tube of panel {panel}.")

    def events(self, tube: Tube, population: str) -> int:
        row = self.populations.get((tube.sample_id, population))
        if row is None or not row["events"]:
            raise CountError(f"{tube.sample_id} has no events in population {population}.")
        return int(row["events"])


def formula_of(draw: Draw, code: ParameterCode) -> Formula:
    """The formula of a parameter, with the numbers of one draw.

    Raises
    ------
    CountError
        If a number that it needs is not in the tables.
    """
    parameter = draw.settings.parameters[code]
    if isinstance(parameter, Absolute):
        return _absolute(draw, code, parameter)
    if isinstance(parameter, Percent):
        return _percent(draw, code, parameter)
    return _of_two(draw, code, parameter)


def _absolute(draw: Draw, code: ParameterCode, parameter: Absolute) -> Formula:
    tube, row = draw.tube(parameter.panel, Role.SAMPLE), draw.values[code]
    cells, method = draw.events(tube, parameter.population), row["method"]
    if method == "BEAD":
        beads = draw.events(tube, draw.settings.counts.beads)
        per_tube, blood = _known(tube.beads_per_tube), _known(tube.blood_ul)
        return Formula(
            code,
            "cells / beads × beads in the tube / blood in µL",
            f"{cells} / {beads} × {per_tube:g} / {blood:g}",
            cells / beads * per_tube / blood,
        )
    if method == "DUAL":
        lymphocytes, blood_count = int(row["lymphocyte_events"]), float(row["cbc_lymphocytes_10e9_per_l"])
        return Formula(
            code,
            "cells / lymphocytes × lymphocytes of the blood count in 10^9/L × 1000",
            f"{cells} / {lymphocytes} × {blood_count:g} × 1000",
            cells / lymphocytes * blood_count * 1000,
        )
    if method == "VOL":
        volume, dilution = float(row["volume_nl"]), float(row["dilution"])
        return Formula(
            code,
            "cells × dilution / volume in nL × 1000",
            f"{cells} × {dilution:g} / {volume:g} × 1000",
            cells * dilution / volume * 1000,
        )
    raise CountError(f"the method {method or '(none)'} has no formula here.")


def _percent(draw: Draw, code: ParameterCode, parameter: Percent) -> Formula:
    tube = draw.tube(parameter.panel, Role.SAMPLE)
    events, parents = draw.events(tube, parameter.population), draw.events(tube, parameter.of)
    raw = 100 * events / parents
    words, numbers = "100 × cells / parent", f"100 × {events} / {parents}"
    if draw.values[code]["method"] == "FRACTION":
        return Formula(code, words, numbers, raw)
    partner = draw.tube(parameter.panel, Role.UNSTIMULATED)
    below, below_parents = draw.events(partner, parameter.population), draw.events(partner, parameter.of)
    return Formula(
        code,
        f"{words}, less that of the unstimulated tube; not below 0",
        f"{numbers} − 100 × {below} / {below_parents}",
        max(0.0, raw - 100 * below / below_parents),
    )


def _of_two(draw: Draw, code: ParameterCode, parameter: CrossTube | Ratio) -> Formula:
    """A value made of two others, each worked out again too."""
    crossed = isinstance(parameter, CrossTube)
    names = (
        (parameter.percent, parameter.count)
        if isinstance(parameter, CrossTube)
        else (parameter.numerator, parameter.denominator)
    )
    first, second = (formula_of(draw, name) for name in names)
    sign = "/ 100 ×" if crossed else "/"
    if not crossed and second.value == 0:
        raise CountError(f"{second.code} is 0: there is no ratio to it.")
    return Formula(
        code,
        f"{first.code} {sign} {second.code}",
        f"{first.value:.6g} {sign} {second.value:.6g}",
        first.value / 100 * second.value if crossed else first.value / second.value,
        (first, second),
    )


def _known(number: float | None) -> float:
    if number is None:
        raise CountError("the sheet does not give beads_per_tube or blood_ul.")
    return number


def agrees(formula: Formula, value: str) -> bool:
    """Whether a value of the dataset is what its formula gives."""
    return abs(float(value) - formula.value) <= TOLERANCE * max(1.0, abs(formula.value))
