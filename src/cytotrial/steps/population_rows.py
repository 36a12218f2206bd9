"""The rows of populations.csv that one gated tube makes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np

from cytotrial.files.tables import Row
from cytotrial.science.gating import GatedTube, PopulationCount, count_populations
from cytotrial.science.populations import LEFT_OUT
from cytotrial.steps.bench import LoadedTube
from cytotrial.terms import (
    ROOT,
    TUBE_MATRIX,
    Dimension,
    FloatArray,
    Status,
    Tube,
)


def population_rows(loaded: LoadedTube, gated: GatedTube) -> Iterator[Row]:
    """A tube's rows of populations.csv: every population, also those that could not be gated."""
    for count in count_populations(loaded.strategy, gated):
        flags = (*loaded.flags, *count.flags)
        row = population_row(
            loaded.tube,
            count.population,
            count.parent,
            status=_status(count, flags),
            reason=count.reason,
            version=loaded.strategy.full_version,
            flags=flags,
        )
        yield {**row, **_counted(count, gated)} if count.events is not None else row


def _status(count: PopulationCount, flags: tuple[str, ...]) -> Status:
    if count.events is None:
        return Status.NOT_DONE if LEFT_OUT in count.flags else Status.FAIL
    return Status.WARN if flags else Status.OK


def _counted(count: PopulationCount, gated: GatedTube) -> Row:
    assert count.events is not None
    return {
        "events": count.events,
        "parent_events": count.parent_events,
        "percent_of_parent": 100 * count.events / count.parent_events if count.parent_events else None,
        "median_intensities": _medians(gated, count.population) if count.population != ROOT else "",
        "denominator": count.denominator,
    }


def population_row(
    tube: Tube,
    population: str,
    parent: str,
    *,
    status: Status,
    reason: str,
    version: str,
    flags: tuple[str, ...] = (),
) -> Row:
    """A row of populations.csv without events."""
    return {
        "sample_id": tube.sample_id,
        "subject": tube.subject,
        "visit": tube.visit,
        "specimen": tube.specimen,
        "batch": tube.batch,
        "panel": tube.panel,
        "role": tube.role.value,
        "population": population,
        "parent": parent,
        "events": None,
        "parent_events": None,
        "percent_of_parent": None,
        "median_intensities": "",
        "status": status.value,
        "flags": flags,
        "reason": reason,
        "gating_version": version,
        "denominator": "",
        "background_percent": None,
        "net_percent": None,
        "background_control": "",
    }


def with_background(row: Row, controls: Sequence[Sequence[Row]], shared: Collection[str]) -> Row:
    """A sample's row with what the draw's unstimulated tubes hold in the sample's own gate.

    Of several tubes the events are added up. The net per cent is not below 0; nothing is subtracted
    anywhere but in its own column.
    """
    if row["population"] not in shared or row["percent_of_parent"] is None:
        return row
    seen = [
        other
        for rows in controls
        for other in rows
        if other["population"] == row["population"] and other["parent_events"]
    ]
    if not seen:
        return row
    percent = 100 * sum(other["events"] for other in seen) / sum(other["parent_events"] for other in seen)
    return {
        **row,
        "background_percent": percent,
        "net_percent": max(row["percent_of_parent"] - percent, 0.0),
        "background_control": tuple(f"{other['sample_id']}:draw" for other in seen),
    }


def _medians(gated: GatedTube, population: str) -> str:
    """Median of each marker in a population: compensated, in detector units, as `CD4=1234.5|CD25=87.0`."""
    rows = np.flatnonzero(gated.masks[population])
    if not rows.size:
        return ""
    events = gated.tube.events
    matrix = TUBE_MATRIX if events.has_matrix(TUBE_MATRIX) else ""
    medians = []
    for marker, channel in gated.tube.channels.items():
        values = events.detector_values(Dimension(channel, matrix=matrix)).take(rows)
        medians.append(f"{marker}={_median(values):.1f}")
    return "|".join(medians)


def _median(values: FloatArray) -> float:
    """`np.median` of finite values, several times as fast; it puts them in another order."""
    middle = values.size // 2
    values.partition(middle)
    upper = values[middle]
    return float(upper if values.size % 2 else (values[:middle].max() + upper) / 2)
