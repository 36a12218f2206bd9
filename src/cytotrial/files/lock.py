"""A locked gating: what the gates of a trial were drawn towards and compared with, as one file.

With it, tubes that come later change no value of those that were there when it was locked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cytotrial.errors import ConfigError, all_problems
from cytotrial.files.atomic import replace_file

SCHEMA = "cytotrial.lock/1"
MAX_BYTES = 200_000_000
REMEDY = "Lock the gating again with `cytotrial lock`, or take `locked` out of the configuration."


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LockedPanel(_Model):
    """Digests of what a panel was gated by, and where its batches had their gates.

    gating, reference : SHA-256 of the files; the latter empty without a reference
    settings : digest of the markers, the compensation and the rules of acquisition quality
    batches : batch → population → position, spread and tubes, as in <batch>.batch.json
    """

    gating: str
    reference: str
    settings: str
    batches: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)


class Lock(_Model):
    """All that later tubes must not change.

    tubes, batches : what was gated
    middles : panel → population → batch → where the batch's tubes had the gate
    spreads : panel → population → middle, sd and n_tubes of the reported percentage's logit
    sizes : panel → population → measure → its sorted sizes
    alarms : panel → batch → population → flags of the quality-control donor
    """

    schema_: str = Field(alias="schema", pattern=r"^cytotrial\.lock/1$")
    panels: dict[str, LockedPanel]
    tubes: list[str]
    batches: list[str]
    middles: dict[str, dict[str, dict[str, list[float]]]]
    spreads: dict[str, dict[str, dict[str, float | int]]]
    sizes: dict[str, dict[str, dict[str, list[float]]]]
    alarms: dict[str, dict[str, dict[str, list[str]]]]

    def pool_of(self, panel: str, batch: str) -> Mapping[str, Mapping[str, Any]] | None:
        """The pool of a batch that was there when the gating was locked; None of a later one."""
        return self.panels[panel].batches.get(batch) if panel in self.panels else None


def write_lock(path: Path, lock: Lock) -> None:
    """Write the file: sorted keys, so that the same lock gives the same bytes."""
    plain = lock.model_dump(by_alias=True)
    text = json.dumps(plain, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    replace_file(path, text.encode())


def read_lock(path: Path) -> Lock:
    """Read what `write_lock` wrote.

    Raises
    ------
    ConfigError
        If it is missing or no such file.
    """
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        return Lock.model_validate(json.loads(content.decode("utf-8")))
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)
        ]
        raise ConfigError(all_problems(str(path), problems[:20]), hint=REMEDY) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}).", hint=REMEDY) from None
