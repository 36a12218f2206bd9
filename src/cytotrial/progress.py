"""How far a long command has come, told to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

Progress = Callable[[int, int], None]
"""Called with the number of things done and of all of them."""


def untold(done: int, total: int) -> None:
    """Nobody wants to know."""


def told(items: Iterable[Item], total: int, progress: Progress) -> Iterator[Item]:
    """The items, and after each the progress.

    Examples
    --------
    >>> list(told("ab", 2, lambda done, total: print(done, "of", total)))
    1 of 2
    2 of 2
    ['a', 'b']
    """
    for done, item in enumerate(items, start=1):
        yield item
        progress(done, total)
