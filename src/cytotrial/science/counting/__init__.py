"""From events in gates to frequencies and cells per microlitre, each with its 95 % interval.

Everything here works on numbers of events. An interval is the counting error, with the error of the
blood count or of the metered volume where the count rests on one: it says how far the value could be
off if the same blood were acquired again, not how well a gate was placed. What the bead lot and the
pipette add is stated beside it (`systematic_cv_percent`), never inside.
"""

from cytotrial.science.counting.absolute import (
    check_flow_rate,
    count_against_beads,
    count_by_blood_count,
    count_in_volume,
)
from cytotrial.science.counting.intervals import Z95, clopper_pearson, log_normal, newcombe, wilson
from cytotrial.science.counting.limits import (
    BELOW_QUANTITATION,
    NOT_DETECTED,
    QUANTIFIABLE,
    TYPICAL,
    detection,
    events_above_background,
    is_implausible,
)
from cytotrial.science.counting.relative import (
    NET,
    NO_EVENT,
    count_across_tubes,
    frequency,
    ratio_of_counts,
    ratio_of_shared_parent,
    subtract_background,
)

__all__ = [
    "BELOW_QUANTITATION",
    "NET",
    "NOT_DETECTED",
    "NO_EVENT",
    "QUANTIFIABLE",
    "TYPICAL",
    "Z95",
    "check_flow_rate",
    "clopper_pearson",
    "count_across_tubes",
    "count_against_beads",
    "count_by_blood_count",
    "count_in_volume",
    "detection",
    "events_above_background",
    "frequency",
    "is_implausible",
    "log_normal",
    "newcombe",
    "ratio_of_counts",
    "ratio_of_shared_parent",
    "subtract_background",
    "wilson",
]
