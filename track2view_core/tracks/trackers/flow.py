"""Points followed through a clip: pyramidal Lucas-Kanade with a forward-backward check, reseeding, and a second look.

Plain Lucas-Kanade shifts a window rigidly, so on a slanted or approaching surface it follows whatever edge in the
window is strongest, a little off the point, and the errors add up from frame to frame. So every point is found again by
its first look, sheared and scaled as needed (`Patches`, inverse compositional Lucas-Kanade), which does not drift.

OpenCV puts pixel centres on integers, the project at +0.5; the half pixel is added and taken off in this file only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ...progress import Progress

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
MOST_CUTS = 0.25
"""More cuts than this share of the frames are no cuts: nothing in the clip can be followed."""
CUT_PARTS, CUT_PARTS_SHARE = 4, 0.8
"""Most points die in so many of the 4 x 4 parts of the picture, when it is a cut."""
WEAKEST_CORNER = 4e-6
"""Smallest accepted eigenvalue of the gradient matrix: below it a corner is sensor or compression noise."""
LEAST_QUALITY = 0.002
"""A corner this much weaker than the picture's best one is welcome; in contrasty pictures even weaker ones are."""
EDGE_RATIO = 0.05
"""Weaker gradient over stronger one: below it a point lies on an edge and slides along it unnoticed."""
RADIUS = 10
ROUNDS = 5
STIFFNESS = 0.03
"""How strongly the warp is pulled towards none, beside a picture of variance 1; decides where texture is poor."""
CONVERGED = 0.01


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

    def spans(self) -> list[slice]:
        """The frames of each shot; one shot where there are so many cuts that nothing in the clip can be followed."""
        frames = len(self.seen)
        cuts = () if len(self.cuts) > max(1, MOST_CUTS * frames) else self.cuts
        return [slice(start, stop) for start, stop in zip((0, *cuts), (*cuts, frames), strict=True)]


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


# --- one frame to the next --------------------------------------------------------------------------------------------


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


# --- where points are sown --------------------------------------------------------------------------------------------


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


# --- where a shot ends ------------------------------------------------------------------------------------------------


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


# --- the look of a point's surroundings -------------------------------------------------------------------------------


_SIDE = 2 * RADIUS + 1
_GRID = (
    np.stack(np.meshgrid(np.arange(-RADIUS, RADIUS + 1), np.arange(-RADIUS, RADIUS + 1)), -1)
    .reshape(-1, 2)
    .astype(np.float32)
)
_WEIGHT = np.exp(-(_GRID**2).sum(1) / (2 * (0.6 * RADIUS) ** 2)).astype(np.float32)
_WEIGHT /= _WEIGHT.sum()


