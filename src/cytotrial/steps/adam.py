"""The analysis datasets: ADSL and ADCP."""

from __future__ import annotations

from cytotrial.files.cdisc.forms import read_dataset, write_dataset
from cytotrial.files.cdisc.specification import read_specification
from cytotrial.science.cdisc.adcp import adcp_rows
from cytotrial.science.cdisc.adsl import adsl_rows
from cytotrial.science.cdisc.model import without_failed
from cytotrial.science.cdisc.timing import visits_of_draws
from cytotrial.steps.cdisc_study import study_terms
from cytotrial.steps.plan import Plan
from cytotrial.steps.results import draws_of, read_results


def write_adam(plan: Plan) -> None:
    """Write dataset/adam: ADSL and ADCP, each in every form."""
    specification, study = read_specification(), study_terms(plan.trial)
    specs = specification.datasets
    results = read_results(plan.layout.candidates)
    adsl = adsl_rows(
        read_dataset(plan.layout.sdtm, specs["DM"], "parquet"),
        measured={
            study.usubjid(row["subject"]) for row in without_failed(results) if row["value"] is not None
        },
        spec=specs["ADSL"],
    )
    adcp = adcp_rows(
        results,
        adsl=adsl,
        cp=read_dataset(plan.layout.sdtm, specs["CP"], "parquet"),
        parameters=specification.parameters,
        study=study,
        visits=visits_of_draws(draws_of(plan.trial.tubes), study.visits),
        spec=specs["ADCP"],
    )
    write_dataset(plan.layout.adam, specs["ADSL"], adsl, study=study.study)
    write_dataset(plan.layout.adam, specs["ADCP"], adcp, study=study.study)
