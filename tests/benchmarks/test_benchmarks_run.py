"""Each benchmark runs at a small size and says its figures; how large they are is not tested."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cytotrial.demo import write_demo
from cytotrial.terms import SpilloverMatrix


def lines_of(repository: Path, name: str, *arguments: str) -> list[str]:
    """What a benchmark prints."""
    command = [sys.executable, repository / "benchmarks" / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=repository)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def cells_of(lines: list[str], label: str) -> list[str]:
    """The row of a table that begins with a label."""
    (line,) = (line for line in lines if line.startswith(f"{label} "))
    return line.removeprefix(label).split()


def test_the_tube_path_holds_flowkits_events_and_its_ratios_are_told(repository: Path):
    lines = lines_of(repository, "tube_path.py", "--events", "3000", "--rounds", "1")
    # Three tubes with two polygons, five rectangles and the four regions of a quadrant gate each.
    assert "the same events in all 33 populations: tube path, FlowKit" in lines
    assert re.match(r"per-tube path: \d+\.\d x FlowKit's Session, \d+\.\d x floor", lines[-1])
    assert all(cells_of(lines, name) for name in ("tube path", "FlowKit Session", "whole gating step"))


def test_a_gate_in_which_flowkit_has_other_events_stops_the_benchmark(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.syspath_prepend(repository / "benchmarks")
    tube_path = importlib.import_module("tube_path")
    eight_gates = importlib.import_module("eight_gates")
    tubes = tube_path.prepare(eight_gates.write_study(tmp_path, events=3000))
    assert set(tube_path.counts_of_both(tubes)) == {"count", "treg", "th17"}
    detectors = tubes[0].matrix.detectors
    uncompensated = replace(tubes[0], matrix=SpilloverMatrix(detectors, np.eye(len(detectors))))
    with pytest.raises(
        SystemExit, match=f"FlowKit has other events than we have in: {tubes[0].panel} region"
    ):
        tube_path.counts_of_both([uncompensated])


def test_the_whole_pipeline_is_timed_and_a_rerun_without_a_change_runs_no_job(repository: Path):
    lines = lines_of(repository, "whole_pipeline.py", "--subjects", "2", "--events", "2000", "--shards", "2")
    jobs = {
        label: int(cells_of(lines, label)[0])
        for label in ("first run", "no-op rerun", "Treg gating changed", "one more subject")
    }
    assert jobs["no-op rerun"] == 0
    assert 0 < jobs["one more subject"] < jobs["first run"]
    assert 0 < jobs["Treg gating changed"] < jobs["first run"]
    assert float(cells_of(lines, "FlowKit Session, fixed gates")[0]) > 0
    assert re.match(r"first run: \d+\.\d\d of the Session's wall time", lines[-2])
    assert re.match(r"whole pipeline: \d+ ms a tube, \d+ x floor", lines[-1])


def test_cost_and_memory_are_told_by_tubes_and_by_events(repository: Path):
    lines = lines_of(repository, "growth.py", "--subjects", "2", "--events", "2000")
    head, by_tubes = (re.split(r"\s{2,}", line.strip()) for line in lines[1:3])
    assert head[:2] == ["tubes", "shards"]
    assert int(by_tubes[0]) > 20
    assert all(float(peak) > 20 for peak in by_tubes[head.index("check-unit") :])
    events, largest, *peaks = re.split(r"\s{2,}", lines[-1].strip())
    assert int(events) == 2000
    assert all(float(peak.split()[0]) > float(largest) for peak in peaks)


def test_checking_a_trial_accounts_for_every_tube_and_its_time_per_file_is_told(repository: Path):
    lines = lines_of(repository, "check_trial.py", "--subjects", "2", "--events", "1000")
    files = int(re.search(r"(\d+) files", lines[0]).group(1))
    rows, ok, warned, rejected, not_done = map(int, re.findall(r"\d+", lines[1]))
    assert rows == ok + warned + rejected + not_done
    assert rows - not_done == files
    assert re.match(r"check: \d+\.\d+ ms a file, \d+\.\d x reading and hashing", lines[-1])


def test_the_coverage_of_every_kind_of_interval_is_told(repository: Path):
    lines = lines_of(repository, "interval_coverage.py", "--draws", "200")
    kinds = {re.split(r"\s{2,}", line)[0] for line in lines[1:-1]}
    assert {"beads", "dual platform", "volume, CV 5 %", "across tubes", "net of background"} <= kinds
    lowest, highest = map(float, re.findall(r"\d+\.\d+", lines[-1]))
    # 200 draws: binomial standard error 1.5 %.
    assert 88 < lowest <= highest <= 100


def test_a_trial_counted_by_its_true_events_is_compared_with_its_truth(repository: Path):
    lines = lines_of(repository, "full_trial.py", "--subjects", "2", "--events", "3000", "--true-gates-only")
    covered = {
        code: float(cells_of(lines[: lines.index("", 3)], code)[1])
        for code in ("CD4ABS", "LYMABS", "TREGABS", "TH17ABS", "TH17TREG")
    }
    # 19 draws each: fewer than 15 of 19 intervals with the truth are no chance at 95 %.
    assert min(covered.values()) > 75


STAND_IN = """
version: 1.0.0
name: stand-in
scales: {default: {kind: logicle, t: 262144, w: 1.0, m: 4.5, a: 0}}
populations:
  - {name: T cells, channels: [CD3], gate: {low: 0.5}}
  - {name: CD4, parent: T cells, channels: [CD4, CD8], gate: {low: [0.5, -0.2], high: [1.0, 0.55]}}
  - {name: Treg, parent: CD4, channels: [FOXP3, CD127], gate: {low: [0.5, -0.2], high: [1.0, 0.5]}}
  - {name: Th17, parent: CD4, channels: [CCR6, CXCR3], gate: {low: [0.5, -0.2], high: [1.0, 0.5]}}
