"""The pages that hold two things against each other: one look, one content security policy, no script."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).resolve().parents[3] / "resources" / "comparison"
"""Folder of the page templates: resources/comparison of the checkout."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image of a page: data URI, what it shows in words, and the line under it."""

    uri: str
    alt: str
    caption: str = ""


def render(name: str, **values: Any) -> str:
    """A page from its template; every value is escaped, an unknown name is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return str(environment.get_template(f"{name}.html.j2").render(**values))
