"""Snakemake's records: read as Snakemake writes them, and marked as it marks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cytotrial.steps.records import entry_of, mark_incomplete, marked_incomplete, recorded_times

LONG = "results/gating/" + "/".join(["a-rather-long-name-of-a-folder"] * 12) + "/counts.csv"


@pytest.mark.parametrize("name", ["results/counts.csv", "/data/results/übersicht.csv", LONG])
def test_a_record_lies_where_snakemake_looks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    from snakemake.persistence.file import FilePersistence  # noqa: PLC0415

    monkeypatch.chdir(tmp_path)
    theirs = FilePersistence()
    folder = tmp_path / ".snakemake" / "metadata"
    assert str(entry_of(name, folder)) == theirs._record_path(str(folder), name)
    mark_incomplete([name])
    assert theirs._filter_incomplete_keys([name]) == {name}
    assert marked_incomplete() == {name}
    theirs._io_write(str(folder), {"endtime": 12.5}, name)
    assert recorded_times() == {name: 12.5}


def test_a_record_that_was_cut_equals_no_time(tmp_path: Path):
    entry = entry_of("results/counts.csv", tmp_path / "metadata")
    entry.parent.mkdir()
    entry.write_text(json.dumps({"endtime": 12.5})[:9])
    (time,) = recorded_times(tmp_path).values()
    assert time != time  # noqa: PLR0124 (not a number)
    assert recorded_times(tmp_path / "absent") == {}
