"""The HEADER segment: the first 58 bytes, which say what the file is and where its segments lie."""

from __future__ import annotations

from dataclasses import dataclass

from cytotrial.files.fcs.findings import COPY_AGAIN, EXPORT_AGAIN, Notes

HEADER_BYTES = 58
TEXT_LIMIT = 20_000_000
"""Longest TEXT that is read, in bytes; real ones are below 1 MB."""

VERSIONS = {b"FCS2.0": "2.0", b"FCS3.0": "3.0", b"FCS3.1": "3.1", b"FCS3.2": "3.2"}

LOOKS_LIKE = (
    (b"\x1f\x8b", "gzip", "Decompress it first"),
    (b"PK\x03\x04", "a zip archive", "Unpack it first"),
    (b"BZh", "bzip2", "Decompress it first"),
    (b"\xfd7zXZ", "xz", "Decompress it first"),
    (b"7z\xbc\xaf", "a 7-zip archive", "Unpack it first"),
    (b"%PDF", "a PDF", "Take the FCS file instead"),
    (b"\x89PNG", "a PNG picture", "Take the FCS file instead"),
    (b"\xd0\xcf\x11\xe0", "an old Office document", "Take the FCS file instead"),
    (b"<", "HTML or XML, such as the error page of a download", "Download the FCS file again"),
)


@dataclass(frozen=True, slots=True)
class HeaderSegment:
    """Version and offsets as written; a pair is None where it is blank or not a number.

    text, data, analysis : (first byte, last byte), both counted from 0 and included
    """

    version: str
    text: tuple[int, int]
    data: tuple[int, int] | None
    analysis: tuple[int, int] | None


def parse_header(first: bytes, *, file_size: int, notes: Notes) -> HeaderSegment | None:
    """HEADER from the first bytes of the file, or None where it is rejected.

    Parameters
    ----------
    first : bytes
        The first 58 bytes, or all of a shorter file.
    file_size : int
        In bytes.

    References
    ----------
    Spidlen et al., Cytometry A 2010;77A:97-100 (FCS 3.1: HEADER).
    """
    version = _version(first, notes)
    if version is None:
        return None
    if file_size < HEADER_BYTES:
        _truncated("HEADER", HEADER_BYTES - 1, file_size, "file size", notes)
        return None
    text = _text_offsets(first, file_size, notes)
    data = _offset_pair(first, 26, "DATA", notes)
    analysis = _offset_pair(first, 42, "ANALYSIS", notes)
    return None if text is None else HeaderSegment(version, text, data, analysis)


def _version(first: bytes, notes: Notes) -> str | None:
    if not first:
        notes.reject("EMPTY_FILE", "file size", "the file is empty: file size 0", remedy=COPY_AGAIN)
    elif not first.startswith(b"FCS"):
        _not_fcs(first, notes)
    elif first[:6] not in VERSIONS and len(first) < 6:
        _truncated("HEADER", HEADER_BYTES - 1, len(first), "file size", notes)
    elif first[:6] not in VERSIONS:
        shown = first[:6].decode("ascii", "backslashreplace")
        notes.reject(
            "VERSION_UNKNOWN",
            "version",
            "the version in the first six bytes is not one that is read",
            seen=shown,
            expected="FCS2.0, FCS3.0, FCS3.1 or FCS3.2",
        )
    elif first[6:10].strip(b" \0"):
        notes.reject(
            "HEADER_MALFORMED",
            "HEADER",
            "HEADER bytes 6 to 9 are not blank: this only begins like an FCS file",
            expected="four blanks after the version",
            remedy="Check what this file is; take the FCS file instead",
        )
    else:
        return VERSIONS[first[:6]]
    return None


def _not_fcs(first: bytes, notes: Notes) -> None:
    kind, remedy = "no known format", "Check what this file is; take the FCS file instead"
    for magic, name, advice in LOOKS_LIKE:
        if first.startswith(magic):
            kind, remedy = name, advice
            break
    else:
        if b"FCS" in first:
            kind, remedy = "an FCS file with other bytes before it", COPY_AGAIN
        elif all(byte in b"\t\r\n" or 32 <= byte < 127 for byte in first):
            kind, remedy = "a text or CSV file", "Take the FCS file instead"
    notes.reject(
        "NOT_FCS",
        "magic bytes",
        f"not an FCS file: the magic bytes 'FCS' are missing; it looks like {kind}",
        expected="FCS2.0, FCS3.0, FCS3.1 or FCS3.2",
        remedy=remedy,
    )


def _text_offsets(first: bytes, file_size: int, notes: Notes) -> tuple[int, int] | None:
    begin, end = (_offset(first[at : at + 8]) for at in (10, 18))
    keyword = "HEADER TEXT offsets"
    if begin is None or end is None:
        notes.reject(
            "TEXT_OFFSETS_INVALID", keyword, f"{keyword} are not numbers", expected="two whole numbers"
        )
    elif begin < HEADER_BYTES or begin > end:
        notes.reject(
            "TEXT_OFFSETS_INVALID",
            keyword,
            f"{keyword} {begin} to {end} cannot be: TEXT begins at byte {HEADER_BYTES} or later",
            seen=f"{begin} {end}",
        )
    elif end - begin >= TEXT_LIMIT:
        notes.reject(
            "TEXT_TOO_LONG",
            "HEADER TEXT end",
            f"HEADER TEXT end {end} claims {end - begin + 1} bytes of TEXT, the limit is {TEXT_LIMIT} "
            f"(file size {file_size})",
            seen=str(end),
        )
    elif end >= file_size:
        shown = keyword if begin >= file_size else "HEADER TEXT end"
        _truncated("TEXT", end, file_size, shown, notes)
    else:
        return begin, end
    return None


def _offset_pair(first: bytes, at: int, segment: str, notes: Notes) -> tuple[int, int] | None:
    raw = first[at : at + 8], first[at + 8 : at + 16]
    begin, end = _offset(raw[0]), _offset(raw[1])
    if begin is not None and end is not None:
        return begin, end
    if any(part.strip(b" \0") for part in raw):
        keyword = f"HEADER {segment} offsets"
        notes.warn("HEADER_OFFSETS_INVALID", keyword, f"{keyword} are not numbers and were not used")
    return None


def _offset(field: bytes) -> int | None:
    field = field.strip(b" \0")
    return int(field) if field.isdigit() else None


def _truncated(segment: str, last: int, file_size: int, keyword: str, notes: Notes) -> None:
    notes.reject(
        "TRUNCATED",
        keyword,
        f"truncated: {segment} ends at byte {last}, the file size is {file_size}",
        seen=str(last),
        expected=f"below {file_size}",
        remedy=f"{COPY_AGAIN}, or {EXPORT_AGAIN[0].lower()}{EXPORT_AGAIN[1:]}",
    )
