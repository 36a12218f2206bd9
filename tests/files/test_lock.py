"""The file of a locked gating."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cytotrial.errors import ConfigError
from cytotrial.files.lock import SCHEMA, Lock, LockedPanel, read_lock, write_lock

LOCK = Lock(
    schema=SCHEMA,
    panels={
        "treg": LockedPanel(
            gating="0" * 64,
            reference="",
            settings="1" * 16,
            batches={"B1": {"FOXP3+": {"position": [0.4], "spread": [0.01], "tubes": 7}}},
        )
    },
    tubes=["T1"],
    batches=["B1"],
    middles={"treg": {"FOXP3+": {"B1": [0.4]}}},
    spreads={"treg": {"Treg": {"middle": -3.0, "sd": 0.3, "n_tubes": 7}}},
    sizes={"treg": {"FOXP3+": {"FAR_FROM_BATCH": [0.0, 0.01]}}},
    alarms={},
)


def test_a_lock_comes_back_as_it_was_and_is_written_the_same_each_time(tmp_path: Path):
    for name in ("a.json", "b.json"):
        write_lock(tmp_path / name, LOCK)
    assert read_lock(tmp_path / "a.json") == LOCK
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_a_batch_that_came_later_is_not_locked():
    assert LOCK.pool_of("treg", "B1") == {"FOXP3+": {"position": [0.4], "spread": [0.01], "tubes": 7}}
    assert LOCK.pool_of("treg", "B2") is None
    assert LOCK.pool_of("th17", "B1") is None


@pytest.mark.parametrize(
    ("change", "message"), [({"schema": "x"}, "schema"), ({"tube": []}, "tube"), ({"panels": 3}, "panels")]
)
def test_what_is_no_lock_is_refused_with_what_to_do(tmp_path: Path, change: dict, message: str):
    path = tmp_path / "a.json"
    write_lock(path, LOCK)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(ConfigError, match="cytotrial lock") as caught:
        read_lock(path)
    assert message in str(caught.value)
