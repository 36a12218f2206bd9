"""A run's beginning and end: what stands in the results folder is looked at, claimed, and given back.

Called by the workflow in the process that the user started, before the first job and after the last one.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cytotrial.errors import ConfigError, CytotrialError, all_problems
from cytotrial.files import claim, seals
from cytotrial.files.atomic import is_temporary, replace_file
from cytotrial.files.fingerprints import fingerprints
from cytotrial.steps.layout import Layout
from cytotrial.steps.records import mark_incomplete, marked_incomplete, recorded_times

ENOUGH = 1 << 20
"""Bytes free on a disk that is not full; most results are smaller."""

RESUME = "CYTOTRIAL_RESUME"
"""Environment variable that `cytotrial resume` sets: what was changed is made again instead of refused."""


def examine_results(layout: Layout) -> None:
    """Look at what earlier runs made before Snakemake decides what there is to do.

    What has no valid record is made again; so is, on resuming, what was changed after it was made.

    Raises
    ------
    ConfigError
        If a result was changed after it was made: it may be someone's work, and nothing is overwritten.
    """
    incomplete = marked_incomplete()
    recorded = recorded_times()
    known = [path for path in _known(layout, recorded) if path.is_file() and str(path) not in incomplete]
    digests = fingerprints(known, cache=layout.seen)
    problems = {
        path: problem for path in known if (problem := seals.problem_with(path, digests.get(str(path), "")))
    }
    if problems and not os.environ.get(RESUME):
        told = [f"{path} {problem}" for path, problem in problems.items()]
        raise ConfigError(all_problems(str(layout.results), told), hint=_REMEDY)
    unrecorded = [path for path in known if recorded.get(str(path)) != path.stat().st_mtime]
    mark_incomplete(str(path) for path in {*problems, *unrecorded})


_REMEDY = (
    "Make them again by `cytotrial resume`. A spillover matrix of your own belongs outside the results: "
    "copy it and name the copy under compensation."
)


def _known(layout: Layout, recorded: Mapping[str, float]) -> list[Path]:
    """Results that Snakemake has a record of, or that have a seal."""
    ours = {Path(name) for name in recorded if Path(name).is_relative_to(layout.results)}
    return sorted(ours | set(seals.sealed_below(layout.results)))


def announce_run(layout: Layout) -> None:
    """Give the run an id that its jobs inherit."""
    now = datetime.now(UTC)
    os.environ[claim.RUN] = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    os.environ[claim.CLAIM] = str(layout.claim.absolute())


def look_only_when_a_job_ends(scheduler: Any) -> None:
    """Lift the default limit of 100 jobs a second of Snakemake's scheduler; one that a user sets is kept.

    With the limit, Snakemake 9.27 looks all waiting jobs over again one second after each look, and each
    job that ends begins another such series: after a thousand jobs it looks a thousand times a second.
    """
    limiter = getattr(scheduler, "job_rate_limiter", None)
    if limiter is not None and (limiter.max_jobs, limiter.timespan) == (100, 1):
        scheduler.job_rate_limiter = None


def begin_run(layout: Layout, jobs: Iterable[tuple[str, Iterable[str]]], *, executor: str) -> None:
    """Claim the results folder, sweep out what killed jobs left half written, note what will be made.

    Parameters
    ----------
    jobs : iterable of (rule, outputs)
        Every job of the workflow, whether or not there is something to do for it.
    executor : str
        How Snakemake runs the jobs: `local`, `slurm`.

    Raises
    ------
    ConfigError
        If another run is at work there, if jobs of a killed run are still queued on a cluster, or if
        the folder cannot be written.
    """
    about = {
        "run": os.environ[claim.RUN],
        "started": now_utc(),
        "user": _user(),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "executor": executor,
        "folder": str(Path.cwd()),
    }
    _refuse_while_queued(claim.read_claim(layout.claim))
    claim.take_claim(layout.claim, about)
    for path in layout.results.rglob(".*"):
        if is_temporary(path):
            path.unlink(missing_ok=True)
    made = {output: rule for rule, outputs in jobs for output in outputs}
    if str(layout.manifest) in made:
        replace_file(layout.jobs, (json.dumps(made, sort_keys=True, indent=0) + "\n").encode())
    _remember(layout, {**about, "state": "begun"})


def _refuse_while_queued(last: Mapping[str, Any]) -> None:
    """Cluster jobs outlive the run that sent them, and Snakemake within them clears away their outputs."""
    if last.get("executor") in {None, "local"} or "ended" in last:
        return
    jobs = _queued_from(str(last.get("folder")))
    if jobs:
        raise ConfigError(
            f"jobs of the run {last.get('run')}, which was ended, are still in the queue: {' '.join(jobs)}.",
            hint=f"End them with `scancel {' '.join(jobs)}`, then `cytotrial resume`.",
        )


def _queued_from(folder: str) -> list[str]:
    """Ids of the user's Slurm jobs that were sent from a folder; none where there is no Slurm."""
    command = ["squeue", "--me", "--noheader", "--format=%i %Z"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return []
    jobs = [line.split(" ", 1) for line in done.stdout.splitlines()]
    return [job[0] for job in jobs if len(job) == 2 and job[1].strip() == folder]


def end_run(layout: Layout, state: str) -> None:
    """Say in the claim and in the history that the run has ended, `complete` or `failed`."""
    about = {**claim.read_claim(layout.claim), "ended": now_utc(), "state": state}
    with suppress(OSError, CytotrialError):
        claim.say(layout.claim, about)
        _remember(layout, about)


def out_of_room(layout: Layout) -> str:
    """That the disk of the results is full, in words; a job's own log lies there too and may not tell it."""
    try:
        free = shutil.disk_usage(layout.results).free
    except OSError:
        return ""
    if free >= ENOUGH:
        return ""
    return (
        f"{layout.results}: No space left on device ({free // 1024} kB are free).\n"
        "  Make room; `cytotrial resume` then goes on with the run."
    )


def now_utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _remember(layout: Layout, about: Mapping[str, Any]) -> None:
    """One line more in the history of runs."""
    with layout.history.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(about, sort_keys=True) + "\n")


def history(layout: Layout) -> Iterator[dict[str, Any]]:
    """The beginnings and ends of all runs, in the order of time."""
    if layout.history.exists():
        for line in layout.history.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                yield json.loads(line)


def _user() -> str:
    """The user's name; the number where the system has no name for it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())
