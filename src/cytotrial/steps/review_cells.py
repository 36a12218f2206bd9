"""What the review page tells of a tube: its gates in order, the cells that picture them, its controls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cytotrial.files.packing import inflated
from cytotrial.terms import Role, Tube

Plain = dict[str, Any]
LONGEST_LINE_UP = 3
"""Controls whose curves are drawn beside one axis, at most."""
UNSTIMULATED = ""
"""Stands for the marker that an unstimulated tube lacks: it has all of them."""


@dataclass
class Shared:
    """Plain data that many tubes have in common, each told once and then by its number."""

    values: list[Plain] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def number_of(self, value: Plain) -> int:
        key = repr(sorted(value.items()))
        if key not in self._numbers:
            self._numbers[key] = len(self.values)
            self.values.append(value)
        return self._numbers[key]


@dataclass(frozen=True)
class Packed:
    """What the gating step kept of one tube, as it was written."""

    pictures: Sequence[Plain]
    sample: Plain | None
    curves: Plain | None


def by_tube(entries: Iterable[Plain]) -> dict[str, Packed]:
    """Pictures, event samples and curves of several units, by tube."""
    found: dict[str, list[Plain]] = {}
    for entry in entries:
        found.setdefault(entry["sample_id"], []).append(entry)
    return {
        sample_id: Packed(
            pictures=[entry for entry in parts if "population" in entry],
            sample=next((entry for entry in parts if "levels" in entry), None),
            curves=next((entry for entry in parts if "curves" in entry), None),
        )
        for sample_id, parts in found.items()
    }


def cells_of(pictures: Sequence[Plain]) -> list[Plain]:
    """The pictures that are shown: a threshold that another picture shows too is left to that one.

    So the two thresholds of a quadrant are moved where their corner is seen.
    """
    edited = {
        name
        for picture in pictures
        if picture["edits"] != [picture["population"]]
        for name in picture["edits"]
    }
    return [picture for picture in pictures if picture["population"] not in edited]


def lines_of(pictures: Sequence[Plain], cells: Sequence[Plain]) -> list[Plain]:
    """The pictures of thresholds that no cell can count, for another population is drawn there.

    Their own axis is kept, so that they are counted exactly too.
    """
    counted = {(cell["parent"], name) for cell in cells for name in (cell["population"], *cell["edits"])}
    return [
        picture
        for picture in pictures
        if picture["edits"] == [picture["population"]]
        and (picture["parent"], picture["population"]) not in counted
    ]


def line_as_plain(picture: Plain, axes: Shared) -> Plain:
    """A line without its counts."""
    return {"population": picture["population"], "x": axes.number_of(_axis(picture["x"]))}


def cell_as_plain(
    picture: Plain, axes: Shared, *, doubt: tuple[float, Sequence[str]], borrowed: bool
) -> Plain:
    """A cell without its counts; its axes by number."""
    score, reasons = doubt
    return {
        "population": picture["population"],
        "edits": picture["edits"],
        "bins": picture["bins"],
        "x": axes.number_of(_axis(picture["x"])),
        "y": axes.number_of(_axis(picture["y"])),
        "score": round(score, 3),
        "reasons": list(reasons),
        "borrowed": borrowed,
    }


def _axis(axis: Plain) -> Plain:
    return {
        key: axis[key] for key in ("channel", "marker", "label", "matrix", "kind", "low", "high", "ticks")
    }


def packed_pictures(cells: Iterable[Plain], lines: Iterable[Plain]) -> bytes:
    """The counts of a tube's cells, of each its plane, its x axis and its y axis; then those of its lines."""
    texts = [part for cell in cells for part in (cell["counts"], cell["x"]["counts"], cell["y"]["counts"])]
    return b"".join(inflated(text) for text in (*texts, *(line["x"]["counts"] for line in lines)))


