"""A locked gating: what comes later changes no byte of what was reported."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.workflow.study import BIN, Study

NEWCOMER = "S002"
VALUES = ("gates.csv", "populations.csv", "review_scores.csv", "counts/specimens.csv")


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def cytotrial(study: Study, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "cytotrial"), *arguments], cwd=study.folder, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def locked(study: Study) -> tuple[Study, dict[str, list[str]], dict[str, list[str]]]:
    """The trial without one subject, run and locked; the whole sheets; and what was reported."""
    sheets = study.path("resources", "demo", "sheets")
    whole = {
        name: lines_of(sheets / name)
        for name in ("samples.tsv", "subjects.tsv", "clinical.tsv", "exposure.tsv")
    }
    for name, lines in whole.items():
        (sheets / name).write_text("".join(line for line in lines if NEWCOMER not in line), encoding="utf-8")
    study.run()
    done = cytotrial(study, "lock")
    assert done.returncode == 0, done.stderr
    study.edit(
        "config/config.yaml", "results: results\n", "results: results\nlocked: config/gating/lock.json\n"
    )
    return study, whole, {name: lines_of(study.path("results", name)) for name in VALUES}


def test_locking_changes_no_value_and_regates_nothing(locked):
    study, _, before = locked
    jobs = study.run()
    assert not [job for job in jobs if job.split()[0] in {"place", "gate"}]
    assert {name: lines_of(study.path("results", name)) for name in VALUES} == before


def test_a_subject_that_comes_later_changes_no_byte_of_what_was_reported(locked):
    study, whole, before = locked
    sheets = study.path("resources", "demo", "sheets")
    for name, lines in whole.items():
        (sheets / name).write_text("".join(lines), encoding="utf-8")
    jobs = study.run()
    assert {job.split()[2] for job in jobs if job.split()[0] in {"place", "gate"}} == {f"subject.{NEWCOMER}"}
    for name in VALUES:
        now = lines_of(study.path("results", name))
        assert len(now) > len(before[name])
        assert [line for line in before[name] if line not in now] == []


def test_a_gating_that_is_not_the_locked_one_is_refused_before_anything_runs(locked):
    study, _, _ = locked
    study.edit("config/gating/treg.yaml", "version: ", "version: 9.")
    done = study.snakemake()
    assert done.returncode == 1
    assert "panels.treg: gating changed since the gating was locked" in done.stdout + done.stderr
    study.edit("config/gating/treg.yaml", "version: 9.", "version: ")
