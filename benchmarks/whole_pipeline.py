"""What the whole pipeline takes on a simulated trial: first run, reruns, one more subject; and the floor.

    python benchmarks/whole_pipeline.py --subjects 82 --events 100000 --shards 8

The trial is written without its last subject's rows; then run, run again, run with another version of the
Treg gating, and run with the last subject. The floor reads every file, with one single-precision matrix
product and six comparisons each, in two processes. A trial of 82 subjects and 100,000 events needs 7 GB.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import get_context
from pathlib import Path

from measuring import Ran, Spent, in_fresh_process, run, spend, table
from trial_folder import DEMO, fcs_files, install_trial

BIN = Path(sys.executable).parent
SHEETS_OF_A_SUBJECT = ("samples.tsv", "subjects.tsv", "cbc.tsv", "clinical.tsv", "exposure.tsv")
JOBS = {
    "check-unit": ["check-unit", "--unit", "{unit}"],
    "gate": ["gate", "--panel", "treg", "--unit", "{unit}"],
    "report": ["report"],
}
"""Jobs whose peak memory is told, one of each kind."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the trial, run what a user runs on it, print what each took."""
    options = _options(arguments)
    with _folder(options.folder) as name:
        folder = Path(name)
        install_trial(folder, subjects=options.subjects, events=options.events)
        if options.shards:
            _append(folder / "config" / "config.yaml", f"\nexecution: {{shards: {options.shards}}}\n")
        newcomer = f"S{options.subjects:03d}"
        files = fcs_files(folder)
        runs = run_all(folder, newcomer=newcomer, cores=options.cores)
        floor = in_fresh_process(floor_of_files, files, options.cores)
        jobs = peaks_of_jobs(folder)
    n_bytes = sum(options.sizes.values()) if False else 0
