"""The workflow on a real Slurm of two nodes: the same bytes as on one machine, whatever happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.slurm import Cluster, why_not
from tests.workflow.faults import PATH, Command, Contents, cytotrial, refused, results_in
from tests.workflow.few import install_few
from tests.workflow.study import Study

PROFILE = (
    *("--workflow-profile", "workflow/profiles/slurm"),
    # This cluster keeps no accounts and is small: squeue answers at once.
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := why_not():
        pytest.skip(reason)
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


def install_with_a_broken_tube(demo: Path, repository: Path, folder: Path) -> Study:
    """The few tubes, the copy of one of which broke off."""
    study = install_few(demo, repository, folder)
    broken = sorted(study.path("resources/demo/fcs").rglob("*S002_W00*.fcs"))[0]
    broken.write_bytes(broken.read_bytes()[:5000])
    return study


@pytest.fixture(scope="module")
def on_one_machine(tiny_demo: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    study = install_with_a_broken_tube(tiny_demo, repository, tmp_path_factory.mktemp("local"))
    study.run()
    return results_in(study)


@pytest.fixture(scope="module")
def study(
    cluster: Cluster, tiny_demo: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    return install_with_a_broken_tube(tiny_demo, repository, tmp_path_factory.mktemp("cluster"))


def on_slurm(study: Study, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *PROFILE, *arguments],
        cwd=study.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PATH": PATH},
    )


def ended(process: subprocess.Popen[str]) -> Command:
    said, _ = process.communicate(timeout=900)
    return subprocess.CompletedProcess([], process.returncode, said, "")


def wait_for(condition: object, process: subprocess.Popen[str]) -> None:
    assert callable(condition)
    while not condition():
        assert process.poll() is None, "the run ended too early"
        time.sleep(0.2)


def test_a_run_on_the_cluster_gives_the_same_bytes_and_a_second_one_does_nothing(
    study: Study, on_one_machine: Contents
):
    done = ended(on_slurm(study))
    assert done.returncode == 0, done.stdout
    assert results_in(study) == on_one_machine
    assert ",reject,TRUNCATED" in study.path("results/check/inventory.csv").read_text(encoding="utf-8")
    assert cytotrial(study, "verify").returncode == 0
    assert "Nothing to be done" in ended(on_slurm(study)).stdout


def test_a_node_that_dies_in_the_middle_loses_nothing(
    study: Study, cluster: Cluster, on_one_machine: Contents
):
    run = on_slurm(study, "--forceall")
    wait_for(lambda: cluster.jobs_on("n1") or cluster.jobs_on("n2"), run)
    victim = "n1" if cluster.jobs_on("n1") else "n2"
    lost = cluster.jobs_on(victim)
    cluster.kill_node(victim)
    done = ended(run)
    cluster.start_node(victim)
    assert done.returncode == 0, done.stdout + cluster.logs()
    assert [cluster.times_given_back(job) for job in lost] == [1] * len(lost)
    assert results_in(study) == on_one_machine


def test_a_run_that_was_killed_is_resumed_once_its_jobs_have_left_the_queue(
    study: Study, cluster: Cluster, on_one_machine: Contents
):
    run = on_slurm(study, "--forceall")
    wait_for(cluster.jobs, run)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    queued = cluster.jobs()
    said = refused(cytotrial(study, "resume", *PROFILE))
    named = re.search(r"End them with `scancel ([\d ]+)`, then `cytotrial resume`", said)
    assert named, said
    # One of them may have ended since it was looked for.
    assert set(named[1].split()) <= set(queued)
    subprocess.run(["scancel", *named[1].split()], check=True)
    while cluster.jobs():
        time.sleep(0.5)
    done = cytotrial(study, "resume", *PROFILE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert results_in(study) == on_one_machine
    assert cytotrial(study, "verify").returncode == 0
