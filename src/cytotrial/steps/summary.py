"""A run in a few lines: what was made, what became of every tube, the medians, where the report is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from cytotrial.files.tables import read_table
from cytotrial.steps.check import tubes_in_words
from cytotrial.steps.layout import Layout
from cytotrial.steps.trial import load_trial

SHOWN = {
    "TREGABS": "Treg cells/µL",
    "TH17ABS": "Th17 cells/µL",
    "TH17TREG": "Th17/Treg",
    "TREGPCD4": "Treg % of CD4",
    "TH17PCD4": "Th17 % of CD4",
    "CD4ABS": "CD4 cells/µL",
    "LYMABS": "lymphocytes/µL",
}
"""The parameters of a summary, the first three that are configured."""


def summarise(config: Path) -> str:
    """The last lines of a run."""
    trial = load_trial(config)
    layout = Layout(Path(trial.settings.results))
    counted = Counter(row["status"] for row in read_table(layout.inventory))
    rows = read_table(layout.counts)
    visits = [visit.visit for visit in sorted(trial.visits, key=lambda visit: visit.visit_num)]
    codes = [code for code in SHOWN if code in trial.settings.parameters][:3]
    header = f"{'visit':<10}" + "".join(f"{f'median {SHOWN[code]}':>24}" for code in codes)
    return "\n".join(
        [
            f"{trial.settings.study}: {len(trial.subjects)} subjects, {len(visits)} planned visits",
            tubes_in_words(counted),
            *_refused_matrices(layout),
            *([header, *(_line(visit, codes, rows) for visit in visits)] if codes else []),
            *_failed_values(rows),
            *overrides_not_applied(layout),
            f"dataset  {layout.counts}",
            f"report   {layout.report}",
        ]
    )


def _refused_matrices(layout: Layout) -> list[str]:
    """A line for each spillover matrix that could not be made."""
    files = sorted((layout.results / "compensation").glob("*.quality.csv"))
    return [
        f"no spillover matrix for {path.name.removesuffix('.quality.csv')}: {row['message']}"
        for path in files
        for row in read_table(path)
        if row["flags"] == "REFUSED"
    ]


def _failed_values(rows: Sequence[Mapping[str, str]]) -> list[str]:
    failed = [row for row in rows if row["status"] == "FAIL"]
    return [f"{len(failed)} values failed; the first: {failed[0]['flags']}"] if failed else []


def overrides_not_applied(layout: Layout) -> list[str]:
    """A line for each gate by hand that is not applied."""
    rows = read_table(layout.by_hand) if layout.by_hand.is_file() else []
    return [
        f"override {row['override_id']} of {row['sample_id']}, {row['population']}, is not applied: "
        f"{row['why']}"
        for row in rows
        if row["why"]
    ]


def _line(visit: str, codes: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    cells = []
    for code in codes:
        values = [
            float(row["value"])
            for row in rows
            if (row["visit"], row["parameter"]) == (visit, code) and row["value"]
        ]
        cells.append(f"{f'{median(values):.2f} (n={len(values)})' if values else '-':>24}")
    return f"{visit:<10}" + "".join(cells)
