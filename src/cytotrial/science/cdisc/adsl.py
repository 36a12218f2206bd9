"""ADSL, Subject-Level Analysis Dataset: the minimum that ADCP needs, made from DM."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from cytotrial.dataset_terms import DatasetSpec
from cytotrial.science.cdisc.model import Row, as_row
from cytotrial.science.cdisc.timing import as_date, as_datetime

COPIED = ("STUDYID", "USUBJID", "SUBJID", "SITEID", "AGE", "AGEU", "SEX", "RACE", "ARM")


def adsl_rows(dm: Iterable[Mapping[str, Any]], *, measured: Collection[str], spec: DatasetSpec) -> list[Row]:
    """One record per subject of DM.

    Parameters
    ----------
    measured : collection of str
        USUBJID of the subjects with at least one value: with a first dose, the full analysis set.
    """
    return [as_row(spec, _of_subject(row, measured)) for row in dm]


def _of_subject(row: Mapping[str, Any], measured: Collection[str]) -> Row:
    treated = row["RFXSTDTC"] != ""
    return {
        **{name: row[name] for name in COPIED},
        "TRT01P": row["ARM"],
        "TRT01A": row["ACTARM"],
        "TRTSDT": as_date(row["RFXSTDTC"]),
        "TRTSDTM": as_datetime(row["RFXSTDTC"]),
        "TRTEDT": as_date(row["RFXENDTC"]),
        "FASFL": "Y" if treated and row["USUBJID"] in measured else "N",
        "SAFFL": "Y" if treated else "N",
    }
