"""Spillover: estimated from single-stain controls, checked, inverted and judged."""

from __future__ import annotations

from cytotrial.science.compensation.controls import Control, Selection
from cytotrial.science.compensation.estimate import SpilloverEstimate, estimate_spillover, residual_slopes
from cytotrial.science.compensation.matrix import check_spillover, compensation_matrix, condition_number
from cytotrial.science.compensation.quality import (
    CompensationQuality,
    PairQuality,
    compensation_quality,
    spreading_matrix,
)

__all__ = [
    "CompensationQuality",
    "Control",
    "PairQuality",
    "Selection",
    "SpilloverEstimate",
    "check_spillover",
    "compensation_matrix",
    "compensation_quality",
    "condition_number",
    "estimate_spillover",
    "residual_slopes",
    "spreading_matrix",
]
