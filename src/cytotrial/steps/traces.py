"""Traces of acquisition as one cell of a table: what the report draws, made while the events are at hand."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.science.quality import AcquisitionQuality


def packed_trace(quality: AcquisitionQuality) -> str:
    """A tube's trace and what was removed of it, as JSON; empty for a tube with nothing to show."""
    trace = quality.trace
    if trace is None:
        return ""
    plain = {
        "begin": trace.begin,
        "end": trace.end,
        "has_time": trace.has_time,
        "rate": trace.rate.tolist(),
        "channels": trace.channels,
        "ends": trace.ends,
        "counts": base64.b64encode(zlib.compress(trace.counts.astype("<u2").tobytes(), 6)).decode("ascii"),
        "shape": trace.counts.shape,
        "removed": [[one.begin, one.end, list(one.reasons)] for one in quality.intervals],
    }
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def unpacked_trace(cell: str) -> dict[str, Any]:
    """A trace as plain data, `counts` as an array of shape (n_channels, n_slots, n_levels)."""
    plain: dict[str, Any] = json.loads(cell)
    raw = zlib.decompress(base64.b64decode(plain["counts"]))
    counts: npt.NDArray[np.uint16] = np.frombuffer(raw, "<u2").reshape(plain["shape"])
    return {**plain, "counts": counts}