"""


def test_a_donor_is_left_out_gated_and_held_against_its_authors_gates(
    repository: Path, shared: Path, tmp_path: Path
):
    (tmp_path / "template.yaml").write_text(STAND_IN, encoding="utf-8")
    arguments = ("--without-reference", "--donors", "428", "--template", str(tmp_path / "template.yaml"))
    data = str(shared / "data" / "flowatlas_treg_foxp3")
    lines = lines_of(repository, "leave_one_donor_out.py", data, *arguments)
    assert "donor 428" in lines
    donor = lines[lines.index("donor 428") : lines.index("all donors")]
    for population, of in (("T cells", "root"), ("CD4", "T cells"), ("Treg", "CD4"), ("Th17", "CD4")):
        (row,) = (line for line in donor if line.startswith(f"{population:<12}{of:<10}"))
        assert row.split()[len(f"{population} {of}".split())] == "2"  # tubes of the donor


def test_compensation_is_told_beside_autospill_medians_and_the_truth(repository: Path):
    lines = lines_of(repository, "compensation.py", "--trials", "1")
    # Case, largest error, mean error, largest standard error, controls told of.
    good = cells_of(lines, "cells, 8 % of them unstained")
    assert float(good[0]) <= 0.005
    assert float(good[3]) == 0
    contestants = [
        line.split(":")[1].split("  ")[0].strip() for line in lines if line.startswith("good cells")
    ]
    assert contestants == ["this method", "AutoSpill", "medians"]
    assert any(line.startswith("150 positive events") and "refused" in line for line in lines)
    assert re.match(r"8 controls of 50,000 events: \d+\.\d\d s of CPU", lines[-1])


def test_the_trial_is_counted_with_matrices_from_controls_and_with_the_true_ones(
    repository: Path, tmp_path: Path
):
    write_demo(tmp_path / "demo", subjects=1, events=6000, seed=3)
    lines = lines_of(repository, "demo_compensation.py", str(tmp_path / "demo"))
    for parameter in ("CD4ABS", "TREGPCD4", "TH17PCD4"):
        n, *_, apart, _, within = cells_of(lines, parameter)
        # Gates are thresholds: a difference of a thousandth moves a few events in thousands.
        assert float(apart) < 5
        assert within.endswith(f"/{n}")


def test_a_spoiled_tube_is_found_if_the_page_shows_it_among_the_first(repository: Path, tmp_path: Path):
    (tmp_path / "demo" / "truth").mkdir(parents=True)
    draws = ["sample_id,role,artefact", "T1,sample,clog", "T2,sample,", "T3,sample,drift", "T4,fmo,clog"]
    (tmp_path / "demo" / "truth" / "draws.csv").write_text("\n".join(draws) + "\n", encoding="utf-8")
    scores = ["sample_id,population,score,reasons", "T1,root,1,", "T1,CD4+,0.1,", "T2,CD4+,0.5,"]
    scores += ["T3,CD4+,0.5,", "T5,CD4+,0.2,"]
    (tmp_path / "review_scores.csv").write_text("\n".join(scores) + "\n", encoding="utf-8")
    lines = lines_of(repository, "spoiled_tubes.py", str(tmp_path / "demo"), str(tmp_path), "--share", "0.5")
    # T1 is first; T3 has the score of the sound T2 and comes after it by its id, third of four.
    assert cells_of(lines, "clog") == ["1", "1", "100.0"]
    assert cells_of(lines, "all") == ["2", "1", "50.0"]
