"""Records of a trial dataset as the report gets them, for tests of its page and figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cytotrial.science.counting import detection
from cytotrial.science.statistics import analysis_records


def recorded(counts: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """Counts with the columns of their records; every value of a planned visit answers for it.

    Limits of detection and quantitation are 20 and 50 events.
    """
    planned = counts["visit"].isin(visits["visit"])
    has_value = pd.to_numeric(counts["value"], errors="coerce").notna()
    events = pd.to_numeric(counts["events"], errors="coerce").fillna(0)
    candidates = counts.assign(
        analysis_visit=np.where(planned, counts["visit"], ""),
        answers=np.where(planned & has_value, "Y", ""),
        lod_events=20,
        lloq_events=50,
        quantifiable=[detection(n, lod_events=20, lloq_events=50) for n in events],
        background_events=None,
        background_parent_events=None,
    )
    return analysis_records(counts, candidates)
