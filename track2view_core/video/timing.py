"""From the time stamps of a file to a constant, exact frame rate."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median

from ..notes import Note
from .arithmetic import STANDARD_RATES, nearest_standard_rate, rate_in_words, storable_rate

_FALLBACK_RATE = Fraction(25)
_FASTEST_RATE = Fraction(240)


@dataclass(frozen=True)
class Timing:
    """How the frames of a file become frames at a constant rate."""

    rate: Fraction
    count: int
    repeats: Mapping[int, int] | None = None
    """Time stamp -> how often that frame is shown; None: every frame once."""
    notes: tuple[Note, ...] = ()


def plan_timing(stamps: Sequence[int], time_base: Fraction, declared: Fraction | None) -> Timing:
    """A constant rate for frames at `stamps` (sorted, distinct, in ticks of `time_base`).

    A file whose stamps lie on a regular grid keeps its frames and its exact rate. Stamps that wander less
    than half a frame are taken as that grid. Anything else is resampled: every slot shows the latest frame whose
    time has come.
    """
    if len(stamps) < 2:
        if declared is None:
            note = Note.of("rate_assumed", rate=rate_in_words(_FALLBACK_RATE))
            return Timing(_FALLBACK_RATE, len(stamps), notes=(note,))
        return Timing(storable_rate(nearest_standard_rate(declared, 1e-5) or declared), len(stamps))
    mean = (len(stamps) - 1) / ((stamps[-1] - stamps[0]) * time_base)
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
        rate = nearest_standard_rate(len(stamps) / span, 3e-2) or _FALLBACK_RATE
        note = Note.of("times_senseless", rate=rate_in_words(rate))
        return Timing(rate, len(stamps), notes=(note,))
    slots = round(span * rate) + 1
    per_slot = 1 / (rate * time_base)
    shown: Counter[int] = Counter()
    for slot in range(slots):
        index = bisect_right(stamps, stamps[0] + (slot + Fraction(1, 2)) * per_slot) - 1
        shown[stamps[index]] += 1
    repeated, dropped = slots - len(shown), len(stamps) - len(shown)
    note = Note.of("rate_varies", rate=rate_in_words(rate), repeated=repeated, dropped=dropped)
    return Timing(rate, slots, dict(shown), (note,))
