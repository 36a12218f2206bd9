"""Gate one unit's tubes of one panel: events in, small tables out."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np

from cytotrial.errors import CytotrialError
from cytotrial.files.fcs import FcsHeader, inspect_fcs, read_events
from cytotrial.files.spillover import read_spillover
from cytotrial.files.strategy import gate_to_json, read_strategies
from cytotrial.files.tables import Row, read_table, write_table
from cytotrial.science.gates import TubeEvents
from cytotrial.science.gating import (
    ControlKey,
    GatedTube,
    StainedTube,
    count_populations,
    gate_control,
    gate_tube,
)
from cytotrial.science.quality import REASONS, AcquisitionQuality, assess_acquisition
from cytotrial.steps.layout import GATES, POPULATIONS, UNIT_QUALITY
from cytotrial.steps.pictures import picture_of, write_pictures
from cytotrial.steps.plan import CONTROLS, Plan
from cytotrial.steps.strategies import strategy_of
from cytotrial.steps.traces import packed_trace
from cytotrial.steps.tubes import FALLBACK_MATRIX, channels_of_markers, kinds_of, value_flags
from cytotrial.terms import (
    ROOT,
    TUBE_MATRIX,
    Dimension,
    Events,
    FloatArray,
    GatingStrategy,
    PlacedGate,
    Role,
    SpilloverMatrix,
    Status,
    Tube,
)

SCATTER = ("FSC", "SSC")
"""Channels whose off-scale events are masked: in fluorescence a bright bead or cell is still one to count."""


@dataclass(frozen=True, eq=False)
class LoadedTube:
    """A tube with its events, and what acquisition quality and the file had to say."""

    tube: Tube
    stained: StainedTube
    strategy: GatingStrategy
    quality: AcquisitionQuality
    flags: tuple[str, ...]


@dataclass(frozen=True)
class _Outcome:
    """The rows that one tube contributes."""

    quality: Sequence[Row]
    gates: Sequence[Row]
    populations: Sequence[Row]
    pictures: Sequence[Mapping[str, object]]


class TooUnsteadyError(CytotrialError):
    """A tube of which too large a share was taken unsteadily; it keeps its row of acquisition quality."""

    def __init__(self, message: str, *, quality: AcquisitionQuality, flags: tuple[str, ...]) -> None:
        super().__init__(
            message, hint="See its picture in the report; acquire the tube anew if there is any."
        )
        self.quality = quality
        self.flags = flags


class Bench:
    """Reads the tubes of one panel as gating needs them: compensated, with markers resolved."""

    def __init__(self, plan: Plan, panel: str) -> None:
        self.plan = plan
        self.settings = plan.trial.settings.panels[panel]
        self.panel = panel

    @cached_property
    def strategies(self) -> Mapping[str, GatingStrategy]:
        return read_strategies(self.plan.layout.strategy(self.panel))

    @cached_property
    def controls_looked_at(self) -> frozenset[ControlKey]:
        """(role, marker) of every control that a gate of the panel's gating names."""
        finds = [population.find for entry in self.strategies.values() for population in entry.populations]
        return frozenset((find.control, find.control_marker) for find in finds if find and find.control)

    @cached_property
    def _matrices(self) -> dict[str, SpilloverMatrix]:
        return {}

    def load(self, tube: Tube, checked: Mapping[str, str]) -> LoadedTube:
        """Read one tube. Raises CytotrialError with the reason if it cannot be gated."""
        path = self.plan.path_of(tube)
        report = inspect_fcs(path, root=Path(self.plan.trial.settings.fcs_dir))
        if report.header is None:
            raise CytotrialError("the file cannot be read any more: it changed during the run.")
        decoded = read_events(path, report.header)
        channels, _ = channels_of_markers(report.header.channels, self.settings.markers)
        matrix = self._matrix(tube, report.header.spillover)
        flags = list(value_flags(checked["code"])) if checked["status"] == "warn" else []
        flags += self._not_in_matrix(channels, matrix)
        quality = self._quality(decoded.events, report.header)
        flags += [f"NON_FINITE_EVENTS:{decoded.n_nonfinite}"] if decoded.n_nonfinite else []
        strategy = strategy_of(self.strategies, fcs=tube.fcs)
        events = TubeEvents(
            decoded.events, {**strategy.matrices, **({TUBE_MATRIX: matrix} if matrix else {})}
        )
        found = self._quality_flags(quality)
        stained = StainedTube(tube.sample_id, events, channels, quality.keep)
        return LoadedTube(tube, stained, strategy, quality, (*flags, *found))

    def _matrix(self, tube: Tube, embedded: SpilloverMatrix | None) -> SpilloverMatrix | None:
        """The tube's matrix; None leaves it uncompensated. Of a batch that falls back, flagged."""
        mode = self.plan.compensation(self.panel, tube.batch)
        falls_back = mode == "embedded" and embedded is None and self.plan.falls_back(self.panel, tube.batch)
        if mode in {"none", "embedded"} and not falls_back:
            return embedded if mode == "embedded" else None
        if tube.batch not in self._matrices:
            self._matrices[tube.batch] = _made_matrix(self.plan, self.panel, tube.batch)
        made = self._matrices[tube.batch]
        return replace(made, flags=made.flags or (f"{FALLBACK_MATRIX}:{tube.batch}",)) if falls_back else made

    def _not_in_matrix(self, channels: Mapping[str, str], matrix: SpilloverMatrix | None) -> list[str]:
        """The matrix's flags, and dyes that the tube's own leaves out; a panel's matrix must have them all.

        Raises
        ------
        CytotrialError
            If a matrix from controls or from a file lacks a dye of the panel: the marker would be
            gated uncompensated.
        """
        if matrix is None:
            return []
        flags = list(matrix.flags)
        dyed = [marker for marker in channels if marker not in self.settings.without_fluorochrome]
        lacking = [marker for marker in dyed if channels[marker] not in matrix.detectors]
        if lacking and matrix.origin != "embedded":
            named = ", ".join(f"{marker} ({channels[marker]})" for marker in lacking)
            raise CytotrialError(
                f"NOT_IN_MATRIX: the spillover matrix has no row for {named}.",
                hint="Add it to the matrix, or list a marker without dye under without_fluorochrome.",
            )
        return [*flags, *(f"NOT_IN_MATRIX:{marker}" for marker in lacking)]

    def _quality(self, events: Events, header: FcsHeader) -> AcquisitionQuality:
        """Steadiness of rate and signal, and events off the scale of the scatter channels."""
        settings = self.plan.trial.settings.quality
        if not settings.time_bins:
            everything = np.ones(events.n_events, bool)
            return AcquisitionQuality(everything, everything, 0.0, {})
        time = events.channels[header.time_index] if header.time_index is not None else None
        signals = [name for name in events.channels if name != time]
        return assess_acquisition(
            events,
            time_channel=time,
            signal_channels=signals,
            ranges=_highest_values(header),
            margin_channels=[name for name in signals if name.startswith(SCATTER)],
            k_mad=settings.mad,
            isolation_gain=settings.isolation_gain,
            min_shift=settings.min_shift,
            min_rate_factor=settings.rate_factor,
            max_margin_percent=settings.max_margin_percent,
        )

    def _quality_flags(self, quality: AcquisitionQuality) -> tuple[str, ...]:
        """What acquisition quality flags a tube with.

        Raises
        ------
        TooUnsteadyError
            If more of it was taken unsteadily than is configured.
        """
        settings = self.plan.trial.settings.quality
        n_events = quality.keep.size
        unsteady = 100 * float(np.mean(~quality.steady)) if n_events else 0.0
        flags = list(quality.flags)
        if unsteady > settings.max_time_removed_percent:
            flags.append(f"UNSTABLE_TIME:{unsteady:.1f}%")
        if n_events < settings.min_events:
            flags.append(f"FEW_EVENTS:{n_events}")
        if unsteady > settings.fail_time_removed_percent:
            raise TooUnsteadyError(
                f"UNSTABLE_TIME: {unsteady:.1f} % of the events were taken unsteadily; at most "
                f"{settings.fail_time_removed_percent:g} % were expected.",
                quality=quality,
                flags=tuple(flags),
            )
        return tuple(flags)


