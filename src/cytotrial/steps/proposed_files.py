"""The four files that a proposal consists of, and the list of what they leave open."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cytotrial.errors import ConfigError, TemplateError
from cytotrial.files.fcs import FcsHeader
from cytotrial.files.identity import name_may_identify
from cytotrial.files.spillover import already_compensated
from cytotrial.files.template import read_template
from cytotrial.steps.grouping import PanelGroup
from cytotrial.terms import Role

SAMPLE_COLUMNS = (
    "sample_id", "fcs", "panel", "role", "subject", "visit", "collected", "batch", "control_for",
    "beads_per_tube", "blood_ul", "acquired",
)  # fmt: skip
SUBJECT_COLUMNS = ("subject", "first_dose", "sex", "age", "site", "arm")
VISIT_COLUMNS = ("visit", "visit_num", "target_day", "first_day", "last_day", "baseline")
WHOLE_PANEL: Set[Role | None] = frozenset({Role.SAMPLE, Role.UNSTIMULATED})
NAMES_A_MARKER: Set[Role | None] = frozenset({Role.SINGLE_STAIN, Role.FMO, Role.ISOTYPE})
MASS_CYTOMETRY = frozenset({"Event_length", "Cell_length"})
TEMPLATES = Path("config/gating")
SUBJECTS_PER_SHARD = 10
"""Of 40 tubes or so, which take several seconds to gate: ten times what a job takes to begin."""
WIDE = 40
"""Subjects from which that matters."""
_VISIT_ORDER = ("SCREENING", "BASELINE", "C", "W", "D", "M", "V", "T", "EOT", "FOLLOW-UP")


@dataclass(frozen=True)
class ProposedTube:
    """One row of the proposed sample sheet; an empty text is undecided or not needed."""

    sample_id: str
    fcs: str
    panel: str = ""
    role: Role | None = None
    subject: str = ""
    visit: str = ""
    batch: str = ""
    control_for: str = ""
    acquired: str = ""

    def cells(self) -> dict[str, str]:
        cells = {column: getattr(self, column, "") for column in SAMPLE_COLUMNS}
        return {**cells, "role": self.role.value if self.role else ""}


@dataclass(frozen=True, eq=False)
class Draft:
    """A study as far as its folder tells it; `headers` are those of the readable files, by path."""

    tubes: tuple[ProposedTube, ...]
    panels: Mapping[str, PanelGroup]
    headers: Mapping[str, FcsHeader]


def contents(draft: Draft, *, folder: Path, output: Path) -> dict[str, str]:
    """Name → text of the four files."""
    return {
        "samples.tsv": _table(SAMPLE_COLUMNS, [tube.cells() for tube in draft.tubes]),
        "subjects.tsv": _table(
            SUBJECT_COLUMNS, [{"subject": name} for name in _distinct(draft.tubes, "subject")]
        ),
        "visits.tsv": _table(VISIT_COLUMNS, _visit_rows(_distinct(draft.tubes, "visit"))),
        "config.yaml": _config(draft, folder, output),
    }


def _distinct(tubes: Sequence[ProposedTube], column: str) -> list[str]:
    return sorted({getattr(tube, column) for tube in tubes} - {"", "UNSCHEDULED"})


def _visit_rows(visits: Sequence[str]) -> list[dict[str, str]]:
    """Visits in their usual order; a target day where the name tells it, windows left to the protocol."""
    ordered = sorted(visits, key=_visit_key)
    from_zero = any(re.fullmatch(r"D0+", visit) for visit in ordered)
    days = {visit: _target_day(visit, from_zero) for visit in ordered}
    first = [visit for visit in ordered if days[visit] == 1 or visit == "BASELINE"]
    return [
        {
            "visit": visit,
            "visit_num": str(number),
            "target_day": str(days[visit] or ""),
            "baseline": "Y" if [visit] == first else "",
        }
        for number, visit in enumerate(ordered, start=1)
    ]


def _visit_key(visit: str) -> tuple[int, str, list[int]]:
    kind = re.match(r"[A-Z-]*", visit)
    place = _VISIT_ORDER.index(kind[0]) if kind and kind[0] in _VISIT_ORDER else len(_VISIT_ORDER)
    return (
        place,
        "" if place < len(_VISIT_ORDER) else visit,
        [int(digits) for digits in re.findall(r"\d+", visit)],
    )


def _target_day(visit: str, from_zero: bool) -> int | None:
    """Week 0 begins on day 1 of the study; days count from 1 unless some visit is day 0."""
    match = re.fullmatch(r"([WD])(\d+)", visit)
    if not match:
        return None
    number = int(match[2])
    return 7 * number + 1 if match[1] == "W" else number + from_zero


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def _config(draft: Draft, folder: Path, output: Path) -> str:
    """The configuration as YAML; `null` is undecided."""
    study = re.sub(r"[^A-Za-z0-9]+", "-", folder.resolve().name).strip("-")[:60] or "STUDY"
    sheets = {name: (output / f"{name}.tsv").as_posix() for name in ("samples", "subjects", "visits")}
    return "\n".join(
        [
            "# Proposed from the folder's files; null is undecided. `cytotrial check` says what is missing.",
            f"study: {_quoted(study)}",
            f"fcs_dir: {_quoted(folder.as_posix())}",
            f"results: {_quoted((output / 'results').as_posix())}",
            "sheets:",
            *(f"  {name}: {_quoted(path)}" for name, path in sheets.items()),
            "panels:",
            *(line for panel in draft.panels.values() for line in _panel_lines(panel, draft)),
            "# parameters: which population becomes which parameter; see the documentation.",
            *_execution_lines(len(_distinct(draft.tubes, "subject"))),
            "",
        ]
    )


def _execution_lines(n_subjects: int) -> list[str]:
    """Of a wide trial, how many jobs a panel is cut into; else a job takes a subject."""
    if n_subjects < WIDE:
        return []
    return [
        "execution:",
        f"  shards: {n_subjects // SUBJECTS_PER_SHARD}  # jobs per panel; a job of its own for each of "
        f"{n_subjects} subjects would take longer",
    ]


def _panel_lines(panel: PanelGroup, draft: Draft) -> list[str]:
    beads = [marker for marker in panel.markers if "BEAD" in marker.upper()]
    names = {marker: [*own, *_unlabelled(panel, draft, marker)] for marker, own in panel.markers.items()}
    return [
        f"  {_quoted(panel.name)}:",
        "    markers:",
        *(f"      {_quoted(marker)}: {_quoted(names[marker])}" for marker in panel.markers),
        *([f"    without_fluorochrome: {_quoted(beads)}"] if beads else []),
        f"    compensation: {_compensation(panel, draft) or 'null'}",
        f"    gating: {_gating(panel) or 'null'}",
    ]


def _unlabelled(panel: PanelGroup, draft: Draft, marker: str) -> list[str]:
    """The $PnN of a marker's channel if some control of it has no such label, as many FMO tubes have not."""
    own = panel.markers[marker]
    controls = [tube for tube in draft.tubes if (tube.panel, tube.control_for) == (panel.name, marker)]
    headers = [draft.headers[tube.fcs] for tube in controls if tube.fcs in draft.headers]
    lacking = [header for header in headers if not any({c.name, c.label} & {*own} for c in header.channels)]
    detectors = {name for header in lacking for name in header.names if panel.marker_of(name) == marker}
    areas = {name for name in detectors if name.endswith("-A")} or detectors
    return sorted(areas) if len(areas) == 1 else []


