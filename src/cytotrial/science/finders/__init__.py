"""Gate finders, one family a module; importing the package registers them all."""

from cytotrial.science.batches import Batch
from cytotrial.science.finders.beads import find_beads
from cytotrial.science.finders.carried_gate import find_carried_gate
from cytotrial.science.finders.controls import find_control_quantile
from cytotrial.science.finders.fixed import find_fixed
from cytotrial.science.finders.landmarks import find_landmark_fraction
from cytotrial.science.finders.mixtures import find_mixture_ellipse
from cytotrial.science.finders.negatives import find_negative_offset
from cytotrial.science.finders.reference_polygon import find_reference_polygon
from cytotrial.science.finders.reference_valley import find_reference_valley
from cytotrial.science.finders.registry import (
    AT_BOUND,
    CONTROL_TOO_SMALL,
    LOW_SIMILARITY,
    Example,
    Found,
    NoReferenceError,
    View,
    bounded,
    check_finders,
    find_gate,
    finder_names,
    is_learnt,
    learn_gate,
    threshold,
    uses_batch,
)
from cytotrial.science.finders.singlets import find_singlets
from cytotrial.science.finders.valleys import find_density_minimum, find_tail

__all__ = [
    "AT_BOUND",
    "CONTROL_TOO_SMALL",
    "LOW_SIMILARITY",
    "Batch",
    "Example",
    "Found",
    "NoReferenceError",
    "View",
    "bounded",
    "check_finders",
    "find_beads",
    "find_carried_gate",
    "find_control_quantile",
    "find_density_minimum",
    "find_fixed",
    "find_gate",
    "find_landmark_fraction",
    "find_mixture_ellipse",
    "find_negative_offset",
    "find_reference_polygon",
    "find_reference_valley",
    "find_singlets",
    "find_tail",
    "finder_names",
    "is_learnt",
    "learn_gate",
    "threshold",
    "uses_batch",
]
