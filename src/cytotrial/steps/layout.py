"""Where every result lies below the results folder, and the columns of every table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

INVENTORY = (
    "sample_id", "status", "code", "message", "fcs_sha256", "events", "cytometer", "acquired",
    "panel", "role", "subject", "visit", "batch",
)  # fmt: skip
GATES = ("sample_id", "population", "parent", "gate", "origin", "control", "confidence", "flags")
QUALITY = (
    "sample_id", "events", "removed_percent", "margin_percent", "rate_percent", "signal_percent",
    "isolation_percent", "short_run_percent", "channels", "intervals", "drift", "doublets", "time_check",
    "flags",
)  # fmt: skip
UNIT_QUALITY = (*QUALITY, "trace")
POPULATIONS = (
    "sample_id", "subject", "visit", "specimen", "batch", "panel", "role", "population", "parent", "events",
    "parent_events", "percent_of_parent", "median_intensities", "status", "flags", "reason", "gating_version",
)  # fmt: skip
MATRIX_QUALITY = (
    "detector", "into", "spillover", "residual_slope", "standard_error", "spreading", "widening",
    "n_positive", "reference", "difference", "condition_number", "flags", "message",
)  # fmt: skip
MATRICES_COMPARED = (
    "batch", "detector", "into", "spillover", "middle_of_batches", "difference_to_middle", "sample_slope",
    "sample_slope_error", "sample_tubes", "flags",
)  # fmt: skip
COUNTS = {
    "study": "text", "subject": "text", "visit": "text", "specimen": "text", "collected": "text",
    "study_day": "integer", "parameter": "text", "value": "number", "unit": "text", "ci_low": "number",
    "ci_high": "number", "events": "integer", "parent_events": "integer", "cv_percent": "number",
    "method": "text", "status": "text", "flags": "text", "gating_version": "text", "sample_ids": "text",
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Paths below one results folder."""

    results: Path

    def log(self, name: str) -> Path:
        return self.results / "logs" / f"{name}.log"

    @property
    def inventory(self) -> Path:
        return self.results / "check" / "inventory.csv"

    def checked(self, unit: str) -> Path:
        return self.results / "check" / "units" / f"{unit}.csv"

    def matrix(self, panel: str, batch: str) -> Path:
        return self.results / "compensation" / f"{panel}.{batch}.csv"

    def matrix_quality(self, panel: str, batch: str) -> Path:
        return self.results / "compensation" / f"{panel}.{batch}.quality.csv"

    def matrix_pictures(self, panel: str, batch: str) -> Path:
        return self.results / "compensation" / f"{panel}.{batch}.pictures.json"

    def matrices_compared(self, panel: str) -> Path:
        return self.results / "compensation" / f"{panel}.csv"

    def strategy(self, panel: str) -> Path:
        return self.results / "gating" / f"{panel}.json"

    def unit_quality(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.quality.csv"

    def unit_gates(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.gates.csv"

    def unit_populations(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.populations.csv"

    def unit_pictures(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.pictures.json"

    @property
    def quality(self) -> Path:
        return self.results / "quality.csv"

    @property
    def gates(self) -> Path:
        return self.results / "gates.csv"

    @property
    def populations(self) -> Path:
        return self.results / "populations.csv"

    @property
    def specimens(self) -> Path:
        return self.results / "counts" / "specimens.csv"

    @property
    def counts(self) -> Path:
        return self.results / "dataset" / "counts.csv"

    @property
    def counts_parquet(self) -> Path:
        return self.results / "dataset" / "counts.parquet"

    @property
    def visit_wide(self) -> Path:
        return self.results / "dataset" / "visit_wide.csv"

    @property
    def report(self) -> Path:
        return self.results / "report.html"

    @property
    def fingerprints(self) -> Path:
        return self.results / "check" / ".fingerprints.json"
