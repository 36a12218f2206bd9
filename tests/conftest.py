"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def _shared_folder() -> Path:
    return Path(os.environ.get("CYTOTRIAL_SHARED", REPOSITORY.parent / "shared"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout: where the Snakefile and the embedded configuration are."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real FCS files with independent truth; a user's machine does not have it."""
    folder = _shared_folder()
    if not (folder / "data").is_dir():
        pytest.skip(
            "the real FCS files with independent truth are not on this machine "
            "(set CYTOTRIAL_SHARED to the folder that holds data/)"
        )
    return folder
