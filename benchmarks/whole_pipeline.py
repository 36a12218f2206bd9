"""What the whole pipeline takes on a simulated trial: first run, reruns, one more subject; floor and FlowKit.

    python benchmarks/whole_pipeline.py --subjects 82 --events 100000 --shards 8

One subject's rows are left out of the sheets at first. The pipeline is then run; run again; run with another
version of the Treg gating; and run with that subject. The floor reads every file, with one single-precision
matrix product and six comparisons each, in as many processes. FlowKit's `Session` does nothing but compensate
each file and apply eight fixed gates, in one process (on two cores it makes no second one); every tenth file
is timed, before the pipeline's runs and after them, and its time taken times the number of files. The trial
above needs 7 GB of disk.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np

from cytotrial.files.sheets import read_samples
from cytotrial.terms import Role
from floor import floor_of, reach_floor
from measuring import Ran, Spent, in_fresh_process, run, spend, table
from trial_folder import DEMO, fcs_files, install_trial

BIN = Path(sys.executable).parent
FLOOR_ROUNDS = 3
EVERY = 10
"""One file in so many is timed with FlowKit."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the trial, run what a user runs on it, print what each run took."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        install_trial(folder, subjects=options.subjects, events=options.events)
        if options.shards:
            cut_into_shards(folder, options.shards)
        newcomer = f"S{(options.subjects + 1) // 2:03d}"
        files = fcs_files(folder)
        sessions = [in_fresh_process(session_of_files, folder, EVERY)]
        runs = run_all(folder, newcomer=newcomer, cores=options.cores)
        sessions.append(in_fresh_process(session_of_files, folder, EVERY))
        session = _mean(sessions, n_files=len(files))
        floor = floor_of_files(files, processes=options.cores)
        peaks = peaks_of_jobs(folder)
        n_bytes = sum(path.stat().st_size for path in files)
    print(
        f"{options.subjects} + 1 subjects, {len(files)} tubes, {n_bytes / 1e6:.0f} MB, {options.cores} cores"
    )
    print(_table(runs, floor, session, n_tubes=len(files)))
    print("peak of one job: " + ", ".join(f"{job} {peak:.0f} MiB" for job, peak in peaks.items()))
    print(_against_session(runs, session))
    print(_verdict(runs["first run"].spent, floor, n_tubes=len(files)))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the whole pipeline takes.")
    parser.add_argument("--subjects", type=int, default=4, help="subjects of the cohort, from 2 (default 4)")
    parser.add_argument("--events", type=int, default=20_000, help="events of a tube (default 20000)")
    parser.add_argument("--shards", type=int, help="jobs per panel (default: one per subject)")
    parser.add_argument("--cores", type=int, default=2, help="jobs at a time (default 2)")
    parser.add_argument("--folder", type=Path, help="where to put the trial for the time (default: system's)")
    options = parser.parse_args(arguments)
    if options.subjects < 2:
        parser.error("one subject is left out at first, so that at least 2 are needed")
    return options


# The runs


def run_all(folder: Path, *, newcomer: str, cores: int) -> dict[str, Ran]:
    """What each run took, in the order in which they depend on each other."""
    everything = _leave_out(folder / DEMO / "sheets", newcomer)
    runs = {"first run": run_snakemake(folder, cores), "no-op rerun": run_snakemake(folder, cores)}
    gating = folder / "config" / "gating" / "treg.yaml"
    _replace(gating, "version: ", "version: 9.")
    runs["Treg gating changed"] = run_snakemake(folder, cores)
    for path, text in everything.items():
        path.write_text(text, encoding="utf-8")
    runs["one more subject"] = run_snakemake(folder, cores)
    return runs


def run_snakemake(folder: Path, cores: int, *arguments: str) -> Ran:
    return run([BIN / "snakemake", "--cores", str(cores), "--printshellcmds", *arguments], folder=folder)


def _leave_out(sheets: Path, subject: str) -> dict[Path, str]:
    """Take a subject's rows out of every sheet; what the sheets held before."""
    before = {path: path.read_text(encoding="utf-8") for path in sorted(sheets.glob("*.tsv"))}
    for path, text in before.items():
        kept = [line for line in text.splitlines(keepends=True) if not _is_about(line, subject)]
        path.write_text("".join(kept), encoding="utf-8")
    return before


def _is_about(line: str, subject: str) -> bool:
    return any(cell == subject or cell.startswith(f"{subject}.") for cell in line.rstrip("\n").split("\t"))


def cut_into_shards(folder: Path, shards: int) -> None:
    config = folder / "config" / "config.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(f"{text}\nexecution: {{shards: {shards}}}\n", encoding="utf-8")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    if old not in text:
        sys.exit(f"{path}: {old!r} is not in it, so nothing would change")
    path.write_text(text.replace(old, new), encoding="utf-8")