def _quoted(value: str | list[str]) -> str:
    """Text, or a list of texts, in the quotes that JSON and YAML share."""
    return json.dumps(value, ensure_ascii=False)


def _compensation(panel: PanelGroup, draft: Draft) -> str:
    """How the panel's events are compensated, as far as its files tell."""
    if already_compensated(panel.channels) or panel.channels & MASS_CYTOMETRY:
        return "none"
    own = [tube for tube in draft.tubes if tube.panel == panel.name]
    stained = {tube.control_for for tube in own if tube.role is Role.SINGLE_STAIN} - {""}
    if len(stained) >= len(panel.markers) / 2:
        return "controls"
    whole = [draft.headers.get(tube.fcs) for tube in own if tube.role in WHOLE_PANEL]
    readable = [header for header in whole if header is not None]
    return "embedded" if readable and all(header.spillover is not None for header in readable) else ""


def _gating(panel: PanelGroup) -> str:
    """The template that is named like the panel, if it is there and looks at this panel's channels only."""
    path = TEMPLATES / f"{panel.name}.yaml"
    if not path.is_file():
        return ""
    try:
        strategy = read_template(path)
    except (TemplateError, ConfigError):
        return ""
    looked_at = {
        dimension.channel
        for population in strategy.populations
        for part in (population.find, population.gate)
        for dimension in getattr(part, "dimensions", ())
    }
    return path.as_posix() if looked_at <= {*panel.markers, *panel.channels} else ""


