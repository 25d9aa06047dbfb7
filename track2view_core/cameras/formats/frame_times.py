"""The rate of frames from the times that a file gives them, in whatever unit these are.

Formats say what unit their times have, and files often have another: SLAM programs write nanoseconds where TUM has
seconds, scripts write seconds, milliseconds or the frames' numbers where RealEstate10K has microseconds. A unit is
changed only where no other would make a rate that clips have.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ...notes import Note
from .parsing import MOST_FRAMES, Source, asked_rate, place_of_row

SLOWEST, FASTEST = 0.5, 1000.0  # frames a second; a rate beyond them is a mistake about the unit
UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
UNEVEN = 0.25  # share of a step that rounding and a drifting clock explain; a dropped frame doubles it
LARGEST_COUNT = 1000  # whole and even steps below this may count frames; in milliseconds they would be a second
LARGEST_NUMBER = 1_000_000  # of a frame; beyond it whole numbers are times on a clock
_SHORT = {"s": "seconds", "sec": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_STATED = re.compile(r"time\w*\s*[\[(]\s*(\w+)\s*[\])]")


@dataclass(frozen=True)
class FrameTimes:
    """What the times of a file's rows say."""

    fps: float | None = None
    problem: str | None = None  # why they tell no rate
    gap: str | None = None  # the sentence on frames that are missing, or out of order
    frames: tuple[int, ...] | None = None  # of each row, from 0, where that is known in spite of the gaps
    notes: tuple[Note, ...] = ()


def stated_unit(source: Source) -> str | None:
    """The unit that a comment at the file's head gives its times, such as `# timestamp [ns]`."""
    for comment in source.comments:
        found = _STATED.search(comment.lower())
        told = found and _SHORT.get(found[1], found[1])
        if told in UNITS:
            return told
    return None


def frame_times(
    source: Source,
    times: Sequence[float],  # in `unit`, unless they are in another
    lines: Sequence[int] | None,  # None: the file has no lines to speak of
    *,
    unit: str = "seconds",
    tick: float = 0.0,
) -> FrameTimes:
    """Rate and gaps of the times of consecutive frames. Times that are all the same say nothing.

    Args:
        unit: the format's own, one of UNITS.
        tick: seconds to which times are rounded; a whole rate, or a whole one / 1.001, that agrees to it is taken.
    """
    if len(times) < 2 or all(time == times[0] for time in times):
        return FrameTimes()
    asked = source.advice("export every frame in order", fps="give {} to take each row as one frame")
    steps = [after - before for before, after in pairwise(times)]
    for index, step in enumerate(steps):
        if step <= 0:
            return FrameTimes(
                gap=f"has a time in {place_of_row(lines, index + 1)} that is not after the one before; {asked}."
            )
    middle = median(steps)
    whole = all(time == math.floor(time) for time in times)
    unit_told = stated_unit(source) or (
        None if whole and _counts_frames(times, steps, middle, unit) else _unit(middle, unit)
    )
    if unit_told is None or not SLOWEST <= _rate(middle, unit_told) <= FASTEST:
        told = unit_told or unit
        return FrameTimes(
            problem=f"has times in steps of {middle:.6g}, which as {told} would be {_rate(middle, told):.4g} frames a "
            f"second; they count frames or are in another unit, so {asked_rate(source.door)}."
        )
    second = UNITS[unit_told]
    # Numbers that are no floats themselves are rounded to the floats next to them.
    tick = second if whole and (tick or unit_told != unit) else tick
    tick += 2 * second * math.ulp(max(map(abs, times)))
    notes = () if unit_told == unit else (Note.of("times_unit", unit=unit_told, format_unit=unit),)
    uneven = [
        index for index, step in enumerate(steps) if abs(step - middle) * second > UNEVEN * middle * second + 2 * tick
    ]
    if uneven:
        first = uneven[0]
        frames = _frames(steps, middle)
        cure = source.advice(
            "export every frame in order",
            fps="give {} to take each row as one frame",
            **({"missing_frames": "give {} as fill"} if frames else {}),
        )
        return FrameTimes(
            1 / (middle * second),
            gap=f"has a step of {steps[first] * second:.4g} s before {place_of_row(lines, first + 1)} where others "
            f"take {middle * second:.4g} s, so frames are missing; {cure}.",
            frames=frames,
            notes=notes,
        )
    span = (times[-1] - times[0]) * second
    return FrameTimes(_rounded(len(steps) / span, len(steps), span, tick), notes=notes)


def _counts_frames(times: Sequence[float], steps: Sequence[float], middle: float, unit: str) -> bool:
    """Whether whole numbers with even steps are as likely the frames' own numbers as times."""
    if middle >= LARGEST_COUNT or times[0] >= LARGEST_NUMBER or any(step % middle for step in steps):
        return False
    return unit == "seconds" or _rate(middle, unit) > FASTEST


def _unit(step: float, unit: str) -> str | None:
    """The format's own unit where it makes a rate, else the only one that does."""
    fitting = [name for name in UNITS if SLOWEST <= _rate(step, name) <= FASTEST]
    if unit in fitting:
        return unit
    return fitting[0] if len(fitting) == 1 else None


def _frames(steps: Sequence[float], middle: float) -> tuple[int, ...] | None:
    """The frame of each row, where every step is a number of whole ones."""
    frames = [0]
    for step in steps:
        if step / middle > MOST_FRAMES:
            return None
        count = round(step / middle)
        if count < 1 or abs(step / middle - count) > UNEVEN:
            return None
        frames.append(frames[-1] + count)
    return tuple(frames)


def _rate(step: float, unit: str) -> float:
    return 1 / UNITS[unit] / step


def _rounded(fps: float, steps: int, span: float, tick: float) -> float:
    for candidate in (float(round(fps)), round(fps * 1.001) * 1000 / 1001):
        if tick and candidate > 0 and abs(steps / candidate - span) <= tick:
            return candidate
    return fps
