"""Points followed through a clip: pyramidal Lucas-Kanade with a forward-backward check and reseeding.

OpenCV puts pixel centres on integers, the project at +0.5; the half pixel is added and taken off in this file only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ...progress import Progress
from .patches import Patches, find_again

WINDOW = 21
PYRAMID_LEVELS = 4
FORWARD_BACKWARD_LIMIT = 1.2
RESEED_EVERY = 6
REFINEMENT_REACH = 1.5
"""The comparison with a point's first look may move it by so many pixels; beyond, it has found something else."""
LOOKS_ALIKE, LOOKS_DIFFERENT = 0.9, 0.6
"""Correlation with the first look: below the upper one the look is renewed, below the lower one the point is lost."""
BORDER = 3
CUT_SHARE = 0.6
"""More than this share of the points dies in one frame, and the pictures are not alike: a cut."""
CUT_ALIKE = 0.8
"""Correlation of two thumbnails from which on they may still be one shot, moved fast."""
CUT_MINIMUM = 20
CUT_PARTS, CUT_PARTS_SHARE = 4, 0.8
"""Most points die in so many of the 4 x 4 parts of the picture, when it is a cut."""
WEAKEST_CORNER = 4e-6
"""Smallest accepted eigenvalue of the gradient matrix: below it a corner is sensor or compression noise."""
LEAST_QUALITY = 0.002
"""A corner this much weaker than the picture's best one is welcome; in contrasty pictures even weaker ones are."""
EDGE_RATIO = 0.05
"""Weaker gradient over stronger one: below it a point lies on an edge and slides along it unnoticed."""


@dataclass(frozen=True, eq=False)
class PixelTracks:
    """Followed points, each seen over one unbroken stretch of frames."""

    xy: np.ndarray  # [T, N, 2] float64, pixels of the working size; 0 where not seen
    seen: np.ndarray  # [T, N] bool
    cuts: tuple[int, ...] = ()  # first frames of the shots after the first

    def frames(self, start: int, stop: int) -> PixelTracks:
        """The tracks of one shot, which are those born in it."""
        inside = self.seen[start:stop].any(0)
        return PixelTracks(self.xy[start:stop, inside], self.seen[start:stop, inside])

    def select(self, chosen: np.ndarray) -> PixelTracks:
        return PixelTracks(self.xy[:, chosen], self.seen[:, chosen], self.cuts)


def follow_points(
    gray: Callable[[int], np.ndarray],  # frame number -> [H, W] uint8
    frames: int,
    *,
    density: int,
    progress: Progress | None = None,
) -> PixelTracks:
    """Follows about `density` points a frame; new ones are sown where none is left."""
    previous = gray(0)
    height, width = previous.shape
    spacing = float(np.clip(0.62 * np.sqrt(height * width / density), 5, 40))
    board = _Board(frames)
    board.sow(0, _corners(previous, np.zeros((0, 2)), spacing, density))
    board.remember(previous)
    cuts = []
    for t in range(1, frames):
        if progress:
            progress(t, frames, "following points")
        current = gray(t)
        alive = board.alive()
        if len(alive):
            position, followed = _step(previous, current, board.position[alive])
            inside = (position > BORDER).all(1) & (position < [width - BORDER, height - BORDER]).all(1)
            dead = ~followed
            everywhere = len(alive) >= CUT_MINIMUM and _all_over(board.position[alive], dead, width, height)
            if everywhere and dead.mean() > CUT_SHARE and not _alike(previous, current):
                cuts.append(t)
                followed[:] = False
            followed &= inside
            position[followed], followed[followed] = board.refined(current, alive[followed], position[followed])
            board.advance(t, alive, position, followed)
        if t % RESEED_EVERY == 0 or t in cuts or len(board.alive()) < CUT_MINIMUM:
            board.sow(t, _corners(current, board.position[board.alive()], spacing, density))
            board.remember(current)
        previous = current
    return board.tracks(tuple(cuts))