def told_by(draft: Draft) -> Iterator[str]:
    """What the proposal rests on, with numbers of files or examples."""
    roles = Counter(tube.role.value for tube in draft.tubes if tube.role)
    panels = Counter(tube.panel for tube in draft.tubes if tube.panel)
    examples = {name: _examples(draft.tubes, name) for name in ("subject", "visit", "batch")}
    yield f"panel, by the markers on the channels: {_counted(panels)}"
    yield f"role, by the usual names of controls, else sample: {_counted(roles)}"
    yield f"subject, by a prefix and a number (pt 07, S001, 001-012): {examples['subject']}"
    yield f"visit, by week, day, month, visit or cycle and a number, or a usual word: {examples['visit']}"
    yield f"batch, by a folder or word (B01, batch 1, run 1, plate 1), else by $DATE: {examples['batch']}"


def _counted(counter: Counter[str]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(counter.items())) or "none"


def _examples(tubes: Sequence[ProposedTube], column: str) -> str:
    values = _distinct(tubes, column)
    more = f" and {len(values) - 6} more" if len(values) > 6 else ""
    return (", ".join(values[:6]) or "none") + more


def undecided(draft: Draft) -> Iterator[str]:
    """Every kind of cell that a person has to fill in or to look at."""
    yield from _empty_cells(draft.tubes)
    yield "samples.tsv, collected: when each sample was drawn (`acquired` holds $DATE, when it was measured)"
    yield "samples.tsv, beads_per_tube and blood_ul of the count tubes, if there are any"
    yield from _same_draw_twice(draft.tubes)
    yield "subjects.tsv: first_dose of every subject, and the other columns if they are to be reported"
    yield "visits.tsv: first_day and last_day of every window, target_day and baseline where empty"
    for name, panel in draft.panels.items():
        if not _gating(panel):
            yield f"config.yaml, panels.{name}.gating: a template, GatingML file or FlowJo workspace"
        if not _compensation(panel, draft):
            yield f"config.yaml, panels.{name}.compensation: controls, embedded, none or a matrix file"
        if not panel.labelled:
            yield f"config.yaml, panels.{name}.markers: no channel has a label; name the markers"
    yield "config.yaml, parameters: which population becomes which parameter"
    telling = [
        line
        for line, tube in enumerate(draft.tubes, start=2)
        if any(map(name_may_identify, _names(tube.fcs)))
    ]
    if telling:
        yield f"samples.tsv, fcs: {_lines(telling)} with a path that may name a person; rename the files"


def _empty_cells(tubes: Sequence[ProposedTube]) -> Iterator[str]:
    needed_by: dict[str, Set[Role | None]] = {
        **dict.fromkeys(("panel", "role", "batch"), frozenset({*Role, None})),
        **dict.fromkeys(("subject", "visit"), WHOLE_PANEL),
        "control_for": NAMES_A_MARKER,
    }
    for column, roles in needed_by.items():
        lines = [
            line
            for line, tube in enumerate(tubes, start=2)
            if tube.role in roles and not getattr(tube, column)
        ]
        if lines:
            yield f"samples.tsv, {column}: {_lines(lines)}"


def _same_draw_twice(tubes: Sequence[ProposedTube]) -> Iterator[str]:
    seen: dict[tuple[str, str, str], list[int]] = {}
    for line, tube in enumerate(tubes, start=2):
        if tube.role is Role.SAMPLE and tube.subject and tube.visit:
            seen.setdefault((tube.panel, tube.subject, tube.visit), []).append(line)
    repeated = [lines for lines in seen.values() if len(lines) > 1]
    if repeated:
        shown = "; ".join(_lines(lines) for lines in repeated[:3])
        yield f"samples.tsv: {len(repeated)} times one panel, subject and visit on several rows: {shown}"


def _lines(lines: Sequence[int]) -> str:
    some = ", ".join(map(str, lines[:8])) + (" ..." if len(lines) > 8 else "")
    return f"1 row (line {some})" if len(lines) == 1 else f"{len(lines)} rows (lines {some})"


def _names(path: str) -> tuple[str, ...]:
    """The folders of a path and the file's name without its extension."""
    return PurePosixPath(path).with_suffix("").parts
