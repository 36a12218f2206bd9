"""Join what the gating jobs wrote."""

from __future__ import annotations

from cytotrial.files.tables import concatenate
from cytotrial.steps.layout import AUTOMATIC, BY_HAND, GATES, POPULATIONS, QUALITY
from cytotrial.steps.plan import Plan


def collect_gating(plan: Plan) -> None:
    """Write quality.csv, and gates, populations and overrides below gating/, sorted by tube."""
    layout, jobs = plan.layout, plan.gating_jobs
    tables = {
        layout.quality: (QUALITY, layout.unit_quality),
        layout.joined_gates: (GATES, layout.unit_gates),
        layout.joined_populations: (POPULATIONS, layout.unit_populations),
        layout.automatic: (AUTOMATIC, layout.unit_automatic),
        layout.by_hand: (BY_HAND, layout.unit_by_hand),
    }
    for path, (columns, part) in tables.items():
        concatenate(path, [part(*job) for job in jobs], columns=columns, sort_by=["sample_id"])
