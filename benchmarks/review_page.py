"""The review page at the size of a trial: its file, first view, dragging and memory, in headless Chromium.

    .venv/bin/python benchmarks/review_page.py --tubes 984

Simulates a small trial, gates it, and repeats its sample tubes under other names until the page has
as many as asked for: pictures and event samples are those of simulated tubes; only names and batches differ.

First view is from the start of the navigation until contact sheet and large view are drawn; a drag's time is
from each mouse event until the page has drawn what follows from it. Memory is that of the page's JavaScript
heap and, beside it, of all processes of the browser.

Then every gate of some tubes is moved at random, and the page's own modules (run by node, where it is
installed) are compared with the engine on all events.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from chromium import Page, chromium, find_chromium
from measuring import table
from review_counting import errors, moves_of, page_counts, tubes_of
from trial_folder import install_trial

REPOSITORY = Path(__file__).resolve().parents[1]
FRAME = (66, 66, 390, 390)


def main() -> None:
    arguments = _arguments()
    if find_chromium() is None:
        sys.exit("no chromium on PATH: this benchmark opens the page in one")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(arguments.folder or name)
        if not (folder / "Snakefile").exists():
            folder.mkdir(parents=True, exist_ok=True)
            install_trial(folder, subjects=arguments.subjects, events=arguments.events)
        _run_pipeline(folder)
        page = Path(name) / "page" / "review.html"
        page.parent.mkdir()
        repeated = _write_page(folder, page, n_tubes=arguments.tubes)
        megabytes = page.stat().st_size / 1e6
        print(f"{repeated} tubes, {megabytes:.1f} MB, {1000 * megabytes / repeated:.1f} kB a tube")
        for line in _in_browser(page, drags=arguments.drags):
            print(line)
        for line in _accuracy(folder, each=arguments.compared):
            print(line)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tubes", type=int, default=984, help="tubes of the page")
    parser.add_argument("--subjects", type=int, default=2, help="subjects of the simulated trial")
    parser.add_argument("--events", type=int, default=100_000, help="events of a sample tube")
    parser.add_argument("--folder", help="keep the simulated trial here, or use the one that is there")
    parser.add_argument("--drags", type=int, default=40, help="mouse moves of each kind of drag")
    parser.add_argument(
        "--compared", type=int, default=8, help="tubes of each panel whose counts are compared"
    )
    return parser.parse_args()


def _run_pipeline(folder: Path) -> None:
    command = [
        str(Path(sys.executable).parent / "snakemake"),
        "--cores",
        "2",
        "--quiet",
        "all",
        "--",
        "results/review.html",
    ]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)


def _write_page(folder: Path, target: Path, *, n_tubes: int) -> int:
    """The trial's page with its sample tubes repeated under other names."""
    from cytotrial.report.review import render_review  # noqa: PLC0415 (the folder must be the current one)
    from cytotrial.steps.plan import make_plan  # noqa: PLC0415
    from cytotrial.steps.review import review_page  # noqa: PLC0415

    here = Path.cwd()
    os.chdir(folder)
    try:
        page = review_page(make_plan(Path("config/config.yaml")))
    finally:
        os.chdir(here)
    samples = [tube for tube in page.tubes if tube.about["role"] == "sample"]
    tubes = []
    for number in range(n_tubes):
        tube = samples[number % len(samples)]
        changes = {"id": f"T{number:06d}", "subject": f"S{number // 12:03d}", "batch": f"B{number // 41:02d}"}
        tubes.append(replace(tube, about={**tube.about, **changes}))
    target.write_text(render_review(replace(page, tubes=tubes)), encoding="utf-8")
    return len(tubes)


def _in_browser(path: Path, *, drags: int) -> Iterator[str]:
    with chromium() as page:
        blank = _memory(page)
        page.call("Performance.enable", timeDomain="threadTicks")
        page.open(path)
        ready = page.evaluate("performance.getEntriesByName('review-ready')[0].startTime")
        yield f"first view {ready / 1000:.2f} s after the navigation began, load {os.getloadavg()[0]:.1f}"
        page.wait_for("document.readyState === 'complete'")
        yield f"whole file read: {_cpu_ms(page) / 1000:.2f} s of the page's main thread"
        rows = [_drag_row(page, kind, drags) for kind in ("corner", "polygon", "upstream threshold")]
        yield table(["milliseconds for a mouse move", "CPU", "median", "95 of 100", "longest"], rows)
        yield table(["milliseconds", "median", "longest"], [_jump_row(page)])
        page.call("HeapProfiler.collectGarbage")
        heap, whole = _memory(page)
        yield f"after dragging: heap {heap:.0f} MB, all processes {whole:.0f} MB, before {blank[1]:.0f}"
        page.evaluate(_SCROLL)
        page.call("HeapProfiler.collectGarbage")
        heap, whole = _memory(page)
        yield f"after scrolling through all tubes: heap {heap:.0f} MB, all processes {whole:.0f} MB"
        if page.errors:
            sys.exit(f"errors in the page: {page.errors}")


_SCROLL = """(async () => {
    const sheet = document.querySelector('#scroller');
    for (let top = 0; top < sheet.scrollHeight; top += sheet.clientHeight) {
        sheet.scrollTop = top;
        await new Promise((done) => setTimeout(done, 30));
    }
})()"""


