"""The configuration that runs on a simulated trial in any folder."""

from __future__ import annotations

import re
from pathlib import Path

from cytotrial.files.atomic import replace_file
from cytotrial.files.overrides import write_overrides

EMBEDDED = Path("config/config.yaml")
"""The configuration that every user copies; a demo's is made from it."""


def write_configuration(folder: Path) -> Path | None:
    """Write `config.yaml` into a demo's folder; None where no embedded configuration is at hand.

    The embedded configuration itself serves the folder that it names.

    The gating templates stay where they are, below config/gating.
    """
    if not EMBEDDED.exists():
        return None
    embedded = EMBEDDED.read_text(encoding="utf-8")
    if f"fcs_dir: {folder.as_posix()}/fcs\n" in embedded:
        return EMBEDDED
    config = folder / "config.yaml"
    replace_file(config, configuration_for(embedded, folder).encode())
    write_overrides(folder / "overrides.tsv", ())
    return config


def configuration_for(embedded: str, folder: Path) -> str:
    """The embedded configuration with its FCS folder, sheets and results below another folder.

    Examples
    --------
    >>> configuration_for("fcs_dir: resources/demo/fcs\\nresults: results\\n", Path("mine"))
    'fcs_dir: mine/fcs\\nresults: mine/results\\n'
    """
    moved = embedded.replace("resources/demo/", f"{folder.as_posix()}/")
    moved = moved.replace("config/overrides.tsv", f"{folder.as_posix()}/overrides.tsv")
    return re.sub(r"(?m)^results: .*$", f"results: {folder.as_posix()}/results", moved)
