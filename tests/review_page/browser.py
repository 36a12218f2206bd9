"""The browser for tests of the review page, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chromium import Page, chromium, find_chromium


def browsers() -> Iterator[Page]:
    if find_chromium() is None:
        pytest.skip("no chromium on PATH: the review page is opened where there is one")
    with chromium() as page:
        yield page
