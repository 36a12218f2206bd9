"""Number, names, storage and scale of the channels: $PAR, $DATATYPE, $BYTEORD, $PnN/B/R/E/G."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from cytotrial.files.fcs.findings import Notes, escape, some
from cytotrial.files.fcs.model import Column
from cytotrial.files.fcs.numbers import decimal_number, whole_number
from cytotrial.files.fcs.text import Keywords
from cytotrial.terms import Channel

NAME_LIMIT = 100
MAX_DECADES = 10.0
INTEGER_BITS = range(8, 65, 8)
PARAMETER_KEYWORD = re.compile(r"\$P([0-9]{1,9})([A-Z]+)", re.ASCII)
UNSAFE_IN_NAME = re.compile(r"[,{}$`;|<>&\"'\\*?!\[\]~#%]")
DETECTOR_SUFFIX = re.compile(r"[-_ .](A|H|W|AREA|HEIGHT|WIDTH)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Storage:
    """What holds for all channels: version of the standard, $DATATYPE and $BYTEORD."""

    version: str
    datatype: str
    byte_order: tuple[int, ...]


def parse_storage(keywords: Keywords, version: str, notes: Notes) -> Storage | None:
    """$MODE, $DATATYPE and $BYTEORD, or None where one of them is rejected."""
    mode = _mode_is_list(keywords, version, notes)
    datatype = _datatype(keywords.get("$DATATYPE"), notes)
    byte_order = _byte_order(keywords.get("$BYTEORD"), notes)
    return Storage(version, datatype, byte_order) if mode and datatype and byte_order else None


def _mode_is_list(keywords: Keywords, version: str, notes: Notes) -> bool:
    value = keywords.get("$MODE")
    if value is None:
        if version != "3.2":  # FCS 3.2 knows no other mode and lets the keyword go
            notes.warn("MODE_MISSING", "$MODE", "$MODE is missing; list mode was assumed", expected="L")
        return True
    if value.strip().upper() == "L":
        return True
    notes.reject(
        "MODE_UNSUPPORTED",
        "$MODE",
        "the file holds no list of events (histograms, or nothing that the standard knows)",
        seen=value,
        expected="L",
        remedy="Export the events in list mode",
    )
    return False


def _datatype(value: str | None, notes: Notes) -> str | None:
    if value is None:
        notes.reject("DATATYPE_MISSING", "$DATATYPE", "$DATATYPE is missing", expected="I, F or D")
        return None
    name = value.strip().upper()
    if name not in ("I", "F", "D"):
        why = "ASCII data are not read" if name == "A" else "no such data type"
        notes.reject("DATATYPE_UNSUPPORTED", "$DATATYPE", why, seen=value, expected="I, F or D")
        return None
    if name != value:
        notes.warn("DATATYPE_SPELLING", "$DATATYPE", f"read as {name}", seen=value, expected=name)
    return name


def _byte_order(value: str | None, notes: Notes) -> tuple[int, ...] | None:
    expected = "1,2,3,4 or 4,3,2,1"
    if value is None:
        notes.reject("BYTEORD_MISSING", "$BYTEORD", "$BYTEORD is missing", expected=expected)
        return None
    parts = re.split(r"[,;]", value.replace(" ", "").strip())
    order = tuple(int(part) for part in parts if re.fullmatch("[1-9]", part))
    if (
        len(order) != len(parts)
        or len(order) not in (2, 4, 8)
        or sorted(order) != list(range(1, len(order) + 1))
    ):
        notes.reject("BYTEORD_INVALID", "$BYTEORD", "no byte order", seen=value, expected=expected)
        return None
    clean = ",".join(map(str, order))
    if clean != value:
        notes.warn("BYTEORD_SPELLING", "$BYTEORD", f"read as {clean}", seen=value, expected=clean)
    return order


def byte_order_fits(order: tuple[int, ...], columns: tuple[Column, ...], notes: Notes) -> bool:
    """Whether the order of a few bytes tells the order of all: 4,3,2,1 does, 3,4,1,2 for four bytes only."""
    widest = max(column.bits for column in columns)
    if list(order) in (sorted(order), sorted(order, reverse=True)):
        if len(order) == 2 and widest > 16:
            notes.warn(
                "BYTEORD_SHORT",
                "$BYTEORD",
                f"$BYTEORD orders 2 bytes, values have up to {widest // 8}; read as "
                + ("little-endian" if order[0] == 1 else "big-endian"),
                seen=",".join(map(str, order)),
                expected="1,2,3,4 or 4,3,2,1",
            )
        return True
    if all(column.bits == 8 * len(order) for column in columns):
        return True
    notes.reject(
        "BYTEORD_INVALID",
        "$BYTEORD",
        f"a mixed byte order of {len(order)} bytes does not fit the widths ($PnB) of the channels",
        seen=",".join(map(str, order)),
        expected="1,2,3,4 or 4,3,2,1",
    )
    return False


def parse_channels(keywords: Keywords, notes: Notes) -> tuple[Channel, ...] | None:
    """$PAR channels with their names and labels, or None where number and names disagree."""
    before = len(notes.findings)
    numbers = _parameter_numbers(keywords, notes)
    par = _par(keywords, notes)
    if par is None or not _names_are_complete(par, numbers, notes) or _rejected_since(notes, before):
        return None
    channels = tuple(
        Channel(keywords.values[f"$P{n}N"], keywords.get(f"$P{n}S") or "", n - 1) for n in range(1, par + 1)
    )
    checks = (_names_are_filled, _names_are_visible, _names_are_unique, _time_is_unique)
    return channels if all(check(channels, notes) for check in checks) else None


def _rejected_since(notes: Notes, position: int) -> bool:
    return Notes(notes.findings[position:]).rejected


def _parameter_numbers(keywords: Keywords, notes: Notes) -> set[int]:
    """The n of every $PnN; a number with a leading zero belongs to no channel."""
    numbers: set[int] = set()
    for key in keywords:
        match = PARAMETER_KEYWORD.fullmatch(key)
        if match and match[1].startswith("0"):
            notes.reject(
                "PARAMETER_NUMBER", key, f"{key} belongs to no channel: the n of $PnX has no leading zero"
            )
        elif match and match[2] == "N":
            numbers.add(int(match[1]))
    return numbers


def _par(keywords: Keywords, notes: Notes) -> int | None:
    value = keywords.get("$PAR")
    if value is None:
        notes.reject("PAR_MISSING", "$PAR", "$PAR, the number of channels, is missing")
        return None
    par = whole_number(value)
    if not par:
        notes.reject("PAR_INVALID", "$PAR", "$PAR is no number of channels", seen=value, expected="1 or more")
        return None
    return par


def _names_are_complete(par: int, numbers: set[int], notes: Notes) -> bool:
    if not numbers:
        notes.reject(
            "NAME_MISSING", "$PnN", f"$PAR is {par}, but no channel has a name ($PnN)", expected="$P1N ..."
        )
        return False
    extra = [f"$P{n}N" for n in sorted(numbers) if n > par]
    n_missing = par - (len(numbers) - len(extra))
    if not extra and not n_missing:
        return True
    in_a_row = max(numbers) == len(numbers)
    missing = [f"$P{n}N" for n in range(1, min(par, max(numbers) + 1) + 1) if n not in numbers]
    what = f"missing: {some(missing)}" if missing else f"beyond it: {some(extra)}"
    notes.reject(
        "PAR_MISMATCH" if in_a_row else "NAME_MISSING",
        "$PAR" if in_a_row or not missing else missing[0],
        f"$PAR is {par}, {len(numbers)} channels have a name ($PnN); {what}",
        seen=str(par) if in_a_row else "",
        expected=f"$P1N to $P{par}N, no more and no fewer",
    )
    return False


def _names_are_unique(channels: tuple[Channel, ...], notes: Notes) -> bool:
    counts = Counter(channel.name.strip() for channel in channels)
    twice = [name for name, count in counts.items() if count > 1]
    if not twice:
        return True
    where = [f"$P{channel.index + 1}N" for channel in channels if channel.name.strip() == twice[0]]
    notes.reject(
        "NAME_TWICE",
        "$PnN",
        f"{len(where)} channels have the same name, blanks aside: {some(where)} (every $PnN must be unique)",
        seen=twice[0],
    )
    return False


def _names_are_filled(channels: tuple[Channel, ...], notes: Notes) -> bool:
    empty = [f"$P{channel.index + 1}N" for channel in channels if not channel.name.strip()]
    if empty:
        notes.reject("NAME_EMPTY", empty[0], f"{some(empty)} is blank: a channel ($PnN) needs a name")
    return not empty


def _names_are_visible(channels: tuple[Channel, ...], notes: Notes) -> bool:
    """Control and direction-changing characters would reach every table that names a channel."""
    hidden = [channel for channel in channels if any(unicodedata.category(c)[0] == "C" for c in channel.name)]
    if hidden:
        where = [f"$P{channel.index + 1}N" for channel in hidden]
        notes.reject(
            "NAME_NOT_PRINTABLE",
            where[0],
            f"the name ($PnN) in {some(where)} holds control characters",
            seen=hidden[0].name,
        )
    return not hidden


def _time_is_unique(channels: tuple[Channel, ...], notes: Notes) -> bool:
    """The time channel is found by name in any case, so there can be one only."""
    times = [f"$P{channel.index + 1}N" for channel in channels if _is_time(channel)]
    if len(times) > 1:
        notes.reject(
            "TIME_TWICE", "$PnN", f"{some(times)} ($PnN) are all named Time; which one is scaled is undecided"
        )
    return len(times) <= 1


def _is_time(channel: Channel) -> bool:
    return channel.name.lower() == "time"


def check_names(channels: tuple[Channel, ...], notes: Notes) -> None:
    """Warn about names and labels that break matrices, file names or the eye of the reader."""
    checks = (
        ("NAME_UNSAFE", _is_unsafe, "holds characters that break matrices, commands or file names"),
        ("NAME_LONG", lambda name: len(name) > NAME_LIMIT, f"is longer than {NAME_LIMIT} characters"),
        ("NAME_PADDED", lambda name: name != name.strip(), "has blanks around it, which were kept"),
    )
    for code, is_odd, what in checks:
        odd = [channel for channel in channels if is_odd(channel.name)]
        if odd:
            where = [f"$P{channel.index + 1}N" for channel in odd]
            notes.warn(code, where[0], f"the name ($PnN) in {some(where)} {what}", seen=odd[0].name)
    before = len(notes.findings)
    _check_collisions(channels, notes)
    _check_labels(channels, notes)
    notes.merge_alike(before)


def _is_unsafe(name: str) -> bool:
    return UNSAFE_IN_NAME.search(name) is not None


def _check_collisions(channels: tuple[Channel, ...], notes: Notes) -> None:
    simple = Counter(_simplified(channel.name) for channel in channels)
    alike = [escape(channel.name) for channel in channels if simple[_simplified(channel.name)] > 1]
    if alike:
        notes.warn(
            "NAMES_ALIKE",
            "$PnN",
            f"names ($PnN) differ only in case or in characters other than letters and digits: {some(alike)}",
        )


def _simplified(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name).casefold()


def _check_labels(channels: tuple[Channel, ...], notes: Notes) -> None:
    by_name = {channel.name: channel for channel in channels}
    for channel in channels:
        keyword = f"$P{channel.index + 1}S"
        label = channel.label.strip()
        if not label.isprintable():
            notes.warn(
                "LABEL_NOT_PRINTABLE",
                keyword,
                "the label ($PnS) holds characters that cannot be printed",
                seen=label,
            )
        elif by_name.get(label, channel) is not channel:
            notes.warn(
                "LABEL_IS_OTHER_NAME",
                keyword,
                f"the label ($PnS) of {escape(channel.name)} is the name of another channel",
                seen=label,
            )
        elif label.casefold() == "time" and not _is_time(channel):
            notes.warn(
                "LABEL_IS_TIME", keyword, f"the label ($PnS) of {escape(channel.name)} says Time", seen=label
            )
    _check_repeated_labels(channels, notes)


def _check_repeated_labels(channels: tuple[Channel, ...], notes: Notes) -> None:
    """One label on area, height and width of a detector is usual; on two detectors it is not."""
    detectors: dict[str, set[str]] = {}
    for channel in channels:
        if channel.label.strip():
            detector = DETECTOR_SUFFIX.sub("", channel.name.strip())
            detectors.setdefault(channel.label.strip(), set()).add(detector)
    twice = [label for label, names in detectors.items() if len(names) > 1]
    if twice:
        notes.warn(
            "LABEL_TWICE",
            "$PnS",
            f"one label ($PnS) on several detectors: {some(twice)}; it stands for no single channel",
        )


def parse_columns(
    keywords: Keywords, channels: tuple[Channel, ...], storage: Storage, notes: Notes
) -> tuple[Column, ...] | None:
    """Width, range and scaling of every channel, or None where one is rejected."""
    time_index = find_time(channels)
    before = len(notes.findings)
    columns = [_column(keywords, n, storage, n - 1 == time_index, notes) for n in range(1, len(channels) + 1)]
    notes.merge_alike(before)
    _check_wide_ranges(columns, notes)
    if any(column is None for column in columns):
        return None
    return tuple(column for column in columns if column is not None)


def find_time(channels: tuple[Channel, ...]) -> int | None:
    """Index of the channel named Time, in any case."""
    return next((channel.index for channel in channels if _is_time(channel)), None)


def _column(keywords: Keywords, n: int, storage: Storage, is_time: bool, notes: Notes) -> Column | None:
    datatype = _column_datatype(keywords, n, storage, notes)
    if datatype is None:
        return None
    bits = _bits(keywords.get(f"$P{n}B"), n, datatype, notes)
    if bits is None:
        return None
    range_, range_fits = _range(keywords.get(f"$P{n}R"), n, datatype, notes)
    scale = _scale_of(keywords.get(f"$P{n}E"), n, datatype, notes)
    gain = _gain(keywords.get(f"$P{n}G"), n, is_time, notes)
    if not range_fits or scale is None or gain is None:
        return None
    if scale[0] and gain != 1.0:
        notes.warn(
            "GAIN_WITH_LOG",
            f"$P{n}G",
            f"a gain ($P{n}G) on a logarithmic channel ($P{n}E) is not legal and was ignored",
            seen=keywords.get(f"$P{n}G") or "",
            expected="1",
        )
        gain = 1.0
    return Column(datatype, bits, range_, *scale, gain)


def _column_datatype(keywords: Keywords, n: int, storage: Storage, notes: Notes) -> str | None:
    keyword = f"$P{n}DATATYPE"
    value = keywords.get(keyword)
    if value is None:
        return storage.datatype
    own = value.strip().upper()
    if own not in ("I", "F", "D"):
        notes.reject("DATATYPE_UNSUPPORTED", keyword, "no such data type", seen=value, expected="I, F or D")
        return None
    if own != storage.datatype and storage.version != "3.2":
        notes.warn(
            "PNDATATYPE_VERSION",
            keyword,
            f"{keyword} belongs to FCS 3.2, the file is FCS {storage.version}; it was used",
        )
    return own


def _bits(value: str | None, n: int, datatype: str, notes: Notes) -> int | None:
    keyword = f"$P{n}B"
    width = {"F": 32, "D": 64}.get(datatype)
    if value is None and width is not None:
        notes.warn(
            "WIDTH_MISSING", keyword, f"{keyword} is missing; {width} bits were taken from the data type"
        )
        return width
    if value is None:
        notes.reject("WIDTH_MISSING", keyword, f"{keyword}, the width of an integer channel, is missing")
        return None
    bits = whole_number(value)
    if width is not None and bits != width:
        notes.reject(
            "WIDTH_MISMATCH",
            "$DATATYPE",
            f"$DATATYPE {datatype} means {width} bits, {keyword} says {escape(value)}",
            seen=datatype,
            expected=f"$PnB {width}",
        )
    elif width is None and not bits:
        notes.reject("WIDTH_INVALID", keyword, f"{keyword} ($PnB) is no width in bits", seen=value)
    elif width is None and bits not in INTEGER_BITS:
        notes.reject(
            "WIDTH_UNSUPPORTED",
            keyword,
            f"{keyword} ($PnB) {bits}: integers of {bits} bits are not read, "
            "as files do not say in which order packed bits run",
            seen=value,
            expected="a multiple of 8, up to 64",
            remedy="Export the file as 16-bit integers or as floating point",
        )
    else:
        return bits
    return None


def _range(value: str | None, n: int, datatype: str, notes: Notes) -> tuple[float | None, bool]:
    """$PnR and whether it can stay; only integers depend on it (mask, logarithmic scale)."""
    keyword = f"$P{n}R"
    number = decimal_number(value) if value is not None else None
    good = number is not None and number > 0
    seen = "" if value is None else value
    what = f"{keyword} is missing" if value is None else f"{keyword} is no range"
    if datatype != "I":
        if not good:
            notes.warn("RANGE_INVALID", keyword, f"{what}; the values are read without it", seen=seen)
        return (number if good else None), True
    if not good or number is None or number < 2 or number != int(number) or number > 2.0**64:
        notes.reject(
            "RANGE_INVALID", keyword, f"{what}, which integers need", seen=seen, expected="2 or more"
        )
        return None, False
    if value is not None and whole_number(value) is None:
        notes.warn("RANGE_SPELLING", keyword, f"read as {int(number)}", seen=seen, expected=str(int(number)))
    return number, True


def _scale_of(value: str | None, n: int, datatype: str, notes: Notes) -> tuple[float, float] | None:
    """$PnE as (decades, value of 0); floating point is linear whatever $PnE says."""
    keyword = f"$P{n}E"
    parts = [decimal_number(part) for part in value.split(",")] if value is not None else []
    scale = (parts[0], parts[1]) if len(parts) == 2 else None
    linear = (0.0, 0.0)
    if value is None:
        notes.warn(
            "SCALE_MISSING", keyword, f"{keyword} is missing; the channel was read as linear", expected="0,0"
        )
        return linear
    if datatype != "I":
        if scale is None or scale[0] != 0.0:
            notes.warn(
                "SCALE_IGNORED",
                keyword,
                f"{keyword} does not apply to floating point and was ignored",
                seen=value,
            )
        return linear
    return _integer_scale(scale, keyword, value, notes)


def _integer_scale(
    scale: tuple[float | None, float | None] | None, keyword: str, value: str, notes: Notes
) -> tuple[float, float] | None:
    decades, log_zero = scale if scale is not None else (None, None)
    if decades is None or log_zero is None or not 0 <= decades <= MAX_DECADES or not 0 <= log_zero <= 1e6:
        notes.reject(
            "SCALE_INVALID",
            keyword,
            f"{keyword} is no scale of an integer channel",
            seen=value,
            expected=f"0,0 or decades (up to {MAX_DECADES:g}) and the value of 0",
        )
        return None
    if decades and not log_zero:
        notes.warn("SCALE_ZERO", keyword, f"{keyword}: a logarithm has no value 0; 1 was used", seen=value)
        return decades, 1.0
    if not decades and log_zero:
        notes.warn("SCALE_ZERO", keyword, f"{keyword}: 0 decades, read as linear", seen=value, expected="0,0")
        return 0.0, 0.0
    return decades, log_zero


def _gain(value: str | None, n: int, is_time: bool, notes: Notes) -> float | None:
    """$PnG; the time channel has none, whatever the file says ($TIMESTEP is its scale)."""
    keyword = f"$P{n}G"
    if value is None:
        return 1.0
    gain = decimal_number(value)
    if is_time:
        if gain is None or gain < 0:
            notes.warn(
                "GAIN_IGNORED",
                keyword,
                f"{keyword} of the time channel is no gain and was ignored",
                seen=value,
            )
        return 1.0
    if not value.strip() or gain == 0:
        notes.warn("GAIN_NONE", keyword, f"{keyword} holds no gain; 1 was used", seen=value, expected="1")
        return 1.0
    if gain is None or gain < 0 or not 1e-9 < gain < 1e9:
        notes.reject(
            "GAIN_INVALID", keyword, f"{keyword} is no gain", seen=value, expected="a positive decimal number"
        )
        return None
    return gain


def _check_wide_ranges(columns: list[Column | None], notes: Notes) -> None:
    wide = [
        f"$P{n}R"
        for n, column in enumerate(columns, start=1)
        if column and column.datatype == "I" and column.range is not None and column.range > 2.0**column.bits
    ]
    if wide:
        notes.warn(
            "RANGE_WIDER_THAN_FIELD",
            wide[0],
            f"the range ($PnR) in {some(wide)} exceeds what the width ($PnB) can hold; all bits were kept",
        )
