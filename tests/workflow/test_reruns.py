"""What reruns after a change, as real Snakemake runs: exactly the jobs that depend on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workflow.study import Study, jobs_in

IN_CDISC_FORM = ["adam", "check-dataset", "database", "define", "sdtm"]
AFTER_COUNTING = sorted(["count", "dataset", *IN_CDISC_FORM, "report"])
AFTER_GATING = sorted(["collect", "score", "review", *AFTER_COUNTING])
LEAN_ON_THE_BATCH = ("count", "th17", "treg")
"""Panels whose gates are drawn towards where the other tubes of the batch have them."""


@pytest.fixture
def settled(study: Study) -> Study:
    """The study with everything made, whatever an earlier test changed."""
    study.run()
    return study


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines(keepends=True)


def test_a_second_run_does_nothing(settled: Study):
    assert settled.run() == []


def test_changing_one_panels_gating_regates_that_panel_and_what_follows(settled: Study):
    settled.edit("config/gating/treg.yaml", "version: ", "version: 9.")
    jobs = settled.run()
    of_the_panel = [job for job in jobs if job not in AFTER_GATING]
    assert {job.split()[1] for job in of_the_panel} == {"treg"}
    assert {job.split()[0] for job in of_the_panel} >= {"read-gating", "place", "gate"}
    assert [job for job in jobs if job not in of_the_panel] == AFTER_GATING


def test_changing_a_report_setting_reruns_only_the_report(settled: Study):
    settled.edit("config/config.yaml", "gate_pictures: ", "gate_pictures: 1")
    assert settled.run() == ["report"]


def test_describing_the_tests_otherwise_reruns_the_datasets_and_no_count(settled: Study):
    settled.edit("config/config.yaml", "laboratory: SIMULATED", "laboratory: ANOTHER SIMULATED")
    assert settled.run() == [*IN_CDISC_FORM[:-1], "report", "sdtm"]  # the report lists the checks


def test_reordering_the_configuration_reruns_nothing(settled: Study):
    path = settled.path("config", "config.yaml")
    lines = lines_of(path)
    lod, lloq = (
        next(i for i, line in enumerate(lines) if key in line) for key in ("lod_events", "lloq_events")
    )
    lines[lod], lines[lloq] = lines[lloq], lines[lod]
    path.write_text("".join(lines), encoding="utf-8")
    assert settled.run() == []


def test_a_limit_of_quantitation_reruns_the_counts_and_no_gate(settled: Study):
    settled.edit("config/config.yaml", "lloq_events: 50", "lloq_events: 51")
    assert settled.run() == AFTER_COUNTING


def test_adding_a_subject_runs_only_that_subjects_tubes_and_the_joins(settled: Study):
    sheets = settled.path("resources", "demo", "sheets")
    everything = {
        name: lines_of(sheets / name)
        for name in ("samples.tsv", "subjects.tsv", "clinical.tsv", "exposure.tsv")
    }
    newcomer = "S002"
    for name, lines in everything.items():
        kept = [
            line for line in lines if newcomer not in line.split("\t") and newcomer not in line.split("\t")[0]
        ]
        (sheets / name).write_text("".join(kept), encoding="utf-8")
    without = settled.run()
    assert not [job for job in without if job.split()[0] in {"check-unit", "compensate", "place"}]
    pools = contents(settled, "*.batch.json")
    for name, lines in everything.items():
        (sheets / name).write_text("".join(lines), encoding="utf-8")
    for path in settled.path("results").rglob(f"*{newcomer}*"):
        path.unlink()
    jobs = settled.run()
    own = [
        f"check-unit subject.{newcomer}",
        *[f"gate {panel} subject.{newcomer}" for panel in ("count", *LEAN_ON_THE_BATCH)],
        *[f"place {panel} subject.{newcomer}" for panel in LEAN_ON_THE_BATCH],
    ]
    moved = {
        tuple(path.split("/")[-2:])
        for path, content in contents(settled, "*.batch.json").items()
        if pools[path] != content
    }
    beside = [
        f"gate {panel} {unit}"
        for panel, unit, batch in gated_tubes(settled)
        if (panel, f"{batch}.batch.json") in moved and newcomer not in unit
    ]
    assert beside
    assert set(own) | set(beside) == {job for job in jobs if job.split()[0] not in {*JOINS, *POOLING}}
    assert [job for job in jobs if job.split()[0] in JOINS] == sorted(JOINS)


JOINS = ["inventory", *AFTER_GATING]
POOLING = ["pool", "pool-table", "judge-matrices"]


def contents(study: Study, pattern: str) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in study.path("results", "gating").rglob(pattern)}


def gated_tubes(study: Study) -> list[tuple[str, str, str]]:
    """Panel, unit and batch of every tube that is gated."""
    lines = [line.rstrip("\n").split("\t") for line in lines_of(study.path(*SAMPLES))]
    rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
    units = (
        (row, f"subject.{row['subject']}" if row["subject"] else f"batch.{row['batch']}") for row in rows
    )
    gated = {"sample", "unstimulated", "fmo", "isotype"}
    return sorted({(row["panel"], unit, row["batch"]) for row, unit in units if row["role"] in gated})


SAMPLES = ("resources", "demo", "sheets", "samples.tsv")


def test_a_pool_that_says_the_same_as_before_regates_no_tube(settled: Study):
    done = settled.snakemake("--forcerun", "pool")
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = jobs_in(done.stdout + done.stderr)
    assert {job.split()[1] for job in jobs if job.startswith("pool ")} == set(LEAN_ON_THE_BATCH)
    assert not [job for job in jobs if job.split()[0] in {"place", "gate"}]
    assert settled.run() == []


def test_a_panel_whose_gates_do_not_lean_on_the_batch_is_gated_at_once(settled: Study):
    settled.edit(
        "config/config.yaml",
        "gating: config/gating/th17.yaml",
        "gating: config/gating/th17.yaml\n    batch_reference: false",
    )
    jobs = settled.run()
    assert {job.split()[0] for job in jobs if job not in AFTER_GATING} == {"gate"}
    assert {job.split()[1] for job in jobs if job not in AFTER_GATING} == {"th17"}
    settled.edit("config/config.yaml", "    batch_reference: false\n", "")


def test_a_file_replaced_by_another_with_an_old_time_stamp_is_noticed(settled: Study):
    fcs = sorted(settled.path("resources", "demo", "fcs").rglob("*.fcs"))
    sheet = settled.path("resources", "demo", "sheets", "samples.tsv")
    rows = [line.rstrip("\n").split("\t") for line in lines_of(sheet)]
    header = rows[0]
    treg = [
        dict(zip(header, row, strict=True))
        for row in rows[1:]
        if "treg" in row and "sample" in row and "S001" in row and "NOT_DONE" not in row
    ]
    first, second = (settled.path("resources", "demo", "fcs", row["fcs"]) for row in treg[:2])
    assert first in fcs
    before = first.stat()
    first.write_bytes(second.read_bytes())
    os.utime(first, ns=(before.st_atime_ns, before.st_mtime_ns - 10**15))
    jobs = settled.run()
    assert "gate treg subject.S001" in jobs
    # The batch's other tubes are looked at with the batch's new position; nothing before that is done again.
    assert {job for job in jobs if "S002" in job} <= {"gate treg subject.S002"}


def test_a_file_that_was_only_touched_reruns_nothing(settled: Study):
    for path in settled.path("resources", "demo", "fcs").rglob("*.fcs"):
        os.utime(path)
    assert settled.run() == []


def test_a_gating_file_replaced_by_another_with_an_old_time_stamp_is_noticed(settled: Study):
    path = settled.path("config", "gating", "th17.yaml")
    before = path.stat()
    settled.edit("config/gating/th17.yaml", "offset: 0.146", "offset: 0.147")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns - 10**15))
    jobs = settled.run()
    assert {job.split()[1] for job in jobs if job.startswith("gate ")} == {"th17"}
