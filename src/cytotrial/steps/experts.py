"""The gates that experts drew, from whatever form they have, as strategies of single tubes."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cytotrial.errors import ConfigError, CytotrialError, TemplateError, all_problems
from cytotrial.files.fingerprints import sha256_of
from cytotrial.files.overrides import deciding, read_overrides, unblinded
from cytotrial.files.strategy import gate_from_json
from cytotrial.settings import Expert
from cytotrial.steps.strategies import read_gating, strategy_of
from cytotrial.terms import GatingStrategy, Population, Tube


@dataclass(frozen=True, eq=False)
class GatedByExpert:
    """One tube as an expert has gated it.

    strategy : the expert's gates
    names : population of the template → population of the expert
    """

    tube: Tube
    expert: Expert
    strategy: GatingStrategy
    names: Mapping[str, str]


def gated_by_experts(
    experts: Collection[Expert], tubes: Collection[Tube], template: GatingStrategy, *, study: str
) -> tuple[GatedByExpert, ...]:
    """Every tube that some source gates, sorted by sample_id; the first source that has a tube is taken.

    Parameters
    ----------
    tubes : the sample tubes of the panel
    study : name of the study, by which overrides of a blinded page find their tubes

    Raises
    ------
    ConfigError
        With every tube that is named and not gated, and every population that a source does not have.
    """
    found: dict[str, GatedByExpert] = {}
    problems: list[str] = []
    for expert in experts:
        for gated in _of_source(expert, tubes, template, study, problems):
            found.setdefault(gated.tube.sample_id, gated)
    if problems:
        raise ConfigError(all_problems("reference", problems, outcome="nothing was learnt"))
    return tuple(found[name] for name in sorted(found))


def _of_source(
    expert: Expert,
    tubes: Collection[Tube],
    template: GatingStrategy,
    study: str,
    problems: list[str],
) -> Iterator[GatedByExpert]:
    wanted = [tube for tube in tubes if not expert.tubes or tube.sample_id in expert.tubes]
    unknown = sorted(set(expert.tubes) - {tube.sample_id for tube in tubes})
    if unknown:
        problems.append(f"{expert.source}: no sample tube of the panel is named {', '.join(unknown)}")
    n_gated = 0
    populations = [population.name for population in template.populations]
    for tube, strategy in () if _approved(expert) else _strategies(expert, wanted, problems):
        n_gated += 1
        yield GatedByExpert(tube, expert, strategy, _names(strategy, expert, populations, problems))
    for tube, strategy, names in _of_overrides(expert, wanted, template, study) if _approved(expert) else ():
        n_gated += 1
        yield GatedByExpert(tube, expert, strategy, {name: name for name in names})
    if not n_gated and not problems:
        problems.append(f"{expert.source}: gates no sample tube of the panel")


def _strategies(
    expert: Expert, tubes: Collection[Tube], problems: list[str]
) -> Iterator[tuple[Tube, GatingStrategy]]:
    path = Path(expert.source)
    if path.is_dir():
        yield from _of_folder(path, expert, tubes, problems)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategies = read_gating(path)
    for tube in tubes:
        try:
            yield tube, strategy_of(strategies, fcs=tube.fcs)
        except TemplateError as error:
            if tube.sample_id in expert.tubes:
                problems.append(f"{expert.source}: tube {tube.sample_id}: {error}")


def _of_folder(
    folder: Path, expert: Expert, tubes: Collection[Tube], problems: list[str]
) -> Iterator[tuple[Tube, GatingStrategy]]:
    """A folder of GatingML files, one a tube."""
    for tube in tubes:
        path = folder / f"{tube.sample_id}.xml"
        if path.is_file():
            try:
                yield tube, strategy_of(read_gating(path), fcs=tube.fcs)
            except CytotrialError as error:
                problems.append(str(error))
        elif tube.sample_id in expert.tubes:
            problems.append(f"{expert.source}: there is no file {tube.sample_id}.xml")


def _approved(expert: Expert) -> bool:
    """Whether the source is an overrides file: gates that were approved or moved on the review page."""
    return Path(expert.source).suffix.lower() == ".tsv"


def _of_overrides(
    expert: Expert, tubes: Collection[Tube], template: GatingStrategy, study: str
) -> Iterator[tuple[Tube, GatingStrategy, list[str]]]:
    """The template with the gates that a person approved or placed on each tube; of each the last word."""
    rows = unblinded(read_overrides(Path(expert.source)), [tube.sample_id for tube in tubes], study=study)
    for tube in tubes:
        last = deciding(rows.get(tube.sample_id, ()))
        gates = {
            name: gate_from_json(row.new_gate or row.old_gate)
            for name, row in last.items()
            if row.action != "exclude"
        }
        if gates:
            populations = tuple(
                Population(entry.name, entry.parent, gate=gates[entry.name]) if entry.name in gates else entry
                for entry in template.populations
            )
            yield tube, replace(template, populations=populations), sorted(gates)


def _names(
    strategy: GatingStrategy, expert: Expert, populations: Collection[str], problems: list[str]
) -> dict[str, str]:
    """Template's population → the expert's: as configured, of the same name, or the only path ending so."""
    known = [population.name for population in strategy.populations]
    names: dict[str, str] = {}
    for name in populations:
        ending = [other for other in known if other.rsplit("/", maxsplit=1)[-1] == name]
        if name in expert.populations:
            names[name] = expert.populations[name]
        elif name in known:
            names[name] = name
        elif len(ending) == 1:
            names[name] = ending[0]
    lacking = sorted(
        {f"'{other}'" for other in names.values() if other not in known}
        | {f"'{name}' (of the template)" for name in expert.populations if name not in populations}
    )
    message = f"{expert.source}: there is no population {', '.join(lacking)}; it has {', '.join(known[:12])}"
    if lacking and message not in problems:
        problems.append(message)
    return names


def digest_of_source(expert: Expert) -> str:
    """SHA-256 of a source: of the file, or of the names and contents of a folder's files."""
    path = Path(expert.source)
    if path.is_file():
        return sha256_of(path)
    parts = [f"{file.name} {sha256_of(file)}" for file in sorted(path.glob("*.xml"))]
    import hashlib  # noqa: PLC0415

    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
