"""How near the pipeline comes to the truth of a simulated trial that it has been run on.

    python benchmarks/demo_accuracy.py resources/demo results

Prints, per parameter and visit, the median that was counted and the true one over the same subjects, the
median relative error of a value, and the mean absolute relative error, in per cent.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import fmean, median

from cytotrial.files.tables import read_table


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="folder of the simulated trial")
    parser.add_argument("results", type=Path, help="folder of the results")
    arguments = parser.parse_args()
    truth = {row["specimen"]: row for row in read_table(arguments.demo / "truth" / "specimens.csv")}
    pairs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in read_table(arguments.results / "dataset" / "counts.csv"):
        if row["value"]:
            value, true = float(row["value"]), float(truth[row["specimen"]][row["parameter"]])
            pairs.setdefault((row["parameter"], row["visit"]), []).append((value, true))
    header = (f"{name:>10}" for name in ("counted", "true", "%", "median %", "mean |%|"))
    print(f"{'parameter':<10}{'visit':<13}{'n':>4}", *header)
    for (parameter, visit), values in sorted(pairs.items()):
        counted, true = (median(column) for column in zip(*values, strict=True))
        errors = [100 * (value / expected - 1) for value, expected in values]
        figures = (counted, true, 100 * (counted / true - 1), median(errors), fmean(map(abs, errors)))
        print(f"{parameter:<10}{visit:<13}{len(values):>4}", *(f"{figure:>10.2f}" for figure in figures))


if __name__ == "__main__":
    main()
