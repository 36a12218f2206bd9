"""Read the tubes of one panel as gating needs them: compensated, markers resolved, steady events marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from cytotrial.errors import CytotrialError
from cytotrial.files.fcs import inspect_fcs, read_events
from cytotrial.files.spillover import read_spillover
from cytotrial.files.strategy import read_strategies
from cytotrial.files.tables import read_table
from cytotrial.files.whole import read_text
from cytotrial.science.gates import TubeEvents
from cytotrial.science.gating import StainedTube
from cytotrial.steps.plan import Plan
from cytotrial.steps.steadiness import Steadiness, TooUnsteadyError, judge
from cytotrial.steps.strategies import strategy_of
from cytotrial.steps.tubes import FALLBACK_MATRIX, channels_of_markers, value_flags
from cytotrial.terms import TUBE_MATRIX, GatingStrategy, Role, SpilloverMatrix, Tube

Checked = Mapping[str, Mapping[str, str]]
"""sample_id → its row of the check."""


@dataclass(frozen=True, eq=False)
class LoadedTube:
    """A tube with its events, and what acquisition quality and the file had to say."""

    tube: Tube
    stained: StainedTube
    strategy: GatingStrategy
    steadiness: Steadiness
    flags: tuple[str, ...]


def usable(checked: Mapping[str, str]) -> bool:
    """Whether a tube passed its check, with or without a warning."""
    return checked["status"] in {"ok", "warn"}


def checked_rows(plan: Plan, units: tuple[str, ...]) -> Checked:
    """The checks of some units."""
    return {row["sample_id"]: row for unit in units for row in read_table(plan.layout.checked(unit))}


class Bench:
    """Reads the tubes of one panel."""

    def __init__(self, plan: Plan, panel: str, known: Mapping[str, Steadiness] | None = None) -> None:
        self.plan = plan
        self.settings = plan.trial.settings.panels[panel]
        self.panel = panel
        self.known = known or {}

    @cached_property
    def strategies(self) -> Mapping[str, GatingStrategy]:
        return read_strategies(self.plan.layout.strategy(self.panel))

    @cached_property
    def _matrices(self) -> dict[str, SpilloverMatrix]:
        return {}

    def load(
        self, tube: Tube, checked: Mapping[str, str], strategy: GatingStrategy | None = None
    ) -> LoadedTube:
        """Read one tube, for the panel's gating or another.

        Raises
        ------
        TooUnsteadyError
            If more of it was taken unsteadily than is configured.
        CytotrialError
            With the reason if it cannot be gated otherwise.
        """
        path = self.plan.path_of(tube)
        report = inspect_fcs(path, root=Path(self.plan.trial.settings.fcs_dir))
        if report.header is None:
            raise CytotrialError("the file cannot be read any more: it changed during the run.")
        decoded = read_events(path, report.header)
        channels, _ = channels_of_markers(report.header.channels, self.settings.markers)
        matrix = self._matrix(tube, report.header.spillover)
        flags = list(value_flags(checked["code"])) if checked["status"] == "warn" else []
        flags += self._not_in_matrix(channels, matrix)
        steadiness = self.known.get(tube.sample_id) or judge(
            tube.sample_id, decoded.events, report.header, self.plan.trial.settings.quality
        )
        if steadiness.refused:
            raise TooUnsteadyError(steadiness)
        flags += [f"NON_FINITE_EVENTS:{decoded.n_nonfinite}"] if decoded.n_nonfinite else []
        strategy = strategy or strategy_of(self.strategies, fcs=tube.fcs)
        events = TubeEvents(
            decoded.events, {**strategy.matrices, **({TUBE_MATRIX: matrix} if matrix else {})}
        )
        lacks = tube.control_for if tube.role in {Role.FMO, Role.ISOTYPE} else ""
        stained = StainedTube(tube.sample_id, events, channels, steadiness.keep, lacks)
        return LoadedTube(tube, stained, strategy, steadiness, (*flags, *steadiness.flags))

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


def _made_matrix(plan: Plan, panel: str, batch: str) -> SpilloverMatrix:
    """The matrix of a panel and batch that the compensation step wrote.

    Raises
    ------
    CytotrialError
        If it could not be made: the reasons are in the file.
    """
    path = plan.layout.matrix(panel, batch)
    if read_text(path).startswith("refused\n"):
        reasons = "; ".join(row["refused"] for row in read_table(path))
        raise CytotrialError(f"NO_SPILLOVER_MATRIX: {reasons}")
    return read_spillover(path)
