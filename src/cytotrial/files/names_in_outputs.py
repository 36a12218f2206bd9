"""Whether values of FCS keywords that no output may hold stand in one of them after all.

What is read from the raw files here is compared and forgotten: it is never written, printed or returned
with a finding, which names the keyword and the output only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from cytotrial.errors import FcsError
from cytotrial.files.fcs.findings import Notes, escape
from cytotrial.files.fcs.header import HEADER_BYTES, parse_header
from cytotrial.files.fcs.opening import NotOpenedError, open_regular
from cytotrial.files.fcs.privacy import LAB_WORDS, PERSON, PLACEHOLDERS, is_identifying
from cytotrial.files.fcs.text import Keywords, parse_text
from cytotrial.files.identity import KEPT

SHORTEST = 6
"""Shorter values, such as `Blue` or `TRUE`, stand in outputs by chance."""

_WORD = re.compile(r"[^\W_]+")
_LONG = re.compile(rb"[A-Za-z0-9]{4,}")
_OTHERS_AS_SPACE = bytes(byte if bytes([byte]).isalnum() else 0x20 for byte in range(256))
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ].*)?|\d\d-[A-Za-z]{3}-\d{4}.*")


def forbidden_values(path: Path, *, root: Path) -> dict[str, str]:
    """Keyword → value of a file, of those that may not leave it; empty for a file that is not understood.

    Technical keywords (how events are stored, which instrument, when) are left out, and so are values
    that stand in outputs by chance: short ones, and single words of keywords that name nobody.
    """
    notes = Notes()
    keywords = Keywords()
    try:
        with open_regular(path, notes, root=root) as file:
            header = parse_header(file.read(0, HEADER_BYTES), file_size=file.size, notes=notes)
            if header is None:
                return {}
            begin, end = header.text
            parse_text(file.read(begin, end - begin + 1), keywords, notes)
    except (NotOpenedError, FcsError, OSError):
        return {}
    return {key: value for key, value in keywords.values.items() if _is_forbidden(key, value.strip())}


def _is_forbidden(keyword: str, value: str) -> bool:
    if KEPT.fullmatch(keyword) or len(value) < SHORTEST or value.upper() in PLACEHOLDERS:
        return False
    if is_identifying(keyword):
        return True
    telling = len(value.split()) > 1 or any(letter.isdigit() for letter in value)
    return telling and any(letter.isalpha() for letter in value) and not _DATE.fullmatch(value)


class Outputs:
    """The outputs to search: read once, kept as lower-case bytes and the words in them."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._content = {path: path.read_bytes().lower() for path in paths}
        words: set[bytes] = set()
        for content in self._content.values():
            words.update(content.translate(_OTHERS_AS_SPACE).split())
        words = {word for word in words if len(word) >= 4}
        self._words = words
        self._lettered = b"\n".join(sorted(word for word in words if not word.isdigit()))

    def holding(self, text: str) -> Iterator[Path]:
        """The outputs that hold a text, whatever its case."""
        wanted = text.lower().encode()
        if text.isdigit():
            if wanted in self._words:
                whole = re.compile(rb"(?<![0-9.])" + re.escape(wanted) + rb"(?![0-9])")
                yield from (path for path, content in self._content.items() if whole.search(content))
            return
        longest = max(_LONG.findall(wanted), key=len, default=b"")
        if not longest.isdigit() and longest not in self._lettered:
            return
        yield from (path for path, content in self._content.items() if wanted in content)


def names_found(
    values: Mapping[str, Collection[str]], outputs: Outputs, *, own_words: Collection[str]
) -> Iterator[str]:
    """A sentence for each output and keyword whose value it holds; the value itself is never told.

    Parameters
    ----------
    values : mapping
        Keyword → its values in all files.
    own_words : collection of str
        What the study's own sheets and configuration say (ids, visits, markers): these are no finding.
    """
    own = {word.lower() for word in own_words}
    told: set[tuple[Path, str]] = set()
    for keyword, found in sorted(values.items()):
        for text in sorted({part for value in found for part in _parts(keyword, value.strip())}):
            if text.lower() in own:
                continue
            for path in outputs.holding(text):
                if (path, keyword) not in told:
                    told.add((path, keyword))
                    yield f"{path.name} holds the value of {_named(keyword)}"


def _named(keyword: str) -> str:
    """A keyword by its name, if it surely is one: what no list knows may be a value that was cut off."""
    surely = keyword.startswith("$") or is_identifying(keyword)
    return f"the FCS keyword {escape(keyword)}" if surely else "an FCS keyword outside the standard"


def _parts(keyword: str, value: str) -> Iterator[str]:
    """A value, and each longer word of one that is made to name a person."""
    yield value
    if PERSON.search(keyword):
        for word in _WORD.findall(value):
            if len(word) >= SHORTEST and word.lower() not in LAB_WORDS and not word.isdigit():
                yield word
