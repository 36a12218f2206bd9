"""Text and numbers as SAS transport files can hold them: ASCII, at most 200 characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

LONGEST = 200


def ascii_text(text: str) -> str:
    r"""Text in ASCII: accents are dropped, what has no plain form becomes its escape; nothing is lost.

    Examples
    --------
    >>> ascii_text("Röhrchen > 4 µL"), ascii_text("采血")
    ('Rohrchen > 4 uL', '\\u91c7\\u8840')
    """
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKD", text.replace("µ", "u").replace("μ", "u"))
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return plain.encode("ascii", "backslashreplace").decode("ascii")


def number_text(value: float | None) -> str:
    """A number in the shortest form that reads back exactly; empty for none.

    Examples
    --------
    >>> number_text(512.0), number_text(0.1), number_text(None)
    ('512', '0.1', '')
    """
    if value is None:
        return ""
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


def in_parts(name: str, text: str) -> Iterator[tuple[str, str]]:
    """Text of any length under a name and its continuations: NAME, NAME1, NAME2, names of at most 8.

    Examples
    --------
    >>> [(name, len(part)) for name, part in in_parts("CPREASND", "x" * 250)]
    [('CPREASND', 200), ('CPREASN1', 50)]
    """
    for number, start in enumerate(range(0, max(1, len(text)), LONGEST)):
        suffix = str(number) if number else ""
        yield name[: 8 - len(suffix)] + suffix, text[start : start + LONGEST]
