"""A run and a manual gating of the same tubes, tube by tube: which population is which, and their events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from cytotrial.errors import ConfigError, CytotrialError, GateError, all_problems
from cytotrial.files.tables import Row
from cytotrial.progress import Progress, told, untold
from cytotrial.science.agreement import denominators, overlap
from cytotrial.science.gates import apply_strategy
from cytotrial.science.gating import on_channels
from cytotrial.settings import Percent
from cytotrial.steps.gated import GatedAgain, GatedRun
from cytotrial.steps.manual import Manual, mapping_problems, pairs_of, suggestions
from cytotrial.steps.plan import populations_used
from cytotrial.terms import ROOT, BoolArray, PlacedGate, Tube


class Comparison:
    """A run and a manual gating, and which population of the one is which of the other."""

    def __init__(self, run: GatedRun, manual: Manual, mapping: Sequence[tuple[str, str]]) -> None:
        self._run, self._manual, self._mapping = run, manual, mapping
        self.doubts: list[str] = []

    def _ours(self, tube: Tube) -> list[str]:
        return [name for name in self._run.populations.get(tube.sample_id, {}) if name != ROOT]

    def _theirs(self, tube: Tube) -> list[str]:
        strategy = self._manual.of(tube)
        assert strategy is not None
        return [population.name for population in strategy.populations]

    def _pairs(self, tube: Tube) -> dict[str, str]:
        return pairs_of(self._ours(tube), self._theirs(tube), self._mapping)

    def _all(self, tubes: Sequence[Tube]) -> tuple[list[str], list[str]]:
        ours = dict.fromkeys(name for tube in tubes for name in self._ours(tube))
        theirs = dict.fromkeys(name for tube in tubes for name in self._theirs(tube))
        return list(ours), list(theirs)

    def require_populations(self, tubes: Sequence[Tube]) -> None:
        """Raise ConfigError if a mapped name is not there, or no population can be compared."""
        ours, theirs = self._all(tubes)
        problems = mapping_problems(self._mapping, ours=ours, theirs=theirs)
        if not problems and not any(self._pairs(tube) for tube in tubes):
            named = ", ".join(theirs[:12])
            problems = [f"none of its populations has a name of ours; it has {named}"]
            problems += [f"perhaps {text}" for text in suggestions(ours, theirs)]
        if problems:
            raise ConfigError(
                all_problems(str(self._manual.path), problems, outcome="nothing was compared"),
                hint="Say which population is which with --map 'OURS=THEIRS', once for each.",
            )

    def not_compared(self, tubes: Sequence[Tube]) -> Iterator[str]:
        """Populations that parameters use and that have no counterpart."""
        ours, theirs = self._all(tubes)
        compared = {name for tube in tubes for name in self._pairs(tube)}
        used = {name for panel in {tube.panel for tube in tubes} for name in self._used(panel)}
        for name in ours:
            if name in used and name not in compared:
                near = suggestions([name], theirs)
                hint = f"; perhaps {' or '.join(near[:3])}" if near else ""
                yield f"not compared: population {name}, which the parameters use{hint}"

    def _used(self, panel: str) -> list[str]:
        return populations_used(self._run.plan.trial.settings, panel)

    def rows(self, tubes: Sequence[Tube], progress: Progress = untold) -> list[Row]:
        """One row for each tube and population; a tube that cannot be compared is a doubt."""
        of = self._denominators(tubes)
        rows: list[Row] = []
        for tube in told(tubes, len(tubes), progress):
            try:
                rows += self._rows_of(tube, of)
            except CytotrialError as error:
                self.doubts.append(f"not compared: tube {tube.sample_id}: {error}")
        if not rows:
            raise ConfigError(
                all_problems(str(self._manual.path), self.doubts, outcome="nothing was compared")
            )
        return rows

    def _denominators(self, tubes: Sequence[Tube]) -> dict[tuple[str, str], str]:
        """(panel, population) → a population above it that all tubes can state a percentage of."""
        possible: dict[tuple[str, str], list[str]] = {}
        for tube in tubes:
            rows, strategy = self._run.populations.get(tube.sample_id, {}), self._manual.of(tube)
            assert strategy is not None
            ours = {name: row["parent"] for name, row in rows.items() if name != ROOT}
            theirs = {population.name: population.parent for population in strategy.populations}
            pairs = self._pairs(tube)
            for name in pairs:
                here = denominators(name, ours=ours, theirs=theirs, pairs=pairs)
                key = (tube.panel, name)
                possible[key] = [other for other in possible.get(key, here) if other in here]
        return {key: self._denominator(*key, names) for key, names in possible.items()}

    def _denominator(self, panel: str, population: str, possible: Sequence[str]) -> str:
        """That of a parameter of the trial dataset where both gatings have it, else the nearest."""
        parameters = self._run.plan.trial.settings.parameters.values()
        stated = [
            parameter.of
            for parameter in parameters
            if isinstance(parameter, Percent)
            and (parameter.panel, parameter.population) == (panel, population)
        ]
        return next((name for name in stated if name in possible), possible[0])

    def _rows_of(self, tube: Tube, of: Mapping[tuple[str, str], str]) -> list[Row]:
        if tube.sample_id not in self._run.gates:
            raise CytotrialError(self._run.why_not(tube.sample_id))
        again = self._run.again(tube)
        theirs, pairs = self._manual_masks(again), self._pairs(tube)
        counts = self._manual.counts.get(self._manual.name_of(tube), {})
        rows = [
            _row(again, theirs, name, of=of[tube.panel, name], pairs=pairs, counts=counts)
            for name in pairs
            if name in again.masks
        ]
        missing = [name for name in pairs if name not in again.masks]
        if missing:
            self.doubts.append(
                f"not compared: tube {tube.sample_id}: no gate of ours for {', '.join(missing)}"
            )
        return rows

    def _manual_masks(self, again: GatedAgain) -> dict[str, BoolArray]:
        """The manual populations over all events of the file."""
        strategy = self._manual.of(again.tube)
        assert strategy is not None
        gates = [
            PlacedGate(population.name, population.parent, on_channels(population.gate, again.channels))
            for population in strategy.populations
            if population.gate is not None
        ]
        try:
            return apply_strategy(gates, again.events.with_matrices(strategy.matrices))
        except GateError as error:
            raise CytotrialError(f"the manual gating cannot be applied: {error}") from None


def _row(
    again: GatedAgain,
    theirs: Mapping[str, BoolArray],
    name: str,
    *,
    of: str,
    pairs: Mapping[str, str],
    counts: Mapping[str, int],
) -> Row:
    """One population of one tube; both gatings over the events that acquisition quality kept."""
    other, manual_of = pairs[name], pairs.get(of, ROOT)
    ours, manual = again.masks[name], theirs[other] & again.keep
    events, of_events = _count(ours), _count(again.masks[of])
    manual_events, manual_of_events = _count(manual), _count(theirs[manual_of] & again.keep)
    percent, manual_percent = _percent(events, of_events), _percent(manual_events, manual_of_events)
    return {
        "sample_id": again.tube.sample_id,
        "panel": again.tube.panel,
        "batch": again.tube.batch,
        "population": name,
        "manual_population": other,
        "of": of,
        "manual_of": manual_of,
        "events": events,
        "of_events": of_events,
        "percent": percent,
        "manual_events": manual_events,
        "manual_of_events": manual_of_events,
        "manual_percent": manual_percent,
        "difference": percent - manual_percent,
        "ratio": percent / manual_percent if manual_percent > 0 else None,
        **asdict(overlap(ours, manual)),
        "manual_events_in_file": _count(theirs[other]),
        "flowjo_count": counts.get(other),
        "masked_percent": _percent(_count(~again.keep), again.keep.size),
    }


def _count(mask: BoolArray) -> int:
    return int(np.count_nonzero(mask))


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else float("nan")
