"""A panel's gating, from whatever form the lab has it in, as one checked file that jobs read fast."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from cytotrial.errors import TemplateError, all_problems
from cytotrial.files.reference import Taught, read_reference
from cytotrial.files.strategy import write_strategies
from cytotrial.science.finders import check_finders
from cytotrial.science.teaching import learners_of, with_constants
from cytotrial.settings import Settings
from cytotrial.steps.layout import Layout
from cytotrial.steps.plan import populations_used
from cytotrial.steps.trial import load_trial
from cytotrial.terms import ROOT, GatingStrategy, Population

TEMPLATES = {".yaml", ".yml"}
EVERY_TUBE = "*"
"""Stands for all tubes, where one strategy serves the whole panel."""


def compile_gating(config: Path, *, panel: str) -> None:
    """Write gating/<panel>.json.

    Raises
    ------
    TemplateError
        If the template, GatingML file or workspace cannot be used: nothing of the panel is gated.
    """
    settings = load_trial(config).settings
    path = Path(settings.panels[panel].gating)
    strategies = read_gating(path)
    for strategy in strategies.values():
        check_finders(strategy)
    problems = [
        *_unknown_populations(strategies, settings, panel),
        *_unknown_controls(strategies, settings, panel),
    ]
    if problems:
        raise TemplateError(all_problems(str(path), problems, outcome=f"panel {panel} is not gated"))
    reference = settings.panels[panel].reference
    if reference is not None:
        strategies = {
            name: with_reference(strategy, Path(reference.file), panel)
            for name, strategy in strategies.items()
        }
    write_strategies(Layout(Path(settings.results)).strategy(panel), strategies)


def with_reference(strategy: GatingStrategy, path: Path, panel: str) -> GatingStrategy:
    """The strategy whose finders hold what the reference file says.

    Raises
    ------
    TemplateError
        If the file is not of this panel, or was learnt for another finder, parent or channels of a
        population: constants of the one mean nothing to the other.
    """
    reference = read_reference(path)
    problems = [f"it is of panel '{reference.panel}'"] if reference.panel != panel else []
    populations = {population.name: population for population in strategy.populations}
    for name, taught in reference.populations.items():
        problems += _unlike(name, taught, populations.get(name))
    if problems:
        raise TemplateError(
            all_problems(str(path), problems, outcome=f"panel {panel} is not gated"),
            hint=f"Learn it again for this template: cytotrial learn-reference --panel {panel}",
        )
    constants = {
        (name, finder): values
        for name, taught in reference.populations.items()
        for finder, values in taught.by_finder().items()
    }
    return with_constants(strategy, constants, version=reference.version)


def _unlike(name: str, taught: Taught, population: Population | None) -> Iterator[str]:
    """What is other than when a population was learnt."""
    if population is None:
        yield f"population '{name}' is not in the template"
        return
    known = {find.finder: find for find in learners_of(population)}
    lacking = [finder for finder in taught.by_finder() if finder not in known]
    if lacking:
        yield f"population '{name}' was learnt for {', '.join(lacking)}, which the template does not name"
    elif taught.finder in known:
        channels = tuple(dimension.channel for dimension in known[taught.finder].dimensions)
        if (population.parent, channels) != (taught.parent, taught.channels):
            seen, now = (
                f"{', '.join(axes)} of {parent}"
                for parent, axes in ((taught.parent, taught.channels), (population.parent, channels))
            )
            yield f"population '{name}' was learnt on {seen}; in the template it is {now}"


def compile_template(path: Path) -> GatingStrategy:
    """The strategy of a template whose finders and their arguments exist.

    Raises
    ------
    TemplateError
        With every problem of the file, or if it is GatingML or a workspace: those find no gate.
    """
    strategies = read_gating(path)
    if path.suffix.lower() not in TEMPLATES:
        raise TemplateError(f"{path}: only a template (.yaml) finds gates; there is nothing to learn for it.")
    strategy = strategies[EVERY_TUBE]
    check_finders(strategy)
    return strategy


def _unknown_populations(
    strategies: Mapping[str, GatingStrategy], settings: Settings, panel: str
) -> Iterator[str]:
    """Populations that parameters name and that no strategy of the panel has."""
    known = [ROOT, *dict.fromkeys(p.name for entry in strategies.values() for p in entry.populations)]
    for name in populations_used(settings, panel):
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known[:12])}"
            yield f"population '{name}', which the parameters name, is not in the gating; {hint}"


def _unknown_controls(
    strategies: Mapping[str, GatingStrategy], settings: Settings, panel: str
) -> Iterator[str]:
    """Controls that gate finders and bounds look at, of markers that the panel does not have."""
    markers = settings.panels[panel].markers
    named = {
        (population.name, find.control_marker)
        for strategy in strategies.values()
        for population in strategy.populations
        for find in (population.find.all() if population.find else ())
    }
    for name, marker in sorted(named):
        if marker and marker not in markers:
            near = difflib.get_close_matches(marker, list(markers), n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(markers)}"
            yield f"population '{name}': control marker '{marker}' is not in the panel; {hint}"


def read_gating(path: Path) -> Mapping[str, GatingStrategy]:
    """Sample name → strategy; `*` for all tubes. The form is told by the file's extension."""
    suffix = path.suffix.lower()
    if suffix in TEMPLATES:
        from cytotrial.files.template import read_template

        return {EVERY_TUBE: read_template(path)}
    if suffix == ".xml":
        from cytotrial.files.gatingml import read_gatingml

        return {EVERY_TUBE: read_gatingml(path)}
    if suffix == ".wsp":
        from cytotrial.files.flowjo import read_workspace

        return read_workspace(path)
    raise TemplateError(
        f"{path}: '{suffix}' is not a form of gating.",
        hint="Use a template (.yaml), GatingML 2.0 (.xml) or a FlowJo 10 workspace (.wsp).",
    )


def strategy_of(strategies: Mapping[str, GatingStrategy], *, fcs: str) -> GatingStrategy:
    """The strategy of one tube: its own, by file name, or the one for all.

    Raises
    ------
    TemplateError
        If a workspace has no sample of that name; the names it has are listed.
    """
    name = Path(fcs).name
    if name in strategies:
        return strategies[name]
    if EVERY_TUBE in strategies:
        return strategies[EVERY_TUBE]
    known = ", ".join(sorted(strategies)[:8])
    raise TemplateError(
        f"the workspace has no sample named {name}; it has {known}.",
        hint="The file's name must be the sample's name in the workspace.",
    )
