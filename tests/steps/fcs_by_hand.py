"""Small FCS 3.1 files written byte by byte, so that a test knows where everything stands."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

Channels = Sequence[tuple[str, str]]

TREG: Channels = (
    ("FSC-A", ""), ("FSC-H", ""), ("SSC-A", ""), ("FITC-A", "CD3"), ("PE-A", "FOXP3"), ("APC-A", "CD25"),
    ("BV421-A", "CD4"), ("Time", ""),
)  # fmt: skip
TH17: Channels = (
    ("FSC-A", ""), ("FSC-H", ""), ("SSC-A", ""), ("FITC-A", "CD3"), ("PE-A", "IL-17A"), ("BV421-A", "CD4"),
    ("Time", ""),
)  # fmt: skip


def labelled(channels: Channels, *markers: str) -> Channels:
    """The same channels with no labels but these."""
    return [(name, label if label in markers else "") for name, label in channels]


def write_fcs(
    path: Path,
    channels: Channels = TREG,
    *,
    keywords: Mapping[str, str] | None = None,
    supplemental: str = "",
    analysis: str = "",
    tail: bytes = b"",
) -> Path:
    """Write a file with three events; the value of event i on channel k is 100 i + k."""
    rows = [[100.0 * event + place for place in range(len(channels))] for event in range(3)]
    data = b"".join(struct.pack(f"<{len(channels)}f", *row) for row in rows)
    named = {f"$P{k}{part}": value for k, pair in enumerate(channels, 1) for part, value in _channel(*pair)}
    size = 3_000
    begin = 58 + size
    stext, extra = (begin + len(data), _text(supplemental)), _text(analysis)
    after = begin + len(data) + len(stext[1])
    text = {
        "$BEGINDATA": str(begin), "$ENDDATA": str(begin + len(data) - 1), "$BYTEORD": "1,2,3,4",
        "$DATATYPE": "F", "$MODE": "L", "$NEXTDATA": "0", "$PAR": str(len(channels)), "$TOT": "3",
        "$CYT": "Cytometer", "$TIMESTEP": "0.01",
        "$BEGINSTEXT": str(stext[0] if supplemental else 0), "$BEGINANALYSIS": str(after if analysis else 0),
        "$ENDSTEXT": str(stext[0] + len(stext[1]) - 1 if supplemental else 0),
        "$ENDANALYSIS": str(after + len(extra) - 1 if analysis else 0),
        **named, **(keywords or {}),
    }  # fmt: skip
    body = ("/" + "".join(f"{key}/{value}/" for key, value in text.items())).encode().ljust(size)
    offsets = (
        58,
        57 + size,
        begin,
        begin + len(data) - 1,
        *((after, after + len(extra) - 1) if analysis else (0, 0)),
    )
    header = b"FCS3.1    " + b"".join(f"{offset:>8}".encode() for offset in offsets)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + body + data + stext[1] + extra + tail)
    return path


def _channel(name: str, label: str) -> list[tuple[str, str]]:
    parts = [("N", name), ("B", "32"), ("E", "0,0"), ("R", "262144"), ("G", "1")]
    return [*parts, ("S", label)] if label else parts


def _text(pairs: str) -> bytes:
    return pairs.encode()
