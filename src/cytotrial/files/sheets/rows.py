"""Reading a row cell by cell: every rule that is broken becomes a problem, and reading goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cytotrial.files.sheets.cells import same_name
from cytotrial.files.sheets.grid import Line
from cytotrial.files.sheets.problems import SheetProblem, shown

Value = TypeVar("Value")


class RowReader:
    """One line of a sheet; problems are added to a list that all lines share."""

    def __init__(self, file: str, line: Line, problems: list[SheetProblem]) -> None:
        self.line = line.number
        self._file = file
        self._cells = line.cells
        self._problems = problems

    def has(self, column: str) -> bool:
        return bool(self._cells.get(column, "").strip())

    def read(self, column: str, rule: Callable[[str], Value], *, empty: Value, needed: str = "") -> Value:
        """A cell by its rule, or `empty`.

        Parameters
        ----------
        column : str
            A column that the sheet may lack: it then reads as empty.
        rule : callable
            Text to value; raises ValueError with what is wrong.
        empty : value
            What an empty cell means; also returned where the rule is broken.
        needed : str
            Why the cell must not be empty; empty if it may be.
        """
        if not self.has(column):
            if needed:
                self.report(column, f"is empty; {needed}")
            return empty
        try:
            return rule(self._cells[column])
        except ValueError as error:
            self.report(column, str(error))
            return empty

    def report(self, column: str, message: str) -> None:
        value = shown(self._cells.get(column, "")) if self.has(column) else ""
        self._problems.append(SheetProblem(self._file, self.line, column, value, message))


class Names:
    """The names that a column has had so far, and the lines they stood on."""

    def __init__(self) -> None:
        self._first: dict[str, tuple[str, int]] = {}

    def keep_unique(self, reader: RowReader, column: str, name: str) -> None:
        """Report a name that was there before, also if only case or leading zeros differ."""
        earlier = self._earlier(reader, name)
        if earlier is None:
            return
        spelling, line = earlier
        if spelling == name:
            reader.report(column, f"is on line {line} too; every row needs its own")
        else:
            reader.report(
                column, f"differs from line {line} in case, blanks or leading zeros only; choose another"
            )

    def keep_spelling(self, reader: RowReader, column: str, name: str) -> None:
        """Report a name that was there before in another spelling."""
        earlier = self._earlier(reader, name)
        if earlier is not None and earlier[0] != name:
            reader.report(
                column,
                f"differs from line {earlier[1]} in case, blanks or leading zeros only; spell it one way",
            )

    def _earlier(self, reader: RowReader, name: str) -> tuple[str, int] | None:
        if not name:
            return None
        key = same_name(name)
        earlier = self._first.get(key)
        self._first.setdefault(key, (name, reader.line))
        return earlier
