"""Learn a panel's reference from tubes that experts have gated, and say how far it can be trusted."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from cytotrial.errors import ConfigError, CytotrialError, GateError
from cytotrial.files.reference import WANTED_BATCHES, WANTED_TUBES, ReferenceFile, Taught, write_reference
from cytotrial.progress import Progress, told, untold
from cytotrial.science.finders import Example
from cytotrial.science.gating import GatedTube, gate_tube
from cytotrial.science.teaching import (
    Lesson,
    examples_of,
    figures_of,
    learn,
    learn_all,
    learners_of,
    masks_with,
    relative_error,
    with_constants,
)
from cytotrial.settings import Expert, Percent, Reference
from cytotrial.steps.bench import Bench, Checked, checked_rows, usable
from cytotrial.steps.check import check_unit
from cytotrial.steps.compensate import compensate_batch
from cytotrial.steps.controls import ControlBench
from cytotrial.steps.experts import GatedByExpert, digest_of_source, gated_by_experts
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.steps.pool import pooled
from cytotrial.steps.strategies import compile_template
from cytotrial.terms import ROOT, BoolArray, Find, GatingStrategy, Population, Role, Tube

Errors = dict[str, list[float]]
"""Population, or `population / denominator` → relative error of each tube, in per cent."""


@dataclass(frozen=True, eq=False)
class Pupil:
    """One reference tube, ready to be read again whenever it is needed.

    masks : population → what the expert (or, where he has no gate, the template) kept of all events
    """

    gated: GatedByExpert
    masks: Mapping[str, BoolArray]

    @property
    def tube(self) -> Tube:
        return self.gated.tube


@dataclass(frozen=True, eq=False)
class _School:
    """The panel's template, its tubes and controls."""

    strategy: GatingStrategy
    bench: Bench
    checked: Checked
    controls: ControlBench
    reported: Mapping[str, str]


def learn_reference(config: Path, *, panel: str, progress: Progress = untold) -> str:
    """Write the reference file of a panel; what was learnt, in words; `progress` is told the tubes read.

    Raises
    ------
    ConfigError
        If the panel names no reference or no experts, or the sources and the sheet do not fit.
    """
    plan = make_plan(config, with_references=False)
    section = _section(plan, panel)
    with tempfile.TemporaryDirectory() as folder:
        own = _in_folder(plan, folder)
        strategy = compile_template(Path(own.trial.settings.panels[panel].gating))
        tubes = [tube for tube in own.trial.tubes if tube.panel == panel and tube.role is Role.SAMPLE]
        gated = gated_by_experts(section.experts, tubes, strategy, study=own.trial.settings.study)
        school = _school(own, panel, strategy, [entry.tube for entry in gated])
        reference, words = _learnt(school, gated, section, own, panel=panel, progress=progress)
    write_reference(Path(section.file), reference)
    return f"{words}\nwritten to {section.file}, version {reference.version}"


def _section(plan: Plan, panel: str) -> Reference:
    panels = plan.trial.settings.panels
    if panel not in panels:
        raise ConfigError(f"'{panel}' is not one of the panels: {', '.join(panels)}.")
    section = panels[panel].reference
    if section is None or not section.experts:
        raise ConfigError(
            f"panels.{panel}.reference.experts is empty: there is nothing to learn from.",
            hint="Name the file that is to be written and at least one source of gates; see "
            "docs/reference-tubes.md.",
        )
    return section


def _in_folder(plan: Plan, folder: str) -> Plan:
    """The plan with results of its own: what is learnt rests on no result that may be out of date."""
    settings = plan.trial.settings.model_copy(update={"results": folder})
    return replace(plan, trial=replace(plan.trial, settings=settings))


def _school(plan: Plan, panel: str, strategy: GatingStrategy, tubes: Sequence[Tube]) -> _School:
    """Check and compensate what the tubes need, as the workflow does before it gates."""
    candidates = [tube for unit in plan.units_of(tubes) for tube in plan.controls_of(panel, unit)]
    own = [tube for unit in plan.units_of(tubes) for tube in plan.tubes_to_gate(panel, unit)]
    needed = {tube.sample_id: tube for tube in (*candidates, *own)}
    batches = sorted({tube.batch for tube in needed.values()})
    stained = [tube for batch in batches for tube in plan.tubes_for_matrix(panel, batch)]
    units = plan.units_of([*needed.values(), *stained])
    for unit in units:
        check_unit(plan, unit)
    for batch in batches:
        if plan.compensation(panel, batch) != "none":
            compensate_batch(plan, panel=panel, batch=batch)
    bench, checked = Bench(plan, panel), checked_rows(plan, units)
    controls = ControlBench(bench, list(needed.values()), checked, plan.outlines[panel].controls, strategy)
    reported = {
        parameter.population: parameter.of
        for parameter in plan.trial.settings.parameters.values()
        if isinstance(parameter, Percent) and parameter.panel == panel
    }
    return _School(strategy, bench, checked, controls, reported)


