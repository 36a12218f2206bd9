"""A table of the page as plain text cells: what the sections fill and the template prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cytotrial.report.text import DASH

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Rows under one heading; no heading if `title` is empty."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text cells. `texts` is how many columns, from the left, hold words, not numbers."""

    id: str
    caption: str
    columns: Row
    groups: tuple[Group, ...]
    texts: int
    notes: tuple[str, ...] = ()

    @property
    def n_rows(self) -> int:
        return sum(len(group.rows) for group in self.groups)


def spaced(text: str) -> str:
    """Semicolon-separated codes, with room to break the line."""
    return "; ".join(part.strip() for part in text.split(";") if part.strip())


def distinct(column: Iterable[str]) -> str:
    """The distinct codes of a column, each once, in their first order."""
    found = dict.fromkeys(part.strip() for text in column for part in str(text).split(";") if part.strip())
    return ", ".join(found) or DASH


def as_texts(key: Any) -> Row:
    return tuple(map(str, key)) if isinstance(key, tuple) else (str(key),)
