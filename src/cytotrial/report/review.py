"""The review page: one HTML file that opens from disk, reaches nothing else, and holds its data packed.

Every value of the study is in deflated blocks that the page's own program unpacks and writes as text, never
as markup. The content security policy lets run that one program, by its digest, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cytotrial.report.review_script import FOLDER, page_script

SHOWN_FIRST = 24
"""Tubes whose data come before the program, which can show them while the others are still read."""


@dataclass(frozen=True)
class ReviewTube:
    """One tube of the page: what is told of it, and its packed events.

    about : plain data as `docs/review.md` lists it
    pictures : the cells' counts, one after the other
    sample : groups and levels of the tube's event sample; empty if there is none
    """

    about: Mapping[str, Any]
    pictures: bytes
    sample: bytes = b""


@dataclass(frozen=True)
class ReviewPage:
    """Everything that the page shows.

    common : plain data that all tubes share: axes, template entries, reasons, rows of the overrides file
    curves : of each control its packed counts, one after the other
    """

    study: str
    templates: Sequence[str]
    common: Mapping[str, Any]
    tubes: Sequence[ReviewTube]
    curves: Sequence[bytes] = field(default=())


def render_review(page: ReviewPage) -> str:
    """The page as HTML text; the same data give the same bytes."""
    style, script = (FOLDER / "review.css").read_text(encoding="utf-8"), page_script()
    whole = {
        **page.common,
        "study": page.study,
        "templates": list(page.templates),
        "tubes": [tube.about for tube in page.tubes],
    }
    blocks = [_block(index, page.tubes[index]) for index in _as_shown(page.tubes)]
    packed = json.dumps(whole, separators=(",", ":"), ensure_ascii=False, allow_nan=False, sort_keys=True)
    return str(
        _template().render(
            study=page.study,
            templates=page.templates,
            style=_as_it_is(style),
            style_digest=_digest(style),
            script=_as_it_is(script),
            script_digest=_digest(script),
            packed={
                "study": _text(packed.encode("utf-8")),
                "first": blocks[:SHOWN_FIRST],
                "others": blocks[SHOWN_FIRST:],
                "curves": [_text(curves) for curves in page.curves],
            },
        )
    )


def _as_shown(tubes: Sequence[ReviewTube]) -> list[int]:
    """The tubes' numbers in the order of the first view: samples, the most doubtful before the others."""

    def place(index: int) -> tuple[bool, float, str]:
        about = tubes[index].about
        worst = max([about["doubt"]["score"], *(cell["score"] for cell in about["cells"])])
        return about["role"] != "sample", -worst, about["id"]

    return sorted(range(len(tubes)), key=place)


def _block(index: int, tube: ReviewTube) -> dict[str, Any]:
    return {
        "index": index,
        "pictures": _text_of_counts(tube.pictures),
        "sample": _text(tube.sample) if tube.sample else "",
    }


def _text(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def _text_of_counts(content: bytes) -> str:
    """Packed counts, which repeat little: zlib's strategy for such data is as small, and much faster."""
    packer = zlib.compressobj(5, strategy=zlib.Z_FILTERED)
    return base64.b64encode(packer.compress(content) + packer.flush()).decode("ascii")


def _digest(content: str) -> str:
    """A digest as a content security policy names what may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode('utf-8')).digest()).decode('ascii')}"


def _as_it_is(own: str) -> Any:
    """Our own style or script, which the template must not escape; no value of a study is ever in it."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup(own)


def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("review.html.j2")
