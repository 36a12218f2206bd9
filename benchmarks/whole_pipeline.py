"""What the whole pipeline takes on a simulated trial: first run, reruns, one more subject; and the floor.

    python benchmarks/whole_pipeline.py --subjects 82 --events 100000 --shards 8

One subject's rows are left out of the sheets at first. The pipeline is then run; run again; run with another
version of the Treg gating; and run with that subject. The floor reads every file, with one single-precision
matrix product and six comparisons each, in as many processes. The trial above needs 7 GB of disk.
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

from measuring import Ran, Spent, run, spend, table
from trial_folder import DEMO, fcs_files, install_trial

BIN = Path(sys.executable).parent
FLOOR_ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the trial, run what a user runs on it, print what each run took."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        install_trial(folder, subjects=options.subjects, events=options.events)
        if options.shards:
            _cut_into_shards(folder, options.shards)
        newcomer = f"S{(options.subjects + 1) // 2:03d}"
        runs = run_all(folder, newcomer=newcomer, cores=options.cores)
        files = fcs_files(folder)
        floor = floor_of_files(files, processes=options.cores)
        peaks = peaks_of_jobs(folder)
        n_bytes = sum(path.stat().st_size for path in files)
    print(
        f"{options.subjects} + 1 subjects, {len(files)} tubes, {n_bytes / 1e6:.0f} MB, {options.cores} cores"
    )
    print(_table(runs, floor, n_tubes=len(files)))
    print("peak of one job: " + ", ".join(f"{job} {peak:.0f} MiB" for job, peak in peaks.items()))
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
    runs = {"first run": _snakemake(folder, cores), "no-op rerun": _snakemake(folder, cores)}
    gating = folder / "config" / "gating" / "treg.yaml"
    _replace(gating, "version: ", "version: 9.")
    runs["Treg gating changed"] = _snakemake(folder, cores)
    for path, text in everything.items():
        path.write_text(text, encoding="utf-8")
    runs["one more subject"] = _snakemake(folder, cores)
    return runs


def _snakemake(folder: Path, cores: int) -> Ran:
    return run([BIN / "snakemake", "--cores", str(cores), "--printshellcmds"], folder=folder)


def _leave_out(sheets: Path, subject: str) -> dict[Path, str]:
    """Take a subject's rows out of every sheet; what the sheets held before."""
    before = {path: path.read_text(encoding="utf-8") for path in sorted(sheets.glob("*.tsv"))}
    for path, text in before.items():
        kept = [line for line in text.splitlines(keepends=True) if not _is_about(line, subject)]
        path.write_text("".join(kept), encoding="utf-8")
    return before


def _is_about(line: str, subject: str) -> bool:
    return any(cell == subject or cell.startswith(f"{subject}.") for cell in line.rstrip("\n").split("\t"))


def _cut_into_shards(folder: Path, shards: int) -> None:
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
    from floor import floor_of, reach_floor  # noqa: PLC0415

    floors = [floor for path in files if (floor := floor_of(path)) is not None]
    return [spend(lambda: [reach_floor(floor) for floor in floors])[0] for _ in range(FLOOR_ROUNDS)]


# What is printed


def _table(runs: Mapping[str, Ran], floor: Spent, *, n_tubes: int) -> str:
    head = ["", "jobs", "wall s", "CPU s", "wall ms/tube", "wall / floor", "CPU / floor", "peak MiB"]
    rows = [["floor", "", *_numbers(floor, floor, n_tubes), ""]]
    for name, ran in runs.items():
        jobs = len(re.findall(r"Shell command: cytotrial ", ran.output))
        rows.append([name, str(jobs), *_numbers(ran.spent, floor, n_tubes), f"{ran.peak_mib:.0f}"])
    return table(head, rows)


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
