"""Time, date, volume, cytometer: what the events need besides their channels."""

from __future__ import annotations

import re
from datetime import date, datetime

from cytotrial.files.fcs.findings import Notes, escape, some
from cytotrial.files.fcs.numbers import decimal_number
from cytotrial.files.fcs.text import BLANKED_OUT, Keywords

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
STANDARD_DATE = re.compile(r"(\d{1,2})-([A-Za-z]{3})-(\d{4}|\d{2})", re.ASCII)
OTHER_DATES = (
    re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2}|[A-Za-z]{3})-(?P<day>\d{1,2})", re.ASCII),
    re.compile(r"(?P<year>\d{4})/(?P<month>\d{1,2})/(?P<day>\d{1,2})", re.ASCII),
)
CLOCK = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})([:.]\d{1,6})?", re.ASCII)
UNSAFE_FILE_NAME = re.compile(r"[/\\;|&$`<>*?\"'{}!\x00-\x1f]|^\s*$|^\.\.?$")

MICROLITRE_CYTOMETERS = re.compile(r"AURORA|NORTHERN LIGHTS|\bNL-\d|CYTEK", re.IGNORECASE)
"""Cytometers that write $VOL in microlitres although the standard says nanolitres."""

MIN_VOLUME_NL = 1000.0
"""No cytometer meters less than a microlitre: a smaller $VOL is in microlitres."""

ALLOWED = re.compile(
    r"\$(TOT|PAR|CYT|CYTSN|DATE|BTIM|ETIM|VOL|TIMESTEP|MODE|DATATYPE|BYTEORD|NEXTDATA|ABRT|LOST"
    r"|BEGINDATETIME|ENDDATETIME|P[1-9]\d*(N|S|B|R|E|G|V|F|L|O|T|D|TYPE|DET|TAG|ANALYTE|DATATYPE))",
    re.ASCII,
)
"""Keywords that describe the acquisition and name nobody."""


def allowed_keywords(keywords: Keywords) -> dict[str, str]:
    """The keywords that may leave the reader, with escaped values."""
    return {key: escape(keywords.values[key], limit=200) for key in keywords if ALLOWED.fullmatch(key)}


def parse_timestep(keywords: Keywords, *, has_time: bool, version: str, notes: Notes) -> float | None:
    """Seconds per unit of the time channel; None if the file does not say, and values stay as they are."""
    value = keywords.get("$TIMESTEP")
    if value is None or BLANKED_OUT.fullmatch(value):
        if has_time and (version != "2.0" or value is not None):  # FCS 2.0 has no $TIMESTEP
            notes.warn(
                "TIMESTEP_MISSING",
                "$TIMESTEP",
                "$TIMESTEP is missing or blanked out; the time channel has no known unit",
            )
        return None
    timestep = decimal_number(value)
    if timestep is not None and 1e-9 <= timestep <= 1e4:
        return timestep
    message = "$TIMESTEP is no duration in seconds"
    if has_time:
        notes.reject(
            "TIMESTEP_INVALID", "$TIMESTEP", message, seen=value, expected="a positive decimal number"
        )
    else:
        notes.warn("TIMESTEP_INVALID", "$TIMESTEP", f"{message}; there is no time channel, so it was ignored")
    return None


def parse_volume(keywords: Keywords, notes: Notes) -> float | None:
    """Acquired volume in nanolitres, or None.

    $VOL is in nanolitres (FCS 3.1), but some cytometers write microlitres: the cytometer's name and the
    size of the number tell, and a warning says so.
    """
    value = keywords.get("$VOL")
    if value is None or not value.strip():
        return None
    volume = decimal_number(value)
    if volume is None or not 0 < volume < 1e9:
        notes.warn(
            "VOLUME_INVALID", "$VOL", "$VOL is no volume and was ignored", seen=value, expected="nanolitres"
        )
        return None
    if volume >= MIN_VOLUME_NL and not MICROLITRE_CYTOMETERS.search(keywords.get("$CYT") or ""):
        return volume
    notes.warn(
        "VOLUME_IN_MICROLITRES",
        "$VOL",
        f"$VOL {volume:g} was taken as microlitres; as nanolitres (FCS 3.1) it would be {volume / 1000:g} µL",
        seen=value,
        expected="nanolitres",
        remedy="Check the acquired volume on the instrument",
    )
    return round(volume * 1000, 6)


