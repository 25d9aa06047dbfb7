"""Where a reconstruction may begin: pairs of frames with much parallax over many points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from .bundle_adjustment import Cameras
from .motion_class import spanned
from .rotation_solver import robust_rotation
from .structure import two_view_start

FEWEST_POINTS = 12
PAIR_SAMPLE = 300
THINGS = 2
"""In a pair of frames so many things are looked for, which move as one each."""
REACH = (1.0, 2.0)
"""In limits: a wrong guess of the lens costs a long baseline its points, a wide reach lets in another thing's."""


@dataclass(frozen=True, eq=False)
class Start:
    score: float
    first: int
    second: int
    points: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray


def two_view_starts(xy: np.ndarray, seen: np.ndarray, focal: float, center: np.ndarray, limit: float) -> list[Start]:
    """The most promising first, of strict and lax ones by turns; xy [K, N, 2] pixels, seen [K, N]."""
    cameras = Cameras(np.eye(3)[None], np.zeros((1, 3)), np.full(1, focal), center)
    by_turns = zip_longest(*(_within(reach, xy, seen, cameras, limit) for reach in REACH))
    return [start for both in by_turns for start in both if start is not None]


def _within(reach: float, xy: np.ndarray, seen: np.ndarray, cameras: Cameras, limit: float) -> list[Start]:
    """The best pair for every first frame, then the others.

    The points of a pair may belong to two things, the scene and a large mover; each begins a solution of its own.
    """
    found: list[Start] = []
    for first, second, shared in _pairs(seen):
        shared = np.random.default_rng(second).permutation(shared)[:PAIR_SAMPLE]
        for _ in range(THINGS):
            start = _start(first, second, shared, xy, cameras, reach, limit)
            if start is None:
                break
            found.append(start)
            shared = np.setdiff1d(shared, start.points)
    found.sort(key=lambda start: -start.score)
    leading = {start.first: start for start in reversed(found)}
    heads = sorted(leading.values(), key=lambda start: -start.score)
    return [*heads, *(start for start in found if start not in heads)]


def _pairs(seen: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """(first, second, shared points), with the first near the start, the middle and two thirds."""
    frames = len(seen)
    for first in sorted({0, frames // 3, 2 * frames // 3}):
        for second in range(first + 1, frames):
            shared = np.flatnonzero(seen[first] & seen[second])
            if len(shared) < max(FEWEST_POINTS + 4, 0.25 * seen[first].sum()):
                break
            if second - first >= min(3, frames - 1) and (second - first) % max(1, frames // 8) == 0:
                yield first, second, shared


def _start(
    first: int, second: int, shared: np.ndarray, xy: np.ndarray, cameras: Cameras, reach: float, limit: float
) -> Start | None:
    """What the largest group of the points `shared` that move as one makes of the two frames."""
    if len(shared) < FEWEST_POINTS:
        return None
    a, b = xy[first, shared], xy[second, shared]
    pose = two_view_start(a, b, float(cameras.focal[0]), cameras.center, reach * limit)
    if pose is None or pose[2].sum() < FEWEST_POINTS:
        return None
    rotation, translation, fits = pose
    parallax = _parallax(a[fits], b[fits], cameras, limit)
    if parallax < 1.5 * limit:
        return None
    span = min(spanned(xy[fits], *(2 * cameras.center)) for xy in (a, b))
    score = min(parallax, 60 * limit) * float(fits.sum()) * span
    return Start(score, first, second, shared[fits], rotation, translation)


def _parallax(start: np.ndarray, end: np.ndarray, cameras: Cameras, limit: float) -> float:
    """Pixels by which a quarter of the points leave the best pure turn."""
    index = np.zeros(len(start), int)
    a, b = cameras.rays(index, start), cameras.rays(index, end)
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    rotation, _ = robust_rotation(a, b, 2 * limit / float(cameras.focal[0]))
    return float(np.quantile(np.linalg.norm(a @ rotation.T - b, axis=1), 0.75) * cameras.focal[0])
