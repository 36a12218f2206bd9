"""The sample sheet: one row per FCS file, or per planned tube that was not done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from cytotrial.files.sheets import cells
from cytotrial.files.sheets.grid import Columns, Grid, Line, read_grid
from cytotrial.files.sheets.problems import SheetResult, in_order
from cytotrial.files.sheets.rows import Names, RowReader
from cytotrial.terms import Role, Tube

SAMPLES = Columns(
    required=("sample_id", "fcs", "panel", "role", "subject", "visit", "collected", "batch"),
    optional=(
        "specimen", "control_for", "beads_per_tube", "blood_ul", "dilution", "sha256",
        "status", "reason_not_done",
    ),
)  # fmt: skip

NAMES_A_MARKER = frozenset({Role.SINGLE_STAIN, Role.FMO, Role.ISOTYPE})


def read_samples(path: Path) -> SheetResult[Tube]:
    """The tubes of the sample sheet, every problem of it, and the columns that are not interpreted.

    Parameters
    ----------
    path : Path
        TSV, CSV (comma or semicolon) in UTF-8, or XLSX (first worksheet).

    Returns
    -------
    SheetResult of Tube
        `specimen` is filled in (`<subject>.<visit>`, blanks as `_`) where the cell is empty;
        `extra` is by sample_id.
    """
    grid = read_grid(path, SAMPLES)
    problems = list(grid.problems)
    names = {column: Names() for column in ("sample_id", "batch", "specimen")}
    files: dict[str, list[Tube]] = {}
    draws = _Draws()
    tubes: list[Tube] = []
    for line in grid.lines:
        reader = RowReader(path.name, line, problems)
        tube = _tube(reader)
        names["sample_id"].keep_unique(reader, "sample_id", tube.sample_id)
        names["batch"].keep_spelling(reader, "batch", tube.batch)
        names["specimen"].keep_spelling(reader, "specimen", tube.specimen)
        _keep_file_unique(reader, tube, files)
        draws.keep_consistent(reader, tube)
        tubes.append(tube)
    return SheetResult(
        path.name,
        tuple(tubes),
        tuple(line.number for line in grid.lines),
        in_order(problems),
        _extra(grid),
    )


def _tube(reader: RowReader) -> Tube:
    role = reader.read("role", _role, empty=None, needed=f"use one of {', '.join(Role)}")
    status = reader.read("status", cells.one_of(("DONE", "NOT_DONE")), empty="DONE")
    done = status == "DONE"
    subject, visit = _contact(reader, role)
    return Tube(
        sample_id=reader.read(
            "sample_id", cells.identifier, empty="", needed="every tube needs an id of its own"
        ),
        fcs=reader.read(
            "fcs",
            cells.relative_path,
            empty="",
            needed="give the file, or set status NOT_DONE" if done else "",
        ),
        panel=reader.read(
            "panel", cells.identifier, empty="", needed="name one of the configuration's panels"
        ),
        role=role or Role.SAMPLE,
        batch=reader.read(
            "batch", cells.identifier, empty="", needed="name the acquisition run of this tube"
        ),
        subject=subject,
        visit=visit,
        specimen=reader.read("specimen", cells.identifier, empty=_default_specimen(subject, visit)),
        collected=reader.read(
            "collected",
            cells.iso_date,
            empty="",
            needed="a sample needs the date of its draw" if done and role is Role.SAMPLE else "",
        ),
        control_for=_control_for(reader, role),
        beads_per_tube=reader.read("beads_per_tube", cells.positive, empty=None),
        blood_ul=reader.read("blood_ul", cells.positive, empty=None),
        dilution=reader.read("dilution", _dilution, empty=None),
        sha256=reader.read("sha256", cells.sha256, empty=""),
        status="DONE" if done else "NOT_DONE",
        reason_not_done=_reason(reader, status),
        line=reader.line,
    )


def _role(cell: str) -> Role | None:
    return Role(cells.one_of(tuple(Role))(cell))


def _dilution(cell: str) -> float | None:
    return cells.between(1, 100_000, why="it is total volume over blood volume, so at least 1")(cell)


def _contact(reader: RowReader, role: Role | None) -> tuple[str, str]:
    """Subject and visit: needed for a sample; for a control both or none."""
    reasons = {"subject": "", "visit": ""}
    if role is Role.SAMPLE:
        reasons = {
            "subject": "a sample belongs to a subject",
            "visit": "a sample belongs to a visit, or UNSCHEDULED",
        }
    elif role is not None and reader.has("subject") != reader.has("visit"):
        reasons = dict.fromkeys(
            reasons, "a control of one draw has a subject and a visit; other controls have none"
        )
    subject = reader.read("subject", cells.identifier, empty="", needed=reasons["subject"])
    visit = reader.read("visit", cells.visit_name, empty="", needed=reasons["visit"])
    return subject, visit


def _default_specimen(subject: str, visit: str) -> str:
    return f"{subject}.{visit}".replace(" ", "_") if subject and visit else ""


def _control_for(reader: RowReader, role: Role | None) -> str:
    reasons = {
        Role.SINGLE_STAIN: "name the marker that is stained",
        Role.FMO: "name the marker that is left out",
        Role.ISOTYPE: "name the marker whose antibody is replaced",
    }
    marker = reader.read("control_for", cells.text, empty="", needed=reasons.get(role, "") if role else "")
    if marker and role is not None and role not in NAMES_A_MARKER:
        reader.report(
            "control_for", f"is given for role {role}, which has none; correct the role or empty the cell"
        )
    return marker


def _reason(reader: RowReader, status: str) -> str:
    needed = "a tube that was not done needs the reason" if status == "NOT_DONE" else ""
    reason = reader.read("reason_not_done", cells.text, empty="", needed=needed)
    if reason and status == "DONE":
        reader.report(
            "reason_not_done", "is given for a tube that is DONE; set status NOT_DONE or empty the cell"
        )
    return reason


def _keep_file_unique(reader: RowReader, tube: Tube, files: dict[str, list[Tube]]) -> None:
    """A file is one tube; only a single stain or unstained tube may serve several panels and batches."""
    if not tube.fcs:
        return
    earlier = files.setdefault(tube.fcs, [])
    clash = next((other for other in earlier if not one_stain_for_several(tube, other)), None)
    if clash is not None:
        reader.report("fcs", f"is the file of line {clash.line} too; a file is one tube")
    earlier.append(tube)


def one_stain_for_several(one: Tube, other: Tube) -> bool:
    """Whether two rows share a single stain or unstained tube between panels or batches, as labs do."""
    alone = one.role in {Role.SINGLE_STAIN, Role.UNSTAINED} and one.role is other.role
    places = {(tube.panel, tube.batch) for tube in (one, other)}
    return alone and one.control_for == other.control_for and len(places) == 2


class _Draws:
    """What the first tube of every specimen says about its draw; the others must agree."""

    def __init__(self) -> None:
        self._first: dict[str, Tube] = {}

    def keep_consistent(self, reader: RowReader, tube: Tube) -> None:
        if not tube.specimen or not tube.subject:
            return
        first = self._first.setdefault(tube.specimen, tube)
        for column in ("subject", "visit"):
            if getattr(tube, column) != getattr(first, column):
                reader.report(
                    column, f"is not that of line {first.line}, which has the same specimen; one is wrong"
                )
        if tube.collected and not first.collected:
            self._first[tube.specimen] = tube
        elif tube.collected and not _one_draw(tube.collected, first.collected, named=reader.has("specimen")):
            reader.report(
                "collected",
                f"is not that of line {first.line}, of the same specimen; two draws are two specimens",
            )


def _one_draw(one: str, other: str, *, named: bool) -> bool:
    """Whether two times may be one draw: the same day if the specimen is named, else the very same."""
    return one[:10] == other[:10] if named else one == other


def _extra(grid: Grid) -> Mapping[str, Mapping[str, str]]:
    others = [column for column in grid.header if column not in SAMPLES.known]
    return MappingProxyType(
        {line.cells["sample_id"]: _only(line, others) for line in grid.lines} if others else {}
    )


def _only(line: Line, columns: Sequence[str]) -> Mapping[str, str]:
    return MappingProxyType({column: line.cells[column] for column in columns})
