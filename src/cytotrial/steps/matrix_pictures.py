"""Small, binned pictures of channel pairs before and after compensation: made while events are at hand."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cytotrial.files.whole import read_text, write_text
from cytotrial.science.compensation import (
    CompensationQuality,
    PairQuality,
    Selection,
    Thresholds,
    severity,
    worst_pairs,
)
from cytotrial.terms import SpilloverMatrix

BINS = 72
COFACTOR = 150.0
"""The pictures' scale is arcsinh(value / 150)."""

Values = npt.NDArray[np.float64]


def pictures_of_pairs(
    quality: CompensationQuality,
    matrix: SpilloverMatrix,
    selections: Sequence[Selection],
    *,
    most: int,
    thresholds: Thresholds,
) -> list[dict[str, Any]]:
    """The worst channel pairs of a matrix as plain data: the control's events before and after.

    Returns
    -------
    list of dict
        Events in 72 × 72 bins on the arcsinh scale, positives and negatives together, the middle of
        either before and after, and the pair's figures; empty without controls.
    """
    controls = {selection.detector: selection for selection in selections}
    inverse: Values = np.linalg.inv(np.asarray(matrix.values, dtype=np.float64))
    return [
        {
            **_picture(pair, controls[pair.detector], matrix.detectors, inverse),
            "severity": round(severity(pair, thresholds), 4),
        }
        for pair in worst_pairs(quality, most=most, thresholds=thresholds)
    ]


def _picture(
    pair: PairQuality, control: Selection, detectors: Sequence[str], inverse: Values
) -> dict[str, Any]:
    rows = [detectors.index(pair.detector), detectors.index(pair.into)]
    both = np.hstack([control.negative, control.positive])
    before, after = (_scaled(values[rows]) for values in (both, inverse.T @ both))
    n_negative = control.negative.shape[1]
    ends = [_ends(before[axis], after[axis]) for axis in (0, 1)]
    return {
        "sample_id": control.name,
        "detector": pair.detector,
        "into": pair.into,
        "spillover": round(pair.spillover, 5),
        "residual_slope": None if pair.residual_slope is None else round(pair.residual_slope, 5),
        "standard_error": None if pair.standard_error is None else round(pair.standard_error, 5),
        "flags": list(pair.flags),
        "cofactor": COFACTOR,
        "x": ends[0],
        "y": ends[1],
        "before": _packed(before, ends),
        "after": _packed(after, ends),
        "middles_before": _middles(before, n_negative),
        "middles_after": _middles(after, n_negative),
    }


def _scaled(values: Values) -> Values:
    return np.asarray(np.arcsinh(values / COFACTOR))


def _ends(*values: Values) -> list[float]:
    """Ends of an axis: all but the outermost thousandth of the events, and a margin."""
    low, high = np.quantile(np.concatenate(values), (0.001, 0.999))
    margin = 0.06 * max(float(high - low), 1.0)
    return [round(float(low) - margin, 3), round(float(high) + margin, 3)]


def _packed(values: Values, ends: Sequence[Sequence[float]]) -> str:
    places = [
        np.clip((values[axis] - low) * (BINS / (high - low)), 0, BINS - 1).astype(np.intp)
        for axis, (low, high) in enumerate(ends)
    ]
    counts = np.bincount(places[0] * BINS + places[1], minlength=BINS * BINS)
    return base64.b64encode(zlib.compress(counts.astype("<u4").tobytes(), 6)).decode("ascii")


def _middles(values: Values, n_negative: int) -> list[list[float]]:
    """Middle of the negatives and of the positives, each on x and y."""
    parts = values[:, :n_negative], values[:, n_negative:]
    return [[round(float(np.median(axis)), 4) for axis in part] for part in parts]


def write_matrix_pictures(path: Path, pictures: Sequence[Mapping[str, Any]]) -> None:
    """One JSON document, a picture a line."""
    lines = ",\n".join(json.dumps(picture, sort_keys=True, separators=(",", ":")) for picture in pictures)
    write_text(path, f"[\n{lines}\n]\n" if pictures else "[]\n")


def read_matrix_pictures(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The pictures of several matrices, with `before` and `after` as arrays of shape (72, 72)."""
    pictures = [picture for path in paths for picture in json.loads(read_text(path))]
    return [
        {**picture, "before": _unpacked(picture["before"]), "after": _unpacked(picture["after"])}
        for picture in pictures
    ]


def _unpacked(text: str) -> npt.NDArray[np.uint32]:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<u4").reshape(BINS, BINS)
