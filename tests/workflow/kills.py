"""Runs that are killed at random moments and resumed until they end."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.workflow.faults import running
from tests.workflow.study import Study

LATEST_S = 4.0
"""A kill comes at most so long after the run has claimed the folder."""


@dataclass
class Killer:
    """Kills runs of one study, each time in another way and at another moment.

    told : what was killed and when, one line for each kill
    """

    study: Study
    chance: random.Random
    told: list[str] = field(default_factory=list)

    def kill(self, times: int) -> None:
        """Start or resume a run and kill it, so many times; a run that ends before is begun anew."""
        ways = [self.snakemake, self.a_job, self.everything, self.snakemake_and_its_memory, self.interrupted]
        while len(self.told) < times:
            way = ways[len(self.told) % len(ways)]
            with running(self.study, "cytotrial", "resume", "--cores", "2") as run:
                delay = self.chance.uniform(0, LATEST_S)
                time.sleep(delay)
                if run.poll() is not None:
                    shutil.rmtree(self.study.path("results"))
                    continue
                way(run.pid)
                self.told.append(f"{delay:4.1f} s  {way.__name__.replace('_', ' ')}")
                run.wait()

    def snakemake(self, _: int) -> None:
        """Snakemake alone: its jobs live on for a while, and the next run begins beside them."""
        _signal(self._main(), signal.SIGKILL)

    def a_job(self, _: int) -> None:
        jobs = [pid for pid in _below(self._main()) if b"cytotrial" in _command(pid)]
        if jobs:
            _signal(self.chance.choice(jobs), signal.SIGKILL)

    def everything(self, group: int) -> None:
        """As when the machine goes down."""
        os.killpg(group, signal.SIGKILL)

    def snakemake_and_its_memory(self, group: int) -> None:
        self.snakemake(group)
        shutil.rmtree(self.study.path(".snakemake"), ignore_errors=True)

    def interrupted(self, _: int) -> None:
        """Ctrl-C, and again before snakemake has tidied up."""
        for _again in range(2):
            _signal(self._main(), signal.SIGINT)
            time.sleep(0.3)
        _signal(self._main(), signal.SIGKILL)

    def _main(self) -> int:
        told = json.loads(self.study.path("results", ".run.json").read_text(encoding="utf-8"))
        return int(told["process"])


def _below(pid: int) -> list[int]:
    """All processes that a process has started, and theirs."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in file.read_text().split()]
        except OSError:
            continue
        found += [process for child in children for process in [child, *_below(child)]]
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
