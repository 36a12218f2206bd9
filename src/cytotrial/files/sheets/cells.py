"""The rules of cells: text in, value out, or a ValueError that says what is wrong and what to do."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from datetime import date, datetime

from cytotrial.files.sheets.problems import suggestion

LONGEST_TEXT = 200
LONGEST_PATH = 400

_IDENTIFIER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")
_VISIT = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?")
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[-+][0-9]{2}:[0-9]{2})?")
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")

_NOT_ISO = (
    (re.compile(r"[0-9]{1,2}([/.-])[0-9]{1,2}\1[0-9]{4}"), "may mean two different dates"),
    (re.compile(r"[0-9]{5}(\.[0-9]+)?"), "looks like the day number of a spreadsheet"),
    (re.compile(r"[0-9]{4}(-[0-9]{2})?"), "has no day"),
    (re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]+"), "has a blank where ISO 8601 has a T"),
    (re.compile(r".*[^0-9][0-9]{2}"), "has a year of two digits"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def identifier(cell: str) -> str:
    """An id: letters, digits, `.`, `_` and `-`, at most 64, beginning and ending with a letter or digit."""
    if not _IDENTIFIER.fullmatch(cell):
        raise ValueError(_not_an_id(cell))
    return _portable(cell)


def visit_name(cell: str) -> str:
    """The name of a visit: an id that may have blanks inside, such as `WEEK 4`."""
    if not _VISIT.fullmatch(cell) or "  " in cell:
        raise ValueError(_not_an_id(cell))
    return _portable(cell)


def _not_an_id(cell: str) -> str:
    if cell != cell.strip():
        return "has blanks around it; remove them"
    if cell.startswith(_FORMULA):
        return "looks like a formula; write the id itself"
    return "is not an id; use up to 64 letters, digits, '.', '_' or '-', with a letter or digit at both ends"


def _portable(cell: str) -> str:
    if ".." in cell:
        raise ValueError("holds '..'; use single points")
    if _RESERVED.fullmatch(cell.partition(".")[0]):
        raise ValueError("is a name that Windows reserves; choose another")
    return cell


def same_name(cell: str) -> str:
    """What two names share that differ only in case, in blanks and `_`, or as numbers with leading zeros.

    Examples
    --------
    >>> same_name("S001") == same_name("s001"), same_name("007") == same_name("7")
    (True, True)
    """
    return str(int(cell)) if cell.isascii() and cell.isdigit() else cell.casefold().replace(" ", "_")


def text(cell: str) -> str:
    """Free text of at most 200 characters, without control and direction characters."""
    if any(unicodedata.category(letter).startswith("C") for letter in cell):
        raise ValueError("holds characters that cannot be seen, such as a line break; remove them")
    if len(cell) > LONGEST_TEXT:
        raise ValueError(f"has {len(cell)} characters; at most {LONGEST_TEXT} are allowed")
    return cell


def relative_path(cell: str) -> str:
    """A path below `fcs_dir`, with `/` between folders."""
    problem = _path_problem(cell)
    if problem:
        raise ValueError(f"{problem}; give a path below fcs_dir, such as week04/tube_012.fcs")
    return text(cell) if len(cell) <= LONGEST_TEXT else cell


def _path_problem(cell: str) -> str:
    folders = cell.split("/")
    found = {
        "has blanks around it": cell != cell.strip(),
        "is an address, not a path": "://" in cell,
        "names a drive": re.match(r"[A-Za-z]:", cell) is not None,
        "has Windows separators; write / for \\": "\\" in cell,
        "is an absolute path": cell.startswith("/"),
        "begins with ~": cell.startswith("~"),
        "leaves the folder ('..')": ".." in folders,
        "names a folder, not a file": folders[-1] in {"", "."},
        "holds an empty or '.' folder": any(folder in {"", "."} for folder in folders[:-1]),
        "holds control characters": any(unicodedata.category(letter).startswith("C") for letter in cell),
        f"is longer than {LONGEST_PATH} characters": len(cell) > LONGEST_PATH,
    }
    return next((problem for problem, applies in found.items() if applies), "")


def iso_date(cell: str) -> str:
    """An ISO 8601 date or date-time that exists, between 1900 and 2100."""
    if not (_DATE.fullmatch(cell) or _DATE_TIME.fullmatch(cell)):
        reason = next(
            (reason for form, reason in _NOT_ISO if form.fullmatch(cell)), "is not an ISO 8601 date"
        )
        raise ValueError(f"{reason}; write 2024-01-31 or 2024-01-31T08:30")
    try:
        day = datetime.fromisoformat(cell)
    except ValueError:
        raise ValueError("is a date that does not exist; correct it") from None
    if not date(1900, 1, 1) <= day.date() <= date(2100, 12, 31):
        raise ValueError("is not between 1900 and 2100; correct the year")
    return cell


def number(cell: str) -> float:
    """A finite number with a decimal point."""
    if not _NUMBER.fullmatch(cell):
        raise ValueError(_not_a_number(cell))
    value = float(cell)
    if value in {float("inf"), float("-inf")}:
        raise ValueError("is not a finite number; correct it")
    return value


def _not_a_number(cell: str) -> str:
    if re.fullmatch(r"-?[0-9.]*,[0-9]+", cell):
        return "has a comma; write a decimal point, and nothing between thousands"
    if _is_no_value(cell):
        return "is not a finite number; leave the cell empty if there is no value"
    return "is not a number; write digits with a decimal point, without a unit"


def positive(cell: str) -> float:
    """A finite number above 0."""
    value = number(cell)
    if value <= 0:
        raise ValueError("is not above 0; correct it, or leave the cell empty if there is no value")
    return value


def between(low: float, high: float, *, why: str) -> Callable[[str], float]:
    """The rule of a number from `low` to `high`, both included."""

    def rule(cell: str) -> float:
        value = number(cell)
        if not low <= value <= high:
            raise ValueError(f"is not between {low:g} and {high:g}; {why}")
        return value

    return rule


def study_day(cell: str) -> int:
    """A study day: a whole number other than 0 (the first dose is on day 1, the day before it is −1)."""
    if not _INTEGER.fullmatch(cell):
        raise ValueError("is not a whole number of days; write for example 29")
    if int(cell) == 0:
        raise ValueError("is no study day: the first dose is on day 1, the day before it is day -1")
    return int(cell)


def sha256(cell: str) -> str:
    """A SHA-256 in 64 hexadecimal digits, in lower case."""
    if not _SHA256.fullmatch(cell):
        raise ValueError(f"is not a SHA-256; expected 64 hexadecimal digits, found {len(cell)} characters")
    return cell.lower()


def one_of(words: Sequence[str]) -> Callable[[str], str]:
    """The rule of a fixed vocabulary; a near miss is suggested, never taken."""

    def rule(cell: str) -> str:
        if cell not in words:
            raise ValueError(f"is not one of {', '.join(words)}{suggestion(cell, words)}")
        return cell

    return rule


def measurement(cell: str) -> float | str:
    """A number, a number beyond a limit (`<10`), or a result in words that begins with a letter."""
    if _NUMBER.fullmatch(cell):
        return number(cell)
    if re.fullmatch(r"[<>]=? ?[0-9]+(\.[0-9]+)?", cell) or (cell[:1].isalpha() and not _is_no_value(cell)):
        return text(cell)
    raise ValueError("is no value; remove the row" if _is_no_value(cell) else _not_a_number(cell))


def _is_no_value(cell: str) -> bool:
    return cell.lstrip("+-").lower() in {"nan", "inf", "infinity", "na", "n/a", "null", "none"}
