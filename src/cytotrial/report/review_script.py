"""The review page's program: modules of plain JavaScript, tested one by one, shipped as one script.

The modules import each other by name and nothing else. Put after one another, those that are needed first,
and without their import and export words, they are one program; that no two of them use one name at the top
is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "resources" / "review"
"""Folder of the page's template, style and modules: resources/review of the checkout."""

START = "page.mjs"
_IMPORT = re.compile(r"^import\s+\{[^}]*\}\s+from\s+\"\./([a-z0-9_]+\.mjs)\";\n", re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let) )", re.MULTILINE)
_NAME = re.compile(r"^(?:async )?(?:function|class|const|let) ([A-Za-z_$][\w$]*)", re.MULTILINE)


def page_script(folder: Path = FOLDER) -> str:
    """All modules as one script.

    Raises
    ------
    ValueError
        If two modules use one name, or a module holds what would end the script's element.
    """
    order = list(dict.fromkeys(_needed_first(START, folder, ())))
    parts = [_bare((folder / name).read_text(encoding="utf-8")) for name in order]
    names = [name for part in parts for name in _NAME.findall(part)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"modules of the review page share names: {', '.join(twice)}")
    script = "\n".join(['"use strict";', "(() => {", *parts, "})();", ""])
    if "</" in script or "<!--" in script:
        raise ValueError("a module of the review page holds '</' or '<!--', which HTML reads as its own")
    return script


def _needed_first(name: str, folder: Path, above: tuple[str, ...]) -> Iterator[str]:
    if name in above:
        raise ValueError(
            f"modules of the review page import each other in a circle: {' → '.join((*above, name))}"
        )
    for needed in _IMPORT.findall((folder / name).read_text(encoding="utf-8")):
        yield from _needed_first(needed, folder, (*above, name))
    yield name


def _bare(module: str) -> str:
    return _EXPORT.sub("", _IMPORT.sub("", module))
