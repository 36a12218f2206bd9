"""Which keywords may name a person: their values never reach a message, a table or a log."""

from __future__ import annotations

import re

from cytotrial.files.fcs.findings import Notes, some

PERSON = re.compile(
    r"PATIENT|SUBJECT|\bDONOR|\bDOB\b|BIRTH|\bMRN\b|\bSSN\b|MEDICAL.?REC|HOSPITAL|ACCESSION"
    r"|SURNAME|(FIRST|LAST|FAMILY|GIVEN).?NAME|INITIALS|PHYSICIAN|ADDRESS|PHONE|E-?MAIL"
)
"""Keywords whose purpose it is to say who the person is."""

FREE_TEXT = re.compile(
    r"\$(OP|SRC|SMNO|COM|EXP|PROJ|CELLS|FIL|TUBE|LAST_MODIFIER)"
    r"|(EXPERIMENT|TUBE|GROUP|PLATE|FILE|SAMPLE|SPECIMEN|EXPORT USER|USER|LOGIN|OPERATOR)[ _]?NAME"
    r"|(SAMPLE|SPECIMEN)([ _]ID)?|OPERATOR|NOTE|DESCRIPTION|COMMENTS?"
)
"""Keywords into which people write what they like, sometimes a name."""

NAME_LIKE = re.compile(r"\b[A-Z][a-z]{2,}[ ,._-]+([A-Z][a-z]{1,}|[A-Z]\.)|\b[A-Z][a-z]+, ?[A-Z]")
CODE_LIKE = re.compile(r"@|(?<!\d)(?!20\d{6}(?!\d))\d{7,}|(?<!\d)19\d\d[-./]?\d\d[-./]?\d\d(?!\d)")
LAB_WORDS = frozenset({
    "baseline", "batch", "beads", "blank", "blood", "cells", "comp", "compensation", "control",
    "controls", "count", "ctrl", "cytometry", "day", "dead", "demo", "donor", "experiment", "fire",
    "flow", "fluor", "full", "gates", "group", "isotype", "live", "month", "negative", "pacific",
    "panel", "patient", "plate", "positive", "pt", "run", "sample", "samples", "screening", "single",
    "specimen", "spectral", "stain", "stained", "stim", "stimulated", "subject", "test", "treg",
    "tregs", "tube", "unmixed", "unstained", "unstim", "unstimulated", "visit", "week", "well",
})  # fmt: skip
"""Words that stand in laboratories' file names: two of them in a row are no person's name."""
PLACEHOLDERS = frozenset({"", "NA", "N/A", "NONE", "UNKNOWN", "DEFAULT PATIENT ID", "DEFAULT"})


def is_identifying(keyword: str) -> bool:
    """Whether the value of this keyword could name a person, whatever it holds.

    Examples
    --------
    >>> is_identifying("PATIENT NAME"), is_identifying("$OP"), is_identifying("$TOT")
    (True, True, False)
    """
    return FREE_TEXT.fullmatch(keyword) is not None or PERSON.search(keyword) is not None


def holds_identity(keyword: str, value: str) -> bool:
    """Whether this value looks as if it told who somebody is.

    A keyword made for a person's data does, unless it is blank or overwritten with X; free text does if
    it holds
    what looks like a name, an address, a long number or a date of the last century.

    Examples
    --------
    >>> holds_identity("TUBE NAME", "Jane D. baseline"), holds_identity("TUBE NAME", "Tube_001")
    (True, False)
    """
    value = value.strip().strip("\0")
    if value.upper() in PLACEHOLDERS or set(value.upper()) <= {"X"}:
        return False
    if PERSON.search(keyword):
        return True
    if not FREE_TEXT.fullmatch(keyword):
        return False
    return holds_a_name(value.replace("_", " ")) or CODE_LIKE.search(value) is not None


def holds_a_name(text: str) -> bool:
    """Whether two words in a row look like a name and are not both words of the laboratory."""
    match = NAME_LIKE.search(text)
    while match:
        if not set(re.findall(r"[a-z]+", match[0].lower())) <= LAB_WORDS:
            return True
        match = NAME_LIKE.search(text, match.start() + 1)
    return False


def check_identity(values: dict[str, str], notes: Notes) -> None:
    """Warn, by the names of the keywords alone, that the file may say whose blood it is."""
    found = [key for key, value in values.items() if holds_identity(key, value)]
    if found:
        notes.warn(
            "IDENTITY_IN_KEYWORDS",
            found[0],
            f"{some(found)} may name a person; no output of this project holds these values",
            remedy="Remove the identity from the file (`cytotrial deidentify`) before it is passed on",
        )