def _highest_values(header: FcsHeader) -> dict[str, float]:
    """$PnN → the highest value that the channel can hold, in the units of its decoded events."""
    tops: dict[str, float] = {}
    for channel, column in zip(header.channels, header.columns, strict=True):
        if column.range is None or channel.index == header.time_index:
            continue
        top = column.range - 1
        logarithmic = 10 ** (column.decades * top / column.range) * column.log_zero
        tops[channel.name] = logarithmic if column.decades else top / column.gain
    return tops


def _made_matrix(plan: Plan, panel: str, batch: str) -> SpilloverMatrix:
    """The matrix of a panel and batch that the compensation step wrote.

    Raises
    ------
    CytotrialError
        If it could not be made: the reasons are in the file.
    """
    path = plan.layout.matrix(panel, batch)
    if path.read_text(encoding="utf-8").startswith("refused\n"):
        reasons = "; ".join(row["refused"] for row in read_table(path))
        raise CytotrialError(f"NO_SPILLOVER_MATRIX: {reasons}")
    return read_spillover(path)


def gate_unit(plan: Plan, *, panel: str, unit: str) -> None:
    """Write a unit's gates, populations and pictures of one panel.

    A tube that was rejected, not done, or cannot be gated has its rows all the same, without
    events and with the reason.
    """
    tubes = plan.tubes_to_gate(panel, unit)
    others = plan.controls_of(panel, unit)
    checked = {
        row["sample_id"]: row
        for name in plan.units_of([*tubes, *others])
        for row in read_table(plan.layout.checked(name))
    }
    bench = Bench(plan, panel)
    outcomes = _gate_draws(bench, tubes, others, checked)
    done = [outcomes[tube.sample_id] for tube in tubes]
    layout = plan.layout
    write_table(
        layout.unit_quality(panel, unit), UNIT_QUALITY, [row for outcome in done for row in outcome.quality]
    )
    write_table(layout.unit_gates(panel, unit), GATES, [row for outcome in done for row in outcome.gates])
    write_table(
        layout.unit_populations(panel, unit),
        POPULATIONS,
        [row for outcome in done for row in outcome.populations],
    )
    write_pictures(
        layout.unit_pictures(panel, unit), [picture for outcome in done for picture in outcome.pictures]
    )


