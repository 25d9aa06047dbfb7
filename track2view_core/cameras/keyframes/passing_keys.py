"""How a camera passes its keys: the slopes of every smooth segment at its two ends, chosen over the whole path.

A segment is smooth where its first key's ease is "smooth". All that is told by keys has slopes of its own: where the
camera stands, its coordinates around a target, that target, what it looks at, its turn, its roll, its lens. Slopes are
per share of the segment, so that a curve multiplies nothing by a time. `sampling.py` states the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .documents import SMOOTH
from .float_geometry import (
    ZERO,
    Quaternion,
    Vector,
    aim,
    conjugate,
    difference,
    dot,
    joining,
    length,
    limited,
    logarithm,
    negated,
    offset_slope,
    orbit_slope,
    passing,
    product,
    times,
)

STARTS = {"linear": 1, "segment_linear": 1, "segment_ease_out": 2}
"""What a segment that is not smooth starts with, in its mean speeds; 0 where it is not named."""
ENDS = {"linear": 1, "segment_linear": 1, "segment_ease_in": 2}
STEP = 1e-3
"""Share of a segment over which the turn of a camera that looks at something is measured."""

Ends = tuple[Vector, Vector]  # leaving the first key, arriving at the second
Gains = Callable[[int, int], Vector | None]
"""(segment, key): from the segment's first key to its second, as seen at the time of one of them; None where the
segment does not tell this."""


class Passing(NamedTuple):
    """What a key is, as far as passing it goes."""

    frame: float
    ease: str
    stand: Vector
    aim: Quaternion
    orbit: Vector | None  # azimuth and elevation in radians, distance
    roll: float
    focal: float
    targets: tuple[Vector, Vector, Vector] | None  # of the orbit, at the times of the key before, this one, the next
    goals: tuple[Vector, Vector, Vector] | None  # what it looks at, at these times


@dataclass(frozen=True)
class Slopes:
    """One smooth segment's slopes."""

    stand: Ends
    orbit: Ends
    target: Ends
    goal: Ends
    turn: Ends
    roll: Ends
    focal: Ends


def slopes(keys: Sequence[Passing]) -> list[Slopes | None]:
    """For each segment between two keys its slopes; None where it is not smooth."""
    path = _Path(keys)
    if not any(path.smooth):
        return [None] * len(path.smooth)
    stand = path.channel(lambda s, _: difference(keys[s].stand, keys[s + 1].stand))
    orbit, target = path.channel(path.around), path.channel(path.targets)
    path.join_orbits(orbit, stand)
    goal, turn = path.channel(path.goals), path.channel(path.turns)
    path.join_turns(turn, stand, orbit, target, goal)
    roll = path.channel(lambda s, _: (keys[s + 1].roll - keys[s].roll, 0.0, 0.0))
    focal = path.channel(lambda s, _: (keys[s + 1].focal - keys[s].focal, 0.0, 0.0))
    every = zip(stand, orbit, target, goal, turn, roll, focal, strict=True)
    return [Slopes(*parts) if smooth else None for smooth, parts in zip(path.smooth, every, strict=True)]


