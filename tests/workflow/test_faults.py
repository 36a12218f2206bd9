"""After `cytotrial resume` every fault of a run ends in the same bytes, or in a refusal that says why."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.workflow.faults import Contents, cytotrial, refused, results_in, resumed, running
from tests.workflow.few import install_few
from tests.workflow.study import BIN, Study


def edit_number(path: Path) -> None:
    """Turn one digit of a table into another: the size stays, the numbers do not."""
    text = path.read_text(encoding="utf-8")
    header, rows = text.split("\n", 1)
    place = re.search(r"[1-8](?=\d*[,.\n])", rows)
    assert place is not None
    rows = rows[: place.start()] + str(int(place.group()) + 1) + rows[place.end() :]
    path.write_text(f"{header}\n{rows}", encoding="utf-8")


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "dataset/counts.csv": (edit_number, "was edited"),
    "gating/count/subject.S001.populations.csv": (cut, "was cut"),
    "report.html": (empty, "was cut: 0 of"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_result_that_was_changed_is_named_and_no_run_goes_on_over_it(ended: Study, name: str):
    path = ended.path("results", name)
    before = path.read_bytes()
    change, word = FAULTS[name]
    change(path)
    said = refused(cytotrial(ended, "verify"))
    assert f"results/{name}: {word}" in said
    assert "to make them again: cytotrial resume" in said
    told = refused(ended.snakemake("--dry-run"))
    assert f"results/{name} was changed after it was made" in told
    assert "Make them again by `cytotrial resume`" in told
    path.write_bytes(before)


def test_what_was_changed_cut_lost_or_emptied_is_made_again_to_the_byte(ended: Study, undisturbed: Contents):
    edit_number(ended.path("results/gating/count/subject.S001.populations.csv"))
    cut(ended.path("results/check/inventory.csv"))
    empty(ended.path("results/dataset/counts.parquet"))
    ended.path("results/compensation/count.B01.csv").unlink()
    assert resumed(ended) == undisturbed


def test_a_change_that_keeps_size_and_time_is_found_by_content(ended: Study, undisturbed: Contents):
    path = ended.path("results/dataset/counts.csv")
    before = path.stat()
    edit_number(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert "results/dataset/counts.csv: was edited" in refused(cytotrial(ended, "verify"))
    assert resumed(ended) == undisturbed


def test_a_job_that_reads_a_changed_table_writes_nothing(ended: Study, undisturbed: Contents):
    path = ended.path("results/counts/specimens.csv")
    before = path.read_bytes()
    edit_number(path)
    said = refused(cytotrial(ended, "dataset"))
    assert "results/counts/specimens.csv was changed after it was made" in said
    path.write_bytes(before)
    assert results_in(ended) == undisturbed


def test_a_spillover_matrix_edited_in_place_is_refused_and_how_to_use_it_is_said(ended: Study):
    edit_number(ended.path("results/compensation/count.B01.csv"))
    told = refused(ended.snakemake())
    assert "results/compensation/count.B01.csv was changed after it was made" in told
    assert "copy it and name the copy under compensation" in told


def test_files_that_the_workflow_did_not_make_are_named(ended: Study):
    notes = ended.path("results/dataset/counts (copy).csv")
    shutil.copyfile(ended.path("results/dataset/counts.csv"), notes)
    try:
        said = refused(cytotrial(ended, "verify"))
        assert "results/dataset/counts (copy).csv: was not made by the workflow" in said
        assert "rm " in said
    finally:
        notes.unlink()


def test_a_raw_file_that_changed_without_changing_size_or_time_is_found(ended: Study, undisturbed: Contents):
    path = sorted(ended.path("resources/demo/fcs").rglob("*S001*.fcs"))[0]
    content, before = path.read_bytes(), path.stat()
    path.write_bytes(bytes([*content[:-9], content[-9] ^ 1, *content[-8:]]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    name = path.relative_to(ended.folder).as_posix()
    said = refused(cytotrial(ended, "verify"))
    assert f"{name}: was changed since; the results rest on what it held before" in said
    assert "to bring the results up to date: snakemake" in said
    would_run = ended.snakemake("--dry-run").stdout
    assert "check-unit --unit subject.S001" in would_run
    assert "check-unit --unit subject.S002" not in would_run  # its gates may follow those of the batch
    path.write_bytes(content)
    assert cytotrial(ended, "verify").returncode == 0


def test_results_without_snakemakes_memory_are_made_again_and_no_setting_is_missed(
    ended: Study, undisturbed: Contents
):
    # Without its folder Snakemake would find every file in place and miss the edit below.
    shutil.rmtree(ended.path(".snakemake"))
    ended.edit("config/config.yaml", "lloq_events: 50", "lloq_events: 51")
    ended.run()
    ended.edit("config/config.yaml", "lloq_events: 51", "lloq_events: 50")
    jobs = ended.run()
    assert "count" in jobs
    assert not any(job.startswith("gate ") for job in jobs)
    assert results_in(ended) == undisturbed


def test_a_job_of_a_run_that_was_taken_over_from_writes_nothing(ended: Study, undisturbed: Contents):
    claim = str(ended.path("results", ".run.json"))
    late = {"CYTOTRIAL_RUN": "an-earlier-run", "CYTOTRIAL_CLAIM": claim}
    for command in (
        ["gate", "--panel", "count", "--unit", "subject.S001"],
        ["read-gating", "--panel", "count"],
    ):
        said = refused(cytotrial(ended, *command, **late))
        assert "this job belongs to the run an-earlier-run" in said
        assert "nothing was written" in said
    assert results_in(ended) == undisturbed


def test_a_second_run_in_the_same_results_folder_is_refused(
    ended: Study, undisturbed: Contents, tiny_demo: Path, repository: Path, tmp_path: Path
):
    other = install_few(tiny_demo, repository, tmp_path / "other")
    other.edit("config/config.yaml", "results: results", f"results: {ended.path('results')}")
    with running(ended, "snakemake", "--cores", "1", "--forceall") as first:
        first.send_signal(signal.SIGSTOP)  # and so holds the folder as long as it takes
        told = refused(other.snakemake())
        assert "another run is at work in" in told
        assert f"process {first.pid}" in told
        told = refused(ended.snakemake("--forceall", "--nolock"))
        assert "another run is at work in results" in told
        told = refused(cytotrial(ended, "resume"))
        assert "the run is still at work in results" in told
        told = refused(cytotrial(ended, "verify"))
        assert "a run is at work there" in told
    assert resumed(ended) == undisturbed
    # The other folder has no record of how the results were made: it would make all of them again.
    would_run = other.snakemake("--dry-run").stdout
    assert "cytotrial check-unit" in would_run
    assert "cytotrial count" in would_run


def test_a_pipe_rejects_its_tube_and_a_clock_ahead_of_time_stops_nothing(ended: Study, undisturbed: Contents):
    late, pipe = (
        sorted(ended.path("resources/demo/fcs").rglob(f"*{name}*.fcs"))[0] for name in ("S001", "S002")
    )
    content, before = pipe.read_bytes(), late.stat()
    pipe.unlink()
    os.mkfifo(pipe)
    os.utime(late, (time.time() + 7200, time.time() + 7200))
    try:
        ended.run()
        inventory = ended.path("results/check/inventory.csv").read_text(encoding="utf-8")
        assert inventory.count("NOT_A_REGULAR_FILE") > 0
        assert inventory.count(",reject,") == 1
        ours = results_in(ended)["gating/count/subject.S001.populations.csv"]
        assert ours == undisturbed["gating/count/subject.S001.populations.csv"]
    finally:
        pipe.unlink()
        pipe.write_bytes(content)
        os.utime(late, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 300 kB; only the superuser can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("a small disk cannot be mounted here (only the superuser may)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def test_a_full_disk_ends_the_run_with_the_reason_and_room_lets_it_go_on(
    ended: Study, undisturbed: Contents, small_disk: Path
):
    ended.edit("config/config.yaml", "results: results", f"results: {small_disk}/results")
    try:
        told = refused(ended.snakemake())
        assert "No space left on device" in told
        remount(small_disk, "size=64m")
        assert cytotrial(ended, "resume", "--cores", "2").returncode == 0
        made = results_in(ended, str(small_disk / "results"))
        # The review page names the folder that it shows.
        assert {**made, "review.html": undisturbed["review.html"]} == undisturbed
    finally:
        ended.edit("config/config.yaml", f"results: {small_disk}/results", "results: results")


def test_a_folder_that_may_not_be_written_is_refused_by_name(ended: Study, small_disk: Path):
    remount(small_disk, "ro")
    ended.edit("config/config.yaml", "results: results", f"results: {small_disk}/results")
    try:
        told = refused(ended.snakemake())
        assert f"{small_disk}/results cannot be written: Read-only file system" in told
    finally:
        ended.edit("config/config.yaml", f"results: {small_disk}/results", "results: results")


def test_a_limit_on_the_size_of_files_ends_the_run_with_the_reason(ended: Study, undisturbed: Contents):
    limit = 100_000
    assert len(undisturbed["report.html"]) > limit
    done = subprocess.run(
        [str(BIN / "snakemake"), "--cores", "1", "--forcerun", "report"],
        cwd=ended.folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert "results/report.html cannot be written: File too large" in refused(done)
    assert resumed(ended) == undisturbed


def test_every_fault_in_the_documentation_names_a_test_that_exists(repository: Path):
    page = (repository / "docs" / "faults.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(test_\w+)`", page))
    sources = "".join(path.read_text(encoding="utf-8") for path in repository.glob("tests/**/*.py"))
    assert len(named) > 20
    assert {name for name in named if f"def {name}(" not in sources} == set()
