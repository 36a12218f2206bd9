"""A panel's gating, from whatever form the lab has it in, as one checked file that jobs read fast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cytotrial.errors import TemplateError
from cytotrial.files.strategy import write_strategies
from cytotrial.science.finders import check_finders
from cytotrial.steps.layout import Layout
from cytotrial.steps.trial import load_trial
from cytotrial.terms import GatingStrategy

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
    strategies = read_gating(Path(settings.panels[panel].gating))
    for strategy in strategies.values():
        check_finders(strategy)
    write_strategies(Layout(Path(settings.results)).strategy(panel), strategies)


def read_gating(path: Path) -> Mapping[str, GatingStrategy]:
    """Sample name → strategy; `*` for all tubes. The form is told by the file's extension."""
    suffix = path.suffix.lower()
    if suffix in {".yaml", ".yml"}:
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
