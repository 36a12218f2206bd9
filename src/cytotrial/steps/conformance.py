"""The verdict on the trial dataset: what its checks found decides whether it is taken on."""

from __future__ import annotations

from pathlib import Path

from cytotrial.errors import DatasetError, all_problems
from cytotrial.files.tables import read_table


def require_passed(checks: Path) -> None:
    """Refuse a dataset of which a check failed.

    Raises
    ------
    DatasetError
        With every failed check and its first problems.
    """
    failed = [row for row in read_table(checks) if row["status"] == "FAIL"]
    if failed:
        problems = [
            f"{row['check']} ({row['rule']}): {row['problems']} found; {row['detail']}" for row in failed
        ]
        raise DatasetError(
            all_problems(str(checks), problems, outcome="the dataset is not fit to be handed on"),
            hint="Correct what they name and run snakemake again; docs/trial-dataset.md explains the checks.",
        )
