"""Values of an FCS file that may name a person: where they stand, and how they are overwritten.

What is read here is never written to any output of the project.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cytotrial.errors import FcsError
from cytotrial.files.atomic import moved_into_place
from cytotrial.files.fcs import FcsHeader, escape, inspect_fcs
from cytotrial.files.fcs.findings import Notes
from cytotrial.files.fcs.header import HEADER_BYTES, parse_header
from cytotrial.files.fcs.opening import NotOpenedError, OpenedFile, open_regular
from cytotrial.files.fcs.privacy import CODE_LIKE, PERSON, PLACEHOLDERS, holds_a_name, is_identifying
from cytotrial.files.fcs.segments import check_analysis, supplemental_text
from cytotrial.files.fcs.text import Keywords, parse_text
from cytotrial.terms import Outcome

KEPT = re.compile(
    r"\$(TOT|PAR|MODE|DATATYPE|BYTEORD|NEXTDATA|(BEGIN|END)(DATA|STEXT|ANALYSIS)|UNICODE|CYT|CYTSN|DATE|BTIM|ETIM"
    r"|BEGINDATETIME|ENDDATETIME|TIMESTEP|TR|VOL|ABRT|LOST|CSMODE|CSVBITS|COMP|SPILL|SPILLOVER|GATE|GATING|PKN?[0-9]+"
    r"|[PGR][1-9][0-9]*[A-Z]{1,12}|DFC[0-9]+TO[0-9]+)"
    r"|SPILL|SPILLOVER|CREATOR|THRESHOLD|TIMETICKS|FSC ASF|WINDOW EXTENSION|APPLY COMPENSATION|AUTOBS"
    r"|P[1-9][0-9]*(DISPLAY|BS|MS)|LASER[1-9](NAME|DELAY|ASF)|CST (SETUP STATUS|BEADS EXPIRED)"
)
"""The keywords that stay: how the events are stored, scaled and compensated, which instrument, and when.