def _learnt(
    school: _School,
    gated: Sequence[GatedByExpert],
    section: Reference,
    plan: Plan,
    *,
    panel: str,
    progress: Progress,
) -> tuple[ReferenceFile, str]:
    pupils, lessons = _examples(school, gated, progress)
    if not pupils:
        raise ConfigError("none of the reference tubes could be read; see above.")
    populations = dict(_taught(school.strategy, lessons))
    errors = _expected_error(school, pupils, lessons)
    reference = ReferenceFile(
        panel=panel,
        template=school.strategy.name,
        template_version=school.strategy.version,
        experts=tuple(_expert_row(expert, pupils) for expert in section.experts),
        tubes=tuple(
            {
                "sample_id": pupil.tube.sample_id,
                "batch": pupil.tube.batch,
                "fcs_sha256": plan.sha256_of(pupil.tube),
            }
            for pupil in pupils
        ),
        populations=populations,
        expected_error={name: figures_of(values) for name, values in sorted(errors.items())},
    )
    return reference, "\n".join(_in_words(reference))


def _expert_row(expert: Expert, pupils: Sequence[Pupil]) -> dict[str, object]:
    return {
        "expert": expert.expert,
        "gated_on": expert.gated_on,
        "source": Path(expert.source).name,
        "source_sha256": digest_of_source(expert),
        "tubes": sum(pupil.gated.expert is expert for pupil in pupils),
    }


def _examples(
    school: _School, gated: Sequence[GatedByExpert], progress: Progress
) -> tuple[list[Pupil], list[Lesson]]:
    """The reference tubes that can be read, and the lessons they make."""
    pupils: list[Pupil] = []
    lessons: dict[tuple[str, str], Lesson] = {}
    for entry in told(gated, len(gated), progress):
        name = entry.tube.sample_id
        try:
            pupil, found = _pupil(school, entry)
        except CytotrialError as error:
            print(f"tube {name} is left out: {error}", file=sys.stderr)
            continue
        pupils.append(pupil)
        for population, find, example in found:
            key = population.name, find.finder
            before = lessons.get(key, Lesson(population, find, {}))
            lessons[key] = replace(before, examples={**before.examples, name: example})
    return pupils, list(lessons.values())


def _pupil(school: _School, entry: GatedByExpert) -> tuple[Pupil, list[tuple[Population, Find, Example]]]:
    checked = school.checked[entry.tube.sample_id]
    if not usable(checked):
        raise CytotrialError(f"{checked['status']} {checked['code']}")
    by_expert = gate_tube(
        entry.strategy,
        school.bench.load(entry.tube, checked, entry.strategy).stained,
        controls=school.controls.of(entry.tube),
    )
    own = {name: by_expert.masks[theirs] for name, theirs in entry.names.items() if theirs in by_expert.masks}
    stained = school.bench.load(entry.tube, checked, school.strategy).stained
    controls = school.controls.of(entry.tube)
    masks = masks_with(school.strategy, stained, own, controls)
    examples = examples_of(school.strategy, stained, masks, own, controls, batch=entry.tube.batch)
    return Pupil(entry, {name: masks[name] for name in [ROOT, *own]}), list(examples)


def _taught(strategy: GatingStrategy, lessons: Sequence[Lesson]) -> Iterator[tuple[str, Taught]]:
    """What is learnt of every population that has a finder which learns."""
    by_key = {(lesson.population.name, lesson.find.finder): lesson for lesson in lessons}
    for population in strategy.populations:
        finds = learners_of(population)
        if not finds:
            continue
        constants: dict[str, Mapping[str, object]] = {}
        reasons = []
        for find in finds:
            try:
                constants[find.finder] = learn(
                    by_key.get((population.name, find.finder), Lesson(population, find, {}))
                )
            except GateError as error:
                reasons.append(f"{find.finder}: {error}")
        first = finds[0].finder
        examples = by_key[population.name, first].examples if (population.name, first) in by_key else {}
        yield (
            population.name,
            Taught(
                finder=first,
                parent=population.parent,
                channels=tuple(dimension.channel for dimension in finds[0].dimensions),
                constants=constants.get(first),
                others={name: value for name, value in constants.items() if name != first},
                n_tubes=len(examples),
                n_batches=len({example.batch for example in examples.values()}),
                reason=" ".join(reasons),
            ),
        )


