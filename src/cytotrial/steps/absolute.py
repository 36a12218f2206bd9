"""Cells per microlitre in one count tube, by the method of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from cytotrial.errors import CountError
from cytotrial.science.counting import (
    check_flow_rate,
    count_against_beads,
    count_by_blood_count,
    count_in_volume,
)
from cytotrial.settings import Counts, Settings
from cytotrial.steps.blood_counts import lymphocytes_10e9_per_l
from cytotrial.steps.draws import Draw, TubePopulations, ancestors, events_of
from cytotrial.terms import Count, Tube

INCOMPLETE = {"ZEROS_AT_END", "SECOND_DATA_SET", "BYTES_AT_END"}
"""Codes of files that may lack events of the acquired volume."""

LEAST_STEADY = 0.99
MOST_LOST = 0.01
MOST_APART = 2.0
"""A count and the blood count's lymphocytes that differ by more than this factor are flagged."""


@dataclass(frozen=True, eq=False)
class CountTube:
    """A tube in which cells are counted, its gates' events, and the draw it belongs to."""

    draw: Draw
    rows: TubePopulations
    tube: Tube
    settings: Settings

    @property
    def counts(self) -> Counts:
        return self.settings.counts

    @property
    def checked(self) -> Mapping[str, str]:
        """Its row of the inventory."""
        return self.draw.inventory[self.tube.sample_id]


def count_absolute(counted: CountTube, population: str) -> Count:
    """Cells/µL of a population, with the flags of its gates and of the method.

    Raises
    ------
    CountError
        If the sheet, the file or the gates lack what the method needs.
    """
    methods = {"beads": _by_beads, "dual_platform": _by_blood_count, "volumetric": _by_volume}
    count = methods[counted.counts.method](counted, population)
    material = counted.settings.panels[counted.tube.panel].material
    flags = (*count.flags, *(("PBMC",) if material == "pbmc" else ()))
    return replace(count, flags=tuple(dict.fromkeys(flags)))


def _by_beads(counted: CountTube, population: str) -> Count:
    counts, tube = counted.counts, counted.tube
    beads_per_tube, blood_ul = tube.beads_per_tube, tube.blood_ul
    if beads_per_tube is None or blood_ul is None:
        empty = [name for name in ("beads_per_tube", "blood_ul") if getattr(tube, name) is None]
        raise CountError(
            f"{' and '.join(empty)} empty in the sample sheet.",
            hint="beads_per_tube is in the bead lot's certificate, blood_ul in the pipetting protocol.",
        )
    beads, bead_flags = events_of(counted.rows, counts.beads)
    if counts.beads in {population, *ancestors(counted.rows, population)}:
        raise CountError(f"'{population}' lies in the bead gate '{counts.beads}': these would be beads.")

    def per_ul(cells: int) -> Count:
        return count_against_beads(
            cells,
            beads,
            beads_per_tube=beads_per_tube,
            blood_ul=blood_ul,
            lot_cv_percent=counts.bead_lot_cv_percent,
            pipette_cv_percent=counts.pipette_cv_percent,
        )

    count = _of_population(counted, population, per_ul)
    few = ("FEW_BEADS",) if beads < counts.min_bead_events else ()
    return replace(count, flags=(*count.flags, *bead_flags, *few))


def _by_volume(counted: CountTube, population: str) -> Count:
    counts, dilution, volume_nl = counted.counts, counted.tube.dilution, _volume_nl(counted)
    if dilution is None:
        raise CountError(
            "dilution empty in the sample sheet.",
            hint="It is the volume in the tube over the blood in it: 50 µL of blood in 2 mL are 40.",
        )

    def per_ul(cells: int) -> Count:
        return count_in_volume(
            cells,
            volume_nl=volume_nl,
            dilution=dilution,
            cv_percent=counts.volume_cv_percent,
            pipette_cv_percent=counts.pipette_cv_percent,
        )

    count = _of_population(counted, population, per_ul)
    return replace(count, flags=(*count.flags, *_doubts_about_volume(counted)))


