"""Events of a file that passed the pre-flight: one read, one transposition, scaled as FCS says."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.errors import FcsError
from cytotrial.files.fcs.findings import Notes, finding_line, some
from cytotrial.files.fcs.model import Column, FcsHeader
from cytotrial.files.fcs.opening import NotOpenedError, OpenedFile, open_regular
from cytotrial.terms import Events, Finding, FloatArray

Rows = npt.NDArray[np.uint8]
Values = FloatArray
Decoded = npt.NDArray[Any]

BLOCK_BYTES = 1 << 18
"""How much is read at a time."""


@dataclass(frozen=True, eq=False)
class DecodedEvents:
    """Events in detector units, without those that hold a value that is not finite.

    events : Events
    n_nonfinite : events that were removed
    findings : what the values themselves show
    """

    events: Events
    n_nonfinite: int
    findings: tuple[Finding, ...]


def read_events(path: Path, header: FcsHeader) -> DecodedEvents:
    """Decode the events of one FCS file.

    Integers are masked to $PnR, logarithmic integers made linear ($PnE), gains divided out ($PnG), the
    time channel multiplied with $TIMESTEP. Arithmetic is in double precision, the result in single.

    Parameters
    ----------
    path : Path
    header : FcsHeader
        From `inspect_fcs` on the same file.

    Returns
    -------
    DecodedEvents
        `events.values` has shape (n_channels, n_events), one row per channel: float32 for files of
        single-precision numbers, float64 for integers and doubles, which float32 would round.

    Raises
    ------
    FcsError
        If the file cannot be opened, or is no longer the one that `header` was made from.

    References
    ----------
    Spidlen et al., Cytometry A 2010;77A:97-100 (FCS 3.1: $PnB, $PnR, $PnE, $PnG).
    """
    notes = Notes()
    try:
        with open_regular(path, notes) as file:
            _require_same(file, path, header)
            with np.errstate(over="ignore", invalid="ignore"):  # such values are counted at the end
                values = _decode(file, path, header)
                _scale(values, header)
                values, n_nonfinite = _without_nonfinite(values, header.names, notes)
    except NotOpenedError:
        raise FcsError(finding_line(notes.findings[0], file=path.name)) from None
    return DecodedEvents(Events(values, header.names), n_nonfinite, tuple(notes.findings))


def _require_same(file: OpenedFile, path: Path, header: FcsHeader) -> None:
    text = file.read(header.text_begin, header.text_bytes)
    if file.size != header.file_size or zlib.crc32(text) != header.text_crc32:
        raise _changed(path)


def _changed(path: Path) -> FcsError:
    return FcsError(
        f"{path.name}: the file changed after it was checked (size or TEXT differ from the check).",
        hint="Let no other program write to the data folder, and run again.",
    )


def _decode(file: OpenedFile, path: Path, header: FcsHeader) -> Values:
    """Stored values, channel-major, masked and made linear; in blocks that stay in the cache."""
    row_bytes = sum(column.bits for column in header.columns) // 8
    if header.data_bytes != header.n_events * row_bytes:
        raise _changed(path)
    exact = np.float32 if _is_plain(header) else np.float64
    values = np.empty((len(header.columns), header.n_events), dtype=exact)
    block = np.empty((min(header.n_events, max(1, BLOCK_BYTES // row_bytes)), row_bytes), dtype=np.uint8)
    decode = _decode_singles if _is_plain(header) else _decode_columns
    for begin in range(0, header.n_events, max(1, len(block))):
        rows = block[: header.n_events - begin]
        if file.read_into(header.data_begin + begin * row_bytes, rows.reshape(-1).data) != rows.nbytes:
            raise _changed(path)
        decode(rows, header, values[:, begin : begin + len(rows)])
    return values


def _is_plain(header: FcsHeader) -> bool:
    """Whether all values are single-precision numbers in one of the two usual byte orders."""
    return {column.datatype for column in header.columns} == {"F"} and _is_monotone(header.byte_order)


def _decode_singles(rows: Rows, header: FcsHeader, values: Values) -> None:
    values[:] = rows.view(("<" if header.byte_order[0] == 1 else ">") + "f4").T


def _decode_columns(rows: Rows, header: FcsHeader, values: Values) -> None:
    begin = 0
    for row, column in zip(values, header.columns, strict=True):
        end = begin + column.bits // 8
        stored = _stored_values(rows[:, begin:end], column, header.byte_order)
        row[:] = _linear(stored, column)
        begin = end


def _stored_values(field: Rows, column: Column, order: tuple[int, ...]) -> Decoded:
    """Values of one channel, shape (n_events,), from its bytes, shape (n_events, width)."""
    little = np.ascontiguousarray(field[:, _least_first(order, field.shape[1])])
    if column.datatype != "I":
        return little.view(f"<f{column.bits // 8}")[:, 0]
    padded = np.zeros((len(little), _container(column.bits) // 8), dtype=np.uint8)
    padded[:, : little.shape[1]] = little
    stored: npt.NDArray[np.unsignedinteger[Any]] = padded.view(f"<u{padded.shape[1]}")[:, 0]
    return stored if column.mask is None else stored & stored.dtype.type(column.mask)


def _linear(decoded: Decoded, column: Column) -> Decoded:
    """10 to the power of decades × value / range, times the value of 0, for a logarithmic channel."""
    if not column.decades or column.range is None:
        return decoded
    power: Decoded = 10.0 ** (column.decades * decoded.astype(np.float64) / column.range)
    return power * column.log_zero


def _scale(values: Values, header: FcsHeader) -> None:
    """Gain and time step, in place."""
    for row, column in zip(values, header.columns, strict=True):
        if column.gain != 1.0:
            row[:] = row.astype(np.float64) / column.gain
    if header.time_index is not None and header.timestep not in (None, 1.0):
        row = values[header.time_index]
        row[:] = row.astype(np.float64) * header.timestep


def _without_nonfinite(values: Values, names: tuple[str, ...], notes: Notes) -> tuple[Values, int]:
    """Events with a value that is NaN or infinite are taken out, and counted."""
    if np.isfinite(values.sum()):  # one bad value would spoil the sum
        return values, 0
    finite = np.isfinite(values)
    keep = np.logical_and.reduce(finite, axis=0)
    n_removed = int(np.count_nonzero(~keep))
    if not n_removed:
        return values, 0
    empty = [f"$P{i + 1}N" for i, row in enumerate(finite) if not row.any()]
    if empty:
        notes.reject(
            "CHANNEL_NOT_FINITE",
            "DATA",
            f"DATA holds no finite value in {some(empty)} of {len(names)} channels: no event is left",
        )
    else:
        notes.warn(
            "VALUES_NOT_FINITE",
            "DATA",
            f"{n_removed} of {finite.shape[1]} events in DATA with a value that is not finite were removed",
            seen=str(n_removed),
            expected="0",
            remedy="Find out what wrote these values; the count of removed events stays with the tube",
        )
    return np.ascontiguousarray(values[:, keep]), n_removed


def _is_monotone(order: Iterable[int]) -> bool:
    order = list(order)
    return order in (sorted(order), sorted(order, reverse=True))


def _least_first(order: tuple[int, ...], width: int) -> list[int]:
    """Positions of the bytes of one value, least significant first."""
    if _is_monotone(order):
        return list(range(width)) if order[0] == 1 else list(range(width - 1, -1, -1))
    return [order.index(significance) for significance in range(1, width + 1)]


def _container(bits: int) -> int:
    """Width of the smallest integer type that holds `bits`."""
    return next(width for width in (8, 16, 32, 64) if bits <= width)
