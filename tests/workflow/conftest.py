"""A tiny simulated trial, written once, and a study folder that runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cytotrial.demo import write_demo
from tests.workflow.faults import Contents, cytotrial, results_in, resumed
from tests.workflow.few import install_few
from tests.workflow.study import Study, install_workflow


@pytest.fixture(scope="session")
def tiny_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects and the followed one, 3,000 events a tube: enough for every gate to be placed."""
    folder = tmp_path_factory.mktemp("tiny")
    write_demo(folder / "demo", subjects=2, events=3000, seed=5)
    return folder / "demo"


@pytest.fixture(scope="module")
def study(tiny_demo: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A clone of the workflow with the tiny trial as its embedded demo; its files are links."""
    folder = tmp_path_factory.mktemp("study")
    install_workflow(repository, folder)
    demo = folder / "resources" / "demo"
    demo.mkdir(parents=True)
    for source in sorted(tiny_demo.rglob("*")):
        target = demo / source.relative_to(tiny_demo)
        if source.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(source.read_bytes())
    return Study(folder)


@pytest.fixture(scope="session")
def few(tiny_demo: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study of few tubes, run once without a disturbance."""
    study = install_few(tiny_demo, repository, tmp_path_factory.mktemp("few"))
    study.run()
    return study


@pytest.fixture(scope="session")
def undisturbed(few: Study) -> Contents:
    """The results of that run."""
    return results_in(few)


@pytest.fixture
def ended(few: Study, undisturbed: Contents) -> Iterator[Study]:
    """The study after its undisturbed run; what a test does to it is mended after it."""
    yield few
    if results_in(few) != undisturbed or cytotrial(few, "verify").returncode != 0:
        assert resumed(few) == undisturbed
