"""The upper tails of control tubes, handed on from the jobs that gate them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cytotrial.files.entries import read_entries, write_entries
from cytotrial.science.bounds import ControlTail

FORM = "cytotrial.controls/1"
DIGITS = 6


def write_tails(path: Path, tubes: Mapping[str, Sequence[ControlTail]]) -> None:
    """Write sample_id → the tails of a control, of each population that it bounds."""
    write_entries(path, FORM, {name: [*map(_to_plain, tails)] for name, tails in tubes.items() if tails})


def read_tails(path: Path) -> dict[str, list[ControlTail]]:
    """What `write_tails` wrote. Raises CytotrialError if the file is not of that form."""
    return read_entries(path, FORM, lambda tails: [_from_plain(tail) for tail in tails])


def _to_plain(tail: ControlTail) -> dict[str, Any]:
    return {
        "population": tail.population,
        "events": tail.n_events,
        "bound": round(tail.bound, DIGITS),
        "flags": list(tail.flags),
        "every": tail.every,
        "values": [round(float(value), DIGITS) for value in tail.values],
    }


def _from_plain(plain: Mapping[str, Any]) -> ControlTail:
    return ControlTail(
        str(plain["population"]),
        int(plain["events"]),
        float(plain["bound"]),
        tuple(plain["flags"]),
        int(plain["every"]),
        np.array(plain["values"], dtype=np.float64),
    )
