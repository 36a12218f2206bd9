"""The pictures of docs/review.md, taken from the review page of the demo trial.

    .venv/bin/python benchmarks/review_pictures.py

Needs a run of the embedded demo trial (`make demo`) and a Chromium; writes docs/pictures/review-*.png.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from PIL import Image

from chromium import Page, chromium, find_chromium
from cytotrial.report.review import render_review
from cytotrial.settings import Review
from cytotrial.steps.plan import Plan, make_plan
from cytotrial.steps.review import review_page

REPOSITORY = Path(__file__).resolve().parents[1]
PICTURES = REPOSITORY / "docs" / "pictures"
SIZE = {"width": 1500, "height": 940}
LEFT, TOP, WIDTH, HEIGHT = 66, 66, 390, 390


def main() -> None:
    if find_chromium() is None:
        sys.exit("no chromium on PATH: the pictures are taken in one")
    plan = make_plan(Path("config/config.yaml"))
    with tempfile.TemporaryDirectory() as folder, chromium(**SIZE) as page:
        page.open(plan.layout.review)
        page.choose("#panel", "treg")
        _take(page, "sheet")
        _open(page, "CD25+FOXP3+")
        _take(page, "corner")
        _drag_corner(page)
        _take(page, "dragged")
        _open(page, "lymphocytes")
        page.key("x")
        _take(page, "zoom")
        page.open(_blinded(plan, Path(folder)))
        page.choose("#panel", "th17")
        _open(page, "Th17")
        _take(page, "blinded")
    for path in sorted(PICTURES.glob("review-*.png")):
        print(f"{path.relative_to(REPOSITORY)}  {path.stat().st_size / 1000:.0f} kB")


def _open(page: Page, population: str) -> None:
    names = page.evaluate("[...document.querySelectorAll('.row.here .name')].map((name) => name.textContent)")
    page.key(str(names.index(population) + 1))
    page.wait_for(f"document.querySelector('#heading').textContent.endsWith('→ {population}')")


def _drag_corner(page: Page) -> None:
    """Both thresholds, from where the grips' lines cross, and the reason."""
    left, top = page.evaluate(
        "(() => { const b = document.querySelector('#plot').getBoundingClientRect(); return [b.x, b.y]; })()"
    )
    xs = [left + LEFT + WIDTH * share / 390 for share in range(60, 380, 4)]
    ys = [top + TOP + HEIGHT * share / 390 for share in range(60, 380, 4)]
    x = next(x for x in xs if _hand(page, x, top + TOP + 8))
    y = next(y for y in ys if _hand(page, left + LEFT + WIDTH - 8, y))
    page.drag((x + 4, y + 4), (x + 34, y - 22))
    page.choose("#code", "TOO_LOW")
    page.type("#text", "cuts into the FOXP3-negative cells")
    page.type("#made_by", "A. Reader")


def _hand(page: Page, x: float, y: float) -> bool:
    page.mouse("mouseMoved", x, y)
    return bool(page.evaluate("document.querySelector('#plot').style.cursor") == "grab")


def _blinded(plan: Plan, folder: Path) -> Path:
    """The same page, blinded."""
    settings = plan.trial.settings.model_copy(update={"review": Review(blinded=True)})
    path = folder / "review.html"
    blinded = replace(plan, trial=replace(plan.trial, settings=settings))
    path.write_text(render_review(review_page(blinded)), encoding="utf-8")
    return path


def _take(page: Page, name: str) -> None:
    """A screenshot with few colours, which text and dots do not need more of."""
    path = PICTURES / f"review-{name}.png"
    page.evaluate("new Promise((done) => setTimeout(() => done(1), 700))")
    page.screenshot(path)
    Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    main()
