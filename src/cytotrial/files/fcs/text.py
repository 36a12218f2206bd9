"""The TEXT segment: keywords and values between delimiters, `$` and plain names kept apart."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cytotrial.files.fcs.findings import Notes, escape, some
from cytotrial.files.fcs.privacy import is_identifying

BLANKS = b" \0\t\r\n"
STANDARD = re.compile(
    rb"\$(P[1-9][0-9]{0,4}[A-Z]{1,12}|TOT|PAR|MODE|DATATYPE|BYTEORD|NEXTDATA|(BEGIN|END)(DATA|STEXT|ANALYSIS)"
    rb"|CYT|DATE|BTIM|ETIM|TIMESTEP|SPILLOVER|FIL|SYS|OP|INST|VOL)",
    re.IGNORECASE,
)
"""Keywords of the standard that never are a value: one at a value's place shows that the pairs slipped."""

BLANKED_OUT = re.compile(r"\s*|[xX*]{3,}")
"""A value that is nothing, or what programs that remove identities put in place of a value."""

MAX_DELIMITERS = 400_000
"""More keywords than any file has; it keeps the memory for TEXT in proportion."""

MATRIX_KEYWORDS = ("$SPILLOVER", "SPILLOVER", "$SPILL", "SPILL", "$COMP")


@dataclass
class Keywords:
    """Upper-case keyword → value; `$TOT` and `TOT` are two keywords."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        return self.values.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)


@dataclass(frozen=True, slots=True)
class Tokens:
    """TEXT cut at its delimiters: keyword, value, keyword ...; `closed` if it ends with a delimiter."""

    parts: list[bytes]
    closed: bool


def parse_text(segment: bytes, keywords: Keywords, notes: Notes, *, name: str = "TEXT") -> Tokens | None:
    """Add the keywords of a TEXT or supplemental TEXT segment to `keywords`.

    Parameters
    ----------
    segment : bytes
        From its first delimiter on.
    keywords : Keywords
        Filled; a keyword that is there already with another value is a conflict.
    name : str
        What messages call the segment.

    Returns
    -------
    Tokens or None
        None where the segment is rejected.

    References
    ----------
    Spidlen et al., Cytometry A 2010;77A:97-100 (FCS 3.1: doubled delimiters, no empty value).
    """
    delimiter = segment[:1]
    if not delimiter_is_legal(delimiter, notes):
        return None
    tokens = _tokens(segment, delimiter, notes, name)
    if tokens is not None:
        _add_pairs(tokens.parts, keywords, notes)
    return tokens


def delimiter_is_legal(delimiter: bytes, notes: Notes) -> bool:
    """Whether the first byte of TEXT can separate keywords; a letter, digit, `$` or non-ASCII byte cannot."""
    code = delimiter[0]
    if 0 < code < 127 and not delimiter.isalnum() and delimiter != b"$":
        return True
    shown = f"byte {code}" if not 32 < code < 127 else delimiter.decode()
    notes.reject(
        "DELIMITER_ILLEGAL",
        "TEXT delimiter",
        f"the TEXT delimiter is {shown}; letters, digits, '$' and bytes outside 1 to 126 cannot be one",
        seen=shown,
    )
    return False


def ends_with_delimiter(segment: bytes) -> bool:
    """Whether the segment, blanks after it aside, is closed by its delimiter."""
    return _without_tail(segment, segment[:1]).endswith(segment[:1])


def _tokens(segment: bytes, delimiter: bytes, notes: Notes, name: str) -> Tokens | None:
    body = _without_tail(segment[1:], delimiter)
    if body.count(delimiter) > MAX_DELIMITERS:
        notes.reject("TEXT_TOO_LONG", name, f"{name} holds more than {MAX_DELIMITERS} delimiters")
        return None
    tokens = _split_escaped(body, delimiter)
    slip = _first_slip(tokens.parts, delimiter)
    if slip is not None and delimiter * 2 in body:
        plain = _split_plain(body, delimiter)
        if _first_slip(plain.parts, delimiter) is None:
            _warn_empty_values(plain.parts, notes)
            tokens, slip = plain, None
    if slip is not None:
        _reject_slip(tokens.parts, slip, delimiter, notes, name)
        return None
    if not tokens.closed:
        notes.warn(
            "TEXT_NOT_CLOSED",
            _key(tokens.parts[-2]),
            f"{name} does not end with its delimiter; the last keyword was read up to the end of {name}",
        )
    return tokens


def _without_tail(body: bytes, delimiter: bytes) -> bytes:
    """Padding after the final delimiter cut off; a blank that is itself the delimiter stays."""
    return body.rstrip(BLANKS.replace(delimiter, b""))


def _split_plain(body: bytes, delimiter: bytes) -> Tokens:
    """Every delimiter separates: two in a row enclose an empty value."""
    parts = body.split(delimiter)
    closed = parts[-1] == b""
    return Tokens(parts[:-1] if closed else parts, closed)


def _split_escaped(body: bytes, delimiter: bytes) -> Tokens:
    """Two delimiters in a row stand for one inside a value, as the standard has it."""
    if delimiter * 2 not in body:
        return _split_plain(body, delimiter)
    pieces = body.split(delimiter)
    parts: list[bytes] = []
    current = [pieces[0]]
    i = 1
    while i < len(pieces):
        if pieces[i] == b"" and i + 1 < len(pieces):
            current += [delimiter, pieces[i + 1]]
            i += 2
        else:
            parts.append(b"".join(current))
            current = [pieces[i]]
            i += 1
    last = b"".join(current)
    return Tokens(parts, True) if last == b"" else Tokens([*parts, last], False)


def _first_slip(parts: list[bytes], delimiter: bytes) -> int | None:
    """Index of the first token that cannot stand where it stands, or None if all can."""
    for i, token in enumerate(parts):
        if i % 2 == 0:
            if not token.strip() or delimiter in token:
                return i
        elif token[:1] == b"$" and STANDARD.fullmatch(token.strip()):
            return i
    return len(parts) if len(parts) % 2 or not parts else None


def _reject_slip(parts: list[bytes], slip: int, delimiter: bytes, notes: Notes, name: str) -> None:
    """Name the keyword at which the pairs slipped, as far as that can be told without showing a value."""
    keyword = _suspect(parts, slip, delimiter)
    notes.reject(
        "TEXT_PAIRS_SLIPPED",
        keyword,
        f"{name} does not fall into pairs of keyword and value at or after {keyword}: "
        "a value begins with, ends with or holds the delimiter, or is empty",
        expected="each delimiter inside a value doubled, no empty value",
    )


def _suspect(parts: list[bytes], slip: int, delimiter: bytes) -> str:
    """The keyword after which the pairs slip; never a token that may be somebody's value."""
    anchors = [i for i in range(0, slip, 2) if STANDARD.fullmatch(parts[i].strip())]
    last = anchors[-1] if anchors else 0
    anchor = _key(parts[last]) if anchors else "the first keyword"
    if any(is_identifying(_key(token)) for token in parts[last:slip]):
        return anchor
    if slip < len(parts) and slip % 2 == 0:
        begin = parts[slip].split(delimiter)[0]  # a keyword that swallowed its own value
        return _key(begin) if _well_formed(begin) else anchor
    after = parts[last + 2] if slip - last > 3 else b""
    return _key(after) if _well_formed(after) else anchor


