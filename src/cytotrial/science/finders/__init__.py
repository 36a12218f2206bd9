"""Gate finders, one family a module; importing the package registers them all."""

from cytotrial.science.finders.controls import find_control_quantile
from cytotrial.science.finders.landmarks import find_landmark_fraction
from cytotrial.science.finders.negatives import find_negative_offset
from cytotrial.science.finders.registry import (
    AT_BOUND,
    CONTROL_TOO_SMALL,
    Batch,
    Example,
    Found,
    View,
    bounded,
    check_finders,
    find_gate,
    finder_names,
    is_learnt,
    learn_gate,
    threshold,
)
from cytotrial.science.finders.singlets import find_singlets
from cytotrial.science.finders.valleys import find_density_minimum

__all__ = [
    "AT_BOUND",
    "CONTROL_TOO_SMALL",
    "Batch",
    "Example",
    "Found",
    "View",
    "bounded",
    "check_finders",
    "find_control_quantile",
    "find_density_minimum",
    "find_gate",
    "find_landmark_fraction",
    "find_negative_offset",
    "find_singlets",
    "finder_names",
    "is_learnt",
    "learn_gate",
    "threshold",
]