def parse_acquired(keywords: Keywords, *, today: date, notes: Notes) -> str:
    """ISO 8601 date or date-time of acquisition from $DATE and $BTIM; empty if unknown."""
    value = keywords.get("$DATE")
    if value is None or not value.strip():
        return _from_datetime(keywords.get("$BEGINDATETIME"))
    day = _date(value.strip(), notes)
    if day is None:
        notes.warn(
            "DATE_INVALID", "$DATE", "$DATE is no date and was ignored", seen=value, expected="dd-mmm-yyyy"
        )
        return ""
    if day > today:
        notes.warn("DATE_IN_FUTURE", "$DATE", "$DATE lies in the future", seen=value)
    begin, end = (_clock(keywords.get(key), key, notes) for key in ("$BTIM", "$ETIM"))
    if begin and end and end < begin:
        notes.warn(
            "TIMES_REVERSED", "$ETIM", f"$ETIM {end} is before $BTIM {begin} (acquired over midnight?)"
        )
    return f"{day.isoformat()}T{begin}" if begin else day.isoformat()


def _from_datetime(value: str | None) -> str:
    try:
        return datetime.fromisoformat((value or "").strip()).isoformat(timespec="seconds")
    except ValueError:
        return ""


def _date(text: str, notes: Notes) -> date | None:
    match = STANDARD_DATE.fullmatch(text)
    if match:
        year = int(match[3]) if len(match[3]) == 4 else _century(int(match[3]))
        return _calendar(year, match[2], int(match[1]))
    for pattern in OTHER_DATES:
        match = pattern.fullmatch(text)
        day = _calendar(int(match["year"]), match["month"], int(match["day"])) if match else None
        if day is not None:
            notes.warn(
                "DATE_SPELLING",
                "$DATE",
                f"$DATE was read as {day.isoformat()}",
                seen=text,
                expected="dd-mmm-yyyy",
            )
            return day
    return None


def _century(year: int) -> int:
    return year + (1900 if year >= 70 else 2000)


def _calendar(year: int, month: str, day: int) -> date | None:
    number = (
        int(month) if month.isdigit() else 1 + MONTHS.index(month.upper()) if month.upper() in MONTHS else 0
    )
    try:
        return date(year, number, day)
    except ValueError:
        return None


def _clock(value: str | None, keyword: str, notes: Notes) -> str:
    """hh:mm:ss of a time of day; fractions (sixtieths in FCS 3.0, hundredths in 3.1) are left out."""
    if value is None or not value.strip():
        return ""
    match = CLOCK.fullmatch(value.strip())
    if match and int(match[1]) < 24 and int(match[2]) < 60 and int(match[3]) < 61:
        return f"{int(match[1]):02d}:{match[2]}:{min(int(match[3]), 59):02d}"
    notes.warn("TIME_INVALID", keyword, f"{keyword} is no time of day and was ignored", seen=value)
    return ""


def acquisition_seconds(begin: str, end: str) -> float | None:
    """Seconds from $BTIM to $ETIM, over midnight if need be; None if unknown or not measurable.

    Examples
    --------
    >>> acquisition_seconds("13:44:56.97", "13:45:22.10"), acquisition_seconds("23:59:50", "00:00:10")
    (26.0, 20.0)
    """
    times = [CLOCK.fullmatch(text.strip()) for text in (begin, end)]
    if times[0] is None or times[1] is None:
        return None
    first, last = (60 * (60 * int(time[1]) + int(time[2])) + int(time[3]) for time in times if time)
    seconds = (last - first) % 86_400
    return float(seconds) if seconds else None


def check_values(keywords: Keywords, notes: Notes) -> None:
    """Warn about values that could deceive a reader's eye, a terminal or a path."""
    names = [key for key, value in keywords.values.items() if _is_hidden(key, value)]
    if names:
        notes.warn(
            "NOT_PRINTABLE",
            names[0],
            f"control or direction-changing characters in {some(names)}; they are shown escaped",
        )
    file_name = keywords.get("$FIL")
    if file_name is not None and (UNSAFE_FILE_NAME.search(file_name) or len(file_name) > 200):
        notes.warn(
            "FIL_UNSAFE",
            "$FIL",
            "$FIL is blank, long or holds path, shell or control characters; it was not used",
            remedy="None needed: the id of a tube comes from the sample sheet",
        )


def _is_hidden(key: str, value: str) -> bool:
    """Whether a `$` keyword holds a character that cannot be seen; names and labels are checked elsewhere."""
    if (
        value.isprintable()
        or not key.startswith("$")
        or re.fullmatch(r"\$(P\d+[NS]|SPILL(OVER)?|COMP|FIL)", key)
    ):
        return False
    return any(not (c.isprintable() or c in "\t\r\n") for c in value)