def _well_formed(token: bytes) -> bool:
    """Whether this looks like the name of a keyword and not like somebody's value."""
    return re.fullmatch(rb"[$@#]?[A-Z][A-Z0-9_$ ]{1,30}", token) is not None


def _warn_empty_values(parts: list[bytes], notes: Notes) -> None:
    empty = [_key(key) for key, value in zip(parts[::2], parts[1::2], strict=True) if not value]
    notes.warn(
        "EMPTY_VALUE",
        empty[0],
        f"empty value of {some(empty)}; two delimiters in a row were read as an empty value, "
        "as no other reading gives pairs of keyword and value",
        expected="a value, if only a blank",
    )


def _add_pairs(parts: list[bytes], keywords: Keywords, notes: Notes) -> None:
    padded, foreign, equal = [], [], []
    before = len(notes.findings)
    for raw_key, raw_value in zip(parts[::2], parts[1::2], strict=True):
        name, value = _decode(raw_key), _decode(raw_value)
        key = name.strip().upper()
        if key != name.upper() and key.startswith("$"):
            padded.append(key)
        if key.startswith("$") and not _is_utf8(raw_value):
            foreign.append(key)
        if key not in keywords:
            keywords.values[key] = value
        elif keywords.values[key] == value:
            equal.append(key)
        else:
            _conflict(key, notes)
    notes.merge_alike(before)
    _warn_names("KEYWORD_PADDED", padded, "blanks around the name were removed", notes)
    _warn_names("NOT_UTF8", foreign, "the value is not UTF-8 and was read as Latin-1", notes)
    _warn_names("KEYWORD_TWICE", equal, "given twice with the same value", notes)


def _conflict(key: str, notes: Notes) -> None:
    message = f"{_named(key)} is given twice with different values"
    if key.startswith("$") or key in MATRIX_KEYWORDS:
        notes.reject("KEYWORD_CONFLICT", key, message, expected="one value")
    else:
        notes.warn("PLAIN_KEYWORD_CONFLICT", _named(key), f"{message}; the first was kept")


def _warn_names(code: str, names: list[str], what: str, notes: Notes) -> None:
    if names:
        shown = list(dict.fromkeys(map(_named, names)))
        notes.warn(code, shown[0], f"{some(shown)}: {what}")


def _named(key: str) -> str:
    """A keyword as a message may show it: a stray delimiter can turn a value into a name."""
    known = key.startswith("$") or key in MATRIX_KEYWORDS or is_identifying(key)
    return escape(key) if known else "a keyword outside the standard"


def _key(token: bytes) -> str:
    return escape(_decode(token).strip().upper())


def _decode(token: bytes) -> str:
    try:
        return token.decode("utf-8")
    except UnicodeDecodeError:
        return token.decode("latin-1")


def _is_utf8(token: bytes) -> bool:
    try:
        token.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
