"""Judge every gate of the trial by what only the whole trial can tell, and write the final tables."""

from __future__ import annotations

from cytotrial.files.tables import concatenate, write_table
from cytotrial.steps.layout import GATES, POPULATIONS
from cytotrial.steps.plan import Plan


def score_gating(plan: Plan) -> None:
    """Write gates.csv, populations.csv, qc_donor.csv and review_scores.csv."""
    layout = plan.layout
    concatenate(layout.gates, [layout.joined_gates], columns=GATES, sort_by=["sample_id"])
    concatenate(layout.populations, [layout.joined_populations], columns=POPULATIONS, sort_by=["sample_id"])
    write_table(layout.qc_donor, ("batch",), [])
    write_table(layout.review_scores, ("sample_id", "population", "score", "reasons"), [])
