"""The study in CDISC terms: what configuration and sheets say."""

from __future__ import annotations

from cytotrial.science.cdisc.model import StudyTerms
from cytotrial.steps.trial import Trial


def study_terms(trial: Trial) -> StudyTerms:
    """What all datasets of the study share."""
    cdisc = trial.settings.cdisc
    return StudyTerms(
        study=trial.settings.study,
        subjects=trial.subjects,
        visits=tuple(sorted(trial.visits, key=lambda visit: visit.visit_num)),
        country=cdisc.country or "",
        treatment=cdisc.treatment or "",
        laboratory=cdisc.laboratory or "",
        specimen_condition=cdisc.specimen_condition or "",
        by_sponsor=cdisc.results_origin == "sponsor",
        day1_before_dose=trial.settings.visits.assume_day1_predose,
        blq=cdisc.blq,
    )
