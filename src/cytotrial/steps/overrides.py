"""The overrides file beside the study it is for: unknown tubes and populations, and what has become stale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytotrial.errors import ConfigError, all_problems
from cytotrial.files.fingerprints import sha256_of
from cytotrial.files.overrides import (
    ACTIONS,
    Override,
    Stale,
    applicable,
    blinded_id,
    entry_digests,
    joined,
    read_overrides,
    unblinded,
    write_overrides,
)
from cytotrial.files.sheets.problems import suggestion
from cytotrial.files.strategy import gate_from_json, read_strategies
from cytotrial.files.tables import read_table
from cytotrial.settings import Settings
from cytotrial.steps.layout import Layout
from cytotrial.steps.strategies import read_gating, strategy_of
from cytotrial.steps.trial import Trial, load_trial
from cytotrial.terms import ROOT, GatingStrategy, PlacedGate, Tube


@dataclass(frozen=True)
class Checked:
    """What `overrides check` found in a file without problems."""

    path: Path
    rows: Sequence[Override]
    tubes: int
    stale: Sequence[Stale]
    not_compared: int

    def in_words(self) -> str:
        deciding = {row.key: row for row in self.rows}.values()
        counts = Counter(row.action for row in deciding)
        parts = [f"{counts[action]} {action}" for action in ACTIONS if counts[action]]
        lines = [
            f"{self.path}: {len(self.rows)} rows, the chain is whole; {len(deciding)} gates of {self.tubes} "
            f"tubes ({', '.join(parts) or 'none'})"
        ]
        if self.not_compared:
            lines.append(f"{self.not_compared} not compared with the gates they rest on: no results yet")
        if self.stale:
            lines.append(f"{len(self.stale)} stale, which are not applied; look at these gates again:")
            lines += [f"  {stale}" for stale in self.stale]
        return "\n".join(lines)


def check_overrides(config: Path) -> Checked:
    """Check the overrides file of a study.

    Raises
    ------
    ConfigError
        With every problem of the file, or every row about a tube or population that the study has not.
    """
    trial = load_trial(config)
    path = _path_of(trial.settings)
    rows = read_overrides(path)
    _refuse_unknown(path, rows, trial)
    by_tube = unblinded(rows, [tube.sample_id for tube in trial.tubes], study=trial.settings.study)
    stale: list[Stale] = []
    not_compared = 0
    placed = _automatic_gates(trial, by_tube)
    for tube in trial.tubes:
        own = by_tube.get(tube.sample_id, [])
        if own and tube.sample_id not in placed:
            not_compared += len({row.population for row in own})
        elif own:
            stale += _standing(trial, tube, own, placed[tube.sample_id])
    return Checked(path, rows, len(by_tube), stale, not_compared)


def _path_of(settings: Settings) -> Path:
    if settings.overrides is None:
        raise ConfigError(
            "the configuration names no overrides file.",
            hint="Add the key, such as overrides: config/overrides.tsv.",
        )
    return Path(settings.overrides)


def _standing(
    trial: Trial, tube: Tube, own: Sequence[Override], placed: Sequence[PlacedGate]
) -> Sequence[Stale]:
    strategy = strategy_of(_strategies(trial.settings, tube.panel), fcs=tube.fcs)
    path = Path(trial.settings.fcs_dir) / tube.fcs
    content = sha256_of(path) if path.is_file() else ""
    return applicable(own, placed, fcs_sha256=content, entries=entry_digests(strategy)).stale


def _strategies(settings: Settings, panel: str) -> Mapping[str, GatingStrategy]:
    """The panel's gating as the last run compiled it, or as it is written."""
    compiled = Layout(Path(settings.results)).strategy(panel)
    return (
        read_strategies(compiled) if compiled.is_file() else read_gating(Path(settings.panels[panel].gating))
    )


def _automatic_gates(
    trial: Trial, by_tube: Mapping[str, Sequence[Override]]
) -> dict[str, tuple[PlacedGate, ...]]:
    """sample_id → the automatic gates of the last run; of a gate placed by hand its override tells."""
    path = Layout(Path(trial.settings.results)).gates
    old = {(name, row.population): row.old_gate for name, rows in by_tube.items() for row in rows}
    placed: dict[str, list[PlacedGate]] = {}
    for row in read_table(path) if path.is_file() else ():
        text = row["gate"]
        if row["origin"] == "override":
            text = old.get((row["sample_id"], row["population"]), text)
        gate = PlacedGate(row["population"], row["parent"], gate_from_json(text))
        placed.setdefault(row["sample_id"], []).append(gate)
    return {name: tuple(gates) for name, gates in placed.items()}


def _refuse_unknown(path: Path, rows: Sequence[Override], trial: Trial) -> None:
    problems = list(_unknown(rows, trial))
    if problems:
        raise ConfigError(all_problems(str(path), problems, outcome="no override is applied"))


def _unknown(rows: Sequence[Override], trial: Trial) -> Iterator[str]:
    study = trial.settings.study
    tubes = {
        name: tube for tube in trial.tubes for name in (tube.sample_id, blinded_id(study, tube.sample_id))
    }
    populations = {
        panel: {
            p.name for strategy in _strategies(trial.settings, panel).values() for p in strategy.populations
        }
        for panel in trial.settings.panels
    }
    for line, row in enumerate(rows, start=2):
        where = f"line {line} ({row.override_id})"
        if row.sample_id not in tubes:
            near = suggestion(row.sample_id, [tube.sample_id for tube in trial.tubes])
            yield f'{where}, column sample_id: "{row.sample_id}" is not a tube of the sample sheet{near}'
            continue
        panel = tubes[row.sample_id].panel
        if row.population not in populations[panel] or row.population == ROOT:
            near = suggestion(row.population, sorted(populations[panel]))
            yield f'{where}, column population: "{row.population}" is not in the {panel} gating{near}'
        if row.template.partition(":")[0] != panel:
            yield f'{where}, column template: "{row.template}" is not of the tube\'s panel, {panel}'


def add_overrides(config: Path, exported: Path) -> str:
    """Append the rows of an export to the overrides file, all or none. Says what was done.

    Raises
    ------
    ConfigError
        If either file has problems, the export continues another state of the file, or a row is about a
        tube or population that the study has not.
    """
    trial = load_trial(config)
    path = _path_of(trial.settings)
    existing = read_overrides(path)
    whole = joined(existing, read_overrides(exported, continues=True))
    _refuse_unknown(exported, whole, trial)
    write_overrides(path, whole)
    added = len(whole) - len(existing)
    return f"{path}: {added} of {len(whole)} rows are new. The next snakemake applies them."
