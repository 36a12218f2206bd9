"""How well a donor is gated by a reference learnt on other donors: FlowAtlas, against its authors' gates.

    python benchmarks/leave_one_donor_out.py data/flowatlas

For each donor in turn: `cytotrial learn-reference` on the tubes of the others (gates of the authors' FlowJo
workspace), `snakemake` on all tubes by that reference, `cytotrial agreement` on the tubes of the donor that
was left out. Printed are, over all tubes and for each donor, bias, Lin's coefficient and F1 of each
population; percentages are of the population that is named. The folder holds the FCS files that
config/examples/flowatlas/samples.tsv names, and the workspace (.wsp).
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from cytotrial.files.tables import read_table
from cytotrial.science.agreement_summary import Wanted, summarise

HERE = Path(__file__).resolve().parent
SHEETS = HERE.parent / "config" / "examples" / "flowatlas"
BIN = Path(sys.executable).parent
PANEL = "tissue"
MARKERS = {
    "FOXP3": ["Foxp3", "Foxp3-IgM"],
    **{
        name: [name]
        for name in ("CD3", "CD4", "CD8", "CD25", "CD127", "CD45RA", "CCR7", "CXCR3", "CCR4", "CCR6", "CCR10")
    },
}
TREES = {"390C": "T cells", "403C": "T cells", "423": "non-B/T cells", "428": "non-B/T cells"}
"""Donor → where the authors put its T cells."""
MEMORY = "CD4/non-Treg/CD4 | Memory"
BELOW = {
    "T cells": "",
    "CD4": "CD4",
    "Treg": "CD4/Treg",
    "Memory": MEMORY,
    "Th17-Th22": f"{MEMORY}/Th17-Th22",
    "Th17": f"{MEMORY}/Th17-Th22/CD4 | Th17",
}
"""Our population → the authors', below the T cells."""
ELSEWHERE = {"Th17-Th22": f"{MEMORY}/non-Tfh/Th17-Th22", "Th17": f"{MEMORY}/non-Tfh/Th17-Th22/CD4 | Th17"}
SORTED_OTHERWISE = {"390C-Lung"}
"""The one tube whose Th17 the authors put elsewhere, and where."""


def tubes_of_the_study() -> list[dict[str, str]]:
    """The stained tubes of the example's sheet, in one panel, with the donor as the batch."""
    with (SHEETS / "samples.tsv").open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["role"] == "sample"]
    return [{**row, "panel": PANEL, "specimen": row["sample_id"]} for row in rows]


def their_paths(tube: Mapping[str, str], ours: Collection[str]) -> dict[str, str]:
    """Our population → the authors' path of it in one tube, for those that the template has."""
    below = {**BELOW, **ELSEWHERE} if tube["sample_id"] in SORTED_OTHERWISE else BELOW
    tree = TREES[tube["subject"]]
    return {
        population: f"{tree}/{path}" if path else tree
        for population, path in below.items()
        if population in ours
    }


def experts(
    tubes: Iterable[Mapping[str, str]], workspace: Path, ours: Collection[str]
) -> list[dict[str, Any]]:
    """What learn-reference reads: the workspace, once for the tubes whose populations have the same paths."""
    groups: list[tuple[dict[str, str], list[str]]] = []
    for tube in tubes:
        paths = their_paths(tube, ours)
        names = next((names for known, names in groups if known == paths), None)
        if names is None:
            groups.append((paths, names := []))
        names.append(tube["sample_id"])
    return [
        {
            "source": str(workspace),
            "tubes": names,
            "populations": paths,
            "expert": "the authors of FlowAtlas",
            "gated_on": "2021-08-06",
        }
        for paths, names in groups
    ]


