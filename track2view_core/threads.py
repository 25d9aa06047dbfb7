"""Frames of a clip worked on at once: OpenCV, numpy and torch let go of Python's lock while they compute."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST_AT_ONCE = 4
"""More wait for memory, and for Python itself."""


def each(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """What `function` makes of each item, in their order; it changes nothing that another call of it reads.

    Who stops asking, or is interrupted while asking, waits for the calls that have begun and for no other.
    """
    with ThreadPoolExecutor(max(1, min(MOST_AT_ONCE, os.cpu_count() or 1)), thread_name_prefix="track2view") as pool:
        yield from pool.map(function, items)