class _Path:
    """The keys, and of each segment how long it is and of which kind."""

    def __init__(self, keys: Sequence[Passing]) -> None:
        self.keys = keys
        segments = range(len(keys) - 1)
        self.time = [keys[s + 1].frame - keys[s].frame for s in segments]
        self.smooth = [keys[s].ease == SMOOTH for s in segments]
        self.orbits = [keys[s].orbit is not None and keys[s + 1].orbit is not None for s in segments]
        self.looks = [keys[s].goals is not None and keys[s + 1].goals is not None for s in segments]

    def channel(self, gains: Gains) -> list[Ends]:
        """The slopes of one thing that keys tell; ZERO at the first and the last key, where the path rests, and where
        a neighbour does not tell it."""
        ends: list[Ends] = [(ZERO, ZERO)] * len(self.time)
        for key in range(1, len(self.keys) - 1):
            before, after = gains(key - 1, key), gains(key, key)
            if before is None or after is None:
                continue
            one, two = self.time[key - 1], self.time[key]
            arriving = leaving = ZERO
            if self.smooth[key - 1] and self.smooth[key]:
                arriving, leaving = passing(before, after, one, two)
            elif self.smooth[key - 1]:
                arriving = joining(after, before, two, one, STARTS.get(self.keys[key].ease, 0))
            else:
                leaving = joining(before, after, one, two, ENDS.get(self.keys[key - 1].ease, 0))
            ends[key - 1] = (ends[key - 1][0], arriving)
            ends[key] = (leaving, ends[key][1])
        return ends

    def around(self, segment: int, _: int) -> Vector | None:
        one, two = self.keys[segment].orbit, self.keys[segment + 1].orbit
        return None if one is None or two is None else difference(one, two)

    def targets(self, segment: int, key: int) -> Vector | None:
        """At the time of one key, so that what moves with the subject counts as standing."""
        if not self.orbits[segment]:
            return None
        return self._gain(self.keys[segment].targets, self.keys[segment + 1].targets, segment, key)

    def goals(self, segment: int, key: int) -> Vector | None:
        return self._gain(self.keys[segment].goals, self.keys[segment + 1].goals, segment, key)

    @staticmethod
    def _gain(
        one: tuple[Vector, Vector, Vector] | None, two: tuple[Vector, Vector, Vector] | None, segment: int, key: int
    ) -> Vector | None:
        if one is None or two is None:
            return None
        return difference(one[1], two[0]) if key == segment else difference(one[2], two[1])

    def turns(self, segment: int, _: int) -> Vector:
        return logarithm(product(conjugate(self.keys[segment].aim), self.keys[segment + 1].aim))

    def join_orbits(self, orbit: list[Ends], stand: list[Ends]) -> None:
        """Where coordinates around a target meet a place of its own, the camera goes on as its place does."""
        for segment, smooth in enumerate(self.smooth):
            gain = self.around(segment, segment)
            if not smooth or gain is None:
                continue
            for end, neighbour in ((0, segment - 1), (1, segment + 1)):
                if 0 <= neighbour < len(self.orbits) and not self.orbits[neighbour]:
                    here = self.keys[segment + end].orbit
                    slope = orbit_slope(*here, stand[segment][end]) if here is not None else ZERO
                    orbit[segment] = _with(orbit[segment], end, limited(slope, 3 * length(gain)))

    def join_turns(
        self, turn: list[Ends], stand: list[Ends], orbit: list[Ends], target: list[Ends], goal: list[Ends]
    ) -> None:
        """Where a camera that looks at something meets one with a direction of its own, it turns on as it looked."""
        for segment, looks in enumerate(self.looks):
            if looks or not self.smooth[segment]:
                continue
            for end, neighbour in ((0, segment - 1), (1, segment + 1)):
                if not (0 <= neighbour < len(self.looks) and self.looks[neighbour] and self.smooth[neighbour]):
                    continue
                far, key = 1 - end, self.keys[segment + end]
                moves = stand[neighbour][far]
                if self.orbits[neighbour] and key.orbit is not None:
                    offset = offset_slope(*key.orbit, orbit[neighbour][far])
                    moves = _plus(offset, target[neighbour][far], 1)
                looked = _looking_slope(key, moves, goal[neighbour][far])
                ratio = self.time[segment] / self.time[neighbour]
                size = length(looked)
                most = min(size * ratio, 3 * length(self.turns(segment, 0))) if size > 0 else 0.0
                turn[segment] = _with(turn[segment], end, times(looked, most / size) if size > 0 else ZERO)


def _looking_slope(key: Passing, moves: Vector, goal_moves: Vector) -> Vector:
    """The turn, per share of the segment, of a camera at a key that moves and looks at what moves."""
    goal = key.goals[1] if key.goals is not None else ZERO
    one = aim(_plus(key.stand, moves, -STEP), _plus(goal, goal_moves, -STEP))
    two = aim(_plus(key.stand, moves, STEP), _plus(goal, goal_moves, STEP))
    if one is None or two is None:
        return ZERO
    if dot(one, two) < 0:
        two = negated(two)
    return times(logarithm(product(conjugate(one), two)), 1 / (2 * STEP))


def _plus(place: Vector, slope: Vector, share: float) -> Vector:
    return (place[0] + share * slope[0], place[1] + share * slope[1], place[2] + share * slope[2])


def _with(ends: Ends, end: int, slope: Vector) -> Ends:
    return (slope, ends[1]) if end == 0 else (ends[0], slope)
