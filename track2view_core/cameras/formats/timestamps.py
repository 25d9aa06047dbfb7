"""Frames a second of files that give each row a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median

UNEVEN = 0.25  # share of a step that rounding and a drifting clock explain; a dropped frame doubles it


def rate_of(
    times: Sequence[float],  # seconds
    lines: Sequence[int],
    *,
    tick: float = 0.0,
) -> tuple[float | None, str | None]:
    """(fps, problem) of the times of consecutive frames. Times that are all the same say nothing: (None, None).

    Args:
        lines: the line each time stands in.
        tick: seconds to which times are rounded; a whole rate, or a whole one / 1.001, that agrees to it is taken.
    """
    if len(times) < 2 or all(time == times[0] for time in times):
        return None, None
    steps = [after - before for before, after in pairwise(times)]
    asked = "give fps (--fps) to take each row as one frame, or export every frame in order"
    for index, step in enumerate(steps):
        if step <= 0:
            return None, f"has a time in line {lines[index + 1]} that is not after the one before; {asked}."
    middle = median(steps)
    for index, step in enumerate(steps):
        if abs(step - middle) > UNEVEN * middle + 2 * tick:
            return None, (
                f"has a step of {step:.4g} s before line {lines[index + 1]} where others take {middle:.4g} s, so "
                f"frames are missing; {asked}."
            )
    span = times[-1] - times[0]
    fps = len(steps) / span
    if tick:
        for candidate in (float(round(fps)), round(fps * 1.001) * 1000 / 1001):
            if candidate > 0 and abs(len(steps) / candidate - span) <= tick:
                return candidate, None
    return fps, None