def _of_population(counted: CountTube, population: str, per_ul: Callable[[int], Count]) -> Count:
    """The count of a population, compared with the blood count where the draw has one."""
    cells, flags = events_of(counted.rows, population)
    count = per_ul(cells)
    apart = _apart_from_blood_count(counted, per_ul)
    return replace(count, flags=(*count.flags, *flags, *apart))


def _apart_from_blood_count(counted: CountTube, per_ul: Callable[[int], Count]) -> Iterator[str]:
    """A flag if all lymphocytes, counted in this tube, are far from those of the haematology analyser.

    Washing, a wrong bead lot or a wrong dilution show here: they move every count of the tube alike.
    """
    try:
        lymphocytes, _ = events_of(counted.rows, counted.counts.lymphocytes)
        expected = 1000 * lymphocytes_10e9_per_l(counted.draw, counted.tube, counted.counts)[0]
    except CountError:
        return
    found = per_ul(lymphocytes).value or 0.0
    if not expected / MOST_APART <= found <= expected * MOST_APART:
        yield f"CBC_DISAGREES:{found:.0f} lymphocytes per µL, the blood count has {expected:.0f}"


def _volume_nl(counted: CountTube) -> float:
    """The part of the acquired volume whose events were gated.

    Masked stretches of time were part of the volume: it shrinks by their share of the events.
    """
    row = counted.checked
    if not row["volume_nl"]:
        raise CountError(
            "the file has no acquired volume ($VOL).",
            hint="If the cytometer meters none, count against beads or by the blood count (counts.method).",
        )
    if broken := sorted(INCOMPLETE & set(row["code"].split(";"))):
        raise CountError(f"events of the acquired volume may be missing ({', '.join(broken)}).")
    if row["seconds"]:
        check_flow_rate(float(row["volume_nl"]), seconds=float(row["seconds"]))
    return float(row["volume_nl"]) * counted.draw.steady.get(counted.tube.sample_id, 1.0)


def _doubts_about_volume(counted: CountTube) -> Iterator[str]:
    """What may make the volume another one: its unit, masked time, events that were not recorded."""
    row = counted.checked
    if "VOLUME_IN_MICROLITRES" in row["code"].split(";"):
        yield "TUBE_WARN:VOLUME_IN_MICROLITRES"
    if not row["seconds"]:
        yield "VOLUME_UNCHECKED"
    steady = counted.draw.steady.get(counted.tube.sample_id, 1.0)
    if steady < LEAST_STEADY:
        yield f"VOLUME_SHARE:{100 * steady:.1f}%"
    lost, recorded = int(row["events_lost"] or 0), int(row["events"] or 0)
    if lost > MOST_LOST * (lost + recorded):
        yield f"EVENTS_LOST:{100 * lost / (lost + recorded):.1f}%"


def _by_blood_count(counted: CountTube, population: str) -> Count:
    counts, rows = counted.counts, counted.rows
    cells, flags = events_of(rows, population)
    lymphocytes, lymphocyte_flags = events_of(rows, counts.lymphocytes)
    if counts.lymphocytes not in {population, *ancestors(rows, population)}:
        raise CountError(f"'{counts.lymphocytes}' is no ancestor of '{population}' in the gating.")
    per_l, doubts = lymphocytes_10e9_per_l(counted.draw, counted.tube, counts)
    count = count_by_blood_count(
        cells, lymphocytes, lymphocytes_10e9_per_l=per_l, cv_percent=counts.cbc_cv_percent
    )
    markers = {name.upper() for name in counted.settings.panels[counted.tube.panel].markers}
    stained = () if "CD45" in markers else ("NO_CD45",)
    return replace(count, flags=(*count.flags, *flags, *lymphocyte_flags, *doubts, *stained))
