"""The profile for a cluster knows every rule of the workflow."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ALONE = {"read_gating": "the others wait for it", "pool_table": "a checkpoint"}
"""Rules whose jobs are sent one by one, and why."""


def test_every_rule_has_a_group_of_jobs_that_it_travels_with(repository: Path):
    text = "".join(path.read_text(encoding="utf-8") for path in repository.glob("workflow/rules/*.smk"))
    rules = set(re.findall(r"^(?:rule|checkpoint) (\w+):", text, flags=re.MULTILINE))
    profile = repository / "workflow" / "profiles" / "slurm" / "config.yaml"
    settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
    grouped = {entry.split("=")[0] for entry in settings["groups"]}
    assert grouped | ALONE.keys() == rules
