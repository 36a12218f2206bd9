"""Somebody else's gating of some tubes: a FlowJo workspace, a GatingML file or a folder of such files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cytotrial.errors import ConfigError, TemplateError, all_problems
from cytotrial.files.flowjo import flowjo_counts
from cytotrial.files.gatingml import read_gatingml
from cytotrial.steps.gated import nearest
from cytotrial.steps.strategies import EVERY_TUBE, read_gating
from cytotrial.terms import GatingStrategy, Tube

NO_COUNTS: Mapping[str, Mapping[str, int]] = {}


@dataclass(frozen=True)
class Manual:
    """A gating of tubes by name.

    strategies : name → gating; `*` for every tube
    named_by : what the names are: the tubes' FCS `file` names (a workspace) or `sample_id`s (a folder)
    counts : name → population → the events that FlowJo counted, where the workspace says
    """

    path: Path
    strategies: Mapping[str, GatingStrategy]
    named_by: Literal["file", "sample_id"]
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: NO_COUNTS)

    def name_of(self, tube: Tube) -> str:
        """The name by which the gating knows a tube, if it does."""
        if EVERY_TUBE in self.strategies:
            return EVERY_TUBE
        return Path(tube.fcs).name if self.named_by == "file" else tube.sample_id

    def of(self, tube: Tube) -> GatingStrategy | None:
        return self.strategies.get(self.name_of(tube))

    def without_tube(self, tubes: Collection[Tube]) -> list[str]:
        """The names that belong to none of some tubes, each with the nearest name there is."""
        known = [self.name_of(tube) for tube in tubes]
        return [
            f"{name}{nearest(name, known)}" for name in self.strategies if name not in {*known, EVERY_TUBE}
        ]


def read_manual(path: Path) -> Manual:
    """Read a manual gating.

    Raises
    ------
    TemplateError
        With every problem of the file or of the folder's files, or if it is of another form.
    """
    if path.is_dir():
        return Manual(path, _read_folder(path), "sample_id")
    if path.suffix.lower() not in {".wsp", ".xml"}:
        raise TemplateError(
            f"{path}: is neither a FlowJo workspace (.wsp), a GatingML file (.xml) nor a folder of these.",
            hint="Name the file that the manual gates are in.",
        )
    strategies = read_gating(path)
    if EVERY_TUBE in strategies:
        return Manual(path, strategies, "sample_id")
    return Manual(path, strategies, "file", flowjo_counts(path))


def _read_folder(folder: Path) -> dict[str, GatingStrategy]:
    """sample_id → the gating of <sample_id>.xml."""
    strategies, problems = {}, []
    for path in sorted(folder.glob("*.xml")):
        try:
            strategies[path.stem] = read_gatingml(path)
        except TemplateError as error:
            problems.append(error.message)
    if not strategies and not problems:
        problems = ["there is no .xml file in it"]
    if problems:
        raise TemplateError(
            all_problems(str(folder), problems, outcome="no gate was read"),
            hint="The folder holds GatingML 2.0 files, each named <sample_id>.xml.",
        )
    return strategies


def read_mapping(texts: Sequence[str]) -> list[tuple[str, str]]:
    """`ours=theirs` as pairs.

    Raises
    ------
    ConfigError
        If a text has no `=`, or nothing on one side of it.

    Examples
    --------
    >>> read_mapping(["CD4+=T cells/CD4"])
    [('CD4+', 'T cells/CD4')]
    """
    pairs = [tuple(part.strip() for part in text.split("=", 1)) for text in texts]
    wrong = [text for text, pair in zip(texts, pairs, strict=True) if len(pair) != 2 or not all(pair)]
    if wrong:
        raise ConfigError(
            f"--map {wrong[0]!r}: expected OURS=THEIRS, two names of populations.",
            hint="For example --map 'CD4+=T cells/CD4'.",
        )
    return [(ours, theirs) for ours, theirs in pairs]


def pairs_of(
    ours: Sequence[str], theirs: Collection[str], mapping: Sequence[tuple[str, str]]
) -> dict[str, str]:
    """Our populations and their counterparts: as the mapping says, else of the same name.

    A population may be mapped to several names, of which a tube's gating has one.

    Raises
    ------
    ConfigError
        If one tube's gating has two of the names.

    Examples
    --------
    >>> pairs_of(["CD4+", "Treg"], ["T/CD4", "Treg"], [("CD4+", "T/CD4"), ("CD4+", "non-B/T/CD4")])
    {'CD4+': 'T/CD4', 'Treg': 'Treg'}
    """
    pairs: dict[str, str] = {}
    for name in ours:
        named = [other for mine, other in mapping if mine == name]
        found = [other for other in dict.fromkeys(named or [name]) if other in theirs]
        if len(found) > 1:
            raise ConfigError(
                f"--map: {name} is mapped to {' and to '.join(found)}, and one tube has both.",
                hint="Compare these tubes in two runs, with --tubes.",
            )
        pairs |= {name: found[0]} if found else {}
    return pairs


def mapping_problems(
    mapping: Sequence[tuple[str, str]], *, ours: Collection[str], theirs: Collection[str]
) -> list[str]:
    """A sentence for each name of a mapping that no tube's gating has."""
    problems = [
        f"--map: we have no population '{name}'{nearest(name, ours)}"
        for name, _ in mapping
        if name not in ours
    ]
    problems += [
        f"--map: the manual gating has no population '{name}'{nearest(name, theirs)}"
        for _, name in mapping
        if name not in theirs
    ]
    return list(dict.fromkeys(problems))


def suggestions(ours: Collection[str], theirs: Collection[str]) -> list[str]:
    """`--map` arguments for populations whose names are nearly alike, or alike but for what is above them."""
    return [
        f"--map '{name}={other}'"
        for name in ours
        for other in theirs
        if name != other and _folded(name) == _folded(other)
    ]


def _folded(name: str) -> str:
    """The last part of a name, without what people write differently."""
    return "".join(c for c in name.rpartition("/")[2].casefold() if c.isalnum() or c == "-")
