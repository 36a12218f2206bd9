"""Acquisition quality: events on scale, taken while the instrument ran steadily.

What is found here is a mask that is applied before gating and reported per tube; nothing is removed
in silence.
"""

from __future__ import annotations

from cytotrial.science.quality.acquisition import REASONS, assess_acquisition
from cytotrial.science.quality.model import AcquisitionQuality, Interval, Trace

__all__ = ["REASONS", "AcquisitionQuality", "Interval", "Trace", "assess_acquisition"]