def write_study(
    folder: Path,
    data: Path,
    template: Path,
    *,
    tubes: Sequence[Mapping[str, str]],
    taught_by: list[dict[str, Any]],
) -> Path:
    """Sheets and configuration of one fold."""
    folder.mkdir(parents=True)
    with (folder / "samples.tsv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(tubes[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(tubes)
    reference = {"file": str(folder / "reference.json"), "experts": taught_by}
    panel = {"markers": MARKERS, "compensation": "none", "gating": str(template)}
    share = {"kind": "percent", "panel": PANEL, "of": "CD4"}
    config = {
        "study": "FLOWATLAS",
        "fcs_dir": str(data),
        "results": str(folder / "results"),
        "sheets": {
            "samples": str(folder / "samples.tsv"),
            **{name: str(SHEETS / f"{name}.tsv") for name in ("subjects", "visits")},
        },
        "panels": {PANEL: {**panel, **({"reference": reference} if taught_by else {})}},
        "parameters": {
            "TREGPCD4": {**share, "population": "Treg"},
            "TH17PCD4": {**share, "population": "Th17"},
        },
        "quality": {"time_bins": False},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def command(*arguments: str, may_end_with: Sequence[int] = (0,)) -> None:
    """Run one of the study's own commands; stop if it fails."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [str(BIN / arguments[0]), *arguments[1:]],
        cwd=HERE.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in may_end_with:
        sys.exit(f"{' '.join(arguments)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def mapping(tubes: Iterable[Mapping[str, str]], ours: Collection[str]) -> list[str]:
    """The --map arguments for some tubes."""
    pairs = [pair for tube in tubes for pair in their_paths(tube, ours).items()]
    texts = dict.fromkeys(f"{mine}={theirs}" for mine, theirs in pairs)
    return [part for text in texts for part in ("--map", text)]


def one_fold(
    donor: str, folder: Path, arguments: argparse.Namespace, *, workspace: Path
) -> list[dict[str, Any]]:
    """The rows of agreement of one donor's tubes, gated without it."""
    tubes = tubes_of_the_study()
    template = yaml.safe_load(arguments.template.read_text(encoding="utf-8"))
    ours = {population["name"] for population in template["populations"]}
    others = [row for row in tubes if row["subject"] != donor]
    taught_by = [] if arguments.without_reference else experts(others, workspace, ours)
    config = write_study(folder, arguments.data, arguments.template, tubes=tubes, taught_by=taught_by)
    if taught_by:
        command("cytotrial", "learn-reference", "--panel", PANEL, "--config", str(config))
    command("snakemake", "--cores", str(arguments.cores), "--configfile", str(config))
    left_out = [row for row in tubes if row["subject"] == donor]
    mine = [part for row in left_out for part in ("--tubes", row["sample_id"])]
    page = folder / "agreement.html"
    command(
        *("cytotrial", "agreement", str(workspace), "--config", str(config), "--output", str(page)),
        *(*mine, *mapping(left_out, ours)),
        may_end_with=(0, 2),
    )
    return [as_numbers(row) for row in read_table(page.with_suffix(".tubes.csv"))]


def as_numbers(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of agreement.tubes.csv with its figures as numbers; an empty one is not known."""
    figures = ("percent", "manual_percent", "precision", "recall", "f1")
    return {**row, **{name: float(row[name]) if row[name] else float("nan") for name in figures}}


def print_agreement(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    print(f"\n{title}")
    print(
        f"{'population':<12}{'of':<10}{'tubes':>6}{'bias':>8}{'CCC':>8}{'95 % CI':>18}{'F1':>8}{'lowest':>8}"
    )
    for row in summarise(rows, Wanted()):
        interval = f"{row['ccc_ci_low']:.3f} to {row['ccc_ci_high']:.3f}"
        lowest = float("nan") if row["f1_lowest"] is None else row["f1_lowest"]
        print(
            f"{row['population']:<12}{row['of']:<10}{row['n_tubes']:>6}{row['bias']:>8.2f}{row['ccc']:>8.3f}"
            f"{interval:>18}{row['f1_median']:>8.3f}{lowest:>8.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of the FCS files and the workspace")
    parser.add_argument("--template", type=Path, default=HERE / "flowatlas_tissue.yaml")
    parser.add_argument(
        "--without-reference", action="store_true", help="let the template's finders run bare"
    )
    parser.add_argument("--donors", nargs="+", default=list(TREES), choices=list(TREES))
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="keep what is made here")
    arguments = parser.parse_args()
    arguments.data, arguments.template = arguments.data.resolve(), arguments.template.resolve()
    workspaces = sorted(arguments.data.glob("*.wsp"))
    if len(workspaces) != 1:
        sys.exit(f"{arguments.data} holds {len(workspaces)} workspaces (.wsp); one was expected")
    with tempfile.TemporaryDirectory() as temporary:
        kept = arguments.folder or Path(temporary)
        folds = {
            donor: one_fold(donor, kept.resolve() / donor, arguments, workspace=workspaces[0])
            for donor in arguments.donors
        }
    for donor, rows in folds.items():
        print_agreement(f"donor {donor}", rows)
    print_agreement("all donors", [row for rows in folds.values() for row in rows])


if __name__ == "__main__":
    main()
