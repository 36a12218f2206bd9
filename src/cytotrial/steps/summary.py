"""A run in a few lines: what was made, what became of every tube, the medians, where the report is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median

from cytotrial.files.tables import read_table
from cytotrial.steps.check import tubes_in_words
from cytotrial.steps.layout import Layout
from cytotrial.steps.trial import load_trial

SHOWN = (("TREGABS", "Treg cells/µL"), ("TH17ABS", "Th17 cells/µL"), ("TH17TREG", "Th17/Treg"))


def summarise(config: Path) -> str:
    """The last lines of a run."""
    trial = load_trial(config)
    layout = Layout(Path(trial.settings.results))
    counted = Counter(row["status"] for row in read_table(layout.inventory))
    rows = read_table(layout.counts)
    visits = [visit.visit for visit in sorted(trial.visits, key=lambda visit: visit.visit_num)]
    codes = [(code, name) for code, name in SHOWN if code in trial.settings.parameters]
    header = f"{'visit':<10}" + "".join(f"{f'median {name}':>24}" for _, name in codes)
    return "\n".join(
        [
            f"{trial.settings.study}: {len(trial.subjects)} subjects, {len(visits)} planned visits",
            tubes_in_words(counted),
            header,
            *(_line(visit, [code for code, _ in codes], rows) for visit in visits),
            f"dataset  {layout.counts}",
            f"report   {layout.report}",
        ]
    )


def _line(visit: str, codes: list[str], rows: list[dict[str, str]]) -> str:
    cells = []
    for code in codes:
        values = [
            float(row["value"])
            for row in rows
            if (row["visit"], row["parameter"]) == (visit, code) and row["value"]
        ]
        cells.append(f"{f'{median(values):.2f} (n={len(values)})' if values else '-':>24}")
    return f"{visit:<10}" + "".join(cells)
