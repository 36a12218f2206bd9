"""The records that the tables by visit are made from."""

from __future__ import annotations

import numpy as np
import pandas as pd

_OF_THE_RECORD = ("analysis_visit", "answers", "lod_events", "lloq_events", "quantifiable")
_BACKGROUND = ("background_events", "background_parent_events")


def analysis_records(counts: pd.DataFrame, candidates: pd.DataFrame) -> pd.DataFrame:
    """The trial dataset with what `candidates.csv` knows of each of its records.

    Parameters
    ----------
    counts : DataFrame
        dataset/counts.csv: one row per subject, planned visit and parameter, and the unscheduled draws.
    candidates : DataFrame
        dataset/candidates.csv: every record of every draw.

    Returns
    -------
    DataFrame
        `counts` in the same order, with the columns analysis ("Y" on the record that answers for its
        subject, visit and parameter), lod_events, lloq_events, quantifiable, and lloq_value: the value
        that `lloq_events` events above background would have given in the record's tubes.
    """
    keys = ["specimen", "parameter"]
    about = candidates[[*keys, *_OF_THE_RECORD, *_BACKGROUND]]
    joined = counts.merge(about, on=keys, how="left", validate="many_to_one")
    has_value = pd.to_numeric(joined["value"], errors="coerce").notna()
    answers = has_value & joined["answers"].eq("Y") & joined["analysis_visit"].eq(joined["visit"])
    return counts.assign(
        analysis=np.where(answers, "Y", ""),
        lod_events=pd.to_numeric(joined["lod_events"], errors="coerce").to_numpy(),
        lloq_events=pd.to_numeric(joined["lloq_events"], errors="coerce").to_numpy(),
        quantifiable=joined["quantifiable"].fillna("").where(has_value, "").to_numpy(),
        lloq_value=_value_at_lloq(joined).to_numpy(),
    )


def _value_at_lloq(joined: pd.DataFrame) -> pd.Series:
    names = ("value", "events", "parent_events", "lloq_events", *_BACKGROUND)
    number = {name: pd.to_numeric(joined[name], errors="coerce") for name in names}
    background = (
        number["background_events"] * number["parent_events"] / number["background_parent_events"]
    ).fillna(0)
    above = number["events"] - background
    known = (above > 0) & (number["value"] > 0)
    return (number["value"] / above * number["lloq_events"]).where(known)


def baseline_values(candidates: pd.DataFrame) -> pd.Series:
    """The value that changes are counted from, by (subject, parameter); the record flagged as baseline."""
    flagged = candidates[candidates["baseline"] == "Y"]
    values = pd.to_numeric(flagged["value"], errors="coerce")
    index = pd.MultiIndex.from_frame(flagged[["subject", "parameter"]].astype(str))
    return pd.Series(values.to_numpy(np.float64), index=index, dtype=np.float64)