def _drag_row(page: Page, kind: str, drags: int) -> list[str]:
    population = {"corner": "CD25+FOXP3+", "polygon": "lymphocytes", "upstream threshold": "T cells"}[kind]
    page.choose("#panel", "treg")
    names = page.evaluate("[...document.querySelectorAll('.row.here .name')].map((name) => name.textContent)")
    page.key(str(names.index(population) + 1))
    page.wait_for(f"document.querySelector('#heading').textContent.endsWith('→ {population}')")
    page.settle()
    x, y = _grip(page, kind)
    page.mouse("mouseMoved", x, y)
    page.mouse("mousePressed", x, y, held=True)
    times, before = [], _cpu_ms(page)
    for step in range(drags):
        page.evaluate("window.moved = performance.now(); 1")
        page.mouse("mouseMoved", x + 1 + step, y - step % 3, held=True)
        times.append(page.evaluate(_DRAWN))
    cpu = (_cpu_ms(page) - before) / drags
    page.mouse("mouseReleased", x + drags, y)
    page.settle()
    if page.text("#decision") != "adjusted":
        sys.exit(f"the {kind} was not taken hold of")
    times.sort()
    return [
        kind,
        f"{cpu:.0f}",
        f"{statistics.median(times):.0f}",
        f"{times[int(0.95 * (len(times) - 1))]:.0f}",
        f"{times[-1]:.0f}",
    ]


_DRAWN = """new Promise((done) =>
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - window.moved))))"""


def _grip(page: Page, kind: str) -> tuple[float, float]:
    """Where to take hold: found as a person does, by the cursor that turns into a hand."""
    left, top = page.evaluate(
        "(() => { const b = document.querySelector('#plot').getBoundingClientRect(); return [b.x, b.y]; })()"
    )
    x0, y0, width, height = FRAME
    across = [left + x0 + width * share / 82 for share in range(1, 82)]
    upwards = [
        top + y0 + height * (1 - share / 82) for share in ((70,) if kind != "polygon" else range(4, 12))
    ]
    for y in upwards:
        hands = [x for x in across if _is_hand(page, x, y)]
        if hands and kind == "polygon":
            return hands[len(hands) // 2], y
        if hands and kind == "upstream threshold":
            return hands[0], y
        if hands:
            return hands[0], _meets(page, hands[0], top + y0, height)
    sys.exit(f"nothing to take hold of for the {kind}")


def _meets(page: Page, x: float, top: float, height: float) -> float:
    """The height of the other line: where the hand is there beside the first line too."""
    return next(
        top + height * share / 82
        for share in range(20, 82)
        if _is_hand(page, x + 60, top + height * share / 82)
    )


def _cpu_ms(page: Page) -> float:
    """CPU time of the page's main thread so far."""
    metrics = page.call("Performance.getMetrics")["metrics"]
    return 1000 * next(entry["value"] for entry in metrics if entry["name"] == "TaskDuration")


def _is_hand(page: Page, x: float, y: float) -> bool:
    page.mouse("mouseMoved", x, y)
    return bool(page.evaluate("document.querySelector('#plot').style.cursor") == "grab")


def _jump_row(page: Page) -> list[str]:
    """From a key until the next tube's gate is drawn large."""
    times = []
    for _ in range(20):
        page.evaluate("window.moved = performance.now(); 1")
        before = page.text("#about")
        page.key("j")
        page.wait_for(f"document.querySelector('#about').textContent !== {json.dumps(before)}")
        times.append(page.evaluate(_DRAWN))
    return ["next tube, asked for until drawn", f"{statistics.median(times):.0f}", f"{max(times):.0f}"]


def _accuracy(folder: Path, *, each: int) -> Iterator[str]:
    """How far the page's percentages are from the engine's, as a share of what the page promises."""
    node = shutil.which("node")
    if node is None:
        yield "no node on PATH: the page's counts are not compared with the engine's"
        return
    rows = []
    for panel in ("treg", "th17", "count"):
        tubes = [tube for _, tube in tubes_of(folder, panels=[panel], each=each)]
        moves = [list(moves_of(tube, seed=seed, each=4)) for seed, tube in enumerate(tubes)]
        told = page_counts(node, tubes, moves)
        found = [
            error
            for tube, own, counts in zip(tubes, moves, told, strict=True)
            for error in errors(tube, own, counts)
        ]
        for kind, chosen in (("moved gate", True), ("populations below", False)):
            parts = sorted(error[-1] for error in found if (error[0] == error[1]) is chosen)
            over = sum(part > 1 for part in parts)
            shares = [f"{parts[int(share * (len(parts) - 1))]:.2f}" for share in (0.5, 0.95, 0.99, 1)]
            rows.append([f"{panel}, {kind}", str(len(parts)), *shares, f"{100 * over / len(parts):.1f} %"])
    yield "error as a share of the limit (0.1 points, 1 % of the value, or the margin that is told)"
    yield table(["", "compared", "median", "95 of 100", "99 of 100", "worst", "over"], rows)


def _memory(page: Page) -> tuple[float, float]:
    """JavaScript heap in use, and resident memory of the browser and all its children, in MB."""
    heap = page.call("Runtime.getHeapUsage")["usedSize"] / 1e6
    children: dict[int, list[int]] = {}
    sizes: dict[int, float] = {}
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        pid = int(status.parent.name)
        children.setdefault(int(lines["PPid"]), []).append(pid)
        sizes[pid] = _own_memory(status.parent)
    todo, whole = [page.pid], 0.0
    while todo:
        pid = todo.pop()
        whole += sizes.get(pid, 0.0)
        todo += children.get(pid, [])
    return heap, whole


def _own_memory(process: Path) -> float:
    """A process's memory in MB, what it shares with others divided among them."""
    try:
        lines = (process / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


if __name__ == "__main__":
    main()
