"""The tabulation datasets: DM, LB, CP and SUPPCP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cytotrial.files.cdisc.forms import write_dataset
from cytotrial.files.cdisc.specification import read_specification
from cytotrial.files.sheets import BloodCount
from cytotrial.science.cdisc.cp import cp_records
from cytotrial.science.cdisc.dm import dm_rows, last_doses
from cytotrial.science.cdisc.lb import BloodDraw, lb_rows
from cytotrial.science.cdisc.suppcp import suppcp_rows
from cytotrial.science.cdisc.timing import DrawTime, visits_of_draws
from cytotrial.steps.cdisc_study import study_terms
from cytotrial.steps.cdisc_tests import cell_tests
from cytotrial.steps.plan import Plan
from cytotrial.steps.results import draws_of, gating_definitions, read_results, tube_traces


def write_sdtm(plan: Plan) -> None:
    """Write dataset/sdtm: DM, LB, CP and SUPPCP, each in every form."""
    specification, study = read_specification(), study_terms(plan.trial)
    draws = draws_of(plan.trial.tubes)
    visits = visits_of_draws(draws, study.visits)
    results = read_results(plan.layout.candidates)
    doses = [(dose.subject, dose.drug, dose.end) for dose in plan.trial.exposure]
    tubes = tube_traces(plan)
    records = cp_records(
        results,
        tests=cell_tests(plan.trial.settings, specification),
        study=study,
        visits=visits,
        tubes=tubes,
        spec=specification.datasets["CP"],
    )
    used = {row["specimen"] for row in results if row["cbc_lymphocytes_10e9_per_l"] is not None}
    tables = {
        "DM": dm_rows(study, last_dose=last_doses(doses, study.treatment), spec=specification.datasets["DM"]),
        "LB": lb_rows(
            _blood_draws(plan.trial.cbc, draws),
            used=used,
            study=study,
            visits=visits,
            spec=specification.datasets["LB"],
        ),
        "CP": [record.row for record in records],
        "SUPPCP": suppcp_rows(
            records,
            tubes=tubes,
            definitions=gating_definitions(plan),
            qualifiers=specification.qualifiers,
            spec=specification.datasets["SUPPCP"],
        ),
    }
    for name, rows in tables.items():
        write_dataset(plan.layout.sdtm, specification.datasets[name], rows, study=study.study)


def _blood_draws(counts: Iterable[BloodCount], draws: Iterable[DrawTime]) -> Iterator[BloodDraw]:
    """The blood counts of the trial's draws; one without a date has that of the draw."""
    known = {draw.specimen: draw for draw in draws}
    for count in counts:
        if (draw := known.get(count.specimen)) is not None:
            yield BloodDraw(
                subject=draw.subject,
                specimen=count.specimen,
                collected=count.collected or draw.collected,
                values={
                    "LYM": count.lymphocytes_10e9_per_l,
                    "WBC": count.wbc_10e9_per_l,
                    "LYMLE": count.lymphocyte_percent,
                },
            )