Everything else is overwritten, whatever it holds: a list of what to remove would miss the next vendor."""

HINTS = ("TUBE NAME", "TUBENAME", "SAMPLE ID", "SAMPLE NAME", "$SRC", "$SMNO", "$CELLS")
FILLER = b"X"
_BLOCK = 1 << 20
_BLANK = b" \0\t\r\n"


@dataclass(frozen=True)
class Blanked:
    """What was overwritten in a copy.

    keywords : names of the keywords whose values were overwritten; of those that no list knows, the number
    segments : what else was overwritten, such as `ANALYSIS`
    remaining : keywords that stay and yet hold a part of an overwritten person's name
    """

    keywords: tuple[str, ...]
    segments: tuple[str, ...]
    remaining: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Text:
    """A TEXT segment: where it begins, its bytes, and the same with values overwritten."""

    begin: int
    raw: bytes
    masked: bytes
    values: dict[str, str]


def stain_hints(path: Path, header: FcsHeader) -> str:
    """Free text in which a tube's role may be named, to be searched for fixed words only.

    It may name a person: it must not be written, printed or stored.
    """
    try:
        with open_regular(path, Notes()) as file:
            values = _read_text(file, header.text_begin, header.text_bytes)
    except (NotOpenedError, FcsError):
        return ""
    return " ".join(values.values.get(name, "") for name in HINTS)


def name_may_identify(name: str) -> bool:
    """Whether a file's or folder's name looks as if it told who somebody is.

    Examples
    --------
    >>> name_may_identify("Jane_Doe_wk12.fcs"), name_may_identify("Compensation-Unstained.fcs")
    (True, False)
    """
    spaced = re.sub(r"[_.]+", " ", name)
    return CODE_LIKE.search(spaced) is not None or holds_a_name(spaced)


def copy_without_identity(src: Path, dst: Path, *, root: Path | None = None) -> Blanked:
    """Copy an FCS file with everything overwritten that could name a person; events stay as they are.

    Values are overwritten with `X` at the same length, so that every offset stays true; so are names of
    keywords that no list knows, as they may be values that a stray delimiter cut in two. Segments
    other than TEXT and DATA, and bytes that belong to no segment, are blanked.

    Parameters
    ----------
    src, dst : Path
        `dst` must not exist.
    root : Path, optional
        Folder that `src` must lie in, after links are followed.

    Raises
    ------
    FcsError
        If the file is not understood to the last byte (then nothing is written), or `dst` exists.
    """
    report = inspect_fcs(src, root=root)
    header = report.header
    if header is None:
        codes = ", ".join(finding.code for finding in report.findings if finding.outcome is Outcome.REJECT)
        raise FcsError(
            f"The pre-flight rejects the file ({codes}), so it cannot be told where names may stand.",
            hint="Export the file again, or split it if it holds several data sets.",
        )
    if os.path.lexists(dst):
        raise FcsError(f"{dst} is there already.", hint="Name another folder; nothing is ever overwritten.")
    with open_regular(src, Notes(), root=root) as file:
        texts, patches, segments = _plan(file, header)
    with moved_into_place(dst) as temporary:
        shutil.copyfile(src, temporary)
        _patch(temporary, patches)
        _verify(src, temporary, header)
    values = {key: value for text in texts for key, value in text.values.items()}
    blanked = sorted(key for key, value in values.items() if value.strip() and not KEPT.fullmatch(key))
    known = [escape(key) for key in blanked if _is_known(key)]
    others = [f"{len(blanked) - len(known)} others"] if len(blanked) > len(known) else []
    return Blanked((*known, *others), segments, _remaining(values))


def _plan(
    file: OpenedFile, header: FcsHeader
) -> tuple[list[_Text], list[tuple[int, bytes]], tuple[str, ...]]:
    """The TEXT segments, what to write where, and the names of the segments that are blanked."""
    first = parse_header(file.read(0, HEADER_BYTES), file_size=file.size, notes=Notes())
    texts = [_read_text(file, header.text_begin, header.text_bytes)]
    span = (header.text_begin, header.text_begin + header.text_bytes - 1)
    keywords = Keywords(texts[0].values)
    extra = supplemental_text(keywords, text=span, file_size=file.size, notes=Notes())
    supplemental = _read_supplemental(file, extra, texts[0].raw[:1]) if extra else None
    texts += [supplemental] if supplemental else []
    patches = [(text.begin, text.masked) for text in texts]
    kept = [(0, HEADER_BYTES), (header.data_begin, header.data_begin + header.data_bytes)]
    kept += [(text.begin, text.begin + len(text.raw)) for text in texts]
    segments: list[str] = []
    analysis = check_analysis(first, keywords, file.size, Notes()) if first else None
    if analysis and not any(begin <= analysis[1] and analysis[0] < end for begin, end in kept):
        patches.append((analysis[0], _empty_segment(analysis[1] - analysis[0] + 1)))
        kept.append((analysis[0], analysis[1] + 1))
        segments.append("ANALYSIS")
    others = [(begin, end) for begin, end in _gaps(kept, file.size) if not _is_padding(file, begin, end)]
    patches += [patch for begin, end in others for patch in _blanks(begin, end, at_end=end == file.size)]
    return texts, patches, (*segments, *(f"bytes {begin} to {end - 1}" for begin, end in others))


def _read_text(file: OpenedFile, begin: int, n_bytes: int) -> _Text:
    text = _parsed(begin, file.read(begin, n_bytes))
    if text is None:
        raise FcsError("TEXT does not fall into keywords and values.", hint="Export the file again.")
    return text


def _parsed(begin: int, raw: bytes) -> _Text | None:
    keywords = Keywords()
    tokens = parse_text(raw, keywords, Notes())
    masked = None if tokens is None else _masked(raw, tokens.parts)
    return None if masked is None else _Text(begin, raw, masked, keywords.values)


def _read_supplemental(file: OpenedFile, span: tuple[int, int], delimiter: bytes) -> _Text | None:
    """Supplemental TEXT, also without its first delimiter; None if it holds no keywords (some hold a zip)."""
    begin, n_bytes = span[0], span[1] - span[0] + 1
    raw = file.read(begin, n_bytes)
    if raw.startswith(delimiter):
        return _parsed(begin, raw)
    text = _parsed(begin, delimiter + raw)
    return text and _Text(begin, raw, text.masked[1:], text.values)


def _masked(raw: bytes, parts: list[bytes]) -> bytes | None:
    """TEXT with the values of keywords that do not stay overwritten; None if it cannot be put together."""
    delimiter = raw[:1]
    for doubled in (delimiter * 2, delimiter):
        written = [part.replace(delimiter, doubled) for part in parts]
        body = delimiter.join([b"", *written])
        if raw.startswith(body) and not raw[len(body) :].strip(_BLANK + delimiter):
            masked = [
                token
                if _stays(parts[number - number % 2], is_name=number % 2 == 0)
                else _filled(token, number)
                for number, token in enumerate(written)
            ]
            return delimiter.join([b"", *masked]) + raw[len(body) :]
    return None


def _stays(keyword: bytes, *, is_name: bool) -> bool:
    """Whether a keyword's name, or else its value, is left as it is."""
    name = keyword.decode("latin-1").strip().upper()
    return KEPT.fullmatch(name) is not None or (is_name and _is_known(name))