@dataclass(frozen=True, eq=False)
class Patches:
    template: np.ndarray  # [n, P] float32, weighted mean 0, weighted variance 1
    steepest: np.ndarray  # [n, P, 6] change of the template with the warp (shift x, y; 2 x 2 matrix), times the weight
    solver: np.ndarray  # [n, 6, 6] inverse normal matrix

    @staticmethod
    def empty() -> Patches:
        size = len(_GRID)
        return Patches(
            np.zeros((0, size), np.float32), np.zeros((0, size, 6), np.float32), np.zeros((0, 6, 6), np.float32)
        )

    @staticmethod
    def at(gray: np.ndarray, position: np.ndarray) -> Patches:
        """Patches of `gray` [H, W] around positions [n, 2] in OpenCV pixels."""
        unit = np.broadcast_to(np.eye(2, dtype=np.float32), (len(position), 2, 2))
        raw = _sampled(gray, position, unit)
        mean, deviation = _moments(raw)
        template = (raw - mean) / deviation
        square = template.reshape(-1, _SIDE, _SIDE)
        slopes = np.gradient(square, axis=(1, 2)) if len(square) else (square, square)  # down, across
        gradient = np.stack([slopes[1], slopes[0]], -1).reshape(-1, len(_GRID), 2)
        spread = (gradient[:, :, :, None] * _GRID[None, :, None, :]).reshape(len(template), len(_GRID), 4)
        steepest = np.concatenate([gradient, spread], 2).astype(np.float32)
        weighted = steepest * _WEIGHT[None, :, None]
        normal = weighted.transpose(0, 2, 1) @ steepest
        shift = np.trace(normal[:, :2, :2], axis1=1, axis2=2) / 2
        held = np.zeros((len(template), 6, 6), np.float32)
        held[:, range(2), range(2)] = 1e-3 * shift[:, None] + 1e-6
        held[:, range(2, 6), range(2, 6)] = STIFFNESS
        return Patches(template, weighted, np.linalg.inv(normal + held))

    def select(self, index: np.ndarray) -> Patches:
        return Patches(self.template[index], self.steepest[index], self.solver[index])

    def joined(self, other: Patches) -> Patches:
        return Patches(
            np.concatenate([self.template, other.template]),
            np.concatenate([self.steepest, other.steepest]),
            np.concatenate([self.solver, other.solver]),
        )

    def replaced(self, index: np.ndarray, other: Patches) -> Patches:
        """These patches with those at `index` renewed."""
        for mine, new in (
            (self.template, other.template),
            (self.steepest, other.steepest),
            (self.solver, other.solver),
        ):
            mine[index] = new
        return self


def find_again(
    gray: np.ndarray,  # [H, W]
    patches: Patches,
    position: np.ndarray,  # [n, 2] OpenCV pixels, where to begin
    warp: np.ndarray,  # [n, 2, 2] where to begin
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions [n, 2], warps [n, 2, 2] and the correlation with the template [n]."""
    position, warp = position.astype(np.float32), warp.astype(np.float32)
    active = np.arange(len(position))
    agreement = np.zeros(len(position), np.float32)
    for step in range(ROUNDS + 1):
        if not len(active):
            break
        raw = _sampled(gray, position[active], warp[active])
        mean, deviation = _moments(raw)
        difference = (raw - mean) / deviation - patches.template[active]
        agreement[active] = 1 - 0.5 * (difference**2 @ _WEIGHT)
        if step == ROUNDS:
            break
        right = (difference[:, None] @ patches.steepest[active])[:, 0]
        right[:, 2:] += STIFFNESS * (warp[active] - np.eye(2, dtype=np.float32)).reshape(-1, 4)
        change = np.einsum("nij,nj->ni", patches.solver[active], right)
        inverse = np.linalg.inv(np.eye(2) + np.clip(change[:, 2:], -0.2, 0.2).reshape(-1, 2, 2)).astype(np.float32)
        shift = np.clip(change[:, :2], -2, 2)
        warp[active] = warp[active] @ inverse
        moved = np.einsum("nij,nj->ni", warp[active], shift)
        position[active] -= moved
        active = active[np.abs(moved).max(1) > CONVERGED]
    return position, warp, agreement


def _sampled(gray: np.ndarray, position: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """Grey values [n, P] at the warped grid around each position; whole grey levels would cost a tenth of a pixel."""
    gray = gray.astype(np.float32)
    if not len(position):
        return np.zeros((0, len(_GRID)), np.float32)
    at = position[:, None].astype(np.float32) + _GRID @ warp.transpose(0, 2, 1)
    rows = []
    for block in np.array_split(at, max(1, len(at) // 8192 + 1)):  # remap takes at most 32767 rows
        # OpenCV's stub asks for a second map, though `block` holds both.
        sampled = cv2.remap(gray, block, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore[reportCallIssue, reportArgumentType]
        rows.append(sampled)
    return np.concatenate(rows).astype(np.float32)


def _moments(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation [n, 1]; at least one grey level, so that noise is not blown up."""
    mean = (raw @ _WEIGHT)[:, None]
    return mean, np.sqrt(np.maximum(((raw - mean) ** 2 @ _WEIGHT)[:, None], 1.0))
