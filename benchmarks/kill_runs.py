"""Kill runs at random moments, resume them, and compare every result with that of an undisturbed run.

    python benchmarks/kill_runs.py --kills 50

The trial is that of the tests: the count panel at two visits of two subjects. Killed are, in turn, snakemake,
one of its jobs, everything at once, snakemake with its folder `.snakemake` deleted, and snakemake after two
interrupts. Ends with exit code 1 if any byte differs.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.workflow.faults import results_in, resumed  # noqa: E402
from tests.workflow.few import install_few  # noqa: E402
from tests.workflow.kills import Killer  # noqa: E402

from cytotrial.demo import write_demo  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> None:
    """Run once undisturbed, then kill and resume, and compare."""
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_demo(folder / "demo", subjects=2, events=3000, seed=5)
        undisturbed = install_few(folder / "demo", REPOSITORY, folder / "undisturbed")
        undisturbed.run()
        killed = install_few(folder / "demo", REPOSITORY, folder / "killed")
        killer = Killer(killed, random.Random(options.seed))
        killer.kill(options.kills)
        print("\n".join(killer.told))
        same = resumed(killer.study) == results_in(undisturbed)
    print(f"{options.kills} kills, seed {options.seed}: {'the same bytes' if same else 'OTHER BYTES'}")
    sys.exit(0 if same else 1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=20)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
