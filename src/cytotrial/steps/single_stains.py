"""The single stains of a panel and batch: read, resolved to channels, and made into a matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from cytotrial.errors import CompensationError
from cytotrial.files.fcs import FcsHeader, inspect_fcs, read_events
from cytotrial.files.tables import read_table
from cytotrial.science.compensation import Control, SpilloverEstimate, estimate_spillover
from cytotrial.settings import Panel
from cytotrial.steps.plan import Plan
from cytotrial.steps.tubes import channels_of_markers
from cytotrial.terms import Outcome, Role, SpilloverMatrix, Tube

SCATTER = ("FSC-A", "SSC-A"), ("FSC-H", "SSC-H")
"""Channels of the scatter gate: the first pair that the tube has."""


def usable_tubes(plan: Plan, tubes: Iterable[Tube]) -> list[Tube]:
    """The tubes that were not rejected."""
    tubes = list(tubes)
    status = {
        row["sample_id"]: row["status"]
        for unit in plan.units_of(tubes)
        for row in read_table(plan.layout.checked(unit))
    }
    return [tube for tube in tubes if status[tube.sample_id] in {Outcome.OK.value, Outcome.WARN.value}]


def header_of(plan: Plan, tube: Tube) -> FcsHeader:
    """A tube's header.

    Raises
    ------
    CompensationError
        If the file cannot be read any more.
    """
    header = inspect_fcs(plan.path_of(tube), root=Path(plan.trial.settings.fcs_dir)).header
    if header is None:
        raise CompensationError(
            f"tube {tube.sample_id}: the file cannot be read any more; it changed during the run."
        )
    return header


def as_control(plan: Plan, tube: Tube, header: FcsHeader, detectors: Sequence[str], own: str = "") -> Control:
    """A tube's events in some detectors, and its scatter.

    Raises
    ------
    CompensationError
        If the tube lacks a detector.
    """
    absent = [name for name in detectors if name not in header.names]
    if absent:
        raise CompensationError(f"tube {tube.sample_id} lacks the channels {', '.join(absent)}.")
    events = read_events(plan.path_of(tube), header).events
    scatter = next((pair for pair in SCATTER if set(pair) <= set(events.channels)), ())
    return Control(
        name=tube.sample_id,
        detector=own,
        values=np.stack([events.row(name) for name in detectors]),
        scatter=np.stack([events.row(name) for name in scatter]) if scatter else None,
    )


def estimate_from_controls(
    plan: Plan, panel: str, batch: str
) -> tuple[SpilloverEstimate, SpilloverMatrix | None]:
    """The matrix of a batch's single stains, and the one that their files bring along.

    Raises
    ------
    CompensationError
        Naming every control that is missing or cannot be used, and why.
    """
    settings = plan.trial.settings.panels[panel]
    singles, blanks, headers = _stained_alone(plan, panel, batch)
    found = _channels(singles, headers, settings)
    _require_all(found, settings)
    names = headers[singles[0].sample_id].names if singles else ()
    detectors = [name for name in names if name in found.values()]
    estimate = _estimate(plan, singles, blanks, headers, detectors=detectors, found=found)
    return estimate, headers[singles[0].sample_id].spillover


def estimate_to_compare(
    plan: Plan, panel: str, batch: str, *, detectors: Sequence[str]
) -> SpilloverEstimate | None:
    """What the batch's single stains say of a matrix made elsewhere; None if there are none.

    Raises
    ------
    CompensationError
        If the controls there are cannot be used.
    """
    singles, blanks, headers = _stained_alone(plan, panel, batch)
    found = _channels(singles, headers, plan.trial.settings.panels[panel])
    stained = [tube for tube in singles if found.get(tube.control_for) in detectors]
    if not stained:
        return None
    return _estimate(plan, stained, blanks, headers, detectors=detectors, found=found)


def _stained_alone(plan: Plan, panel: str, batch: str) -> tuple[list[Tube], list[Tube], dict[str, FcsHeader]]:
    """Usable single stains and unstained tubes, and their headers by sample_id."""
    usable = usable_tubes(plan, plan.stained_alone(panel, batch))
    headers = {tube.sample_id: header_of(plan, tube) for tube in usable}
    singles = [tube for tube in usable if tube.role is Role.SINGLE_STAIN]
    return singles, [tube for tube in usable if tube.role is Role.UNSTAINED], headers


def _estimate(
    plan: Plan,
    singles: Sequence[Tube],
    blanks: Sequence[Tube],
    headers: Mapping[str, FcsHeader],
    *,
    detectors: Sequence[str],
    found: Mapping[str, str],
) -> SpilloverEstimate:
    settings = plan.trial.settings.spillover
    controls = [
        as_control(plan, tube, headers[tube.sample_id], detectors, found[tube.control_for])
        for tube in singles
    ]
    unstained = [as_control(plan, tube, headers[tube.sample_id], detectors) for tube in blanks[:1]]
    return estimate_spillover(
        controls,
        unstained=unstained[0] if unstained else None,
        detectors=detectors,
        stained=list(dict.fromkeys(control.detector for control in controls)),
        min_positive=settings.min_positive_events,
        max_standard_error=settings.max_standard_error,
    )


def _channels(singles: Sequence[Tube], headers: Mapping[str, FcsHeader], settings: Panel) -> dict[str, str]:
    """Marker → $PnN, each read off its own single stain; bead channels off any tube that names them."""
    found: dict[str, str] = {}
    for marker, names in settings.markers.items():
        own = [tube for tube in singles if tube.control_for == marker]
        for tube in own or (singles if marker in settings.without_fluorochrome else []):
            found |= channels_of_markers(headers[tube.sample_id].channels, {marker: names})[0]
    return found


def _require_all(found: Mapping[str, str], settings: Panel) -> None:
    absent = [
        name for name in settings.markers if name not in found and name not in settings.without_fluorochrome
    ]
    if absent:
        raise CompensationError(
            f"no usable single stain for {', '.join(absent)}.",
            hint="Add the control to the sample sheet (role single_stain, control_for the marker), or list "
            "a marker that has no dye under without_fluorochrome of the panel.",
        )
