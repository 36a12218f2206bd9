"""A dataset in all its forms at once: XPT, Dataset-JSON, CSV and Parquet hold the same records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cytotrial.dataset_terms import DatasetSpec
from cytotrial.files.cdisc.dataset_json import read_dataset_json, write_dataset_json
from cytotrial.files.cdisc.flat import read_csv, read_parquet, write_csv, write_parquet
from cytotrial.files.cdisc.xpt import read_xpt, write_xpt

FORMS = ("xpt", "json", "csv", "parquet")
"""Ending of each form's file."""


def dataset_file(folder: Path, spec: DatasetSpec, form: str) -> Path:
    """Where a form of a dataset lies: `<folder>/cp.xpt`."""
    return folder / f"{spec.name.lower()}.{form}"


def write_dataset(folder: Path, spec: DatasetSpec, rows: Sequence[Mapping[str, Any]], *, study: str) -> None:
    """Write a dataset in every form; a form that cannot hold it refuses before any is written.

    Raises
    ------
    DatasetError
        See `write_xpt`, the strictest of them.
    """
    write_xpt(dataset_file(folder, spec, "xpt"), spec, rows)
    write_dataset_json(dataset_file(folder, spec, "json"), spec, rows, study=study)
    write_csv(dataset_file(folder, spec, "csv"), spec, rows)
    write_parquet(dataset_file(folder, spec, "parquet"), spec, rows)


def read_dataset(folder: Path, spec: DatasetSpec, form: str) -> list[dict[str, Any]]:
    """The records of one form of a dataset, in the types that `write_dataset` was given."""
    path = dataset_file(folder, spec, form)
    if form == "xpt":
        return read_xpt(path, spec)
    if form == "json":
        return read_dataset_json(path)
    return read_csv(path, spec) if form == "csv" else read_parquet(path)
