"""A run that is killed at any moment, again and again, ends in the bytes of one that was not."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from cytotrial.files.atomic import is_temporary
from tests.workflow.faults import Contents, resumed
from tests.workflow.few import install_few
from tests.workflow.kills import Killer


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a run's jobs are looked up in /proc")
def test_runs_killed_at_random_moments_end_in_the_bytes_of_an_undisturbed_one(
    undisturbed: Contents, tiny_demo: Path, repository: Path, tmp_path: Path
):
    study = install_few(tiny_demo, repository, tmp_path / "killed")
    killer = Killer(study, random.Random(20))
    killer.kill(6)
    assert resumed(study) == undisturbed, killer.told
    assert [path for path in study.path("results").rglob("*") if is_temporary(path)] == []
