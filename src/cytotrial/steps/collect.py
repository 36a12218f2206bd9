"""Join what the gating jobs wrote."""

from __future__ import annotations

from cytotrial.files.tables import concatenate
from cytotrial.steps.layout import GATES, POPULATIONS, QUALITY
from cytotrial.steps.plan import Plan


def collect_gating(plan: Plan) -> None:
    """Write quality.csv, gating/gates.csv and gating/populations.csv, sorted by tube."""
    layout, jobs = plan.layout, plan.gating_jobs
    concatenate(
        layout.quality, [layout.unit_quality(*job) for job in jobs], columns=QUALITY, sort_by=["sample_id"]
    )
    concatenate(
        layout.joined_gates, [layout.unit_gates(*job) for job in jobs], columns=GATES, sort_by=["sample_id"]
    )
    concatenate(
        layout.joined_populations,
        [layout.unit_populations(*job) for job in jobs],
        columns=POPULATIONS,
        sort_by=["sample_id"],
    )