def _expected_error(school: _School, pupils: Sequence[Pupil], lessons: Sequence[Lesson]) -> Errors:
    """Every batch gated by what the others taught; one tube at a time where there is only one batch."""
    errors: Errors = {}
    several = len({pupil.tube.batch for pupil in pupils}) > 1
    ordered = sorted(pupils, key=lambda pupil: (pupil.tube.batch, pupil.tube.sample_id))
    for _, group in groupby(ordered, key=lambda pupil: pupil.tube.batch if several else pupil.tube.sample_id):
        left_out = list(group)
        names = [pupil.tube.sample_id for pupil in left_out]
        constants = learn_all(lesson.without(names) for lesson in lessons)
        strategy = with_constants(school.strategy, constants, version="left-out")
        for pupil, found in zip(left_out, _gate_batch(school, strategy, left_out), strict=True):
            for population, of in _compared(school, pupil):
                error = relative_error(found.masks, pupil.masks, population, of)
                if error is not None:
                    errors.setdefault(f"{population} / {of}", []).append(error)
    return errors


def _gate_batch(school: _School, strategy: GatingStrategy, pupils: Sequence[Pupil]) -> Iterator[GatedTube]:
    """The tubes of one batch, each first by itself, then with what they say together."""
    loaded = [
        school.bench.load(pupil.tube, school.checked[pupil.tube.sample_id], strategy) for pupil in pupils
    ]
    controls = [school.controls.of(pupil.tube) for pupil in pupils]
    alone = [
        gate_tube(strategy, tube.stained, controls=beside)
        for tube, beside in zip(loaded, controls, strict=True)
    ]
    batches = pooled(gate for gated in alone for gate in gated.placed)
    for tube, beside, first in zip(loaded, controls, alone, strict=True):
        known = {gate.population: gate for gate in first.placed}
        yield gate_tube(strategy, tube.stained, controls=beside, batches=batches, known=known)


def _compared(school: _School, pupil: Pupil) -> Iterator[tuple[str, str]]:
    """Populations and denominators that the expert gated: each in its parent, the reported as reported."""
    for population in school.strategy.populations:
        if population.name in pupil.masks and population.parent in pupil.masks and population.parent != ROOT:
            yield population.name, population.parent
    for name, of in school.reported.items():
        parent = next((entry.parent for entry in school.strategy.populations if entry.name == name), "")
        if name in pupil.masks and of in pupil.masks and of != parent:
            yield name, of


def _in_words(reference: ReferenceFile) -> Iterator[str]:
    """What was learnt from how many tubes, against how many are wanted, and the error to be expected."""
    n_tubes, n_batches = len(reference.tubes), reference.n_batches
    yield (
        f"{reference.panel}: {n_tubes} tubes of {n_batches} batches were gated by an expert; wanted are "
        f"{WANTED_TUBES} tubes of {WANTED_BATCHES} batches"
    )
    yield f"{'population':<24}{'finder':<22}{'tubes':>6}{'batches':>9}"
    for name, taught in reference.populations.items():
        counts = f"{taught.n_tubes:>6}{taught.n_batches:>9}"
        yield f"{name:<24}{taught.finder:<22}{counts}" + (f"  {taught.reason}" if taught.reason else "")
    how = "batch" if n_batches > 1 else "tube"
    yield f"expected error at this number, each {how} gated by what the others taught, in % of the value"
    yield f"{'population / denominator':<36}{'mean |error|':>14}{'bias':>8}{'largest':>9}{'tubes':>7}"
    for name, figures in reference.expected_error.items():
        numbers = f"{figures['mean_absolute']:>14.1f}{figures['bias']:>8.1f}{figures['largest']:>9.1f}"
        yield f"{name:<36}{numbers}{figures['tubes']:>7.0f}"
    if n_tubes < WANTED_TUBES or n_batches < WANTED_BATCHES:
        yield "fewer than wanted: a batch unlike these may be off by more than the largest error above"