def peaks_of_jobs(folder: Path) -> dict[str, float]:
    """Most memory of one job of each heavy kind, in MiB."""
    unit = min(path.stem for path in (folder / "results" / "check" / "units").glob("s*.csv"))
    jobs = {
        "check-unit": ["--unit", unit],
        "place": ["--panel", "treg", "--unit", unit],
        "gate": ["--panel", "treg", "--unit", unit],
        "dataset": [],
        "report": [],
    }
    return {
        job: run([BIN / "cytotrial", job, *options], folder=folder).peak_mib for job, options in jobs.items()
    }


# The floor


def floor_of_files(files: Sequence[Path], *, processes: int) -> Spent:
    """Reach the floor of every file: wall time of so many processes, each with its share; CPU of all."""
    shares = [files[start::processes] for start in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rounds = list(zip(*pool.map(reach_floors, shares), strict=True))
    return Spent(
        median(max(share.wall_s for share in each) for each in rounds),
        median(sum(share.cpu_s for share in each) for each in rounds),
    )


def reach_floors(files: Sequence[Path]) -> list[Spent]:
    """What the floor of these files took, round by round; a file that is refused has none."""
    floors = [floor for path in files if (floor := floor_of(path)) is not None]
    return [spend(lambda: [reach_floor(floor) for floor in floors])[0] for _ in range(FLOOR_ROUNDS)]


# FlowKit's Session


def session_of_files(folder: Path, every: int) -> tuple[Spent, int]:
    """What FlowKit's Session takes for every n-th readable file, and how many these are.

    All files of a panel get the gates and the matrix of its first sample tube: controls have no labels of
    their own.
    """
    from eight_gates import gated_alike  # noqa: PLC0415
    from in_flowkit import add_quadrant, in_flowkit, session_of  # noqa: PLC0415

    rows = read_samples(folder / DEMO / "sheets" / "samples.tsv").rows
    root = folder / DEMO / "fcs"
    strategies = {}
    for row in rows:
        if row.role is Role.SAMPLE and row.panel not in strategies and floor_of(root / row.fcs):
            alike = gated_alike(row.panel, root / row.fcs)
            strategies[row.panel] = in_flowkit(alike.single, alike.matrix)
            add_quadrant(strategies[row.panel], alike.single, alike.quadrant)
    some = [row for row in rows if row.status == "DONE"][::every]
    readable = [row for row in some if (root / row.fcs).is_file() and floor_of(root / row.fcs)]
    with np.errstate(invalid="ignore"):  # FlowKit's per cent of a population without events
        spent, _ = spend(lambda: [session_of(root / row.fcs, strategies[row.panel]) for row in readable])
    return spent, len(readable)


def _mean(timed: Sequence[tuple[Spent, int]], *, n_files: int) -> Spent:
    """The mean time per file of some timings, times the number of files."""
    n_timed = sum(n for _, n in timed)
    return Spent(
        n_files * sum(spent.wall_s for spent, _ in timed) / n_timed,
        n_files * sum(spent.cpu_s for spent, _ in timed) / n_timed,
    )


# What is printed


def _table(runs: Mapping[str, Ran], floor: Spent, session: Spent, *, n_tubes: int) -> str:
    head = ["", "jobs", "wall s", "CPU s", "wall ms/tube", "wall / floor", "CPU / floor", "peak MiB"]
    rows = [
        ["floor", "", *_numbers(floor, floor, n_tubes), ""],
        ["FlowKit Session, fixed gates", "", *_numbers(session, floor, n_tubes), ""],
    ]
    for name, ran in runs.items():
        jobs = len(re.findall(r"Shell command: cytotrial ", ran.output))
        rows.append([name, str(jobs), *_numbers(ran.spent, floor, n_tubes), f"{ran.peak_mib:.0f}"])
    return table(head, rows)


def _against_session(runs: Mapping[str, Ran], session: Spent) -> str:
    first, rerun = runs["first run"].spent, runs["Treg gating changed"].spent
    return (
        f"first run: {first.wall_s / session.wall_s:.2f} of the Session's wall time, "
        f"{first.cpu_s / session.cpu_s:.2f} of its CPU time; "
        f"Treg gating changed: {100 * rerun.cpu_s / first.cpu_s:.0f} % of the first run's CPU time"
    )


def _numbers(spent: Spent, floor: Spent, n_tubes: int) -> list[str]:
    wall, cpu = spent.wall_s / floor.wall_s, spent.cpu_s / floor.cpu_s
    per_tube = 1e3 * spent.wall_s / n_tubes
    return [f"{spent.wall_s:.2f}", f"{spent.cpu_s:.2f}", f"{per_tube:.1f}", f"{wall:.1f}", f"{cpu:.1f}"]


def _verdict(first: Spent, floor: Spent, *, n_tubes: int) -> str:
    return (
        f"whole pipeline: {1e3 * first.wall_s / n_tubes:.0f} ms a tube, "
        f"{first.wall_s / floor.wall_s:.0f} x floor (CPU time {first.cpu_s / floor.cpu_s:.0f} x)"
    )


if __name__ == "__main__":
    main()
