"""`snakemake --report` gathers the pages and main tables of a run, with captions, without the network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.workflow.study import Study

SHOWN = {
    "Report": {"report.html"},
    "Gates": {"review.html", "review_scores.csv"},
    "Dataset": {"counts.csv", "visit_wide.csv", "inventory.csv", "checks.csv"},
    "Tables": {
        "t1_cell_counts.csv", "t2_clinical.csv", "t3_completeness.csv", "l1_tubes.csv", "l1_values.csv",
        "l1_populations.csv", "l2_overrides.csv", "l3_visit_mapping.csv", "l4_values_by_visit.csv",
    },
}  # fmt: skip
NOWHERE = "http://127.0.0.1:9"
"""A proxy that nobody answers on: whatever is asked of the network fails."""


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, NOWHERE)


@pytest.fixture
def report(ended: Study, offline: None, tmp_path: Path) -> Path:
    path = tmp_path / "run.zip"
    done = ended.snakemake("--report", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    return path


def test_pages_and_tables_are_in_the_report_by_category_with_a_caption(report: Path, ended: Study):
    with ZipFile(report) as archive:
        page = archive.read("run/report.html").decode()
        files = {Path(name).name: archive.read(name) for name in archive.namelist()}
    categories, results = told(page, "categories"), told(page, "results")
    found = {name: {Path(path).name for path in paths["Other"]} for name, paths in categories.items()}
    assert found == SHOWN
    assert all(re.match(r"<p>\w", entry["caption"]) for entry in results.values())
    counts = ended.path("results/dataset/counts.csv").read_bytes()
    assert files["counts.csv"] == counts
    assert set().union(*SHOWN.values()) <= set(files)


def told(page: str, name: str) -> dict[str, Any]:
    """What the page's program has under a name."""
    found = re.search(rf"var {name} = (\{{.*?\}});?\n", page)
    assert found is not None
    content: dict[str, Any] = json.loads(found.group(1))
    return content


def test_one_file_holds_it_all(ended: Study, offline: None, tmp_path: Path):
    path = tmp_path / "run.html"
    done = ended.snakemake("--report", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    results = told(path.read_text(encoding="utf-8"), "results")
    assert {Path(name).name for name in results} == set().union(*SHOWN.values())
    assert all(entry["data_uri"].startswith("data:") for entry in results.values())


def test_every_caption_is_used_and_none_is_missing(repository: Path):
    written = {path.stem for path in (repository / "workflow" / "report").glob("*.rst")}
    rules = "".join(
        path.read_text(encoding="utf-8") for path in (repository / "workflow").glob("rules/*.smk")
    )
    used = set(re.findall(r'"(\w+)", "\w+"\)', rules)) | {"workflow", "t1", "t2", "t3"}
    assert used == written