def _gate_draws(
    bench: Bench, members: Sequence[Tube], outside: Sequence[Tube], checked: Mapping[str, Mapping[str, str]]
) -> dict[str, _Outcome]:
    """Gate the unit's tubes a draw at a time, each with the controls of its draw and of its batch."""
    common = [tube for tube in (*members, *outside) if not tube.subject]
    batch_controls = {
        batch: _control_tubes(bench, [tube for tube in common if tube.batch == batch], checked)
        for batch in sorted({tube.batch for tube in members})
    }
    outcomes: dict[str, _Outcome] = {}
    ordered = sorted(members, key=lambda tube: (tube.specimen, tube.sample_id))
    for specimen, grouped in groupby(ordered, key=lambda tube: tube.specimen):
        draw = list(grouped)
        own = _control_tubes(bench, [tube for tube in draw if specimen and tube.role in CONTROLS], checked)
        borrowed: dict[str, PlacedGate] = {}
        for tube in sorted(draw, key=lambda tube: (tube.role is not Role.SAMPLE, tube.sample_id)):
            controls = {**batch_controls[tube.batch], **own}
            lent = borrowed if specimen and tube.role in CONTROLS else None
            outcome, gated = _gate_one(bench, tube, checked[tube.sample_id], controls, lent)
            outcomes[tube.sample_id] = outcome
            if tube.role is Role.SAMPLE and gated is not None:
                borrowed |= {gate.population: gate for gate in gated.placed}
    return outcomes


def _control_tubes(
    bench: Bench, tubes: Iterable[Tube], checked: Mapping[str, Mapping[str, str]]
) -> dict[ControlKey, list[GatedTube]]:
    """(role, marker) → the usable controls that gates look at, gated as far as those gates need them."""
    controls: dict[ControlKey, list[GatedTube]] = {}
    for tube in sorted(tubes, key=lambda tube: tube.sample_id):
        key = (tube.role.value, "" if tube.role is Role.UNSTIMULATED else tube.control_for)
        if key not in bench.controls_looked_at or checked[tube.sample_id]["status"] not in {"ok", "warn"}:
            continue
        try:
            loaded = bench.load(tube, checked[tube.sample_id])
        except Exception:  # the reason stands in the control's own rows
            continue
        controls.setdefault(key, []).append(gate_control(loaded.strategy, loaded.stained))
    return controls


