"""Sheets and a configuration proposed from a lab's folder; what cannot be told is left empty and said so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cytotrial.errors import ConfigError
from cytotrial.files.atomic import replace_file
from cytotrial.files.fcs import FcsHeader, inspect_fcs
from cytotrial.files.folders import find_fcs_files
from cytotrial.files.identity import stain_hints
from cytotrial.files.sheets.cells import identifier, text, visit_name
from cytotrial.progress import Progress
from cytotrial.steps.grouping import (
    PanelGroup,
    group_tubes,
    is_named_in,
    panel_of_control,
    partly_stained,
    stains_of,
)
from cytotrial.steps.naming import NameParts, Numbered, has_wells, marker_in, parts_of, plain_name, widths
from cytotrial.steps.proposed_files import (
    NAMES_A_MARKER,
    WHOLE_PANEL,
    Draft,
    ProposedTube,
    contents,
    told_by,
    undecided,
)
from cytotrial.terms import Outcome, Role

GROUPS = ("subject", "visit", "panel", "role", "batch", "control_for", "sample_id")
"""Named groups that a user's pattern may have."""


@dataclass(frozen=True)
class Proposal:
    """What was proposed, from what, and what a person has to decide.

    told_by : what each kind of cell was told by, with the number of files
    undecided : what is left empty, one sentence each
    unreadable : (file, code of the reason); such files have a row all the same
    """

    written: tuple[Path, ...]
    tubes: tuple[ProposedTube, ...]
    panels: Mapping[str, PanelGroup]
    told_by: tuple[str, ...]
    undecided: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]

    def in_words(self) -> str:
        """What to print."""
        counted = Counter(tube.panel or "no panel" for tube in self.tubes)
        panels = ", ".join(f"{name} {n}" for name, n in sorted(counted.items()))
        lines = [f"{len(self.tubes)} FCS files ({panels})", "told by:"]
        lines += [f"  {line}" for line in self.told_by]
        lines += ["to be decided by you:"] * bool(self.undecided) + [f"  {line}" for line in self.undecided]
        for title, files in (("not readable:", self.unreadable), ("left out:", self.left_out)):
            lines += [title] * bool(files) + [f"  {file}: {reason}" for file, reason in files]
        return "\n".join([*lines, "written:", *(f"  {path}" for path in self.written)])


@dataclass(frozen=True)
class _Read:
    """A file of the folder: its header if the pre-flight lets it pass, and what its path says."""

    path: str
    header: FcsHeader | None
    reason: str
    hints: str


@dataclass(frozen=True)
class _Given:
    """What the user's pattern says about a path, and the groups whose values no sheet can hold."""

    legal: Mapping[str, str]
    refused: tuple[str, ...]


def propose_study(
    folder: Path, *, pattern: str | None = None, output: Path, progress: Progress | None = None
) -> Proposal:
    """Write samples.tsv, subjects.tsv, visits.tsv and config.yaml for a folder of FCS files.

    Files are grouped into panels by the markers on their channels. Role, subject, visit and batch
    come from the names of files and folders; a role or visit also from the tube's name in the
    file. No other keyword is used, and no free text of a file is copied.

    Parameters
    ----------
    folder : Path
        Searched at any depth for .fcs and .lmd; only headers are read.
    pattern : str, optional
        Regular expression that is searched in each path below `folder`; its named groups (subject,
        visit, panel, role, batch, control_for, sample_id) come before everything else.
    output : Path
        Folder of the four files; none of them may exist.
    progress : callable, optional
        Called with (files read, files found).

    Raises
    ------
    ConfigError
        If a target exists, the folder holds no FCS file, or the pattern is not usable.
    """
    expression = _compiled(pattern)
    targets = [output / name for name in ("samples.tsv", "subjects.tsv", "visits.tsv", "config.yaml")]
    existing = [str(path) for path in targets if path.exists() or path.is_symlink()]
    if existing:
        raise ConfigError(
            f"{', '.join(existing)}: there already, and nothing is ever overwritten.",
            hint="Name another output folder, or move the files away.",
        )
    found = find_fcs_files(folder)
    files = _read_all(folder, found.paths, progress)
    given = {file.path: _given(expression, file.path) for file in files}
    draft = _draft(files, {path: values.legal for path, values in given.items()})
    for name, content in contents(draft, folder=folder, output=output).items():
        replace_file(output / name, content.encode())
    refused = [line for line, values in enumerate(given.values(), start=2) if values.refused]
    matched = sum(bool(values.legal) for values in given.values())
    return Proposal(
        written=tuple(targets),
        tubes=draft.tubes,
        panels=draft.panels,
        told_by=(
            *([f"pattern: {matched} of {len(files)} files match"] if expression else []),
            *told_by(draft),
        ),
        undecided=(
            *([f"pattern: values that a sheet cannot hold on lines {refused}"] if refused else []),
            *undecided(draft),
        ),
        unreadable=tuple((file.path, file.reason) for file in files if file.header is None),
        left_out=found.left_out,
    )


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"The pattern is no regular expression: {error}.", hint="See Python's `re`."
        ) from None
    foreign = [name for name in expression.groupindex if name not in GROUPS]
    if foreign or not expression.groupindex:
        raise ConfigError(
            f"The pattern has the named groups {', '.join(foreign) or '(none)'}.",
            hint=f"Use (?P<name>...) with {', '.join(GROUPS)}.",
        )
    return expression


