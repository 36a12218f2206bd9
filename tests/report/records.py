"""Records of a trial dataset as the report gets them, for tests of its page and figures."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cytotrial.science.counting import detection
from cytotrial.science.statistics import analysis_records


def recorded(counts: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """Counts with the columns of their records; every value of a planned visit answers for it."""
    return analysis_records(counts, candidates_of(counts, visits))


def candidates_of(counts: pd.DataFrame, visits: pd.DataFrame) -> pd.DataFrame:
    """Counts as candidates, each in the window of its visit; limits are 20 and 50 events."""
    planned = counts["visit"].isin(visits["visit"])
    has_value = pd.to_numeric(counts["value"], errors="coerce").notna()
    events = pd.to_numeric(counts["events"], errors="coerce").fillna(0)
    target = counts["visit"].map(dict(zip(visits["visit"], visits["target_day"], strict=True)))
    return counts.assign(
        analysis_visit=np.where(planned, counts["visit"], ""),
        answers=np.where(planned & has_value, "Y", ""),
        reason_not_chosen=np.where(planned & has_value, "", np.where(planned, "NO_VALUE", "OUTSIDE_WINDOW")),
        target_day=target,
        days_from_target=pd.to_numeric(counts["study_day"]) - target,
        lod_events=20,
        lloq_events=50,
        quantifiable=[detection(n, lod_events=20, lloq_events=50) for n in events],
        background_events=None,
        background_parent_events=None,
    )