def _is_known(name: str) -> bool:
    """Whether this is the name of a keyword for certain, and not a value that a stray delimiter cut off."""
    return name.startswith("$") or KEPT.fullmatch(name) is not None or is_identifying(name)


def _filled(token: bytes, number: int) -> bytes:
    """The name (of even number) or value overwritten at the same length; blanks stay, names stay distinct."""
    if not token.strip(_BLANK):
        return token
    end = b"" if number % 2 else str(number).encode()
    return FILLER * (len(token) - len(end)) + end if len(end) < len(token) else FILLER * len(token)


def _empty_segment(n_bytes: int) -> bytes:
    """A segment of that length that parses as one keyword and says nothing."""
    if n_bytes < 5:
        return b" " * n_bytes
    return b"/X/" + FILLER * (n_bytes - 4) + b"/"


def _gaps(kept: list[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """The stretches (begin, end) of a file that lie in no segment."""
    position = 0
    for begin, end in sorted(kept):
        if begin > position:
            yield position, begin
        position = max(position, end)
    if position < size:
        yield position, size


def _is_padding(file: OpenedFile, begin: int, end: int) -> bool:
    """Whether a stretch holds blanks, zeros and offsets of OTHER segments only."""
    allowed = _BLANK + b"0" if begin >= HEADER_BYTES + 1 else _BLANK + b"0123456789"
    return not any(
        file.read(position, min(_BLOCK, end - position)).strip(allowed)
        for position in range(begin, end, _BLOCK)
    )


def _blanks(begin: int, end: int, *, at_end: bool) -> Iterator[tuple[int, bytes]]:
    """Blanks over a stretch; a checksum at the end becomes 00000000, which means that there is none."""
    if at_end and end - begin == 8:
        yield begin, b"0" * 8
        return
    for position in range(begin, end, _BLOCK):
        yield position, b" " * min(_BLOCK, end - position)


def _patch(path: Path, patches: list[tuple[int, bytes]]) -> None:
    with path.open("r+b") as stream:
        for begin, content in patches:
            stream.seek(begin)
            stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _verify(src: Path, path: Path, header: FcsHeader) -> None:
    """The copy must decode as the original does, from the same bytes of DATA.

    Raises
    ------
    FcsError
        If a channel, an offset, the number of events or a byte of DATA is not what it was.
    """
    copy = inspect_fcs(path).header
    same = copy is not None and all(
        getattr(copy, name) == getattr(header, name)
        for name in ("channels", "columns", "n_events", "data_begin", "data_bytes", "byte_order", "timestep")
    )
    if not same or _data_digest(src, header) != _data_digest(path, header):
        raise FcsError(
            "The copy would not decode as the original does.", hint="Please report the file's format."
        )


def _data_digest(path: Path, header: FcsHeader) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        stream.seek(header.data_begin)
        left = header.data_bytes
        while left and (block := stream.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def _remaining(values: dict[str, str]) -> tuple[str, ...]:
    """Keywords that stay and hold a word of a person's name that was overwritten elsewhere."""
    names = {
        word.lower()
        for key, value in values.items()
        if PERSON.search(key) and value.strip().upper() not in PLACEHOLDERS
        for word in re.findall(r"[^\W\d_]{4,}", value)
    }
    stays = {key: value.lower() for key, value in values.items() if KEPT.fullmatch(key)}
    return tuple(sorted(escape(key) for key, value in stays.items() if any(name in value for name in names)))
