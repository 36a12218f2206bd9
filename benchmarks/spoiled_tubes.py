"""How many of the spoiled tubes of a simulated trial come first for review.

    python benchmarks/spoiled_tubes.py resources/demo results

A tube is as doubtful as its most doubtful row in review_scores.csv. Prints, by kind of fault, how many sample
tubes were spoiled on purpose (truth/draws.csv) and how many of them are among the first 15 % of the sample
tubes that were acquired, in the order of the review page: the most doubtful first, equal ones by their ids.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from cytotrial.files.tables import read_table

ALL = "all"


def worst_scores(results: Path) -> dict[str, float]:
    """sample_id → its largest score."""
    scores: dict[str, float] = {}
    for row in read_table(results / "review_scores.csv"):
        scores[row["sample_id"]] = max(float(row["score"]), scores.get(row["sample_id"], 0.0))
    return scores


def spoiled_tubes(demo: Path) -> dict[str, str]:
    """sample_id → the fault, of every spoiled sample tube."""
    rows = read_table(demo / "truth" / "draws.csv")
    return {row["sample_id"]: row["artefact"] for row in rows if row["artefact"] and row["role"] == "sample"}


def among_the_first(
    scores: Mapping[str, float], spoiled: Mapping[str, str], *, share: float
) -> dict[str, bool]:
    """Spoiled tube → whether it is among the given share of tubes with the largest scores.

    Examples
    --------
    >>> among_the_first({"a": 1.0, "b": 0.5, "c": 0.5, "d": 0.1}, {"a": "clog", "c": "drift"}, share=0.5)
    {'a': True, 'c': False}
    """
    in_order = sorted(scores, key=lambda name: (-scores[name], name))
    first = set(in_order[: int(share * len(scores))])
    return {name: name in first for name in spoiled}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("demo", type=Path, help="folder of the simulated trial")
    parser.add_argument("results", type=Path, help="folder of the results")
    parser.add_argument("--share", type=float, default=0.15, help="of the tubes, looked at first")
    arguments = parser.parse_args()
    scores, spoiled = worst_scores(arguments.results), spoiled_tubes(arguments.demo)
    found = among_the_first(scores, spoiled, share=arguments.share)
    n_first = int(arguments.share * len(scores))
    print(f"{len(scores)} sample tubes, {n_first} looked at first")
    if len(spoiled) > n_first:
        print(f"{len(spoiled)} are spoiled: at most {100 * n_first / len(spoiled):.1f} % can be among them")
    print(f"{'fault':<12}{'spoiled':>8}{'first':>8}{'share %':>9}")
    for fault in (*sorted(set(spoiled.values())), ALL):
        of_kind = [found[name] for name, kind in spoiled.items() if fault in {kind, ALL}]
        share = 100 * sum(of_kind) / len(of_kind) if of_kind else float("nan")
        print(f"{fault:<12}{len(of_kind):>8}{sum(of_kind):>8}{share:>9.1f}")


if __name__ == "__main__":
    main()
