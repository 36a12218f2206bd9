"""Where every result lies below the results folder, and the columns of every table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

INVENTORY = (
    "sample_id", "status", "code", "message", "fcs_sha256", "events", "cytometer", "acquired",
    "panel", "role", "subject", "visit", "batch", "volume_nl", "seconds", "events_lost",
)  # fmt: skip
GATES = (
    "sample_id", "population", "parent", "gate", "origin", "control", "confidence", "flags",
    "position", "position_se", "batch_position", "similarity", "disagreement",
)  # fmt: skip
JUDGED = (*GATES, "bound", "batch_distance", "cohort_z", "score")
"""What gates.csv has: the columns of a unit's table, and what only the whole trial can tell."""
SCORES = ("sample_id", "population", "score", "reasons")
QC_DONOR = (
    "panel", "population", "measure", "batch", "acquired", "tubes", "value", "n_batches", "mean", "sd",
    "low3", "low2", "high2", "high3", "z", "rule",
)  # fmt: skip
POOLS = ("panel", "batch", "population", "tubes", "position", "spread")
PLACED = ("sample_id", "batch", *(name for name in GATES if name not in {"sample_id", "batch_position"}))
QUALITY = (
    "sample_id", "events", "removed_percent", "margin_percent", "rate_percent", "signal_percent",
    "isolation_percent", "short_run_percent", "channels", "intervals", "drift", "doublets", "time_check",
    "flags",
)  # fmt: skip
UNIT_QUALITY = (*QUALITY, "trace")
POPULATIONS = (
    "sample_id", "subject", "visit", "specimen", "batch", "panel", "role", "population", "parent", "events",
    "parent_events", "percent_of_parent", "median_intensities", "status", "flags", "reason", "gating_version",
    "denominator", "background_percent", "net_percent", "background_control",
)  # fmt: skip
AUTOMATIC = (
    "sample_id", "population", "parent", "events", "parent_events", "percent_of_parent", "status", "flags",
    "reason", "gating_version",
)  # fmt: skip
"""Of a tube with gates placed by hand, what its populations would be without them."""
BY_HAND = (
    "override_id", "sample_id", "population", "parent", "action", "outcome", "why", "utc", "made_by",
    "reviewed_by", "reviewed_utc", "reason_code", "reason_text", "blinded_to_arm", "template",
    "events_before", "parent_events_before", "percent_before", "events_after", "parent_events_after",
    "percent_after", "gate_before", "gate_after",
)  # fmt: skip
"""What became of every override."""
VALUES_BY_HAND = (
    "override_id", "sample_id", "population", "subject", "visit", "specimen", "parameter", "unit",
    "value_before", "events_before", "parent_events_before", "value_after", "events_after",
    "parent_events_after",
)  # fmt: skip
"""What the overrides did to every value that rests on their gates."""
OVERRIDES = (
    "override_id", "outcome", "why", "utc", "made_by", "reviewed_by", "reviewed_utc", "sample_id", "subject",
    "visit", "specimen", "panel", "population", "parent", "action", "reason_code", "reason_text", "measure",
    "unit", "before", "after", "events_before", "parent_events_before", "events_after",
    "parent_events_after",
)  # fmt: skip
"""Listing L2: of every override its gate's percentage of the parent, and the values that rest on it."""
LISTINGS = {
    "l1-tubes": "l1_tubes", "l1-values": "l1_values", "l1-populations": "l1_populations",
    "l2": "l2_overrides", "l3": "l3_visit_mapping", "l4": "l4_values_by_visit",
}  # fmt: skip
"""Listing of the report → its table below tables/."""
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

INPUTS = (
    "bead_events", "beads_per_tube", "blood_ul", "dilution", "volume_nl", "lymphocyte_events",
    "cbc_lymphocytes_10e9_per_l", "cbc_cv_percent", "parent_value", "background_events",
    "background_parent_events", "background_percent", "raw_percent",
)  # fmt: skip
"""What the formula of a value took besides its events: with them it can be worked out again."""

SPECIMENS = (
    *(name for name in COUNTS if name not in {"study", "study_day"}),
    "systematic_cv_percent", *INPUTS, "lod_events", "lloq_events", "quantifiable", "override",
)  # fmt: skip
CANDIDATES = (
    "study", "analysis_visit", "analysis_visit_num", "study_day", "target_day", "days_from_target",
    "answers", "answers_qc_passed", "reason_not_chosen", "baseline", *SPECIMENS,
)  # fmt: skip

SDTM = ("dm", "lb", "cp", "suppcp")
ADAM = ("adsl", "adcp")
FORMS = ("xpt", "json", "csv", "parquet")
"""The datasets in CDISC form, and the endings of the files that each of them has."""

CHECKS = ("check", "rule", "status", "problems", "detail")