def _given(expression: re.Pattern[str] | None, path: str) -> _Given:
    match = expression.search(path) if expression else None
    values = {name: value.strip() for name, value in match.groupdict().items() if value} if match else {}
    rules: dict[str, Callable[[str], str]] = {"visit": visit_name, "control_for": text, "role": _role_word}
    legal: dict[str, str] = {}
    for name, value in values.items():
        with suppress(ValueError):
            legal[name] = rules.get(name, identifier)(value)
    return _Given(legal, tuple(values.keys() - legal.keys()))


def _role_word(word: str) -> str:
    return Role(word.lower()).value


def _read_all(folder: Path, paths: Sequence[str], progress: Progress | None) -> list[_Read]:
    with ThreadPoolExecutor(max_workers=4) as pool:
        files: list[_Read] = []
        for file in pool.map(partial(_read, folder), paths):
            files.append(file)
            if progress:
                progress(len(files), len(paths))
    return files


def _read(folder: Path, path: str) -> _Read:
    report = inspect_fcs(folder / path, root=folder)
    if report.header is None:
        reason = next((f.code for f in report.findings if f.outcome is Outcome.REJECT), "UNREADABLE")
        return _Read(path, None, reason, "")
    return _Read(path, report.header, "", stain_hints(folder / path, report.header))


def _draft(files: Sequence[_Read], given: Mapping[str, Mapping[str, str]]) -> Draft:
    """The rows of the sample sheet, and the panels."""
    headers = {file.path: file.header for file in files if file.header}
    parts = _parts(files, headers)
    partly = partly_stained({path: header.channels for path, header in headers.items()})
    roles = {file.path: _role(given[file.path], parts[file.path], partly.get(file.path)) for file in files}
    panels, panel_of = _panels(files, roles, given)
    subject_width = widths(part.subject for part in parts.values())
    visit_width = widths(part.visit for part in parts.values())
    tubes = []
    for number, file in enumerate(files, start=1):
        part, role, panel = parts[file.path], roles[file.path], panel_of.get(file.path, "")
        told = ProposedTube(
            sample_id=f"T{number:05d}",
            fcs=file.path,
            panel=panel,
            role=role,
            subject=_label(part.subject, subject_width),
            visit=_label(part.visit, visit_width),
            batch=_batch(file, part),
            control_for=_control_for(file, role, panels.get(panel)),
            acquired=file.header.acquired if file.header else "",
        )
        said: dict[str, Any] = {**given[file.path], "role": role, "panel": panel}
        tubes.append(_of_its_role(replace(told, **said)))
    return Draft(tuple(tubes), panels, headers)


def _parts(files: Sequence[_Read], headers: Mapping[str, FcsHeader]) -> dict[str, NameParts]:
    """What every path says; a name that is a marker or detector of some file is no subject."""
    markers = frozenset(
        plain_name(word)
        for header in headers.values()
        for stain in stains_of(header.channels)
        for word in (stain.marker, stain.label, stain.name)
    )
    wells = has_wells(file.path for file in files)
    return {file.path: parts_of(file.path, markers=markers, hints=file.hints, wells=wells) for file in files}


def _label(part: Numbered | None, digits: Mapping[str, int]) -> str:
    return part.label(digits[part.kind]) if part else ""


def _role(given: Mapping[str, str], part: NameParts, labels: int | None) -> Role | None:
    """The pattern's, the name's, or that of a tube whose labels are one of its panel's; None is undecided."""
    if "role" in given:
        return Role(given["role"])
    if part.role is not None:
        return part.role
    if labels is not None:
        return Role.SINGLE_STAIN if labels == 1 else None
    return None if part.is_some_control else Role.SAMPLE


def _panels(
    files: Sequence[_Read], roles: Mapping[str, Role | None], given: Mapping[str, Mapping[str, str]]
) -> tuple[dict[str, PanelGroup], dict[str, str]]:
    """Panels from the tubes that carry all of theirs; controls are then given to the panel they fit."""
    channels = {file.path: file.header.channels for file in files if file.header}
    whole = {path: named for path, named in channels.items() if roles[path] in WHOLE_PANEL} or channels
    named = {path: values["panel"] for path, values in given.items() if "panel" in values}
    panels, panel_of = group_tubes(whole, named)
    for path in channels.keys() - whole.keys():
        panel_of[path] = named.get(path) or panel_of_control(path, channels[path], panels)
    for path in given.keys() - channels.keys():
        in_path = [name for name in panels if is_named_in(path, name)]
        panel_of[path] = named.get(path) or (in_path[0] if len(in_path) == 1 else "")
    return panels, panel_of


def _control_for(file: _Read, role: Role | None, panel: PanelGroup | None) -> str:
    """The marker that a control's name holds, or the only one that its channels are labelled with."""
    if role not in NAMES_A_MARKER or panel is None or file.header is None:
        return ""
    labelled = [stain for stain in stains_of(file.header.channels) if stain.label]
    single = panel.names.get(plain_name(labelled[0].marker), "") if len(labelled) == 1 else ""
    return marker_in(file.path, panel.names) or (single if role is Role.SINGLE_STAIN else "")


def _batch(file: _Read, part: NameParts) -> str:
    if part.batch is not None:
        return part.batch.label(2)
    return file.header.acquired[:10] if file.header else ""


def _of_its_role(tube: ProposedTube) -> ProposedTube:
    """The row without what its role does not have: controls of no draw have neither subject nor visit."""
    of_no_draw = tube.role in {Role.SINGLE_STAIN, Role.UNSTAINED} or (
        tube.role in {Role.FMO, Role.ISOTYPE} and not (tube.subject and tube.visit)
    )
    tube = replace(tube, subject="", visit="") if of_no_draw else tube
    return tube if tube.role in NAMES_A_MARKER else replace(tube, control_for="")
