"""Spillover: estimated from single-stain controls, checked, inverted and judged."""

from __future__ import annotations

from cytotrial.science.compensation.between import middle_of_batches
from cytotrial.science.compensation.controls import Control, Selection
from cytotrial.science.compensation.estimate import SpilloverEstimate, estimate_spillover, residual_slopes
from cytotrial.science.compensation.matrix import check_spillover, compensation_matrix, condition_number
from cytotrial.science.compensation.quality import (
    CompensationQuality,
    PairQuality,
    Thresholds,
    compensation_quality,
    severity,
    spreading_matrix,
    worst_pairs,
)
from cytotrial.science.compensation.samples import SampleSlopes, sample_slopes

__all__ = [
    "CompensationQuality",
    "Control",
    "PairQuality",
    "SampleSlopes",
    "Selection",
    "SpilloverEstimate",
    "Thresholds",
    "check_spillover",
    "compensation_matrix",
    "compensation_quality",
    "condition_number",
    "estimate_spillover",
    "middle_of_batches",
    "residual_slopes",
    "sample_slopes",
    "severity",
    "spreading_matrix",
    "worst_pairs",
]