def packed_sample(sample: Plain | None) -> bytes:
    """A tube's event sample: the number of groups, the groups, the levels."""
    if sample is None:
        return b""
    return inflated(sample["groups"]) + inflated(sample["levels"])


def sampled_axes(sample: Plain | None, axes: Shared) -> list[int]:
    """The axes of the sample's levels, by number."""
    return [] if sample is None else [axes.number_of(axis) for axis in sample["axes"]]


class Controls:
    """The controls of a study, each with the curves that some cell shows."""

    def __init__(self, tubes: Sequence[Tube], packed: Mapping[str, Packed], names: Mapping[str, str]) -> None:
        self._tubes = sorted(
            (tube for tube in tubes if tube.sample_id in packed and packed[tube.sample_id].curves),
            key=lambda tube: tube.sample_id,
        )
        self._names = names
        self._curves = {
            tube.sample_id: {(p, c): text for p, c, text in (packed[tube.sample_id].curves or {})["curves"]}
            for tube in self._tubes
        }
        self._groups = _by_marker(self._tubes)
        self._wanted: dict[str, list[tuple[str, str]]] = {}

    def of_cell(self, tube: Tube, cell: Plain) -> list[list[Any]]:
        """For each curve beside a cell: the side, the control's number, and the curve's."""
        found = []
        for side in ("x", "y"):
            marker, channel = cell[side]["marker"], cell[side]["channel"]
            for control in self._beside(tube, marker) if marker else ():
                place = self._place(control, cell["parent"], channel)
                if place is not None:
                    found.append([side, *place])
        return found

    def _beside(self, tube: Tube, marker: str) -> list[Tube]:
        """The marker's controls and unstimulated tubes: the draw's own if there are any, else the batch's."""
        chosen: list[Tube] = []
        for lacked in (marker, UNSTIMULATED):
            known = self._groups.get((tube.panel, lacked), ())
            group = [c for c in known if c.sample_id != tube.sample_id]
            own = [c for c in group if tube.specimen and c.specimen == tube.specimen]
            chosen += own or [c for c in group if c.batch == tube.batch and not c.subject]
        return chosen[:LONGEST_LINE_UP]

    def _place(self, control: Tube, population: str, channel: str) -> tuple[int, int] | None:
        if (population, channel) not in self._curves[control.sample_id]:
            return None
        wanted = self._wanted.setdefault(control.sample_id, [])
        if (population, channel) not in wanted:
            wanted.append((population, channel))
        return list(self._wanted).index(control.sample_id), wanted.index((population, channel))

    def as_plain(self) -> list[Plain]:
        """Of each control its label and how many curves it has, in the order of their numbers."""
        tubes = {tube.sample_id: tube for tube in self._tubes}
        return [
            {"label": self._label(tubes[sample_id]), "curves": len(wanted)}
            for sample_id, wanted in self._wanted.items()
        ]

    def _label(self, control: Tube) -> str:
        kind = control.role.value.upper() if control.role is Role.FMO else control.role.value
        return " ".join(
            part for part in (kind, control.control_for, f"({self._names[control.sample_id]})") if part
        )

    def packed(self) -> list[bytes]:
        """The curves of each control, in the order of their numbers."""
        whole = []
        for sample_id, wanted in self._wanted.items():
            texts = self._curves[sample_id]
            whole.append(b"".join(inflated(texts[key]) for key in wanted))
        return whole


def _by_marker(controls: Iterable[Tube]) -> dict[tuple[str, str], list[Tube]]:
    """(panel, marker that is not stained) → its controls; unstimulated tubes under no marker."""
    groups: dict[tuple[str, str], list[Tube]] = {}
    for control in controls:
        if control.role in {Role.FMO, Role.ISOTYPE} and control.control_for:
            groups.setdefault((control.panel, control.control_for), []).append(control)
        elif control.role is Role.UNSTIMULATED:
            groups.setdefault((control.panel, UNSTIMULATED), []).append(control)
    return groups
