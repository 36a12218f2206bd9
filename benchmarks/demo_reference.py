"""The references of the shipped panels, learnt on simulated trials of another seed than the demo's.

    python benchmarks/demo_reference.py

Writes a trial of 12 subjects with the gates of a simulated expert to a temporary folder, takes 30 tubes of
each panel, from every batch in turn, and learns config/gating/<panel>.reference.json from them. Prints
what was learnt and the error to be expected.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from itertools import chain, zip_longest
from pathlib import Path

import yaml

from cytotrial.demo import write_demo
from cytotrial.files.reference import WANTED_TUBES
from cytotrial.files.tables import read_table
from cytotrial.steps.learn import learn_reference
from cytotrial.steps.trial import load_trial
from cytotrial.terms import Role, Tube

REPOSITORY = Path(__file__).resolve().parents[1]
DRAWS = Path("resources/demo/truth/draws.csv")
EXPERT = {"expert": "XX, simulated expert", "gated_on": "2024-01-08"}


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(REPOSITORY / "config", Path(folder) / "config")
        write_demo(
            Path(folder) / "resources" / "demo",
            subjects=options.subjects,
            events=options.events,
            seed=options.seed,
            expert=True,
        )
        os.chdir(folder)
        config = Path("config/config.yaml")
        _name_references(config, options.panels)
        for panel in options.panels:
            print(learn_reference(config, panel=panel), flush=True)
            written = Path(f"config/gating/{panel}.reference.json")
            shutil.copy(written, REPOSITORY / written)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="References of the shipped panels, learnt on a simulated trial."
    )
    parser.add_argument(
        "--seed", type=int, default=77, help="seed of the trial (default 77; never the demo's)"
    )
    parser.add_argument("--subjects", type=int, default=12, help="subjects of the trial (default 12)")
    parser.add_argument("--events", type=int, default=40_000, help="events of a tube (default 40000)")
    parser.add_argument("--panels", nargs="+", default=["count", "treg", "th17"], help="panels to learn")
    return parser.parse_args(arguments)


def _name_references(config: Path, panels: Sequence[str]) -> None:
    """Put the reference section of every panel into the configuration."""
    plain = yaml.safe_load(config.read_text(encoding="utf-8"))
    for panel in plain["panels"].values():
        panel.pop("reference", None)
    config.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    broken = {row["sample_id"] for row in read_table(DRAWS) if row["artefact"] == "truncated"}
    tubes = [tube for tube in load_trial(config).tubes if tube.sample_id not in broken]
    for panel in panels:
        expert = {"source": f"resources/demo/expert/{panel}", "tubes": _chosen(tubes, panel), **EXPERT}
        file = f"config/gating/{panel}.reference.json"
        plain["panels"][panel]["reference"] = {"file": file, "experts": [expert]}
    config.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")


def _chosen(tubes: Sequence[Tube], panel: str) -> list[str]:
    """As many tubes as are wanted, from every batch in turn."""
    batches: dict[str, list[str]] = {}
    for tube in tubes:
        if (tube.panel, tube.role, tube.status) == (panel, Role.SAMPLE, "DONE"):
            batches.setdefault(tube.batch, []).append(tube.sample_id)
    in_turn = chain.from_iterable(zip_longest(*(batches[name] for name in sorted(batches))))
    return [name for name in in_turn if name][:WANTED_TUBES]


if __name__ == "__main__":
    main()
