"""Two runs of one study side by side: what a new gating version, matrix or setting changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cytotrial.errors import ConfigError, all_problems
from cytotrial.files.strategy import gate_to_json
from cytotrial.files.tables import Row, write_table
from cytotrial.files.whole import write_text
from cytotrial.progress import Progress, told, untold
from cytotrial.report.comparison import ComparisonPage, MovedTube, render_comparison
from cytotrial.report.pictures import GatePicture
from cytotrial.science.comparison import (
    compare_populations,
    compare_values,
    compare_visits,
    lineage,
    moved_most,
    summarise_moves,
)
from cytotrial.science.statistics import analysis_records, baseline_values, cell_counts_by_visit
from cytotrial.steps.plan import populations_used
from cytotrial.steps.report import frame_of, gate_picture
from cytotrial.steps.results_folder import ResultsFolder
from cytotrial.steps.trial import Trial, load_trial
from cytotrial.steps.what_differs import differences, unrecorded

_MOVE = ("old", "new", "difference", "ratio", "outcome")
VALUES = (
    "parameter", "unit", "subject", "visit", "old_specimen", "new_specimen", *_MOVE,
    "old_status", "new_status", "old_flags", "new_flags",
)  # fmt: skip
POPULATIONS = (
    "panel", "sample_id", "population", "parent", "old_events", "new_events",
    "old_parent_events", "new_parent_events", *_MOVE, "old_status", "new_status",
)  # fmt: skip
_ENDS = ("", "_ci_low", "_ci_high")
SUMMARY = (
    "kind", "name", "of", "unit", "n_pairs", "n_moved", "n_gained", "n_lost", "n_not_in_both",
    *(f"bias{end}" for end in _ENDS), "sd",
    *(f"{limit}{end}" for limit in ("lower_limit", "upper_limit") for end in _ENDS),
    *(f"{name}{end}" for name in ("ratio", "ratio_lower_limit", "ratio_upper_limit") for end in _ENDS),
    "ccc", "largest_difference",
)  # fmt: skip
VISITS = (
    "parameter", "unit", "visit",
    *(f"{when}_{name}" for name in ("n", "median", "hl", "p", "p_holm") for when in ("old", "new")),
    "median_difference", "median_ratio", "conclusion",
)  # fmt: skip
PICTURES = 3
"""Gates that are pictured of one tube."""


@dataclass(frozen=True)
class Compared:
    """What was written, and what moved."""

    page: Path
    values: tuple[Row, ...]
    visits: tuple[Row, ...]

    def in_words(self) -> str:
        outcomes = [row["outcome"] for row in self.values]
        other = {name: outcomes.count(name) for name in ("gained", "lost", "not in both") if name in outcomes}
        told = "".join(f", {n} {name}" for name, n in other.items())
        both = sum(outcome in {"same", "moved"} for outcome in outcomes)
        medians = [row for row in self.visits if abs(row["median_difference"]) > 0]
        conclusions = [
            f"  {row['parameter']}, {row['visit']}: {row['conclusion']}"
            for row in self.visits
            if row["conclusion"]
        ]
        return "\n".join(
            [
                f"{outcomes.count('moved')} of {both} values moved{told}",
                f"{len(medians)} of {len(self.visits)} medians moved, {len(conclusions)} conclusions",
                *conclusions,
                f"comparison  {self.page}",
            ]
        )


def compare_results(
    old: Path,
    new: Path,
    *,
    config: Path,
    output: Path | None = None,
    n_tubes: int = 10,
    progress: Progress = untold,
) -> Compared:
    """Compare two folders of results of one study; write a page and its tables.

    Parameters
    ----------
    old, new : Path
        Two `results` folders, of two gating versions or of two configurations.
    config : Path
        A configuration of the study: its visits, baseline and limits.
    output : where the page goes (compare.html of the new results by default); tables stand beside it
    n_tubes : tubes that are pictured
    progress : told how many of them have been

    Raises
    ------
    ConfigError
        If the folders are of different studies, or not of the configuration's.
    CytotrialError
        If a folder does not hold finished results.
    """
    before, after, trial = ResultsFolder(old), ResultsFolder(new), load_trial(config)
    before.require()
    after.require()
    _require_one_study(before, after, trial)
    values = compare_values(before.counts, after.counts)
    populations = compare_populations(before.populations, after.populations)
    visits = compare_visits(_by_visit(before, trial), _by_visit(after, trial))
    summary = _summary(values, populations)
    least = trial.settings.counts.lod_events
    page = output or after.layout.comparison
    write_table(page.with_suffix(".csv"), SUMMARY, summary)
    write_table(page.with_suffix(".values.csv"), VALUES, values)
    write_table(page.with_suffix(".visits.csv"), VISITS, visits)
    write_table(page.with_suffix(".populations.csv"), POPULATIONS, populations)
    most = moved_most(_of_interest(populations, trial), least_events=least, n_tubes=n_tubes)
    shown = ComparisonPage(
        facts={"Study": trial.settings.study, "Old": str(old), "New": str(new)},
        doubts=tuple(unrecorded(before, after)),
        differences=tuple(differences(before, after)),
        summary=tuple(summary),
        values=tuple(values),
        visits=tuple(visits),
        populations=tuple(populations),
        moved=tuple(_pictured(row, before, after) for row in told(most, len(most), progress)),
        least_events=least,
    )
    write_text(page, render_comparison(shown))
    return Compared(page, tuple(values), tuple(visits))


def _require_one_study(old: ResultsFolder, new: ResultsFolder, trial: Trial) -> None:
    """Two studies have nothing to compare, even if their tubes bear the same ids."""
    problems = []
    study = trial.settings.study
    for folder in (old, new):
        if other := sorted(folder.studies - {study}):
            problems.append(f"{folder.path} holds results of study {', '.join(other)}, not of {study}")
    common = {name for name, content in old.contents.items() if content and new.contents.get(name) == content}
    if not common and not problems:
        problems.append("they have no tube in common: no sample_id has the same FCS file in both")
    if problems:
        raise ConfigError(
            all_problems(f"{old.path} and {new.path}", problems, outcome="nothing was compared"),
            hint="Compare two results folders of one study, and name its configuration with --config.",
        )


def _by_visit(folder: ResultsFolder, trial: Trial) -> list[dict[str, Any]]:
    """The numbers of table T1 of a run."""
    if not folder.counts:
        return []
    visits = frame_of(trial.visits)
    candidates = pd.DataFrame(folder.candidates)
    records = analysis_records(pd.DataFrame(folder.counts), candidates)
    table = cell_counts_by_visit(
        records, visits, n_planned=len(trial.subjects), baselines=baseline_values(candidates)
    )
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _summary(values: Sequence[Row], populations: Sequence[Row]) -> list[dict[str, Any]]:
    of_values = summarise_moves(values, ("parameter", "unit"))
    of_populations = summarise_moves(populations, ("panel", "population"))
    return [
        *({**row, "kind": "parameter", "name": row["parameter"], "of": ""} for row in of_values),
        *(
            {
                **row,
                "kind": "population",
                "name": row["population"],
                "of": row["panel"],
                "unit": "% of parent",
            }
            for row in of_populations
            if row["population"] != "root"
        ),
    ]


def _of_interest(populations: Sequence[Row], trial: Trial) -> list[Row]:
    """The populations that parameters use; all of them in a study without parameters."""
    panels = trial.settings.panels
    used = {(panel, name) for panel in panels for name in populations_used(trial.settings, panel)}
    chosen = [row for row in populations if (row["panel"], row["population"]) in used]
    return chosen or list(populations)


def _pictured(row: Mapping[str, Any], old: ResultsFolder, new: ResultsFolder) -> MovedTube:
    """A tube that moved, with the pictures of the gates that moved its population."""
    sample_id, panel, population = row["sample_id"], row["panel"], row["population"]
    before, after = old.gates(sample_id), new.gates(sample_id)
    resting = lineage(population, {**before, **after})
    plain = [{name: gate_to_json(gate) for name, (_, gate) in gates.items()} for gates in (before, after)]
    moved = [name for name in resting if plain[0].get(name) != plain[1].get(name)]
    shown = [*moved, population] if population not in moved else moved
    pictures = [folder.pictures(panel, sample_id, shown) for folder in (old, new)]
    names = [name for name in shown if any(name in found for found in pictures)][:PICTURES]
    return MovedTube(
        row=row,
        gates_moved=tuple(moved),
        pictures=tuple((name, _picture(pictures[0], name), _picture(pictures[1], name)) for name in names),
    )


def _picture(pictures: Mapping[str, dict[str, Any]], name: str) -> GatePicture | None:
    return gate_picture(pictures[name]) if name in pictures else None
