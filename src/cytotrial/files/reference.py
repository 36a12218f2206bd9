"""What reference tubes taught the finders of a panel: one readable file that gating takes as an input.

The version is made from the content; a file that was edited by hand, so that the two do not fit, is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cytotrial.errors import TemplateError, all_problems
from cytotrial.files.atomic import replace_file

SCHEMA = "cytotrial.reference/1"
WANTED_TUBES, WANTED_BATCHES = 30, 6
"""With fewer the constants themselves vary too much from one choice of tubes to another."""
MAX_BYTES = 50_000_000


@dataclass(frozen=True)
class Taught:
    """What the reference tubes taught about one population.

    finder, parent, channels : what the template named when it was learnt
    constants : plain data that the finder reads
    others : finder → constants of those that stand in for the first, or beside it
    """

    finder: str
    parent: str
    channels: tuple[str, ...]
    constants: Mapping[str, Any] | None
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    n_tubes: int = 0
    n_batches: int = 0
    reason: str = ""

    def by_finder(self) -> dict[str, Mapping[str, Any]]:
        """Finder → constants, of all that learnt any."""
        first = {} if self.constants is None else {self.finder: self.constants}
        return {**first, **self.others}


@dataclass(frozen=True)
class ReferenceFile:
    """A panel's reference: who gated what, and what it taught.

    experts : expert, gated_on, source (name of the file), source_sha256 and number of tubes of each
    tubes : sample_id, batch and fcs_sha256 of each
    expected_error : `population / denominator` → figures of the relative error of that percentage
    """

    panel: str
    template: str
    template_version: str
    experts: tuple[Mapping[str, Any], ...]
    tubes: tuple[Mapping[str, str], ...]
    populations: Mapping[str, Taught]
    expected_error: Mapping[str, Mapping[str, float]]

    @property
    def n_batches(self) -> int:
        return len({tube["batch"] for tube in self.tubes})

    @property
    def version(self) -> str:
        """Last day of gating and eight digits of the content's SHA-256, such as `2026-01-01+1a2b3c4d`."""
        content = json.dumps(self._plain(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        day = max((str(expert["gated_on"]) for expert in self.experts), default="0000-00-00")
        return f"{day}+{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    def _plain(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "panel": self.panel,
            "template": {"name": self.template, "version": self.template_version},
            "experts": [dict(expert) for expert in self.experts],
            "tubes": [dict(tube) for tube in self.tubes],
            "n_tubes": len(self.tubes),
            "n_batches": self.n_batches,
            "wanted": {"tubes": WANTED_TUBES, "batches": WANTED_BATCHES},
            "expected_error": {name: dict(figures) for name, figures in self.expected_error.items()},
            "populations": {name: _taught_to_plain(taught) for name, taught in self.populations.items()},
        }

    def to_plain(self) -> dict[str, Any]:
        """The content of the file."""
        return {**self._plain(), "version": self.version}


def _taught_to_plain(taught: Taught) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "finder": taught.finder,
        "parent": taught.parent,
        "channels": list(taught.channels),
        "n_tubes": taught.n_tubes,
        "n_batches": taught.n_batches,
    }
    if taught.constants is not None:
        plain["constants"] = dict(taught.constants)
    if taught.others:
        plain["others"] = {name: dict(constants) for name, constants in taught.others.items()}
    return plain | ({"reason": taught.reason} if taught.reason else {})


def write_reference(path: Path, reference: ReferenceFile) -> None:
    """Write the file: sorted keys, one line for an array of numbers; same content, same bytes."""
    text = "\n".join(_lines(reference.to_plain(), "")) + "\n"
    replace_file(path, text.encode())


def _lines(value: Any, indent: str) -> Iterator[str]:
    """JSON with one line for everything that fits on one, and for every array of numbers."""
    line = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or len(indent + line) <= 100 or _numbers(value):
        yield line
        return
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    yield opening
    entries = sorted(value.items()) if isinstance(value, dict) else [(None, entry) for entry in value]
    for number, (key, entry) in enumerate(entries):
        first, *rest = _lines(entry, indent + "  ")
        name = "" if key is None else f"{json.dumps(key, ensure_ascii=False)}: "
        whole = [f"{indent}  {name}{first}", *rest]
        whole[-1] += "," if number < len(entries) - 1 else ""
        yield from whole
    yield indent + closing


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, int | float) for entry in value)


# Strictly read


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Template(_Model):
    name: str
    version: str


class _Expert(_Model):
    expert: str
    gated_on: str
    source: str
    source_sha256: str
    tubes: int


class _Tube(_Model):
    sample_id: str
    batch: str
    fcs_sha256: str


class _Wanted(_Model):
    tubes: int
    batches: int


class _Taught(_Model):
    finder: str
    parent: str
    channels: list[str]
    n_tubes: int
    n_batches: int
    constants: dict[str, Any] | None = None
    others: dict[str, dict[str, Any]] = Field(default_factory=dict)
    reason: str = ""


class _File(_Model):
    schema_: str = Field(alias="schema", pattern=r"^cytotrial\.reference/1$")
    panel: str
    version: str
    template: _Template
    experts: list[_Expert]
    tubes: list[_Tube]
    n_tubes: int
    n_batches: int
    wanted: _Wanted
    expected_error: dict[str, dict[str, float | int]]
    populations: dict[str, _Taught]


def read_reference(path: Path) -> ReferenceFile:
    """Read what `write_reference` wrote.

    Raises
    ------
    TemplateError
        If it is missing, is no such file, or was edited by hand.
    """
    try:
        content = path.read_bytes()
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        plain = json.loads(content.decode("utf-8"))
        found = _File.model_validate(plain)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors(include_url=False)
        ]
        raise TemplateError(all_problems(str(path), problems[:20]), hint=_REMEDY) from None
    except (OSError, ValueError) as error:
        raise TemplateError(f"{path}: cannot be read ({error}).", hint=_REMEDY) from None
    reference = _reference(found)
    if reference.version != found.version:
        raise TemplateError(
            f"{path}: the version is {found.version}, but the content is that of {reference.version}.",
            hint=_REMEDY,
        )
    return reference


_REMEDY = "Make it anew with `cytotrial learn-reference`; it is not edited by hand."


def _reference(found: _File) -> ReferenceFile:
    return ReferenceFile(
        panel=found.panel,
        template=found.template.name,
        template_version=found.template.version,
        experts=tuple(expert.model_dump() for expert in found.experts),
        tubes=tuple(tube.model_dump() for tube in found.tubes),
        populations={
            name: Taught(**{**taught.model_dump(), "channels": tuple(taught.channels)})
            for name, taught in found.populations.items()
        },
        expected_error=found.expected_error,
    )
