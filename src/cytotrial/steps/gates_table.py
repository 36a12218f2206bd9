"""A placed gate as a row of gates.csv, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cytotrial.files.strategy import gate_from_json, gate_to_json
from cytotrial.files.tables import Row, as_written
from cytotrial.science.batches import Batch
from cytotrial.terms import Origin, PlacedGate

DIGITS = 6


def gate_row(sample_id: str, gate: PlacedGate, batch: Batch | None = None) -> Row:
    """A placed gate as a row of gates.csv."""
    return {
        "sample_id": sample_id,
        "population": gate.population,
        "parent": gate.parent,
        "gate": gate_to_json(gate.gate),
        "origin": gate.origin,
        "control": gate.controls,
        "confidence": None if gate.confidence is None else round(gate.confidence, 4),
        "flags": gate.flags,
        "position": as_cell(gate.position),
        "position_se": as_cell(gate.position_se),
        "batch_position": as_cell(batch.position if batch else ()),
        "similarity": _rounded(gate.similarity),
        "disagreement": _rounded(gate.disagreement),
    }


def gate_of_row(row: Mapping[str, str]) -> PlacedGate:
    """The placed gate of a row that `gate_row` made; numbers as they were written."""
    origin: Origin = row["origin"]  # type: ignore[assignment]
    return PlacedGate(
        as_written(row["population"]),
        as_written(row["parent"]),
        gate_from_json(row["gate"]),
        origin,
        _words(row["control"]),
        _number(row["confidence"]),
        _words(row["flags"]),
        numbers_in(row["position"]),
        numbers_in(row["position_se"]),
        _number(row["similarity"]),
        _number(row["disagreement"]),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def as_cell(values: Iterable[float]) -> float | str | None:
    """Numbers as one cell: nothing, a number, or `0.41;0.02`."""
    rounded = [round(float(value), DIGITS) for value in values]
    if len(rounded) <= 1:
        return rounded[0] if rounded else None
    return ";".join(map(repr, rounded))


def numbers_in(cell: str) -> tuple[float, ...]:
    """The numbers that `as_cell` made a cell of.

    Examples
    --------
    >>> numbers_in("'-0.5;0.25"), numbers_in("0.5"), numbers_in("")
    ((-0.5, 0.25), (0.5,), ())
    """
    return tuple(float(number) for number in as_written(cell).split(";") if number)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(";") if word)


def _number(text: str) -> float | None:
    return float(text) if text else None
