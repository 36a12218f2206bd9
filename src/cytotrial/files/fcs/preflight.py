"""The pre-flight of an FCS file: HEADER and TEXT read strictly, before a single event is decoded."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType

from cytotrial.files.fcs import columns as columns_
from cytotrial.files.fcs import metadata, segments
from cytotrial.files.fcs.findings import Notes, escape
from cytotrial.files.fcs.header import HEADER_BYTES, HeaderSegment, parse_header
from cytotrial.files.fcs.model import Column, FcsHeader, FcsReport
from cytotrial.files.fcs.opening import NotOpenedError, OpenedFile, open_regular
from cytotrial.files.fcs.privacy import check_identity
from cytotrial.files.fcs.spillover import parse_spillover
from cytotrial.files.fcs.text import BLANKS, Keywords, delimiter_is_legal, ends_with_delimiter, parse_text
from cytotrial.terms import Channel

MAX_OVERHANG = 64
"""By how many bytes HEADER's end of TEXT may reach into DATA and still be taken for a slip, not a shift."""


@dataclass(frozen=True, slots=True)
class TextSegments:
    """Keywords of TEXT and supplemental TEXT, and where both were found."""

    keywords: Keywords
    raw: bytes
    span: segments.Span
    supplemental: segments.Span | None
    closed: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """How the events are stored and scaled, and where they are."""

    channels: tuple[Channel, ...]
    columns: tuple[Column, ...]
    storage: columns_.Storage
    data: segments.DataSegment
    time_index: int | None
    timestep: float | None


def inspect_fcs(path: Path, *, root: Path | None = None, today: date | None = None) -> FcsReport:
    """Say what an FCS file is, and everything that is wrong with it, without decoding its events.

    HEADER, TEXT and supplemental TEXT of FCS 2.0, 3.0, 3.1 and 3.2 are parsed here, so that no library
    sees a file whose names, sizes, types or scales contradict each other.

    Parameters
    ----------
    path : Path
    root : Path, optional
        Folder that the file must lie in, after links are followed.
    today : date, optional
        A later $DATE is odd; the day of the call by default.

    Returns
    -------
    FcsReport
        Never raises for what is in the file or at the path. Memory stays below 50 MB and ten times the
        size of TEXT, which may be 20 MB.

    References
    ----------
    Dean et al., Cytometry 1990;11:323-332 (FCS 2.0). Seamer et al., Cytometry 1997;28:118-122 (FCS 3.0).
    Spidlen et al., Cytometry A 2010;77A:97-100 (FCS 3.1); 2021;99A:100-102 (FCS 3.2).
    """
    notes = Notes()
    header = None
    try:
        with open_regular(path, notes, root=root) as file:
            header = _inspect(file, today or date.today(), notes)
    except NotOpenedError:
        pass
    except Exception as error:  # whatever a file can do, it is a finding and never a crash
        notes.reject("UNREADABLE", "path", f"the file cannot be read ({type(error).__name__})")
        header = None
    return FcsReport(escape(path.name, limit=200), header, tuple(notes.findings))


def _inspect(file: OpenedFile, today: date, notes: Notes) -> FcsHeader | None:
    first = parse_header(file.read(0, HEADER_BYTES), file_size=file.size, notes=notes)
    text = _read_text(file, first, notes) if first else None
    if first is None or text is None:
        return None
    layout = _layout(file, first, text, notes)
    acquired = metadata.parse_acquired(text.keywords, today=today, notes=notes)
    volume_nl = metadata.parse_volume(text.keywords, notes)
    if layout is None or notes.rejected:
        return None
    matrix_notes = Notes()
    names = tuple(channel.name for channel in layout.channels)
    spillover = parse_spillover(text.keywords, names, matrix_notes)
    notes.findings += matrix_notes.findings
    return FcsHeader(
        version=first.version,
        channels=layout.channels,
        columns=layout.columns,
        n_events=layout.data.n_events,
        datatype=layout.storage.datatype,
        byte_order=layout.storage.byte_order,
        data_begin=layout.data.begin,
        data_bytes=layout.data.n_bytes,
        time_index=layout.time_index,
        timestep=layout.timestep,
        volume_nl=volume_nl,
        spillover=spillover,
        spillover_findings=tuple(matrix_notes.findings),
        cytometer=escape((text.keywords.get("$CYT") or "").strip()),
        acquired=acquired,
        file_size=file.size,
        text_begin=text.span[0],
        text_bytes=len(text.raw),
        text_crc32=zlib.crc32(text.raw),
        keywords=MappingProxyType(metadata.allowed_keywords(text.keywords)),
    )


def _layout(file: OpenedFile, header: HeaderSegment, text: TextSegments, notes: Notes) -> Layout | None:
    """Channels, their storage and their place; each check runs that can, so that all faults come at once."""
    keywords, version = text.keywords, header.version
    segments.check_next_data(file, keywords, notes)
    channels = columns_.parse_channels(keywords, notes)
    storage = columns_.parse_storage(keywords, version, notes)
    total = segments.parse_tot(keywords, version, notes)
    metadata.check_values(keywords, notes)
    check_identity(keywords.values, notes)
    if channels is not None:
        columns_.check_names(channels, notes)
    if channels is None or storage is None:
        return None
    time_index = columns_.find_time(channels)
    timestep = metadata.parse_timestep(
        keywords, has_time=time_index is not None, version=version, notes=notes
    )
    columns = columns_.parse_columns(keywords, channels, storage, notes)
    if columns is None or notes.rejected:
        return None
    data = _find_data(file, header, text, columns=columns, total=total, notes=notes)
    if data is None or not columns_.byte_order_fits(storage.byte_order, columns, notes):
        return None
    return Layout(channels, columns, storage, data, time_index, timestep)


