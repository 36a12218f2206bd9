"""What is wrong with a sheet, cell by cell."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic, TypeVar

Row = TypeVar("Row")
LONGEST_SHOWN = 60


@dataclass(frozen=True, slots=True)
class SheetProblem:
    """One problem: where it is, what stands there, what is wrong and what to do.

    line : from 1, as an editor counts (the row of a workbook); 0 is the whole file
    column : name of the column; empty for the whole line
    value : the cell, escaped and cut to 60 characters; empty if it is empty or not to be shown
    """

    file: str
    line: int
    column: str
    value: str
    message: str

    def __str__(self) -> str:
        place = [f"line {self.line}"] if self.line else []
        if self.column:
            place.append(f"column {self.column}")
        found = f'"{self.value}" {self.message}' if self.value else self.message
        return f"{', '.join(place)}: {found}" if place else found


@dataclass(frozen=True)
class SheetResult(Generic[Row]):
    """The typed rows of a sheet and its problems.

    rows : in the order of the sheet; where there are problems, cells that could not be read
        are empty, so a sheet with problems is good for further checks only
    lines : the line of each row
    extra : first cell of a row → its cells in columns that are not interpreted
    """

    file: str
    rows: tuple[Row, ...]
    lines: tuple[int, ...] = ()
    problems: tuple[SheetProblem, ...] = ()
    extra: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))


class SheetRefusedError(Exception):
    """The sheet as a whole cannot be read; `line` is 0 if the fault has no line."""

    def __init__(self, message: str, *, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def in_order(problems: Iterable[SheetProblem]) -> tuple[SheetProblem, ...]:
    """Problems in the order of their lines."""
    return tuple(sorted(problems, key=lambda problem: problem.line))


def shown(value: str) -> str:
    """A cell as it may be printed: control and direction characters escaped, at most 60 characters.

    Examples
    --------
    >>> shown("S\u202e1"), shown("S001")
    ('S\\\\u202e1', 'S001')
    """
    text = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in value[: LONGEST_SHOWN + 1]
    )
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 1]}…"


def suggestion(word: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?` for a near miss, ignoring case and separators; else what is known.

    Examples
    --------
    >>> suggestion("single stain", ["single_stain", "sample"])
    '; did you mean "single_stain"?'
    """
    names = {_plain(name): name for name in known}
    near = difflib.get_close_matches(_plain(word), list(names), n=1, cutoff=0.6)
    if near:
        return f'; did you mean "{shown(names[near[0]])}"?'
    some = ", ".join(shown(name) for name in list(names.values())[:12])
    return f"; known: {some}" if some else ""


def _plain(word: str) -> str:
    return word.strip().casefold().replace(" ", "_").replace("-", "_")