ON_REQUEST = ("gatingml",)
"""Folders below the results that commands fill on request; a run makes nothing in them."""


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

    def unit_placed(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.placed.csv"

    def unit_steadiness(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.steadiness.json"

    def unit_tails(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.controls.json"

    def pool(self, panel: str, batch: str) -> Path:
        return self.results / "gating" / panel / f"{batch}.batch.json"

    def pool_table(self, panel: str) -> Path:
        return self.results / "gating" / panel / "batches.csv"

    def unit_quality(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.quality.csv"

    def unit_gates(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.gates.csv"

    def unit_populations(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.populations.csv"

    def unit_pictures(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.pictures.json"

    def unit_automatic(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.automatic.csv"

    def unit_by_hand(self, panel: str, unit: str) -> Path:
        return self.results / "gating" / panel / f"{unit}.by_hand.csv"

    @property
    def automatic(self) -> Path:
        """What the populations of tubes with gates by hand would be without them."""
        return self.results / "gating" / "automatic.csv"

    @property
    def by_hand(self) -> Path:
        """What became of every override."""
        return self.results / "gating" / "by_hand.csv"

    @property
    def values_by_hand(self) -> Path:
        """The values before and after the overrides that they rest on."""
        return self.results / "counts" / "by_hand.csv"

    @property
    def quality(self) -> Path:
        return self.results / "quality.csv"

    @property
    def joined_gates(self) -> Path:
        return self.results / "gating" / "gates.csv"

    @property
    def joined_populations(self) -> Path:
        return self.results / "gating" / "populations.csv"

    @property
    def gates(self) -> Path:
        return self.results / "gates.csv"

    @property
    def populations(self) -> Path:
        return self.results / "populations.csv"

    @property
    def qc_donor(self) -> Path:
        return self.results / "qc_donor.csv"

    @property
    def review_scores(self) -> Path:
        return self.results / "review_scores.csv"

    @property
    def specimens(self) -> Path:
        return self.results / "counts" / "specimens.csv"

    @property
    def candidates(self) -> Path:
        return self.results / "dataset" / "candidates.csv"

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
    def sdtm(self) -> Path:
        return self.results / "dataset" / "sdtm"

    @property
    def adam(self) -> Path:
        return self.results / "dataset" / "adam"

    @property
    def sdtm_files(self) -> list[Path]:
        return [self.sdtm / f"{name}.{form}" for name in SDTM for form in FORMS]

    @property
    def adam_files(self) -> list[Path]:
        return [self.adam / f"{name}.{form}" for name in ADAM for form in FORMS]

    @property
    def define_files(self) -> list[Path]:
        return [self.sdtm / "define.xml", self.adam / "define.xml", self.dictionary]

    @property
    def dictionary(self) -> Path:
        return self.results / "dataset" / "dictionary.html"

    @property
    def dataset_files(self) -> list[Path]:
        """Everything in CDISC form."""
        return [*self.sdtm_files, *self.adam_files, *self.define_files]

    @property
    def counted_files(self) -> list[Path]:
        """The tables that the datasets are made from or stand beside."""
        return [
            self.inventory, self.quality, self.gates, self.populations, self.specimens,
            self.candidates, self.counts, self.counts_parquet, self.visit_wide,
        ]  # fmt: skip

    @property
    def checks(self) -> Path:
        return self.results / "dataset" / "checks.csv"

    @property
    def database(self) -> Path:
        return self.results / "dataset" / "trial.duckdb"

    @property
    def summaries(self) -> dict[str, Path]:
        """The numbers of the report's tables; T2 only if clinical values are configured."""
        names = {"t1": "t1_cell_counts", "t2": "t2_clinical", "t3": "t3_completeness"}
        return {table: self.results / "tables" / f"{name}.csv" for table, name in names.items()}

    def listing(self, name: str) -> Path:
        return self.results / "tables" / f"{name}.csv"

    @property
    def listings(self) -> list[Path]:
        """The listings of the report, as tables."""
        return [self.listing(name) for name in LISTINGS.values()]

    @property
    def report(self) -> Path:
        return self.results / "report.html"

    def gatingml(self, sample_id: str) -> Path:
        return self.results / "gatingml" / f"{sample_id}.xml"

    @property
    def gatingml_check(self) -> Path:
        return self.results / "gatingml" / "check.csv"

    @property
    def manifest(self) -> Path:
        return self.results / "manifest.json"

    @property
    def agreement(self) -> Path:
        return self.results / "agreement.html"

    @property
    def comparison(self) -> Path:
        return self.results / "compare.html"

    @property
    def review(self) -> Path:
        return self.results / "review.html"

    @property
    def fingerprints(self) -> Path:
        return self.results / "check" / ".fingerprints.json"

    @property
    def study(self) -> Path:
        """What a run read of its study, for the run's jobs."""
        return self.results / "check" / ".study.json"

    @property
    def objects(self) -> Path:
        """What object storage held when the run began."""
        return self.results / "check" / ".objects.json"

    @property
    def seen(self) -> Path:
        """SHA-256 of the results as they were last looked at."""
        return self.results / ".seen.json"

    @property
    def claim(self) -> Path:
        """Which run holds the folder."""
        return self.results / ".run.json"

    @property
    def jobs(self) -> Path:
        """What the present run makes: result → rule."""
        return self.results / ".jobs.json"

    @property
    def history(self) -> Path:
        """One line for the beginning and one for the end of every run."""
        return self.results / ".runs.jsonl"