def _read_text(file: OpenedFile, header: HeaderSegment, notes: Notes) -> TextSegments | None:
    begin, end = header.text
    raw = file.read(begin, end - begin + 1)
    if not delimiter_is_legal(raw[:1], notes):
        return None
    raw = _without_overhang(raw, header, notes)
    raw = _with_final_delimiter(file, raw, header, notes)
    keywords = Keywords()
    tokens = parse_text(raw, keywords, notes)
    if tokens is None:
        return None
    span = (begin, begin + len(raw) - 1)
    supplemental = segments.supplemental_text(keywords, text=span, file_size=file.size, notes=notes)
    if supplemental is not None and not _add_supplemental(file, supplemental, raw[:1], keywords, notes):
        return None
    return TextSegments(keywords, raw, span, supplemental, tokens.closed)


def _without_overhang(raw: bytes, header: HeaderSegment, notes: Notes) -> bytes:
    """TEXT without bytes of DATA that HEADER counts as TEXT, where that is plainly what they are.

    It is if TEXT is not closed by its delimiter at the stated end, and is closed where DATA begins.
    """
    begin, end = header.text
    n_bytes = header.data[0] - begin if header.data else 0
    if not 1 < n_bytes < len(raw) <= n_bytes + MAX_OVERHANG or ends_with_delimiter(raw):
        return raw
    if not ends_with_delimiter(raw[:n_bytes]):
        return raw
    notes.warn(
        "TEXT_END_IN_DATA",
        "HEADER TEXT end",
        f"HEADER TEXT end {end} lies in DATA, which begins at {begin + n_bytes}; TEXT was read up to there",
        seen=str(end),
        expected=str(begin + n_bytes - 1),
    )
    return raw[:n_bytes]


def _with_final_delimiter(file: OpenedFile, raw: bytes, header: HeaderSegment, notes: Notes) -> bytes:
    """TEXT with the delimiter that follows its stated end, unless DATA begins there."""
    next_byte = header.text[0] + len(raw)
    begins_data = header.data is not None and header.data[0] == next_byte
    if begins_data or ends_with_delimiter(raw) or file.read(next_byte, 1) != raw[:1]:
        return raw
    notes.warn(
        "TEXT_END_SHORT",
        "HEADER TEXT end",
        f"HEADER TEXT end {header.text[1]} leaves out the final delimiter",
    )
    return raw + raw[:1]


def _add_supplemental(
    file: OpenedFile, span: segments.Span, delimiter: bytes, keywords: Keywords, notes: Notes
) -> bool:
    """Add the keywords of the supplemental TEXT; what is no TEXT at all (some hold a zip) is left alone."""
    raw = file.read(span[0], span[1] - span[0] + 1)
    if not raw.strip(BLANKS):
        return True
    if not _looks_like_text(raw, delimiter):
        notes.warn(
            "STEXT_NOT_TEXT",
            "$BEGINSTEXT",
            "supplemental TEXT ($BEGINSTEXT) holds no keywords and was ignored",
        )
        return True
    if not raw.startswith(delimiter):
        notes.warn(
            "STEXT_NO_DELIMITER",
            "$BEGINSTEXT",
            "supplemental TEXT ($BEGINSTEXT) does not begin with the delimiter; it was read as if it did",
        )
        raw = delimiter + raw
    return parse_text(raw, keywords, notes, name="supplemental TEXT") is not None


def _looks_like_text(raw: bytes, delimiter: bytes) -> bool:
    strange = sum(byte < 32 and byte not in BLANKS for byte in raw.replace(delimiter, b"")[:4096])
    return delimiter in raw and not strange and b"\0" not in raw.strip(BLANKS)


def _find_data(
    file: OpenedFile,
    header: HeaderSegment,
    text: TextSegments,
    *,
    columns: tuple[Column, ...],
    total: int | None,
    notes: Notes,
) -> segments.DataSegment | None:
    """DATA, after a look at what lies before, behind and across it."""
    row_bytes = sum(column.bits for column in columns) // 8
    data = segments.find_data(
        header, text.keywords, row_bytes=row_bytes, total=total, file_size=file.size, notes=notes
    )
    if data is None:
        return None
    spans = {"TEXT": text.span, "supplemental TEXT": text.supplemental}
    analysis = segments.check_analysis(header, text.keywords, file.size, notes)
    segments.check_overlaps(data, spans, notes)
    others = [span for span in (text.supplemental, analysis) if span]
    segments.check_gap(file, data, text.span[1], others, closed=text.closed, notes=notes)
    last = max(data.begin + data.n_bytes - 1, text.span[1], *(span[1] for span in others))
    segments.check_tail(file, last, notes)
    return data
