"""One row of the overrides file: a gate placed, excluded or accepted by a person, with who, when and why."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from cytotrial.errors import TemplateError
from cytotrial.files.sheets.cells import identifier, sha256, text
from cytotrial.files.sheets.problems import suggestion
from cytotrial.files.strategy import gate_from_json
from cytotrial.terms import BooleanGate, Gate

ACTIONS = {
    "move": "the same kind of gate on the same axes, somewhere else",
    "replace": "another gate",
    "exclude": "the population of this tube is not used",
    "accept": "the automatic gate was looked at and stays",
}
WITH_NEW_GATE = {"move", "replace"}

REASONS = {
    "AGREE": "the automatic gate is right",
    "TOO_LOW": "threshold too low",
    "TOO_HIGH": "threshold too high",
    "SHIFTED": "population has shifted",
    "SHAPE": "outline does not follow the population",
    "CONTROL": "the control says otherwise",
    "STAINING": "poor staining",
    "FEW_EVENTS": "too few events",
    "ACQUISITION": "fault of acquisition",
    "COMPENSATION": "fault of compensation",
    "OTHER": "other, as the text says",
}
SHORTEST_REASON = 10
LONGEST_REASON = 200
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_TEMPLATE = re.compile(r"[A-Za-z0-9_-]+:\S.*")


@dataclass(frozen=True, slots=True)
class Override:
    """A row of the overrides file; all cells as text, in the order of the columns.

    old_gate, new_gate : str
        JSON as in gates.csv: the automatic gate, and the gate by hand (empty for exclude and accept).
    old_sha : str
        Digest of the automatic gate and of what it rests on (see `basis_digest`).
    new_sha : str
        SHA-256 of the text of `new_gate`; empty if that is.
    prev_row_sha256 : str
        SHA-256 of the line before this one, without its line end; for the first row, of the header.
    """

    override_id: str
    utc: str
    made_by: str
    reviewed_by: str
    reviewed_utc: str
    sample_id: str
    population: str
    action: str
    old_gate: str
    new_gate: str
    old_sha: str
    new_sha: str
    reason_code: str
    reason_text: str
    blinded_to_arm: str
    template: str
    prev_row_sha256: str

    @property
    def line(self) -> str:
        """The row as it stands in the file, without a line end."""
        return "\t".join(getattr(self, column) for column in COLUMNS)

    @property
    def key(self) -> tuple[str, str]:
        """Tube and population: the last row of each decides."""
        return self.sample_id, self.population

    def gate(self) -> Gate:
        """The gate by hand, of a row that moves or replaces one."""
        return gate_from_json(self.new_gate)


COLUMNS = tuple(field.name for field in fields(Override))


def problems_of_row(row: Override) -> list[tuple[str, str]]:
    """What is wrong with a row by itself: (column, message with the cell)."""
    problems: list[tuple[str, str]] = []
    for column, rule in _RULES.items():
        cell = getattr(row, column)
        try:
            rule(cell)
        except ValueError as error:
            problems.append((column, f'"{cell[:60]}" {error}' if cell else str(error)))
    return [*problems, *_reason_problems(row), *_reviewer_problems(row), *_gate_problems(row)]


def _needed(rule: Callable[[str], Any]) -> Callable[[str], Any]:
    def checked(cell: str) -> Any:
        if not cell:
            raise ValueError("is empty")
        return rule(cell)

    return checked


def _optional(rule: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda cell: rule(cell) if cell else cell


def _name(cell: str) -> str:
    if cell != cell.strip() or cell.startswith(_FORMULA) or len(cell) > 64:
        raise ValueError("is not a name; at most 64 characters, no blanks around it, no =, +, - or @ first")
    return text(cell)


def _utc(cell: str) -> str:
    if not _UTC.fullmatch(cell):
        raise ValueError("is not a time in UTC; expected the form 2024-01-31T08:30:00Z")
    try:
        datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("is a time that does not exist") from None
    return cell


def _word_of(words: Mapping[str, str]) -> Callable[[str], str]:
    def rule(cell: str) -> str:
        if cell not in words:
            raise ValueError(f"is not one of {', '.join(words)}{suggestion(cell, words)}")
        return cell

    return rule


def _reason(cell: str) -> str:
    if cell.startswith(_FORMULA):
        raise ValueError("begins as a formula of a spreadsheet does; begin with a letter")
    if len(cell) > LONGEST_REASON:
        raise ValueError(f"has {len(cell)} characters; at most {LONGEST_REASON} are allowed")
    return text(cell)


def _template(cell: str) -> str:
    if not _TEMPLATE.fullmatch(cell):
        raise ValueError("is not panel:version, such as treg:1.0.0")
    return text(cell)


_RULES: dict[str, Callable[[str], Any]] = {
    "override_id": _needed(identifier),
    "utc": _needed(_utc),
    "made_by": _needed(_name),
    "reviewed_by": _optional(_name),
    "reviewed_utc": _optional(_utc),
    "sample_id": _needed(identifier),
    "population": _needed(text),
    "action": _needed(_word_of(ACTIONS)),
    "old_sha": _needed(sha256),
    "new_sha": _optional(sha256),
    "reason_code": _needed(_word_of(REASONS)),
    "reason_text": _optional(_reason),
    "blinded_to_arm": _needed(_word_of({"Y": "yes", "N": "no"})),
    "template": _needed(_template),
    "prev_row_sha256": _needed(sha256),
}


def _reason_problems(row: Override) -> list[tuple[str, str]]:
    if row.action == "accept" or row.action not in ACTIONS:
        return []
    problems = []
    if len(row.reason_text.strip()) < SHORTEST_REASON:
        problems.append(
            (
                "reason_text",
                f"has {len(row.reason_text.strip())} characters; at least {SHORTEST_REASON} are needed",
            )
        )
    if row.reason_code == "AGREE":
        problems.append(("reason_code", f"AGREE is the reason of accept, not of {row.action}"))
    return problems


def _reviewer_problems(row: Override) -> list[tuple[str, str]]:
    if bool(row.reviewed_by) != bool(row.reviewed_utc):
        return [("reviewed_by", "and reviewed_utc are given together or not at all")]
    if row.reviewed_by and row.reviewed_by.casefold() == row.made_by.casefold():
        return [("reviewed_by", f'"{row.reviewed_by[:60]}" made the change; another person must review it')]
    if row.reviewed_utc and row.reviewed_utc < row.utc:
        return [("reviewed_utc", f"{row.reviewed_utc} is before the change was made ({row.utc})")]
    return []


def _gate_problems(row: Override) -> list[tuple[str, str]]:
    problems: list[tuple[str, str]] = []
    old, new = _gate_of(row.old_gate, "old_gate", problems), None
    if row.action in WITH_NEW_GATE:
        new = _gate_of(row.new_gate, "new_gate", problems)
        if row.new_sha != digest_of_text(row.new_gate):
            problems.append(("new_sha", "is not the SHA-256 of new_gate: one of them was changed"))
    elif row.new_gate or row.new_sha:
        problems.append(("new_gate", f"must be empty, as must new_sha: {row.action} places no gate"))
    if old is not None and new is not None:
        problems += [("new_gate", message) for message in _misfit(row.action, old, new)]
    return problems


def _gate_of(cell: str, column: str, problems: list[tuple[str, str]]) -> Gate | None:
    if not cell:
        problems.append((column, "is empty; expected a gate as JSON, as in gates.csv"))
        return None
    try:
        return gate_from_json(cell)
    except TemplateError as error:
        problems.append((column, str(error)))
    except RecursionError:
        problems.append((column, "the gate is nested too deep"))
    return None


def _misfit(action: str, old: Gate, new: Gate) -> list[str]:
    alike = type(old) is type(new) and getattr(old, "dimensions", ()) == getattr(new, "dimensions", ())
    if isinstance(new, BooleanGate) or isinstance(old, BooleanGate):
        return ["a boolean gate has no place of its own; move the gates that it joins"]
    if old == new:
        return ["is the automatic gate itself; action accept says so"]
    if action == "move" and not alike:
        return ["is of another kind or on other axes than old_gate; that is action replace"]
    if action == "replace" and alike:
        return ["is of the same kind and on the same axes as old_gate; that is action move"]
    return []


def digest_of_text(content: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in 64 hexadecimal digits."""
    return hashlib.sha256(content.encode("utf-8")).hexdigest()