class _Board:
    """Grows the table of tracks; columns are added as points are sown."""

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self.position = np.zeros((0, 2))
        self.living = np.zeros(0, bool)
        self.patches = Patches.empty()
        self.warp = np.zeros((0, 2, 2), np.float32)
        self.agreement = np.zeros(0, np.float32)
        self.history: list[tuple[int, np.ndarray, np.ndarray]] = []

    def alive(self) -> np.ndarray:
        return np.flatnonzero(self.living)

    def sow(self, frame: int, corners: np.ndarray) -> None:
        new = len(self.position) + np.arange(len(corners))
        self.position = np.concatenate([self.position, corners])
        self.living = np.concatenate([self.living, np.ones(len(corners), bool)])
        self.agreement = np.concatenate([self.agreement, np.zeros(len(corners), np.float32)])
        self.warp = np.concatenate([self.warp, np.zeros((len(corners), 2, 2), np.float32)])
        self.patches = self.patches.joined(Patches.at(np.zeros((1, 1), np.uint8), corners))
        self.history.append((frame, new, corners))

    def remember(self, gray: np.ndarray) -> None:
        """Takes the present look of the points that are new or have changed."""
        index = np.flatnonzero(self.living & (self.agreement < LOOKS_ALIKE))
        self.patches = self.patches.replaced(index, Patches.at(gray, self.position[index] - 0.5))
        self.warp[index], self.agreement[index] = np.eye(2), 1

    def refined(self, gray: np.ndarray, index: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions [n, 2] after comparison with the remembered looks, and which points still look like themselves."""
        found, warp, agreement = find_again(gray, self.patches.select(index), position - 0.5, self.warp[index])
        found = found.astype(np.float64) + 0.5
        near = (np.linalg.norm(found - position, axis=1) < REFINEMENT_REACH) & (agreement > LOOKS_DIFFERENT)
        self.warp[index[near]] = warp[near]
        self.agreement[index] = np.where(near, agreement, 0)
        return np.where(near[:, None], found, position), agreement > LOOKS_DIFFERENT

    def advance(self, frame: int, index: np.ndarray, position: np.ndarray, survived: np.ndarray) -> None:
        self.living[index[~survived]] = False
        self.position[index[survived]] = position[survived]
        self.history.append((frame, index[survived], position[survived]))

    def tracks(self, cuts: tuple[int, ...]) -> PixelTracks:
        xy = np.zeros((self.frames, len(self.position), 2))
        seen = np.zeros(xy.shape[:2], bool)
        for frame, index, position in self.history:
            xy[frame, index] = position
            seen[frame, index] = True
        return PixelTracks(xy, seen, cuts)


def _all_over(position: np.ndarray, dead: np.ndarray, width: int, height: int) -> bool:
    """Whether points die in nearly every part of the picture that has some; a large mover kills those in its way."""
    column, row = (position * CUT_PARTS / [width, height]).astype(int).clip(0, CUT_PARTS - 1).T
    part = row * CUT_PARTS + column
    points = np.bincount(part, minlength=CUT_PARTS**2)
    died = np.bincount(part, dead, minlength=CUT_PARTS**2)
    peopled = points >= 3
    return bool((died[peopled] > 0.5 * points[peopled]).mean() >= CUT_PARTS_SHARE) if peopled.any() else True


def _alike(previous: np.ndarray, current: np.ndarray) -> bool:
    small = [
        cv2.resize(frame, (16, 16), interpolation=cv2.INTER_AREA).astype(np.float64) for frame in (previous, current)
    ]
    a, b = (picture - picture.mean() for picture in small)
    return float((a * b).sum()) > CUT_ALIKE * max(float(np.sqrt((a * a).sum() * (b * b).sum())), 1e-9)


def _corners(gray: np.ndarray, occupied: np.ndarray, spacing: float, density: int) -> np.ndarray:
    """New corners at least `spacing` from each other and from the followed points.

    Where a picture has few, they may stand closer; wide empty places, as on smooth moving things, take points on edges.
    """
    found = np.zeros((0, 2))
    for closer, edge_ratio, enough in ((1.0, EDGE_RATIO, None), (1.6, 0.2 * EDGE_RATIO, None), (0.5, EDGE_RATIO, 0.7)):
        taken = np.concatenate([occupied, found])
        room = len(gray) ** 2 if enough is None else int(enough * density) - len(taken)
        if room > 0:
            more = _spaced_corners(gray, taken, max(4.0, closer * spacing), edge_ratio)
            found = np.concatenate([found, more[:room]])
    return found


def _spaced_corners(gray: np.ndarray, occupied: np.ndarray, spacing: float, edge_ratio: float) -> np.ndarray:
    free = np.full(gray.shape, 255, np.uint8)
    free[:BORDER], free[-BORDER:], free[:, :BORDER], free[:, -BORDER:] = 0, 0, 0, 0
    for x, y in occupied - 0.5:
        cv2.circle(free, (round(x), round(y)), round(spacing), 0, -1)
    limit = int(2 * gray.size / spacing**2)
    strongest = float(cv2.cornerMinEigenVal(gray, 5).max())
    quality = min(LEAST_QUALITY, 4 * WEAKEST_CORNER / max(strongest, WEAKEST_CORNER))
    found = cv2.goodFeaturesToTrack(gray, limit, quality, spacing, mask=free, blockSize=5)
    if found is None:
        return np.zeros((0, 2))
    found = found.reshape(-1, 2)
    column, row = found.round().astype(int).T
    strongest, weakest = cv2.cornerEigenValsAndVecs(gray, 11, 3)[row, column, :2].T
    corner = (weakest > WEAKEST_CORNER) & (weakest > edge_ratio * strongest)
    return found[corner].astype(np.float64) + 0.5


def _flow(previous: np.ndarray, current: np.ndarray, start: np.ndarray, **options) -> tuple[np.ndarray, np.ndarray]:
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        previous, current, start, winSize=(WINDOW, WINDOW),
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 30, 0.01), **options,
    )  # fmt: skip
    return there, (found.ravel() > 0) & np.isfinite(there).all(axis=(1, 2))


def _step(previous: np.ndarray, current: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One frame forward, and back again: positions [n, 2] and whether the way back ends where it began [n]."""
    start = _to_opencv(position)
    there, found = _flow(previous, current, start, nextPts=None, maxLevel=PYRAMID_LEVELS)
    back, found_back = _flow(current, previous, there, nextPts=None, maxLevel=PYRAMID_LEVELS)
    error = np.linalg.norm((back - start).reshape(-1, 2), axis=1)
    return _from_opencv(there), found & found_back & (error < FORWARD_BACKWARD_LIMIT)


def _to_opencv(position: np.ndarray) -> np.ndarray:
    return (position - 0.5).astype(np.float32).reshape(-1, 1, 2)


def _from_opencv(position: np.ndarray) -> np.ndarray:
    return position.reshape(-1, 2).astype(np.float64) + 0.5
