"""What a tube costs in small and in large trials, and what memory a job takes by tubes and by events.

    python benchmarks/growth.py --subjects 5 50 500

Trials of few events a tube: so many tubes are then about files, jobs and tables, not about events. Each is
run to its end, with one shard for so many subjects, and its CPU time divided by its tubes. The peak memory of
each kind of job is that of its first unit. Then the jobs that read events are run on one trial of two
subjects after another, with more and more events in a tube (`--events`).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from measuring import run, table
from trial_folder import DEMO, fcs_files, install_trial
from whole_pipeline import BIN, cut_into_shards, run_snakemake

SUBJECTS_PER_SHARD = 8
FEWEST_EVENTS = 600
READING = ("check-unit", "place", "gate", "compensate")
"""Jobs that read events."""
JOINING = ("collect", "score", "count", "dataset", "sdtm", "check-dataset", "report", "review")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run every trial, print a table by tubes and a table by events."""
    options = _options(arguments)
    grown = [_by_tubes(subjects, cores=options.cores) for subjects in options.subjects]
    head = ["tubes", "shards", "wall s", "CPU s", "CPU ms/tube", *READING, *JOINING]
    print(f"{FEWEST_EVENTS} events a tube; peak memory of one job in MiB")
    print(table(head, grown))
    costs = [float(row[4]) for row in grown]
    print(f"CPU time per tube: from {min(costs):.0f} to {max(costs):.0f} ms")
    print("\nevents of a tube; peak memory of one job in MiB, and over the size of the largest file")
    print(table(["events", "largest file", *READING], [_by_events(events) for events in options.events]))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What a tube costs in small and in large trials.")
    parser.add_argument("--subjects", type=int, nargs="+", default=[5, 50, 500], help="of each trial")
    parser.add_argument("--events", type=int, nargs="+", default=[100_000, 500_000, 2_000_000])
    parser.add_argument("--cores", type=int, default=2, help="jobs at a time (default 2)")
    return parser.parse_args(arguments)


def _by_tubes(subjects: int, *, cores: int) -> list[str]:
    """A row of the table: one trial, run to its end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install_trial(folder, subjects=subjects, events=FEWEST_EVENTS)
        shards = -(-subjects // SUBJECTS_PER_SHARD)
        cut_into_shards(folder, shards)
        ran = run_snakemake(folder, cores)
        n_tubes = len(fcs_files(folder))
        peaks = [*_peaks(folder, READING), *_peaks(folder, JOINING)]
    spent = ran.spent
    per_tube = f"{1e3 * spent.cpu_s / n_tubes:.1f}"
    return [str(n_tubes), str(shards), f"{spent.wall_s:.0f}", f"{spent.cpu_s:.0f}", per_tube, *peaks]


def _by_events(events: int) -> list[str]:
    """A row of the table: a trial of two subjects with so many events in a tube."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install_trial(folder, subjects=2, events=events)
        cut_into_shards(folder, 1)
        run_snakemake(folder, 1, "--until", "gate")
        largest = max(path.stat().st_size for path in fcs_files(folder)) / 2**20
        peaks = [int(peak) for peak in _peaks(folder, READING)]
    shown = [f"{peak} ({peak / largest:.1f})" for peak in peaks]
    return [f"{events}", f"{largest:.1f}", *shown]


def _peaks(folder: Path, jobs: Sequence[str]) -> Iterator[str]:
    """The most memory of one job of each kind, in MiB; of a job that reads events, of its first unit."""
    unit = min(path.stem for path in (folder / "results" / "check" / "units").glob("shard.*.csv"))
    batch = min(path.name for path in (folder / DEMO / "fcs").iterdir())
    chosen = {
        "check-unit": ["--unit", unit],
        "place": ["--panel", "treg", "--unit", unit],
        "gate": ["--panel", "treg", "--unit", unit],
        "compensate": ["--panel", "treg", "--batch", batch],
    }
    for job in jobs:
        ran = run([BIN / "cytotrial", job, *chosen.get(job, [])], folder=folder)
        yield f"{ran.peak_mib:.0f}"


if __name__ == "__main__":
    main()
