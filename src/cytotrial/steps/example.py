"""Write the simulated trial into a folder, with a configuration that runs on it."""

from __future__ import annotations

import re
from pathlib import Path

from cytotrial.demo import write_demo
from cytotrial.files.whole import write_text

EMBEDDED = Path("config/config.yaml")
"""The configuration that every user copies; the demo's is made from it."""


def write_example(folder: Path, *, subjects: int, events: int, seed: int, labels: bool) -> str:
    """Write the trial and `config.yaml`; say in a few lines what was made.

    The gating templates stay where they are, below config/gating.
    """
    made = write_demo(folder, subjects=subjects, events=events, seed=seed, labels=labels)
    config = folder / "config.yaml"
    lines = [f"{made.n_subjects} subjects, {made.n_tubes} tubes, {made.n_bytes / 1e6:.0f} MB in {folder}"]
    if EMBEDDED.exists():
        write_text(config, configuration_for(EMBEDDED.read_text(encoding="utf-8"), folder))
        lines.append(f"run it: snakemake --configfile {config}")
    return "\n".join(lines)


def configuration_for(embedded: str, folder: Path) -> str:
    """The embedded configuration with its FCS folder, sheets and results below another folder.

    Examples
    --------
    >>> configuration_for("fcs_dir: resources/demo/fcs\\nresults: results\\n", Path("mine"))
    'fcs_dir: mine/fcs\\nresults: mine/results\\n'
    """
    moved = embedded.replace("resources/demo/", f"{folder.as_posix()}/")
    return re.sub(r"(?m)^results: .*$", f"results: {folder.as_posix()}/results", moved)
