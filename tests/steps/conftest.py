"""A small simulated trial, run to its dataset once; tests work on copies of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cytotrial.cli import cli
from cytotrial.demo import write_demo
from cytotrial.files.cdisc.forms import read_dataset, write_dataset
from cytotrial.files.cdisc.specification import read_specification
from cytotrial.files.tables import read_table
from tests.workflow.study import Study, install_workflow

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class DatasetFolder:
    """A study that has been run, in the current folder of the test."""

    folder: Path

    def path(self, *parts: str) -> Path:
        return self.folder.joinpath(*parts)

    def command(self, *arguments: str) -> Result:
        """Run a command of the project in the study."""
        return CliRunner().invoke(cli, list(arguments), catch_exceptions=True)

    def rows(self, dataset: str, form: str = "xpt") -> Rows:
        spec = read_specification().datasets[dataset]
        return read_dataset(self.path("results", "dataset", spec.folder), spec, form)

    def write(self, dataset: str, rows: Rows) -> None:
        """Replace a dataset in every form."""
        spec = read_specification().datasets[dataset]
        write_dataset(self.path("results", "dataset", spec.folder), spec, rows, study="DEMO-IL2")

    def failed(self) -> dict[str, str]:
        """Check → detail, of the checks that the files do not pass."""
        self.command("check-dataset", "--record")
        rows = read_table(self.path("results", "dataset", "checks.csv"))
        assert len(rows) == 22
        return {row["check"]: row["detail"] for row in rows if row["status"] == "FAIL"}


@pytest.fixture(scope="session")
def run_trial(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects and the followed one, 6,000 events a tube, run by the real Snakemake."""
    folder = tmp_path_factory.mktemp("dataset")
    install_workflow(repository, folder)
    write_demo(folder / "resources" / "demo", subjects=2, events=6000, seed=5)
    Study(folder).run()
    return folder


@pytest.fixture
def trial(run_trial: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatasetFolder]:
    """A copy of the trial that a test may change; the raw files are the same ones."""
    for name in ("config", "results", "resources"):
        shutil.copytree(
            run_trial / name, tmp_path / name, ignore=lambda _, names: [n for n in names if n == "fcs"]
        )
    (tmp_path / "resources" / "demo" / "fcs").symlink_to(run_trial / "resources" / "demo" / "fcs")
    monkeypatch.chdir(tmp_path)
    return DatasetFolder(tmp_path)
