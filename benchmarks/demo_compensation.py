"""Whether the matrices made from controls count as well as the true ones, on the simulated trial.

    python benchmarks/demo_compensation.py resources/demo

Runs the pipeline to the counts twice, on the same files: with `compensation: controls`, as the embedded
configuration has it, and with the simulation's true matrix of every panel and batch (`matrix_files`). Prints,
per parameter, the error against the truth of either, how far the two lie from each other, and how many of the
values lie within each other's 95 % counting interval.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

import yaml

from cytotrial.files.tables import read_table
from measuring import run, table

ROOT = Path(__file__).resolve().parents[1]
COUNTS = "results/dataset/counts.csv"

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Value:
    """A counted value with its 95 % counting interval."""

    value: float
    low: float
    high: float

    def holds(self, other: float) -> bool:
        return self.low <= other <= self.high


def counted(folder: Path, demo: Path, *, true_matrices: bool, cores: int) -> dict[Key, Value]:
    """Specimen and parameter → value, of a run in a folder of its own."""
    folder.mkdir(parents=True)
    for name in ("Snakefile", "workflow", "config"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / "profiles").symlink_to("workflow/profiles")
    (folder / "resources").mkdir()
    (folder / "resources" / "demo").symlink_to(demo.resolve())
    if true_matrices:
        _use_true_matrices(folder / "config" / "config.yaml")
    run(["snakemake", COUNTS, "--cores", str(cores), "--quiet", "all"], folder=folder)
    return {
        (row["specimen"], row["parameter"]): Value(
            float(row["value"]), float(row["ci_low"]), float(row["ci_high"])
        )
        for row in read_table(folder / COUNTS)
        if row["value"]
    }


def _use_true_matrices(config: Path) -> None:
    plain = yaml.safe_load(config.read_text(encoding="utf-8"))
    folder = Path(plain["fcs_dir"]).parent / "truth" / "spillover"
    for name, panel in plain["panels"].items():
        files = sorted((config.parents[1] / folder).glob(f"{name}.*.csv"))
        panel["matrix_files"] = {path.name.split(".")[1]: str(folder / path.name) for path in files}
    config.write_text(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True), encoding="utf-8")


def rows_of(
    controls: Mapping[Key, Value], true: Mapping[Key, Value], truth: Mapping[Key, float]
) -> Iterator[list[str]]:
    """One row per parameter over the values that both runs have."""
    for parameter in sorted({key[1] for key in controls}):
        keys = [key for key in controls if key[1] == parameter and key in true and truth.get(key, 0) > 0]
        errors = [[100 * (values[key].value / truth[key] - 1) for key in keys] for values in (controls, true)]
        apart = [100 * abs(controls[key].value / true[key].value - 1) for key in keys if true[key].value]
        inside = [true[k].holds(controls[k].value) and controls[k].holds(true[k].value) for k in keys]
        mean_errors = [f"{fmean(map(abs, one)):.2f}" for one in errors]
        median_errors = [f"{median(one):+.2f}" for one in errors]
        yield [
            parameter,
            str(len(keys)),
            *mean_errors,
            *median_errors,
            f"{median(apart):.3f}",
            f"{max(apart):.2f}",
            f"{sum(inside)}/{len(inside)}",
        ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="folder of the simulated trial")
    parser.add_argument("--cores", type=int, default=2)
    given = parser.parse_args()
    truth = {
        (row["specimen"], parameter): float(cell)
        for row in read_table(given.demo / "truth" / "specimens.csv")
        for parameter, cell in row.items()
        if parameter not in {"specimen", "subject", "visit"} and cell
    }
    with tempfile.TemporaryDirectory() as scratch:
        controls = counted(Path(scratch) / "controls", given.demo, true_matrices=False, cores=given.cores)
        true = counted(Path(scratch) / "true", given.demo, true_matrices=True, cores=given.cores)
    print("Per cent: mean absolute and median error against the truth, with matrices from controls and with")
    print("the true ones; how far the two are apart (median, largest); values within each other's interval")
    head = ["", "n", "|controls|", "|true|", "controls", "true", "apart", "largest", "within"]
    print(table(head, rows_of(controls, true, truth)))


if __name__ == "__main__":
    main()
