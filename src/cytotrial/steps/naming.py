"""What the names of folders and files say about a tube: subject, visit, role, batch, marker of a control.

Nothing is guessed from a word that could be a person's name: a subject is a number with a prefix.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeVar

from cytotrial.terms import Role

Part = TypeVar("Part")

_BEGIN, _END = r"(?<![A-Za-z0-9])", r"(?![A-Za-z0-9])"


def _word(pattern: str) -> re.Pattern[str]:
    return re.compile(f"{_BEGIN}(?:{pattern}){_END}", re.IGNORECASE)


ROLES = (
    (Role.UNSTAINED, _word(r"un[- ]?stained|unstain|unst|no[- ]?stain")),
    (Role.FMO, _word(r"fmo[0-9]*")),
    (Role.ISOTYPE, _word(r"iso(type)?([- ]?(control|ctrl)s?)?|igg[0-9][a-c]?")),
    (
        Role.SINGLE_STAIN,
        _word(
            r"single[- ]?(stain(ed|s)?|colou?rs?)|comp(ensation)?([- ]?(control|ctrl)s?)?|stained[- ]?control"
        ),
    ),
    (Role.UNSTIMULATED, _word(r"un[- ]?stim(ulated)?|non?[- ]?stim(ulated)?")),
)
"""Names of controls, the first that fits wins: `Compensation-Unstained` is unstained."""

_SOME_CONTROL = _word(r"controls?|ctrls?|beads|rainbow|cst|blank|pbs|water")

_VISIT_NUMBERS = (
    ("C", _word(r"c(?P<cycle>\d{1,2})[ -]?d(?P<number>\d{1,3})")),
    ("W", _word(r"(?:weeks?|wk)[ -]?(?P<number>\d{1,3})|w(?P<short>\d{1,3})")),
    ("D", _word(r"days?[ -]?(?P<number>\d{1,4})|d(?P<short>\d{1,4})")),
    ("M", _word(r"(?:months?|mo)[ -]?(?P<number>\d{1,2})|m(?P<short>\d{1,2})")),
    ("V", _word(r"visit[ -]?(?P<number>\d{1,3})|v(?P<short>\d{1,3})")),
    ("T", _word(r"(?:timepoint|tp)[ -]?(?P<number>\d{1,3})|t(?P<short>\d{1,2})")),
)
_VISIT_WORDS = (
    ("SCREENING", _word(r"screening|scr")),
    ("BASELINE", _word(r"baseline|bl")),
    ("UNSCHEDULED", _word(r"unscheduled|unsched|unsch")),
    ("EOT", _word(r"eot|end[- ]of[- ]treatment")),
    ("FOLLOW-UP", _word(r"follow[- ]?up|fu")),
)
_SUBJECT_WORDS = (
    ("PT", _word(r"(?:patient|pat|pt)[ #-]*(?P<number>\d{1,5}[a-z]?)")),
    ("SUBJ", _word(r"(?:subject|subj|sub|participant)[ #-]*(?P<number>\d{1,5}[a-z]?)")),
    ("DONOR", _word(r"donor[ #-]*(?P<number>\d{1,5}[a-z]?)")),
    ("HC", _word(r"(?:hc|hd|hv)[ #-]*(?P<number>\d{1,5})")),
)
_SITE_AND_NUMBER = re.compile(rf"{_BEGIN}(?<![0-9]-)\d{{2,4}}-\d{{3,5}}(?!-?\d)")
_CODED = _word(r"(?P<prefix>[a-z]{1,5})-?(?P<number>\d{2,5})")
_NEVER_A_SUBJECT = frozenset(
    {
        *("CD", "IL", "FL", "BV", "BUV", "BB", "AF", "PE", "TH", "TCR", "HLA", "CCR", "CXCR", "TNF", "IFN"),
        *(
            "KI",
            "VD",
            "W",
            "WK",
            "D",
            "DAY",
            "M",
            "MO",
            "V",
            "T",
            "TP",
            "C",
            "B",
            "BATCH",
            "RUN",
            "PLATE",
            "EXP",
        ),
        *(
            "LOT",
            "WELL",
            "TUBE",
            "PANEL",
            "SAMPLE",
            "FSC",
            "SSC",
            "FMO",
            "ISO",
            "IGG",
            "R",
            "YG",
            "U",
            "RB",
            "SB",
        ),
        *("QD", "DIL", "REP"),
    }
)
"""Prefixes of numbers that are markers, dyes, visits, batches or wells."""

_WELL = re.compile(r"[A-H](0?[1-9]|1[0-2])", re.IGNORECASE)
_SURE_WELL = _word(r"[AEFGH](0[1-9]|1[0-2])")
_BATCH = _word(r"(?P<kind>batch|run|plate|exp|experiment)[ #-]?(?P<number>\d{1,4})")
_BATCH_FOLDER = re.compile(r"B\d{1,4}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Numbered:
    """A name of a kind and a number, such as week 12: `7` and `07` are the same number."""

    kind: str
    number: str = ""

    def label(self, width: int) -> str:
        digits = self.number.rstrip("abcdefghijklmnopqrstuvwxyz")
        letter = self.number[len(digits) :].upper()
        return f"{self.kind}{digits.lstrip('0').zfill(width) if digits else ''}{letter}"


@dataclass(frozen=True, slots=True)
class NameParts:
    """What one path says; a part that it does not say is None."""

    role: Role | None = None
    is_some_control: bool = False
    subject: Numbered | None = None
    visit: Numbered | None = None
    batch: Numbered | None = None


def parts_of(
    path: str, *, markers: frozenset[str] = frozenset(), hints: str = "", wells: bool = False
) -> NameParts:
    """What a path says about its tube.

    Parameters
    ----------
    path : str
        Below the lab's folder, with `/`. The file's own name is believed before its folders.
    markers : frozenset of str
        Names (upper case, letters and digits only) that are markers or detectors, so never a subject.
    hints : str
        Text in which a role or a visit is looked for last; a subject never is.
    wells : bool
        Whether the names hold wells of a plate, so that D01 is a well and not day 1.
    """
    pure = PurePosixPath(path)
    places = [_spaced(pure.stem), *(_spaced(folder) for folder in reversed(pure.parts[:-1]))]
    role = _first(_role, [*places, _spaced(hints)])
    return NameParts(
        role=role,
        is_some_control=role is None and any(_SOME_CONTROL.search(place) for place in places),
        subject=_first(lambda text: _subject(text, markers), places),
        visit=_first(lambda text: _visit(text, wells), [*places, _spaced(hints)]),
        batch=_first(_batch, places),
    )


def _spaced(name: str) -> str:
    """A name with underscores, points, brackets and the like as blanks; hyphens stay."""
    return re.sub(r"[^A-Za-z0-9#-]+", " ", name).strip()


def _first(read: Callable[[str], Part | None], places: Iterable[str]) -> Part | None:
    return next((part for part in map(read, places) if part is not None), None)


def _role(text: str) -> Role | None:
    return next((role for role, pattern in ROLES if pattern.search(text)), None)


def _visit(text: str, wells: bool) -> Numbered | None:
    for kind, pattern in _VISIT_NUMBERS:
        match = pattern.search(text)
        if match and not (wells and _WELL.fullmatch(match[0])):
            groups = match.groupdict()
            number = groups["number"] or groups.get("short") or ""
            return Numbered(f"C{int(groups['cycle']):02d}D" if "cycle" in groups else kind, number)
    return next((Numbered(word) for word, pattern in _VISIT_WORDS if pattern.search(text)), None)


def _subject(text: str, markers: frozenset[str]) -> Numbered | None:
    for kind, pattern in _SUBJECT_WORDS:
        match = pattern.search(text)
        if match:
            return Numbered(kind, match["number"].lower())
    site = _SITE_AND_NUMBER.search(text)
    if site:
        return Numbered(site[0])
    for match in _CODED.finditer(text):
        prefix = match["prefix"].upper()
        is_other = prefix in _NEVER_A_SUBJECT or match[0].upper().replace("-", "") in markers
        if not is_other and not _WELL.fullmatch(match[0]):
            return Numbered(prefix, match["number"])
    return None


def _batch(text: str) -> Numbered | None:
    match = _BATCH.search(text)
    if match:
        return Numbered(match["kind"].upper()[:5], match["number"])
    return Numbered("B", text[1:]) if _BATCH_FOLDER.fullmatch(text) else None


def has_wells(paths: Iterable[str]) -> bool:
    """Whether file names hold wells of a plate: some A, E, F, G or H with a number from 01 to 12."""
    return any(_SURE_WELL.search(_spaced(PurePosixPath(path).stem)) for path in paths)


def widths(parts: Iterable[Numbered | None]) -> dict[str, int]:
    """Kind → the most digits that its numbers are written with: beside `07`, `7` is `07`."""
    found: dict[str, int] = {}
    for part in parts:
        if part is not None:
            digits = len(part.number.rstrip("abcdefghijklmnopqrstuvwxyz"))
            found[part.kind] = max(found.get(part.kind, 0), digits)
    return found


def marker_in(path: str, names: Mapping[str, str]) -> str:
    """The marker of a control that a file's name holds, the longest name first; empty if there is none.

    Parameters
    ----------
    path : str
        Path of the file.
    names : mapping
        Plain name (see `plain_name`) of a marker, fluorochrome or detector → marker.

    Examples
    --------
    >>> marker_in("comp/Compensation-APC-Cy7.fcs", {"APC": "CD4", "APCCY7": "CD19"})
    'CD19'
    """
    words = re.findall(r"[A-Za-z0-9]+", PurePosixPath(path).stem)
    for length in range(min(5, len(words)), 0, -1):
        for begin in range(len(words) - length + 1):
            marker = names.get("".join(words[begin : begin + length]).upper())
            if marker is not None:
                return marker
    return ""


def plain_name(name: str) -> str:
    """A marker's or detector's name in upper-case letters and digits, without the suffix of its pulse.

    Examples
    --------
    >>> plain_name("APC-Cy7-A"), plain_name("IL-17A")
    ('APCCY7', 'IL17A')
    """
    return re.sub(r"[^A-Za-z0-9]", "", re.sub(r"-[AHW]$", "", name)).upper()


def words_only(path: str) -> set[str]:
    """The words of a file's name that consist of three letters or more, in lower case."""
    return {
        word.lower() for word in _spaced(PurePosixPath(path).stem).split() if word.isalpha() and len(word) > 2
    }
