"""Time and memory of what is compared, taken so that a busy machine does not decide the result.

Contestants take turns within each round, and ratios are formed within a round; the median of the rounds is
told. CPU time stands beside wall time: other work on the machine lengthens the second, hardly the first.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")
Name = TypeVar("Name")
KIB_PER_UNIT = 1 / 1024 if sys.platform == "darwin" else 1
"""getrusage tells the peak in KiB, on macOS in bytes."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds on the clock, and seconds of all cores (user and system)."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command took, with all its descendants; `peak_mib` is its largest process."""

    spent: Spent
    peak_mib: float
    code: int
    output: str


def spend(action: Callable[[], Answer]) -> tuple[Spent, Answer]:
    """Run an action in this process; what it took and what it answered."""
    wall, cpu = time.perf_counter(), time.process_time()
    answer = action()
    return Spent(time.perf_counter() - wall, time.process_time() - cpu), answer


def take_turns(contestants: Mapping[Name, Callable[[], object]], *, rounds: int) -> dict[Name, list[Spent]]:
    """Each contestant once to warm up, then once in every round."""
    for action in contestants.values():
        action()
    spent: dict[Name, list[Spent]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, action in contestants.items():
            spent[name].append(spend(action)[0])
    return spent


def in_fresh_process(action: Callable[..., Answer], *arguments: object) -> Answer:
    """Run a function in a new Python with one thread for linear algebra, as a job of the workflow is."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(action, *arguments).result()


def peak_mib() -> float:
    """Most memory this process has held, in MiB; not what its parent held when it was made."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB_PER_UNIT / 1024


def run(command: Sequence[str | Path], *, folder: Path, codes: tuple[int, ...] = (0,)) -> Ran:
    """Run a command to its end in a folder; what it took with all its descendants.

    Raises
    ------
    SystemExit
        If it ends with another exit code than those of `codes`; its output is printed.
    """
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OPENBLAS_NUM_THREADS": "1",
    }
    log = folder / "output.log"
    began = time.perf_counter()
    with log.open("wb") as stream:
        child = subprocess.Popen(command, cwd=folder, stdout=stream, stderr=stream, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    output = log.read_text(encoding="utf-8", errors="replace")
    if child.returncode not in codes:
        sys.exit(f"{output}\n{' '.join(map(str, command))} ended with exit code {child.returncode}")
    spent = Spent(wall, usage.ru_utime + usage.ru_stime)
    return Ran(spent, usage.ru_maxrss * KIB_PER_UNIT / 1024, child.returncode, output)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text in aligned columns, the first to the left and the others to the right.

    Examples
    --------
    >>> print(table(["", "ms"], [["floor", "1.5"]]))
            ms
    floor  1.5
    """
    lines = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
