"""Where DATA lies: HEADER and TEXT both say, the size of the events decides."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cytotrial.files.fcs.findings import COPY_AGAIN, Notes
from cytotrial.files.fcs.header import HEADER_BYTES, TEXT_LIMIT, HeaderSegment
from cytotrial.files.fcs.numbers import whole_number
from cytotrial.files.fcs.opening import OpenedFile
from cytotrial.files.fcs.text import BLANKS, Keywords

HEADER_OFFSET_LIMIT = 99_999_999
"""Largest offset that the eight digits of HEADER can hold; beyond it HEADER says 0."""

CRC_BYTES = 8
MAX_SETS = 100
NEXT_OFFSET = re.compile(rb"\$NEXTDATA. *([0-9]{1,12})", re.IGNORECASE | re.DOTALL)
NEXT_SET = re.compile(rb"FCS[23]\.[0-9] {2,}")
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class DataSegment:
    """Events and the bytes that hold them."""

    begin: int
    n_bytes: int
    n_events: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """One statement about DATA: who makes it, first and last byte."""

    source: str
    begin: int
    end: int

    @property
    def n_bytes(self) -> int:
        return self.end - self.begin + 1


def supplemental_text(keywords: Keywords, *, text: Span, file_size: int, notes: Notes) -> Span | None:
    """First and last byte of the supplemental TEXT; None if there is none or it is rejected."""
    begin = _stated_offset("$BEGINSTEXT", keywords, notes)
    end = _stated_offset("$ENDSTEXT", keywords, notes)
    if not begin or not end or text[0] <= begin <= end <= text[1]:  # some cytometers name TEXT itself
        return None
    if end >= file_size:
        notes.reject(
            "TRUNCATED",
            "$ENDSTEXT",
            f"truncated: supplemental TEXT ends at byte {end}, the file size is {file_size}",
            seen=str(end),
            remedy=COPY_AGAIN,
        )
    elif begin > end or begin < HEADER_BYTES or end - begin >= TEXT_LIMIT:
        notes.reject(
            "STEXT_OFFSETS_INVALID",
            "$BEGINSTEXT",
            f"supplemental TEXT from byte {begin} to {end} cannot be ($BEGINSTEXT, $ENDSTEXT)",
        )
    else:
        return begin, end
    return None


def _stated_offset(keyword: str, keywords: Keywords, notes: Notes) -> int | None:
    value = keywords.get(keyword)
    if value is None or not value.strip():
        return None
    offset = whole_number(value)
    if offset is None:
        notes.reject(
            "OFFSET_INVALID", keyword, f"{keyword} is no byte offset", seen=value, expected="0 or more"
        )
    return offset


def parse_tot(keywords: Keywords, version: str, notes: Notes) -> int | None:
    """Number of events as stated; None where it is missing (legal in FCS 2.0) or it is rejected."""
    value = keywords.get("$TOT")
    if value is None:
        if version != "2.0":
            notes.reject("TOT_MISSING", "$TOT", "$TOT, the number of events, is missing")
        return None
    total = whole_number(value)
    if total is None:
        notes.reject("TOT_INVALID", "$TOT", "$TOT is no number of events", seen=value, expected="0 or more")
    return total


def find_data(
    header: HeaderSegment,
    keywords: Keywords,
    *,
    row_bytes: int,
    total: int | None,
    file_size: int,
    notes: Notes,
) -> DataSegment | None:
    """DATA where its size agrees with $TOT events of `row_bytes` each, or None where it is rejected.

    HEADER and TEXT may disagree, or count the last byte as one too far; the statement that fits is
    used with a warning. Two that fit, or none, is a rejection.

    References
    ----------
    Spidlen et al., Cytometry A 2010;77A:97-100 (FCS 3.1: $BEGINDATA, $ENDDATA).
    """
    candidates = _candidates(header, keywords, notes)
    if candidates is None:
        return None
    if total is None:
        total = _total_from_size(candidates, row_bytes, notes)
        if total is None:
            return None
    if total == 0:
        return _no_events(candidates, row_bytes, notes)
    chosen = _choose(candidates, total * row_bytes, notes)
    if chosen is None:
        _reject_size(candidates, total, row_bytes, file_size, notes)
        return None
    if chosen.begin + total * row_bytes > file_size:
        _reject_truncated(chosen.begin + total * row_bytes - 1, file_size, notes)
        return None
    _warn_disagreement(header, chosen, keywords, notes)
    return DataSegment(chosen.begin, total * row_bytes, total)


def _candidates(header: HeaderSegment, keywords: Keywords, notes: Notes) -> list[Candidate] | None:
    """What HEADER and TEXT state, where they state anything; None if TEXT states nonsense."""
    found = [Candidate("HEADER", *header.data)] if header.data and header.data[1] else []
    if header.version == "2.0":  # no such keywords in this version: they are used only if they are right
        offsets = [whole_number(keywords.get(key) or "") for key in ("$BEGINDATA", "$ENDDATA")]
    else:
        before = len(notes.findings)
        offsets = [_stated_offset(key, keywords, notes) for key in ("$BEGINDATA", "$ENDDATA")]
        if len(notes.findings) > before:
            return None
    begin, end = offsets
    return [*found, Candidate("TEXT", begin, end)] if begin and end else found


def _total_from_size(candidates: list[Candidate], row_bytes: int, notes: Notes) -> int | None:
    """Events that fill DATA exactly, for a file without $TOT."""
    totals = {c.n_bytes // row_bytes for c in candidates if c.n_bytes > 0 and c.n_bytes % row_bytes == 0}
    if len(totals) == 1:
        notes.warn(
            "TOT_MISSING", "$TOT", "$TOT is missing; the number of events was taken from the size of DATA"
        )
        return totals.pop()
    notes.reject(
        "TOT_MISSING", "$TOT", "$TOT is missing, and the size of DATA does not tell the number of events"
    )
    return None


def _no_events(candidates: list[Candidate], row_bytes: int, notes: Notes) -> DataSegment | None:
    """No event: one byte of DATA is let pass, as first and last byte cannot tell an empty segment."""
    longest = max((candidate.n_bytes for candidate in candidates), default=0)
    if longest > 1:
        notes.reject(
            "TOT_MISMATCH",
            "$TOT",
            f"$TOT is 0, DATA holds {longest} bytes, which is {longest / row_bytes:g} events",
            seen="0",
        )
        return None
    notes.warn(
        "NO_EVENTS",
        "$TOT",
        "$TOT is 0: the file holds no event ($ENDDATA before $BEGINDATA, or none)",
        seen="0",
    )
    return DataSegment(HEADER_BYTES, 0, 0)


def _choose(candidates: list[Candidate], n_bytes: int, notes: Notes) -> Candidate | None:
    """The one place that fits: to the byte, else with the last byte counted one too far."""
    exact = {c.begin: c for c in candidates if c.n_bytes == n_bytes}
    if len(exact) == 1:
        return next(iter(exact.values()))
    past_the_end = {c.begin: c for c in candidates if c.n_bytes == n_bytes + 1}
    if exact or len(past_the_end) != 1:
        return None
    chosen = next(iter(past_the_end.values()))
    notes.warn(
        "DATA_END_EXCLUSIVE",
        "$ENDDATA",
        f"DATA's end ($ENDDATA {chosen.end}) is one byte too far; $TOT events end at byte {chosen.end - 1}",
        seen=str(chosen.end),
        expected=str(chosen.end - 1),
    )
    return chosen


def _warn_disagreement(header: HeaderSegment, chosen: Candidate, keywords: Keywords, notes: Notes) -> None:
    stated = "HEADER DATA begin and end are " + (
        "blank" if header.data is None else "{} and {}".format(*header.data)
    )
    in_text = [keywords.get(key) for key in ("$BEGINDATA", "$ENDDATA")]
    text = f"$BEGINDATA {_shown(in_text[0])}, $ENDDATA {_shown(in_text[1])}"
    too_far = chosen.end > HEADER_OFFSET_LIMIT and header.data in (None, (0, 0))
    old = header.version == "2.0" and in_text == [None, None]
    numbers = tuple(whole_number(value or "") for value in in_text)
    if too_far or old or numbers == header.data:
        return
    keyword = "$BEGINDATA" if header.data and header.data[1] else "HEADER DATA offsets"
    end_is_off = header.data is not None and numbers[0] == header.data[0]
    if end_is_off:
        keyword = "HEADER DATA end" if chosen.source == "TEXT" else "$ENDDATA"
    notes.warn(
        "DATA_OFFSETS_DIFFER",
        keyword,
        f"{stated}, {text}; {chosen.begin} to {chosen.end} agrees with $TOT and was used",
    )


def _shown(value: str | None) -> str:
    number = whole_number(value or "")
    return "missing" if value is None else "not a number" if number is None else str(number)


def _reject_size(
    candidates: list[Candidate], total: int, row_bytes: int, file_size: int, notes: Notes
) -> None:
    if not candidates:
        notes.reject(
            "DATA_NOT_FOUND",
            "$BEGINDATA",
            "neither HEADER nor TEXT ($BEGINDATA, $ENDDATA) says where DATA is",
        )
        return
    last = max(candidate.end for candidate in candidates)
    if last > file_size:
        _reject_truncated(last, file_size, notes)
        return
    if all(candidate.n_bytes == total * row_bytes for candidate in candidates):
        notes.reject(
            "DATA_PLACE_UNDECIDED",
            "$BEGINDATA",
            f"HEADER says that DATA begins at byte {candidates[0].begin}, $BEGINDATA {candidates[-1].begin}; "
            "both places have the right size, so neither can be chosen",
        )
        return
    places = " or ".join(
        f"bytes {c.begin} to {c.end} ({c.source}): {c.n_bytes / row_bytes:g}" for c in candidates
    )
    notes.reject(
        "TOT_MISMATCH",
        "$TOT",
        f"$TOT is {total} events of {row_bytes} bytes; DATA has room for other numbers of events: {places}",
        seen=str(total),
        remedy="Export the file again; it was cut or edited, or a channel's width ($PnB) is wrong",
    )


def _reject_truncated(last: int, file_size: int, notes: Notes) -> None:
    notes.reject(
        "TRUNCATED",
        "$ENDDATA",
        f"truncated: DATA ends at byte {last} ($BEGINDATA, $ENDDATA), the file size is {file_size}",
        seen=str(last),
        expected=f"below {file_size}",
        remedy=COPY_AGAIN,
    )


def check_overlaps(data: DataSegment, spans: dict[str, Span | None], notes: Notes) -> None:
    """Reject DATA that reaches into HEADER, TEXT or supplemental TEXT."""
    first, last = data.begin, data.begin + data.n_bytes - 1
    for name, span in {"HEADER": (0, HEADER_BYTES - 1), **spans}.items():
        if data.n_bytes and span and first <= span[1] and span[0] <= last:
            notes.reject(
                "SEGMENTS_OVERLAP",
                "$BEGINDATA",
                f"DATA (bytes {first} to {last}) overlaps {name} (bytes {span[0]} to {span[1]})",
                seen=str(first),
            )


def check_gap(
    file: OpenedFile, data: DataSegment, text_end: int, others: list[Span], *, closed: bool, notes: Notes
) -> None:
    """What stands between TEXT and DATA: padding, or bytes that belong to one of them."""
    begin, end = text_end + 1, data.begin - 1
    if not data.n_bytes or end < begin or any(first <= end and begin <= last for first, last in others):
        return
    gap = file.read(begin, min(end - begin + 1, 4096))
    if not gap.strip(BLANKS + b"\x1a"):
        return
    row_bytes = data.n_bytes // data.n_events
    if not closed and gap[:1].strip(BLANKS):
        notes.reject("TEXT_CUT", "HEADER TEXT end", f"HEADER TEXT end {text_end} cuts the last keyword")
    elif end - begin + 1 < max(row_bytes, CRC_BYTES):
        notes.reject(
            "DATA_SHIFTED",
            "$BEGINDATA",
            f"{end - begin + 1} bytes between TEXT and DATA ($BEGINDATA {data.begin}) are not padding: "
            "DATA seems shifted, and each channel would show the values of another",
            seen=str(data.begin),
            expected=str(begin),
        )
    else:
        notes.warn(
            "GAP_NOT_BLANK",
            "$BEGINDATA",
            f"{end - begin + 1} bytes between TEXT and DATA belong to no segment",
        )


def check_tail(file: OpenedFile, last: int, notes: Notes) -> None:
    """What follows the last segment: a checksum, padding, or a data set that $NEXTDATA does not tell of."""
    n_bytes = file.size - 1 - last
    tail = file.read(last + 1, min(n_bytes, 65_536))
    if NEXT_SET.search(tail):
        notes.warn(
            "SECOND_DATA_SET",
            "$NEXTDATA",
            "another data set follows, although $NEXTDATA tells of none; only the first was read",
            remedy="Split the file if the second set is needed",
        )
    elif tail.strip(BLANKS + b"0") and len(tail.strip(BLANKS)) != CRC_BYTES:
        notes.warn(
            "BYTES_AT_END",
            "file size",
            f"{n_bytes} bytes after the last segment belong to none (file size {file.size})",
        )
    elif 0 < len(tail) < CRC_BYTES and tail.strip(b" \r\n\t"):
        notes.warn(
            "BYTES_AT_END",
            "file size",
            f"{n_bytes} bytes follow the last segment, none or {CRC_BYTES} are usual; DATA may be shifted",
        )


def check_analysis(header: HeaderSegment, keywords: Keywords, file_size: int, notes: Notes) -> Span | None:
    """ANALYSIS is not needed: wrong offsets are a warning. Its first and last byte, if it is there."""
    stated = [keywords.get(key) for key in ("$BEGINANALYSIS", "$ENDANALYSIS")]
    in_text = [whole_number(value) if value is not None else 0 for value in stated]
    if None in in_text:
        notes.warn(
            "ANALYSIS_INVALID",
            "$BEGINANALYSIS",
            "$BEGINANALYSIS or $ENDANALYSIS is no number; ANALYSIS was ignored",
        )
        return None
    begin, end = in_text
    if not begin or not end:
        begin, end = header.analysis or (0, 0)
    if not begin and not end:
        return None
    if HEADER_BYTES <= begin <= end < file_size:
        return begin, end
    notes.warn(
        "ANALYSIS_INVALID",
        "$ENDANALYSIS",
        f"ANALYSIS, bytes {begin} to {end} ($BEGINANALYSIS, $ENDANALYSIS), is not in the file "
        f"of {file_size} bytes and was ignored; events are not concerned",
    )
    return None


def check_next_data(file: OpenedFile, keywords: Keywords, notes: Notes) -> None:
    """Reject a file with several data sets: which one is meant, a person must say."""
    value = keywords.get("$NEXTDATA")
    if value is None or not value.strip() or whole_number(value) == 0:
        return
    offset = whole_number(value)
    if offset is None:
        notes.reject("NEXTDATA_INVALID", "$NEXTDATA", "$NEXTDATA is no byte offset", seen=value, expected="0")
    elif not NEXT_SET.match(file.read(offset, 10)):
        notes.reject(
            "NEXTDATA_INVALID",
            "$NEXTDATA",
            f"$NEXTDATA {offset} tells of another data set, but none begins there (file size {file.size})",
            seen=str(offset),
            expected="0",
            remedy=COPY_AGAIN,
        )
    else:
        notes.reject(
            "SEVERAL_DATA_SETS",
            "$NEXTDATA",
            f"the file holds {_count_sets(file, offset)} data sets, the second at byte {offset}; "
            "which one is meant is open",
            seen=str(offset),
            expected="0",
            remedy="Split the file into one per data set and name the right one in the sample sheet",
        )


def _count_sets(file: OpenedFile, offset: int) -> int:
    """Data sets of the file, following $NEXTDATA from the second on (each counts from its own data set)."""
    n_sets = 1
    step = 1
    while step and n_sets < MAX_SETS and NEXT_SET.match(file.read(offset, 10)):
        n_sets += 1
        begin, end = (file.read(offset + at, 8).strip() for at in (10, 18))
        size = int(end) - int(begin) + 1 if begin.isdigit() and end.isdigit() else 0
        text = file.read(offset + int(begin), min(size, TEXT_LIMIT)) if size > 0 else b""
        found = NEXT_OFFSET.search(text)
        step = int(found[1]) if found else 0
        offset += step
    return n_sets
