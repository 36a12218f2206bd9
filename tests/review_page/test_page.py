"""The review page as a file: it reaches nothing, runs only its own program, and shows text as text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromium import Page
from cytotrial.files.overrides import HEADER, REASONS, digest_of_text
from cytotrial.files.packing import pack_counts
from cytotrial.files.strategy import gate_to_json
from cytotrial.report.review import ReviewPage, ReviewTube, render_review
from cytotrial.terms import Dimension, RectangleGate, Transform
from tests.review_page.browser import browsers

EVIL = "<img src=x onerror=document.title=1>"
EVILER = "</script><script>document.title=1</script>"
LOGICLE = Transform("logicle", (("a", 0.0), ("m", 4.5), ("t", 262144.0), ("w", 0.5)))
GATE = RectangleGate((Dimension("FITC-A", LOGICLE, "tube"),), (0.5,), (None,))


def axis(channel: str, label: str, kind: str = "logicle") -> dict[str, Any]:
    ends = {"low": 0.0, "high": 1.0, "ticks": [[0.2, "0"], [0.5, "10^3"], [0.7, "10^4"]]}
    return {"channel": channel, "marker": label, "label": label, "matrix": "tube", "kind": kind, **ends}


def tube(**changes: Any) -> ReviewTube:
    """Ten events, six of them above the threshold."""
    levels = np.array([100, 120, 140, 160, 300, 310, 320, 330, 340, 350])
    line = np.bincount(levels, minlength=512)
    plane = np.bincount(levels // 4 * 128 + levels // 4, minlength=128 * 128)
    gate = {
        "population": "CD4+", "parent": "root", "text": gate_to_json(GATE), "origin": "template",
        "confidence": None, "flags": [], "events": 6,
    }  # fmt: skip
    cell = {
        "population": "CD4+", "edits": ["CD4+"], "bins": 128, "x": 0, "y": 1, "score": 0.7,
        "reasons": [], "borrowed": False, "controls": [],
    }  # fmt: skip
    about = {
        "id": "T1", "panel": "treg", "batch": "B1", "role": "sample", "template": "treg:1.0.0", "missing": [],
        "sha256": "ab" * 32, "strategy": 0, "root": 10, "flags": [], "gates": [gate], "lines": [],
        "doubt": {"score": 0.0, "reasons": []}, "conditions": [], "sampled": [], "cells": [cell],
        "subject": "S1", "visit": "W0", "visitOrder": 1,
    }  # fmt: skip
    return ReviewTube({**about, **changes}, pack_counts(plane) + pack_counts(line) + pack_counts(line))


def page(*tubes: ReviewTube, **common: Any) -> ReviewPage:
    told = {
        "form": "cytotrial.review/1", "run": "results", "blinded": False, "doubtful": 0.5, "reasons": REASONS,
        "absent": 0, "base": digest_of_text(HEADER), "saved": [],
        "axes": [axis("FITC-A", "CD4"), axis("SSC-A", "SSC", "linear")],
        "strategies": [{"CD4+": "entry"}], "controls": [],
    }  # fmt: skip
    return ReviewPage("STUDY", ["treg:1.0.0"], {**told, **common}, tubes)


def blocks_of(html: str) -> dict[str, bytes]:
    """The page's packed data by the id of their element."""
    found = re.findall(r'<script type="text/plain" id="(\w+)">([^<]*)</script>', html)
    return {name: zlib.decompress(base64.b64decode(text, validate=True)) for name, text in found}


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    yield from browsers()


def test_the_same_data_give_the_same_bytes():
    assert render_review(page(tube())) == render_review(page(tube()))


