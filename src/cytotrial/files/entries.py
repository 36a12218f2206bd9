"""What jobs hand on to jobs as JSON: named entries of plain data, one a line, under the name of a form."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from cytotrial.errors import CytotrialError
from cytotrial.files.whole import read_text, write_text

Entry = TypeVar("Entry")


def write_entries(path: Path, form: str, entries: Mapping[str, Any]) -> None:
    """Write name → plain data; the same entries give the same bytes.

    Parameters
    ----------
    form : str
        Name and version of what the entries are, such as `cytotrial.batch/1`.
    """
    lines = ",\n".join(
        f"{json.dumps(name, ensure_ascii=False)}:{_one_line(entries[name])}" for name in sorted(entries)
    )
    write_text(path, f'{{"form":{json.dumps(form)},"entries":{{\n{lines}\n}}}}\n')


def _one_line(entry: Any) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def read_entries(path: Path, form: str, make: Callable[[Any], Entry]) -> dict[str, Entry]:
    """The entries that `write_entries` wrote, each made into what it stands for.

    Raises
    ------
    CytotrialError
        If the file is not as it was made or not of that form, or an entry is not what `make` expects.
    """
    try:
        plain = json.loads(read_text(path))
        if plain["form"] != form:
            raise ValueError(form)
        return {name: make(entry) for name, entry in plain["entries"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise CytotrialError(
            f"{path} is missing, or was cut or edited: it is not of the form {form}.",
            hint="Delete it and run snakemake again.",
        ) from None