def _gate_one(
    bench: Bench,
    tube: Tube,
    checked: Mapping[str, str],
    controls: Mapping[ControlKey, Sequence[GatedTube]],
    borrowed: Mapping[str, PlacedGate] | None,
) -> tuple[_Outcome, GatedTube | None]:
    if checked["status"] not in {"ok", "warn"}:
        reason = checked["message"] if checked["status"] == "not_done" else checked["code"]
        return _without_events(bench, tube, Status.NOT_DONE, reason), None
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = bench.load(tube, checked)
            gated = gate_tube(loaded.strategy, loaded.stained, controls=controls, borrowed=borrowed)
        loaded = replace(
            loaded, flags=(*loaded.flags, *(f"SOFTWARE_WARNING:{kind}" for kind in kinds_of(caught)))
        )
    except TooUnsteadyError as error:
        row = _quality_row(tube, error.quality, error.flags)
        return replace(_without_events(bench, tube, Status.FAIL, str(error)), quality=[row]), None
    except CytotrialError as error:
        return _without_events(bench, tube, Status.FAIL, str(error)), None
    except Exception as error:  # one tube never stops the others; the log has the whole story
        traceback.print_exc()
        return _without_events(bench, tube, Status.FAIL, f"UNFORESEEN: {type(error).__name__}"), None
    pictures = [picture for gate in gated.placed if (picture := picture_of(gate, gated)) is not None]
    rows = (
        _quality_row(tube, loaded.quality, loaded.flags),
        _gate_rows(gated),
        list(_population_rows(loaded, gated)),
    )
    return _Outcome([rows[0]], rows[1], rows[2], pictures), gated


def _without_events(bench: Bench, tube: Tube, status: Status, reason: str) -> _Outcome:
    """Rows of a tube that has no events: every population of its strategy, empty, with the reason."""
    try:
        strategy = strategy_of(bench.strategies, fcs=tube.fcs)
        names = [(ROOT, ""), *((population.name, population.parent) for population in strategy.populations)]
        version = strategy.version
    except CytotrialError:
        names, version = [(ROOT, "")], ""
    rows = [
        _population_row(tube, name, parent, status=status, reason=reason, version=version)
        for name, parent in names
    ]
    return _Outcome([], [], rows, [])


def _quality_row(tube: Tube, quality: AcquisitionQuality, flags: Iterable[str]) -> Row:
    """What acquisition quality masked in a tube, why and when; of the tube's flags, those that concern it."""
    own = (
        flag for flag in flags if flag in quality.flags or flag.startswith(("UNSTABLE_TIME", "FEW_EVENTS"))
    )
    intervals = [f"{part.begin:g} to {part.end:g} ({'+'.join(part.reasons)})" for part in quality.intervals]
    return {
        "sample_id": tube.sample_id,
        "events": quality.keep.size,
        "removed_percent": round(quality.removed_percent, 3),
        **{f"{reason}_percent": round(quality.percent.get(reason, 0.0), 3) for reason in REASONS},
        "channels": quality.channels,
        "intervals": intervals,
        "drift": quality.drift,
        "doublets": quality.doublets,
        "time_check": quality.time_check,
        "flags": tuple(own),
        "trace": packed_trace(quality),
    }


def _gate_rows(gated: GatedTube) -> list[Row]:
    return [
        {
            "sample_id": gated.tube.sample_id,
            "population": gate.population,
            "parent": gate.parent,
            "gate": gate_to_json(gate.gate),
            "origin": gate.origin,
            "control": gate.controls,
            "confidence": None if gate.confidence is None else round(gate.confidence, 4),
            "flags": gate.flags,
        }
        for gate in gated.placed
    ]


def _population_rows(loaded: LoadedTube, gated: GatedTube) -> Iterator[Row]:
    for count in count_populations(loaded.strategy, gated):
        if count.events is None:
            yield _population_row(
                loaded.tube,
                count.population,
                count.parent,
                status=Status.FAIL,
                reason=count.reason,
                version=loaded.strategy.version,
                flags=(*loaded.flags, *count.flags),
            )
            continue
        flags = (*loaded.flags, *count.flags)
        row = _population_row(
            loaded.tube,
            count.population,
            count.parent,
            status=Status.WARN if flags else Status.OK,
            reason="",
            version=loaded.strategy.version,
            flags=flags,
        )
        yield {
            **row,
            "events": count.events,
            "parent_events": count.parent_events,
            "percent_of_parent": 100 * count.events / count.parent_events if count.parent_events else None,
            "median_intensities": _medians(gated, count.population) if count.population != ROOT else "",
        }


def _population_row(
    tube: Tube,
    population: str,
    parent: str,
    *,
    status: Status,
    reason: str,
    version: str,
    flags: tuple[str, ...] = (),
) -> dict[str, object]:
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