def test_the_page_names_no_address_and_lets_run_nothing_but_its_own_program():
    html = render_review(page(tube()))
    outside = re.sub(r'<script type="text/plain".*?</script>', "", html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"(?m)(?<![:\w])//.*$", "", outside))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    (program,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    allowed = policy.replace("&#39;", "'")
    assert allowed.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in allowed
    assert "unsafe" not in allowed
    assert re.search(r"\son\w+=", outside.replace(program, "")) is None


def test_no_text_of_a_study_is_in_the_page_but_packed():
    evil = tube(id="T1", subject=EVIL, visit=EVILER, flags=[EVIL])
    html = render_review(replace(page(evil), study=EVIL, templates=[EVILER]))
    assert EVIL not in html
    assert EVILER not in html
    assert json.loads(blocks_of(html)["study"])["tubes"][0]["subject"] == EVIL


def test_markup_in_a_subject_a_flag_or_a_comment_shows_as_text(tmp_path: Path, browser: Page):
    saved = {
        "sample_id": "T1", "population": "CD4+", "action": "exclude", "new_gate": "", "old_sha": "0" * 64,
        "reason_code": "OTHER", "reason_text": EVIL, "made_by": EVIL, "utc": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    evil = tube(subject=EVIL, visit=EVILER, flags=[EVIL], panel=EVILER, batch=EVIL)
    told = page(evil, saved=[saved], axes=[axis("FITC-A", EVIL), axis("SSC-A", EVILER, "linear")])
    path = tmp_path / "review.html"
    path.write_text(render_review(replace(told, study=EVIL)), encoding="utf-8")
    browser.open(path)
    browser.wait_for("document.querySelector('.label').textContent")
    assert EVIL in browser.text(".label")
    assert EVILER in browser.text("#about")
    assert EVIL in browser.text("#doubts")
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.evaluate("document.title") == f"Gate review: {EVIL}"
    browser.type("#text", EVILER)
    browser.key("r")
    browser.settle()
    assert browser.evaluate("document.querySelectorAll('img').length") == 0
    assert browser.errors == []


def test_a_script_that_is_slipped_into_the_page_does_not_run(tmp_path: Path, browser: Page):
    html = render_review(page(tube())).replace("</body>", "<script>document.title = 'run'</script></body>")
    path = tmp_path / "review.html"
    path.write_text(html, encoding="utf-8")
    browser.open(path)
    assert browser.evaluate("document.title") == "Gate review: STUDY"
    assert any("Content Security Policy" in error for error in browser.errors)
    browser.errors.clear()


def test_the_page_asks_for_nothing_but_itself(tmp_path: Path, browser: Page):
    path = tmp_path / "review.html"
    path.write_text(render_review(page(tube())), encoding="utf-8")
    browser.requests.clear()
    browser.open(path)
    assert [url for url in browser.requests if not url.startswith("blob:")] == [path.resolve().as_uri()]
    assert browser.errors == []


def test_a_page_whose_data_are_cut_says_so(tmp_path: Path, browser: Page):
    html = render_review(page(tube()))
    cut = re.sub(r'(id="study">[^<]{40})[^<]*', r"\1", html)
    path = tmp_path / "review.html"
    path.write_text(cut, encoding="utf-8")
    browser.call("Page.navigate", url=path.resolve().as_uri())
    browser.wait_for("document.querySelector('#message')?.textContent.includes('cannot be read')")
    browser.errors.clear()


def test_a_dragged_threshold_counts_the_events_beyond_it(tmp_path: Path, browser: Page):
    path = tmp_path / "review.html"
    path.write_text(render_review(page(tube())), encoding="utf-8")
    browser.open(path)
    browser.wait_for("document.querySelector('#percent').textContent")
    assert browser.text("#percent") == "60.0 %"
    # Six events are at steps 300 to 350 of 512, four at 100 to 160; the plot is 390 pixels wide.
    left, top = browser.evaluate(
        "(() => { const b = document.querySelector('#plot').getBoundingClientRect(); return [b.x, b.y]; })()"
    )

    def at(step: int) -> tuple[float, float]:
        return left + 66 + step / 512 * 390, top + 200

    browser.drag(at(256), at(325))
    assert browser.text("#percent") == "≈ 30.0 %"
    browser.drag(at(325), at(130))
    assert browser.text("#percent") == "≈ 80.0 %"
    browser.key("z")
    browser.settle()
    assert browser.text("#percent") == "60.0 %"
