"""From the time stamps of a file to a constant, exact frame rate."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median

from ..notes import Note
from .arithmetic import STANDARD_RATES, nearest_standard_rate, rate_in_words, storable_rate

_FALLBACK_RATE = Fraction(25)
_FASTEST_RATE = Fraction(240)
_REPEATED = Fraction(1, 10)  # share of frames with the time of the one before, beyond which times tell nothing


@dataclass(frozen=True)
class Timing:
    """How the frames of a file become frames at a constant rate."""

    rate: Fraction
    count: int
    repeats: Sequence[int] | None = None
    """How often each frame of the file is shown, in their order; None: every frame once."""
    notes: tuple[Note, ...] = ()


def plan_timing(stamps: Sequence[int], time_base: Fraction, declared: Fraction | None) -> Timing:
    """A constant rate for frames at `stamps` (sorted, in ticks of `time_base`).

    A file whose stamps lie on a regular grid keeps its frames and its exact rate. Stamps that wander less
    than half a frame are taken as that grid. Anything else is resampled: every slot shows the latest frame whose
    time has come. Where stamps repeat throughout, or are all the same, every frame is shown once.
    """
    if len(stamps) < 2:
        if declared is None:
            note = Note.of("rate_assumed", rate=rate_in_words(_FALLBACK_RATE))
            return Timing(_FALLBACK_RATE, len(stamps), notes=(note,))
        return Timing(storable_rate(nearest_standard_rate(declared, 1e-5) or declared), len(stamps))
    span = (stamps[-1] - stamps[0]) * time_base
    repeated = sum(earlier == later for earlier, later in pairwise(stamps))
    if repeated > _REPEATED * len(stamps):
        return _each_once(len(stamps), span, declared)
    mean = (len(stamps) - 1) / span
    rate = _regular_rate(stamps, time_base, declared, mean)
    if rate is not None:
        return Timing(storable_rate(rate), len(stamps))
    steady = storable_rate(nearest_standard_rate(mean, 2e-3) or mean.limit_denominator(1001) or mean)
    if _drift(stamps, time_base, steady) * steady < Fraction(1, 2):
        note = Note.of("rate_steadied", rate=rate_in_words(steady))
        return Timing(steady, len(stamps), notes=(note,))
    return _resampled(stamps, time_base)


def _regular_rate(
    stamps: Sequence[int], time_base: Fraction, declared: Fraction | None, mean: Fraction
) -> Fraction | None:
    if declared is not None and _drift(stamps, time_base, declared) == 0:
        return declared
    rounding = min(time_base, Fraction(1, 4) / mean)  # containers round to their ticks
    candidates = [nearest_standard_rate(declared)] if declared is not None else []
    candidates += [rate for rate in STANDARD_RATES if abs(rate / mean - 1) < Fraction(1, 50)]
    for rate in [*candidates, declared, mean]:
        if rate is not None and _drift(stamps, time_base, rate) <= rounding:
            return rate
    return None


def _drift(stamps: Sequence[int], time_base: Fraction, rate: Fraction) -> Fraction:
    """The largest distance in seconds between a frame's time and its place on the grid of `rate`."""
    # In whole numbers, as a Fraction for every frame is slow on long clips.
    step = 1 / (rate * time_base)
    first, scale = stamps[0], step.denominator
    worst = max(abs((stamp - first) * scale - index * step.numerator) for index, stamp in enumerate(stamps))
    return Fraction(worst, scale) * time_base


def _resampled(stamps: Sequence[int], time_base: Fraction) -> Timing:
    gap = Fraction(median(later - earlier for earlier, later in pairwise(stamps)))
    rate = min(1 / (gap * time_base), _FASTEST_RATE)
    rate = storable_rate(nearest_standard_rate(rate, 3e-2) or rate.limit_denominator(1001))
    span = (stamps[-1] - stamps[0]) * time_base
    if span * rate > 20 * len(stamps) + 1000:  # one stray stamp must not turn a clip into hours
        return _each_once(len(stamps), span, rate)
    slots = round(span * rate) + 1
    per_slot = 1 / (rate * time_base)
    shown = [0] * len(stamps)
    for slot in range(slots):
        index = bisect_right(stamps, stamps[0] + (slot + Fraction(1, 2)) * per_slot) - 1
        shown[index] += 1
    dropped = shown.count(0)
    repeated = slots - (len(stamps) - dropped)
    note = Note.of("rate_varies", rate=rate_in_words(rate), repeated=repeated, dropped=dropped)
    return Timing(rate, slots, shown, (note,))


def _each_once(count: int, span: Fraction, declared: Fraction | None) -> Timing:
    """Frames whose times make no sense, at the rate that their number and the time they take come nearest to."""
    mean = nearest_standard_rate((count - 1) / span, 3e-2) if span else None
    rate = storable_rate(mean or declared or _FALLBACK_RATE)
    return Timing(rate, count, notes=(Note.of("times_senseless", rate=rate_in_words(rate)),))


def counted_timing(count: int, named: Fraction | None) -> Timing:
    """Frames without any time stamps, one after another at the rate that their coding names, or else at 25."""
    rate = storable_rate(nearest_standard_rate(named, 1e-5) or named) if named else _FALLBACK_RATE
    code = "times_missing" if named else "times_and_rate_missing"
    return Timing(rate, count, notes=(Note.of(code, rate=rate_in_words(rate)),))
