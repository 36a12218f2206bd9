"""The review page's modules, run by node where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def node() -> str:
    """The command of node 18 or newer, or the test is skipped."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("node is not installed: the review page's modules are tested where it is")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").split(".")[0]) < 18:
        pytest.skip(f"node {version.strip()} is too old for the review page's modules; 18 or newer is needed")
    return found


def answer_of(program: str, asked: Any) -> Any:
    """What a module program prints as JSON; `asked` is its variable of that name."""
    whole = f"""
    let text = "";
    for await (const part of process.stdin) text += part;
    const asked = JSON.parse(text);
    {program}
    """
    done = subprocess.run(
        [node(), "--input-type=module", "--eval", whole],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
