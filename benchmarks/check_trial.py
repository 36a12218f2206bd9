"""What `cytotrial check` takes on a whole simulated trial, and what reading and hashing its files takes.

    python benchmarks/check_trial.py

The first check computes the hash of every file; the second knows them by path, size and time.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measuring import Spent, in_fresh_process, run, spend, table
from trial_folder import fcs_files, install_trial


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a trial, check it twice, and read and hash its files in between."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        install_trial(folder, subjects=options.subjects, events=options.events)
        files = fcs_files(folder)
        check: list[str | Path] = [Path(sys.executable).parent / "cytotrial", "check"]
        first = run(check, folder=folder, codes=(0, 2))
        floor = in_fresh_process(read_and_hash, files)
        second = run(check, folder=folder, codes=(0, 2))
        n_bytes = sum(path.stat().st_size for path in files)
    print(f"{options.subjects} + 1 subjects, {len(files)} files, {n_bytes / 1e6:.0f} MB")
    print(first.output.strip().splitlines()[-1])
    parts = {"read and hash": floor, "first check": first.spent, "second check": second.spent}
    head = ["", "wall s", "CPU s", "CPU ms/file"]
    print(table(head, [_row(label, spent, len(files)) for label, spent in parts.items()]))
    print(f"peak of the check: {first.peak_mib:.0f} MiB")
    per_file, above = first.spent.cpu_s / len(files), first.spent.cpu_s / floor.cpu_s
    print(f"check: {1e3 * per_file:.2f} ms a file, {above:.1f} x reading and hashing")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What `cytotrial check` takes.")
    parser.add_argument("--subjects", type=int, default=82, help="subjects of the cohort (default 82)")
    parser.add_argument("--events", type=int, default=2_000, help="events of a tube (default 2000)")
    return parser.parse_args(arguments)


def read_and_hash(files: Sequence[Path]) -> Spent:
    """Read every file once and take its SHA-256; what that took."""

    def every_file() -> int:
        return sum(len(hashlib.sha256(path.read_bytes()).digest()) for path in files)

    return spend(every_file)[0]


def _row(label: str, spent: Spent, n_files: int) -> list[str]:
    return [label, f"{spent.wall_s:.1f}", f"{spent.cpu_s:.1f}", f"{1e3 * spent.cpu_s / n_files:.2f}"]


if __name__ == "__main__":
    main()
