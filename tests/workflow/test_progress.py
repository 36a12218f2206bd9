"""What a person who watches a run sees, and that nobody else sees anything of it."""

from __future__ import annotations

import inspect
import io
import os
import pty
import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from cytotrial.demo import write_demo
from cytotrial.files.fingerprints import fingerprints
from cytotrial.files.tables import write_table
from cytotrial.steps.agreement import compare_with_manual
from cytotrial.steps.compare import compare_results
from cytotrial.steps.export import export_gates
from cytotrial.steps.learn import learn_reference
from cytotrial.steps.load import load_into
from cytotrial.steps.verify import verify
from snakemake_logger_plugin_cytotrial import Bar, pace_in_words, tubes_of
from tests.workflow.study import BIN

SNAKEFILE = """
rule all:
    input: ["a.txt", "b.txt"{more}]
rule make:
    output: "{{name}}.txt"
    wildcard_constraints: name="[ab]"
    shell: "echo {{wildcards.name}} > {{output}}"
rule bad:
    output: "bad.txt"
    log: "bad.log"
    shell: "echo no room for it > {{log}}; false"
"""
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "TERM": "xterm-256color",
    "PYTHONHASHSEED": "0",
}


def workflow(folder: Path, *, fails: bool = False) -> Path:
    """Two jobs and the one that wants both; a third that fails if asked for."""
    folder.mkdir(exist_ok=True)
    more = ', "bad.txt"' if fails else ""
    (folder / "Snakefile").write_text(SNAKEFILE.format(more=more), encoding="utf-8")
    return folder


def command(*arguments: str) -> list[str]:
    return [str(BIN / "snakemake"), "--cores", "1", "--scheduler", "greedy", *arguments]


def seen(folder: Path, *arguments: str) -> tuple[str, int]:
    """What a terminal shows of a command, without its control codes, and the exit code."""
    ours, theirs = pty.openpty()
    done = subprocess.Popen(
        arguments, cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    with (
        os.fdopen(ours, "rb", buffering=0) as terminal,
        suppress(OSError),
    ):  # the other end closes with an error
        while part := terminal.read(4096):
            said += part
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode()), done.wait()


def watched(folder: Path, *arguments: str) -> tuple[str, int]:
    """A run that somebody watches."""
    return seen(folder, *command("--logger", "cytotrial", *arguments))


def piped(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        command(*arguments), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    said = re.sub(
        r"\[?\w{3} \w{3} +\d+ [\d:]+ \d{4}\]?|\d{4}-\d\d-\d\d[T ][\d:.]+\S*",
        "TIME",
        done.stdout + done.stderr,
    )
    return re.sub(r"(Workflow ID|Command|Date|Elapsed time): .*", r"\1", said).replace(str(folder), "FOLDER")


def test_a_terminal_shows_jobs_done_the_rate_and_a_closing_line(tmp_path: Path):
    said, code = watched(workflow(tmp_path))
    assert code == 0
    assert re.search(r"jobs .* [0-3]/3 ", said)
    assert re.search(r"\d+ per minute, about \d+:\d\d left", said)
    assert re.search(r"3 of 3 jobs in \d+:\d\d", said)
    assert "rule make" not in said


def test_an_error_is_shown_above_the_bar_with_its_log(tmp_path: Path):
    said, code = watched(workflow(tmp_path, fails=True), "--keep-going", "--show-failed-logs")
    assert code == 1
    assert "Error in rule bad" in said
    assert "no room for it" in said
    assert re.search(r"2 of 4 jobs in", said)


def test_that_there_is_nothing_to_do_is_said(tmp_path: Path):
    workflow(tmp_path)
    watched(tmp_path)
    said, _ = watched(tmp_path)
    assert "Nothing to be done" in said
    assert " jobs in " not in said


@pytest.mark.parametrize("arguments", [("--quiet", "all"), ("--quiet", "progress")])
def test_quiet_shows_no_bar(tmp_path: Path, arguments: tuple[str, ...]):
    said, code = watched(workflow(tmp_path), *arguments)
    assert code == 0
    assert "per minute" not in said
    assert " jobs in " not in said


@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--quiet", "all"), ("--printshellcmds",)])
def test_where_nobody_watches_the_output_is_snakemakes_own(tmp_path: Path, arguments: tuple[str, ...]):
    theirs = piped(workflow(tmp_path / "study"), *arguments)
    shutil.rmtree(tmp_path / "study")
    ours = piped(workflow(tmp_path / "study"), "--logger", "cytotrial", *arguments)
    assert ours.splitlines() == theirs.splitlines()


def test_the_time_left_is_that_of_the_jobs_left_at_the_mean_rate():
    # 30 jobs in a minute leave 90 jobs and three minutes.
    assert pace_in_words(30, 120, 60.0) == "30 per minute, about 3:00 left"


def test_a_bar_without_jobs_says_nothing():
    text = io.StringIO()
    bar = Bar(Console(file=text, force_terminal=True))
    bar.end()
    assert text.getvalue() == ""


def test_what_became_of_the_tubes_ends_the_run(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(repository / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    assert tubes_of(Path("config/config.yaml")) == []  # no sheets, no results: nothing to tell
    write_demo(tmp_path / "resources" / "demo", subjects=1, events=500, seed=5)
    rows = [{"sample_id": "T1", "status": "ok"}, {"sample_id": "T2", "status": "reject"}]
    write_table(tmp_path / "results" / "check" / "inventory.csv", ["sample_id", "status"], rows)
    assert tubes_of(Path("config/config.yaml")) == ["2 tubes: 1 ok, 0 warned, 1 rejected, 0 not done"]


def test_a_long_command_shows_its_progress_on_a_terminal_only(tmp_path: Path):
    demo = [str(BIN / "cytotrial"), "demo", "--subjects", "1", "--events", "500"]
    said, code = seen(tmp_path, *demo, "one")
    assert code == 0
    assert re.search(r"writing tubes .*100%", said)
    done = subprocess.run(
        [*demo, "two"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert "writing" not in done.stdout


def test_verify_tells_how_many_raw_files_it_has_read(tmp_path: Path):
    files = [tmp_path / name for name in ("a.fcs", "b.fcs", "c.fcs")]
    for path in files:
        path.write_bytes(b"FCS3.1")
    told: list[tuple[int, int]] = []
    fingerprints(
        files, cache=tmp_path / "cache.json", fresh=True, progress=lambda done, of: told.append((done, of))
    )
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    "step",
    [write_demo, learn_reference, compare_with_manual, compare_results, verify, export_gates, load_into],
)
def test_every_long_command_can_tell_how_far_it_is(step: Callable[..., object]):
    assert "progress" in inspect.signature(step).parameters
