"""The command line: help with an example for every command, light starts, errors without traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from cytotrial import __version__
from cytotrial.cli import cli


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(name: str):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"cytotrial {name}" in result.output


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_is_in_the_documentation(name: str, repository: Path):
    pages = "".join(
        path.read_text(encoding="utf-8") for path in [repository / "README.md", *repository.glob("docs/*.md")]
    )
    assert f"cytotrial {name}" in pages


def modules_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()}


def test_the_version_is_told_without_loading_the_science():
    loaded = modules_after("import cytotrial.cli")
    assert not loaded & {"numpy", "pandas", "flowkit", "bokeh", "matplotlib", "sklearn", "scipy", "pydantic"}
    done = CliRunner().invoke(cli, ["--version"])
    assert __version__ in done.output


def test_a_gating_job_loads_no_plotting_and_no_flowkit():
    loaded = modules_after("import cytotrial.steps.gate")
    assert not loaded & {
        "pandas",
        "flowkit",
        "bokeh",
        "matplotlib",
        "sklearn",
        "scipy",
        "pyarrow",
        "flowio",
        "openpyxl",
    }


def test_a_mendable_error_is_printed_without_traceback_and_ends_with_1(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "cytotrial", "check", "--config", str(tmp_path / "none.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "none.yaml" in done.stderr
