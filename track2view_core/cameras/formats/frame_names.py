"""Image names of frames, and the order of time they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def frame_name(frame: int) -> str:
    return f"frame_{frame:06d}.png"


def natural_order(items: Sequence[Item], name: Callable[[Item], str]) -> list[Item]:
    """The items by their names, numbers within a name counted as numbers: frame_2 before frame_10."""

    def key(item: Item) -> list[tuple[int, int, str]]:
        # Digits beyond 18 are compared as text: a name may hold any number of them.
        parts = re.split(r"([0-9]{1,18})", name(item))
        return [(0, int(part), "") if index % 2 else (1, 0, part) for index, part in enumerate(parts)]

    return sorted(items, key=key)
