"""The project's own conformance checks of the trial dataset, V01 to V22, on the files as they lie there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from cytotrial.dataset_terms import DatasetSpec, Specification
from cytotrial.errors import DatasetError, all_problems
from cytotrial.files.cdisc.conformance import (
    Reader,
    columns_are_specified,
    define_is_true,
    forms_are_equal,
    transport_limits_are_kept,
)
from cytotrial.files.cdisc.forms import read_dataset
from cytotrial.files.cdisc.specification import read_specification
from cytotrial.files.names_in_outputs import Outputs, forbidden_values, names_found
from cytotrial.files.tables import write_table
from cytotrial.science.cdisc.conformance import adam, sdtm
from cytotrial.science.cdisc.conformance.model import Finding, TrialData, examine
from cytotrial.steps.cdisc_study import study_terms
from cytotrial.steps.cdisc_tests import cell_tests
from cytotrial.steps.layout import CHECKS, Layout
from cytotrial.steps.plan import Plan
from cytotrial.steps.trial import Trial

SHOWN = 5
"""Problems of a check that are told in full."""

FILE_RULES = {
    "V01": "Variables, their order, labels and types are those of the specification",
    "V14": "Transport files are of version 5 and within its limits",
    "V20": "XPT, Dataset-JSON, CSV and Parquet hold equal data",
    "V21": "No value of an FCS keyword that may name a person stands in an output",
    "V22": "Define-XML is valid and lists exactly the variables that are there",
}


def rules() -> dict[str, str]:
    """Check → what it demands, in order."""
    data_rules = {check.name: check.rule for check in (*sdtm.CHECKS, *adam.CHECKS)}
    return dict(sorted({**data_rules, **FILE_RULES}.items()))


def check_dataset(plan: Plan) -> list[Finding]:
    """Run every check and write dataset/checks.csv; what was found comes back, sorted.

    Raises
    ------
    DatasetError
        If a dataset is missing or cannot be read: then nothing is checked.
    """
    specification = read_specification()
    _require_files(plan.layout)
    read = _transport_reader(plan.layout)
    findings = [*_of_files(plan, specification, read), *_of_data(plan, specification, read)]
    findings.sort(key=lambda finding: finding.name)
    write_table(plan.layout.checks, CHECKS, [_row(finding) for finding in findings])
    return findings


def passed_in_words(findings: Iterable[Finding]) -> str:
    """One line: how many checks passed, and which do not apply."""
    findings = list(findings)
    passed = [finding for finding in findings if finding.verdict == "PASS"]
    idle = [finding.name for finding in findings if finding.verdict == "NOT_APPLICABLE"]
    return f"{len(passed)} checks passed" + (f"; not applicable: {', '.join(idle)}" if idle else "")


def _row(finding: Finding) -> dict[str, object]:
    more = [f"and {len(finding.problems) - SHOWN} more"] if len(finding.problems) > SHOWN else []
    return {
        "check": finding.name,
        "rule": finding.rule,
        "status": finding.verdict,
        "problems": len(finding.problems),
        "detail": " | ".join([*finding.problems[:SHOWN], *more]),
    }


def _require_files(layout: Layout) -> None:
    missing = [str(path) for path in (*layout.counted_files, *layout.dataset_files) if not path.is_file()]
    if missing:
        raise DatasetError(
            all_problems("the trial dataset", [f"{path} is not there" for path in missing]),
            hint="Run snakemake, which writes it.",
        )


def _transport_reader(layout: Layout) -> Reader:
    """Reads a dataset's transport file when it is first asked for, and once."""
    known: dict[str, list[dict[str, Any]]] = {}

    def read(spec: DatasetSpec) -> list[dict[str, Any]]:
        if spec.name not in known:
            known[spec.name] = read_dataset(_folder(layout, spec), spec, "xpt")
        return known[spec.name]

    return read


def _of_data(plan: Plan, specification: Specification, read: Reader) -> Iterator[Finding]:
    data = read_trial_data(plan, specification, read)
    for check in (*sdtm.CHECKS, *adam.CHECKS):
        yield examine(check, data)


def read_trial_data(plan: Plan, specification: Specification, read: Reader) -> TrialData:
    """The datasets as the transport files hold them, and what the study planned."""
    study = study_terms(plan.trial)
    tests = cell_tests(plan.trial.settings, specification)
    return TrialData(
        specification=specification,
        tables={name: read(spec) for name, spec in specification.datasets.items()},
        planned=[
            (study.usubjid(subject.subject), visit.visit)
            for subject in study.subjects
            for visit in study.visits
        ],
        tests={test.code: test.name for test in tests.values()},
    )


def _folder(layout: Layout, spec: DatasetSpec) -> Path:
    return layout.sdtm if spec.folder == "sdtm" else layout.adam


def _of_files(plan: Plan, specification: Specification, read: Reader) -> Iterator[Finding]:
    specs = specification.datasets
    yield _found("V01", _each(plan.layout, specs.values(), columns_are_specified))
    yield _found("V14", _each(plan.layout, specs.values(), partial(transport_limits_are_kept, read=read)))
    yield _found("V20", _each(plan.layout, specs.values(), partial(forms_are_equal, read=read)))
    yield _found("V21", _names_in_outputs(plan))
    yield _found("V22", _definitions(plan.layout, specification))


def _found(name: str, problems: Iterable[str]) -> Finding:
    told = tuple(problems)
    return Finding(name, FILE_RULES[name], "FAIL" if told else "PASS", told)


def _each(
    layout: Layout, specs: Iterable[DatasetSpec], check: Callable[[Path, DatasetSpec], Iterator[str]]
) -> Iterator[str]:
    for spec in specs:
        yield from check(_folder(layout, spec), spec)


def _definitions(layout: Layout, specification: Specification) -> Iterator[str]:
    for name, folder in (("sdtm", layout.sdtm), ("adam", layout.adam)):
        specs = {key: spec for key, spec in specification.datasets.items() if spec.folder == name}
        yield from define_is_true(folder, specs)


def _names_in_outputs(plan: Plan) -> Iterator[str]:
    outputs = Outputs([*plan.layout.counted_files, *plan.layout.dataset_files])
    values: dict[str, set[str]] = {}
    root = Path(plan.trial.settings.fcs_dir)
    for name in sorted(plan.fcs_sha256):
        for keyword, value in forbidden_values(Path(name), root=root).items():
            values.setdefault(keyword, set()).add(value)
    yield from names_found(values, outputs, own_words=own_words(plan.trial))


def own_words(trial: Trial) -> set[str]:
    """What the study's own configuration and sheets say, which outputs may hold."""
    settings = trial.settings
    words = {settings.study, *settings.panels}
    for panel in settings.panels.values():
        words |= set(panel.markers) | {name for names in panel.markers.values() for name in names}
    for tube in trial.tubes:
        words |= {tube.sample_id, tube.subject, tube.specimen, tube.visit, tube.batch, tube.collected}
    for subject in trial.subjects:
        words |= {subject.subject, subject.arm, subject.site}
    for value in trial.clinical:
        words |= {value.test, value.unit, str(value.value)}
    return words | {visit.visit for visit in trial.visits}
