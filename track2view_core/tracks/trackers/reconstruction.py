"""The path of a travelling camera from followed points: two views, then one camera after another, then all together.

A pair of frames with much parallax over many points begins (`InitialPair`); the other keyframes join, nearest in time
first (`_Reconstruction.grow`); all are solved together, points that keep company with movers left out
(`among_movers`), and the lens is held against another one (`focal_doubt`); depth maps may then show what the pixels
leave open (`anchored`); at last the frames between the keyframes find their places.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from scipy.spatial import KDTree

from ...threads import each
from .camera_solver import (
    CORRELATED,
    LEAST_NOISE,
    Cameras,
    Focal,
    Observations,
    bundle_adjust,
    refine_poses,
    relative_pose,
    resect,
    residuals,
)
from .depth_maps import denied, depth_rows, drifts, map_misfit, map_spread, without_shift
from .flow import PixelTracks
from .motion_class import spanned
from .rotation_solver import robust_rotation
from .triangulation import MOVES, SHORTEST_MOVER, refine_points, triangulate

MOST_KEYFRAMES = 32
MOST_POINTS = 700
FEWEST_VIEWS = 3
FEWEST_POINTS = 12
"""Of a pair, and to place a camera."""

# where it begins
PAIR_SAMPLE = 300
THINGS = 2
"""In a pair of frames so many things are looked for, which move as one each."""
REACH = (1.0, 2.0)
"""In limits: a wrong guess of the lens costs a long baseline its points, a wide reach lets in another thing's."""
MOST_PAIRS, CONVINCING = 16, 0.3
"""So many beginnings are tried, until one has this support; see _Reconstruction.support."""
MOST_OF_ONE, SAME_THING = 4, 0.5
"""So many solutions are begun from one thing, which are those that hold this share of a beginning's points."""
TAKEN = (6.0, 4.0, 2.5)
"""In limits: how far a point may err to take part while a proposed path is brought nearer to the pixels."""

# who takes part
KNOWN_DEPTH = 0.2
"""A point joins the solve when half a pixel of noise leaves its depth known to this share."""
FITS_WELL = 6.0
"""In the last rounds a point takes part while its worst error is below so many median errors."""
FINE_HUBER = 1.5
"""In median errors: up to where an error counts in full in the last rounds."""
NEIGHBOURS, FEWEST_ALIKE = 6, 0.34
"""A standing point has at least this share of standing ones among its nearest neighbours, all frames together."""
FEW_EXPLAINED = 0.4
"""With a smaller share of the points in agreement, moving things may bend the solution; the focal is not trusted."""

# the lens
UNSEEN_FOCAL = 0.04
"""With a focal less certain than this (log) the motion does not show it, and the first guess is the better one."""
AWAY, MOST_STRETCH = 0.03, 100.0
"""A lens nearer than the first (log) is no other lens; so much less certain than it seems may a focal be held to be."""

# depth maps
HELPED, CLEARLY_SEEN = 0.5, 0.01
"""Depth maps have shown the focal where they bring its uncertainty, beyond the second (log), below this share."""
PIXELS_ALLOW = 1.3
"""Depth maps may move the solution where the pixels hardly mind: up to this factor in their median error."""
STILL_EXPLAINED = 0.75
"""The maps may take points away from the solution, which move along with the camera, but not many."""
MAPS_AGREE = 0.15
"""Maps that differ more than this (median, share) from the scene they helped to solve are not believed."""
MAPS_CONFIRM, LEAST_DRIFT = 0.5, 0.01
"""A travel leaves at most this share of the maps' own spread unexplained, and of the drift that their scale would have
before a camera at rest, where that is no less than the second (log); a zoom, which flattens the scene, all."""


@dataclass(frozen=True, eq=False)
class Travelled:
    cameras: Cameras
    registered: np.ndarray  # [T] bool; the other frames hold an interpolated or neighbouring pose
    residual: float  # median, pixels
    points: int
    focal_deviation: float
    focal_spread: float
    focal_seen: bool  # False: the motion does not show the focal, which is the guess
    explained: float  # share of the followed points that stand by this solution
    relief: float  # by how much (log) the depths of these points spread, without the nearest and the farthest tenth
    from_proposed: bool = False  # the proposed path was the better beginning
    maps_helped: bool = False  # the focal is known through the depth maps
    maps_agree: bool = False  # the maps show the depths that this travel asks for
    maps_denied: bool = False  # no rigid scene fits both the pixels and the maps


def reconstruct(
    flow: PixelTracks,
    center: np.ndarray,
    *,
    focal: float,
    focal_known: bool,
    limit: float,
    step: Callable[[], None] = lambda: None,
    inverse_depth: np.ndarray | None = None,  # [T, N] of depth maps, each at a scale of its own
    proposed: Cameras | None = None,  # a path that may hold
) -> Travelled | None:
    """Solves the clip; None where no pair of frames shows enough parallax. `limit`: pixels a good point may err."""
    frames = len(flow.xy)
    keyframes = np.unique(np.linspace(0, frames - 1, min(frames, MOST_KEYFRAMES)).round().astype(int))
    enough = flow.seen[keyframes].sum(0) >= min(FEWEST_VIEWS, len(keyframes))
    xy, seen = flow.xy[np.ix_(keyframes, enough)], flow.seen[np.ix_(keyframes, enough)]
    fresh = lambda: _Reconstruction(xy, seen, center, focal, limit)  # noqa: E731
    work, best, tried = None, 0.0, []
    for pair in initial_pairs(xy, seen, focal, center, limit):
        if len(tried) == MOST_PAIRS or best > CONVINCING:
            break
        if sum(held[pair.points].mean() > SAME_THING for held in tried) >= MOST_OF_ONE:
            continue
        trial = fresh()
        if trial.begin(pair):
            trial.grow(focal_known, step)
            support = trial.support()
            if support > best:
                work, best = trial, support
        held = trial.good.copy()
        held[pair.points] = True
        tried.append(held)
    if proposed is not None:
        trial = fresh()
        trial.take(proposed.select(keyframes), focal_known)
        if trial.support() > best:
            work = trial
    if work is None:
        return None
    work = work.settled(focal_known, step)
    if inverse_depth is not None:
        work = work.anchored(inverse_depth[np.ix_(keyframes, enough)], focal_known, step)
    return _all_frames(flow, keyframes, np.flatnonzero(enough), work)


# --- where it begins --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class InitialPair:
    """Two keyframes, the points that move as one between them, and the second camera with the first at the origin."""

    score: float
    first: int
    second: int
    points: np.ndarray  # [n] of all points
    rotation: np.ndarray  # [3, 3]
    translation: np.ndarray  # [3], of length 1


def initial_pairs(
    xy: np.ndarray, seen: np.ndarray, focal: float, center: np.ndarray, limit: float
) -> list[InitialPair]:
    """The most promising first, of strict and lax ones by turns; xy [K, N, 2] pixels, seen [K, N]."""
    cameras = Cameras.standing(1, focal, center)
    by_turns = zip_longest(*(_ranked(reach, xy, seen, cameras, limit) for reach in REACH))
    return [pair for both in by_turns for pair in both if pair is not None]


def _ranked(reach: float, xy: np.ndarray, seen: np.ndarray, cameras: Cameras, limit: float) -> list[InitialPair]:
    """The best pair for every first frame, then the others.

    The points of a pair may belong to two things, the scene and a large mover; each begins a solution of its own.
    """

    def things(candidate: tuple[int, int, np.ndarray]) -> list[InitialPair]:
        first, second, shared = candidate
        shared, pairs = np.random.default_rng(second).permutation(shared)[:PAIR_SAMPLE], []
        for _ in range(THINGS):
            pair = _pair(first, second, shared, xy, cameras, reach, limit)
            if pair is None:
                break
            pairs.append(pair)
            shared = np.setdiff1d(shared, pair.points)
        return pairs

    found = [pair for pairs in each(things, _candidates(seen)) for pair in pairs]
    found.sort(key=lambda pair: -pair.score)
    leading = {pair.first: pair for pair in reversed(found)}
    heads = sorted(leading.values(), key=lambda pair: -pair.score)
    return [*heads, *(pair for pair in found if pair not in heads)]


def _candidates(seen: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
    """(first, second, shared points), with the first near the start, the middle and two thirds."""
    frames = len(seen)
    for first in sorted({0, frames // 3, 2 * frames // 3}):
        for second in range(first + 1, frames):
            shared = np.flatnonzero(seen[first] & seen[second])
            if len(shared) < max(FEWEST_POINTS + 4, 0.25 * seen[first].sum()):
                break
            if second - first >= min(3, frames - 1) and (second - first) % max(1, frames // 8) == 0:
                yield first, second, shared


def _pair(
    first: int, second: int, shared: np.ndarray, xy: np.ndarray, cameras: Cameras, reach: float, limit: float
) -> InitialPair | None:
    """What the largest group of the points `shared` that move as one makes of the two frames."""
    if len(shared) < FEWEST_POINTS:
        return None
    a, b = xy[first, shared], xy[second, shared]
    pose = relative_pose(a, b, float(cameras.focal[0]), cameras.center, reach * limit)
    if pose is None or pose[2].sum() < FEWEST_POINTS:
        return None
    rotation, translation, fits = pose
    parallax = _parallax(a[fits], b[fits], cameras, limit)
    if parallax < 1.5 * limit:
        return None
    span = min(spanned(xy[fits], *(2 * cameras.center)) for xy in (a, b))
    score = min(parallax, 60 * limit) * float(fits.sum()) * span
    return InitialPair(score, first, second, shared[fits], rotation, translation)


def _parallax(start: np.ndarray, end: np.ndarray, cameras: Cameras, limit: float) -> float:
    """Pixels by which a quarter of the points leave the best pure turn."""
    index = np.zeros(len(start), int)
    a, b = cameras.rays(index, start), cameras.rays(index, end)
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    rotation, _ = robust_rotation(a, b, 2 * limit / float(cameras.focal[0]))
    return float(np.quantile(np.linalg.norm(a @ rotation.T - b, axis=1), 0.75) * cameras.focal[0])


# --- the solve over the keyframes -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Weighting:
    huber: float  # pixels up to which an error counts in full
    trust: np.ndarray  # [N] what an error of a pixel counts; a usual point has 1


class _Reconstruction:
    """The state of one solve over the keyframes."""

    def __init__(self, xy: np.ndarray, seen: np.ndarray, center: np.ndarray, focal: float, limit: float) -> None:
        frames, count = seen.shape
        self.xy, self.seen, self.guess, self.limit = xy, seen, focal, limit
        self.cameras = Cameras.standing(frames, focal, center)
        self.known = np.zeros(frames, bool)
        self.points = np.zeros((count, 3))
        self.good = np.zeros(count, bool)
        self.held = 0
        self.residual = 0.0
        self.focal_deviation = self.focal_spread = 0.0
        self.focal_seen = True
        self.misfit = 0.0
        self.explained = 0.0
        self.inverse: np.ndarray | None = None
        self.from_proposed = self.maps_helped = self.maps_denied = self.maps_agree = False

    def begin(self, pair: InitialPair) -> bool:
        """Two cameras and their common points."""
        self.held = pair.first
        self.cameras.rotation[pair.second], self.cameras.translation[pair.second] = pair.rotation, pair.translation
        self.known[[pair.first, pair.second]] = True
        self._triangulate(pair.points, 4 * self.limit)
        if self.good.sum() < FEWEST_POINTS:
            return False
        self._adjust("fixed", 8, 1e-4)
        return True

    def take(self, proposed: Cameras, focal_known: bool) -> None:
        """All cameras from elsewhere, brought nearer to the pixels."""
        lens = self.guess if focal_known else float(np.median(proposed.focal))
        self.cameras = Cameras(
            proposed.rotation.copy(), proposed.translation.copy(), np.full(len(proposed), lens), proposed.center
        )
        self.known[:], self.from_proposed = True, True
        for reach in TAKEN:
            self._triangulate(None, reach * self.limit)
            self._adjust("fixed" if focal_known else "shared", 10, 1e-4)

    def support(self) -> float:
        """The share of points that stand by this solution, times the share of the picture they span.

        A large moving thing is as rigid as the scene behind it, but it spans less of the picture.
        """
        self._triangulate(None, 2.5 * self.limit)
        spans = []
        for t in np.flatnonzero(self.known):
            standing = self.seen[t] & self.good
            spans.append(spanned(self.xy[t, standing], *(2 * self.cameras.center)))
        return self.explained * float(np.mean(spans)) * float(self.known.mean())

    def relief(self) -> float:
        """Spread of log depth over the standing points, between the first and the last tenth."""
        middle = np.flatnonzero(self.known)[self.known.sum() // 2]
        depth = self.points[self.good] @ self.cameras.rotation[middle, 2] + self.cameras.translation[middle, 2]
        depth = depth[depth > 0]
        return float(np.log(np.quantile(depth, 0.9) / np.quantile(depth, 0.1))) if len(depth) else 0.0

    def grow(self, focal_known: bool, step: Callable[[], None]) -> None:
        """Adds the other cameras, nearest in time first."""
        added, failed = 0, set()
        while True:
            waiting = [t for t in np.flatnonzero(~self.known) if t not in failed]
            if not waiting:
                return
            known = np.flatnonzero(self.known)
            t = min(waiting, key=lambda k: np.abs(known - k).min())
            near = known[np.abs(known - t).argmin()]
            usable = np.flatnonzero(self.good & self.seen[t])
            pose = None
            if len(usable) >= FEWEST_POINTS:
                pose = resect(
                    self.points[usable], self.xy[t, usable], float(self.cameras.focal[t]), self.cameras.center,
                    (self.cameras.rotation[near], self.cameras.translation[near]), 3 * self.limit,
                )  # fmt: skip
            if pose is None:
                failed.add(t)
                continue
            self.cameras.rotation[t], self.cameras.translation[t] = pose
            self.known[t] = True
            added += 1
            failed.clear()
            step()
            if added % 4 == 0:
                self._triangulate(None, 2.5 * self.limit)
            if added % 8 == 0:
                self._adjust("fixed" if focal_known else "shared", 6, 1e-4)
                self._triangulate(None, 2.5 * self.limit)

    def settled(self, focal_known: bool, step: Callable[[], None]) -> _Reconstruction:
        """Everything together; a focal that hardly does better than the guess gives way to it."""
        other = copy.deepcopy(self)
        self.settle(focal_known, step)
        away = abs(float(np.log(self.cameras.focal[0] / self.guess)))
        near = away < AWAY and self.focal_deviation < UNSEEN_FOCAL
        if focal_known or not self.focal_seen or near or not self.good.any():
            return self
        other.cameras.focal[:] = self.guess
        other.settle(True, step)
        common = self.good & other.good
        weighting = self._weighting()
        gained = other._misfit_over(common, weighting) - self._misfit_over(common, weighting)
        self.focal_deviation *= focal_doubt(self.focal_deviation, away, gained, self.residual)
        if self.focal_deviation < UNSEEN_FOCAL or other.explained < STILL_EXPLAINED * self.explained:
            return self
        other.focal_deviation, other.focal_seen = self.focal_deviation, False
        return other

    def settle(self, focal_known: bool, step: Callable[[], None]) -> None:
        """Everything together; the focal only converges in the last, tight rounds over points that fit well."""
        focal: Focal = "fixed" if focal_known else "shared"
        for reach in (4.0, 2.5, 2.0):
            self._triangulate(None, reach * self.limit)
            self._adjust(focal, 8, 1e-5)
            step()
        if not focal_known and self.focal_deviation > UNSEEN_FOCAL:
            focal, self.focal_seen = "fixed", False
            self.cameras.focal[:] = self.guess
            self._adjust(focal, 30, 1e-6)
            self._triangulate(None, 2 * self.limit)
        for _ in range(2):
            reach = float(np.clip(FITS_WELL * self.residual, 0.3 * self.limit, self.limit))
            self._triangulate(None, reach, coherent=True)
            self._adjust(focal, 60, 1e-8, self._weighting())
            step()
        self._triangulate(None, self.limit, coherent=True)

    def _misfit_over(self, which: np.ndarray, weighting: _Weighting) -> float:
        """How badly the cameras fit the points `which` at best, with the lens as it is."""
        trial = copy.deepcopy(self)
        trial.good = which.copy()
        trial._adjust("fixed", 20, 1e-8, weighting)
        return trial.misfit

    def _weighting(self) -> _Weighting:
        """Weighs every point by how well it fits so far."""
        frames, chosen = np.flatnonzero(self.known), np.flatnonzero(self.good)
        seen = Observations.of(self.xy[np.ix_(frames, chosen)], self.seen[np.ix_(frames, chosen)])
        error = np.linalg.norm(residuals(self.cameras.select(frames), self.points[chosen], seen)[0], axis=1)
        usual = max(float(np.median(error)), LEAST_NOISE) if len(error) else LEAST_NOISE
        views = np.maximum(np.bincount(seen.point, minlength=len(chosen)), 1)
        square = np.bincount(seen.point, error**2, len(chosen)) / views
        trust = np.ones(len(self.good))
        trust[chosen] = np.sqrt(2 / (1 + square / usual**2))
        return _Weighting(FINE_HUBER * usual, trust)

    def anchored(self, inverse: np.ndarray, focal_known: bool, step: Callable[[], None]) -> _Reconstruction:
        """Solved once more with the depth maps; as it was where pixels and maps fit no common scene."""
        if self.good.sum() < FEWEST_POINTS:
            return self
        frames = np.flatnonzero(self.known)
        other = copy.deepcopy(self)
        other.inverse = inverse.copy()
        scene = self.cameras.select(frames), self.points[self.good], *self._observed(frames, self.good, inverse)
        other.inverse[frames] = without_shift(*scene).inverse(inverse[frames])
        other.focal_seen = True
        other = other.settled(focal_known, step)
        scene = other.cameras.select(frames), other.points[other.good]
        assert other.inverse is not None
        seen, maps = other._observed(frames, other.good, other.inverse)
        misfit = map_misfit(*scene, seen, maps)
        alike = other.residual < PIXELS_ALLOW * self.residual + 0.01 * self.limit
        if misfit > MAPS_AGREE or not alike or other.explained < STILL_EXPLAINED * self.explained:
            self.maps_denied = True
            return self
        before = self.focal_deviation if self.focal_seen else np.inf
        travelling, resting = drifts(*scene, seen, maps)
        comes_nearer = resting > LEAST_DRIFT and travelling < MAPS_CONFIRM * resting
        other.maps_agree = comes_nearer or misfit < MAPS_CONFIRM * map_spread(seen, maps)
        other.maps_helped = other.focal_seen and before > CLEARLY_SEEN and other.focal_deviation < HELPED * before
        return other

    def _observed(self, frames: np.ndarray, which: np.ndarray, maps: np.ndarray) -> tuple[Observations, np.ndarray]:
        """What `frames` saw of the points `which`, and what the maps [K, N] say of them there."""
        seen = Observations.of(self.xy[frames][:, which], self.seen[frames][:, which])
        return seen, maps[frames][:, which]

    def _triangulate(self, which: np.ndarray | None, reach: float, coherent: bool = False) -> None:
        """Places the points `which`; those stand whose worst error is below `reach`, if `coherent` not amid movers."""
        frames = np.flatnonzero(self.known)
        if which is None:
            which = np.flatnonzero(self.seen[frames].sum(0) >= 2)
        xy, visible = self.xy[np.ix_(frames, which)], self.seen[np.ix_(frames, which)]
        seen = Observations.of(xy, visible)
        cameras = self.cameras.select(frames)
        found = refine_points(cameras, triangulate(cameras, seen, len(which)), seen, huber=0.5 * self.limit, rounds=2)
        self.good[:] = False
        self.points[which] = found.points
        self.explained = float((found.middle < self.limit).mean()) if len(which) else 0.0
        known = 0.5 * self.limit * found.depth_deviation < KNOWN_DEPTH
        stands = (found.worst < reach) & known & (found.views >= 2)
        if coherent:
            moves = (found.middle > MOVES * self.limit) & (found.views >= min(SHORTEST_MOVER, len(frames)))
            stands &= ~among_movers(xy, visible, stands, moves)
        if self.inverse is not None and stands.any():
            stands &= ~denied(cameras, found.points, seen, self.inverse[np.ix_(frames, which)], stands)
        self.good[which] = stands

    def _adjust(self, focal: Focal, iterations: int, tolerance: float, weighting: _Weighting | None = None) -> None:
        frames, chosen = np.flatnonzero(self.known), np.flatnonzero(self.good)
        if len(chosen) < FEWEST_POINTS:
            return
        if len(chosen) > MOST_POINTS:
            longest = np.argsort(-self.seen[np.ix_(frames, chosen)].sum(0), kind="stable")
            spread = np.random.default_rng(0).permutation(longest[: 2 * MOST_POINTS])[:MOST_POINTS]
            chosen = chosen[np.sort(spread)]
        seen = Observations.of(self.xy[np.ix_(frames, chosen)], self.seen[np.ix_(frames, chosen)])
        cameras, points, depth = self.cameras.select(frames), self.points[chosen], None
        if self.inverse is not None:
            depth = depth_rows(cameras, points, seen, self.inverse[np.ix_(frames, chosen)], self.residual)
        adjusted = bundle_adjust(
            cameras,
            points,
            seen,
            focal=focal,
            held=int(np.searchsorted(frames, self.held)),
            expected_focal=self.guess,
            huber=0.5 * self.limit if weighting is None else weighting.huber,
            iterations=iterations,
            tolerance=tolerance,
            depth=depth,
            trust=None if weighting is None else weighting.trust[chosen][seen.point],
        )
        self.cameras = self.cameras.with_poses(frames, adjusted.cameras)
        self.cameras.focal[:] = adjusted.cameras.focal[0]
        self.points[chosen] = adjusted.points
        self.residual, self.misfit = float(np.median(adjusted.residual)), adjusted.misfit
        if focal != "fixed":
            self.focal_deviation, self.focal_spread = adjusted.focal_deviation, adjusted.focal_spread


# --- what may be believed ---------------------------------------------------------------------------------------------


def among_movers(xy: np.ndarray, seen: np.ndarray, stands: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Which [N] of the points that stand have mostly movers around them.

    A thing moves as a whole. Some points of a mover always happen to fit a standing point's path, for instance where it
    moves along the epipolar line, and would pull the cameras after the mover.

    xy [T, N, 2] pixels, seen [T, N], stands and moves [N] bool; points that are neither do not vote.
    """
    judged = stands | moves
    alike, asked = np.zeros(len(stands)), np.zeros(len(stands))
    for t in range(len(xy)):
        here = np.flatnonzero(seen[t] & judged)
        standing = here[stands[here]]
        if len(here) <= NEIGHBOURS or not len(standing):
            continue
        near = np.asarray(KDTree(xy[t, here]).query(xy[t, standing], k=NEIGHBOURS + 1)[1])
        alike[standing] += stands[here[near[:, 1:]]].sum(1)
        asked[standing] += NEIGHBOURS
    return stands & (alike < FEWEST_ALIKE * asked)


def focal_doubt(deviation: float, away: float, gained: float, residual: float) -> float:
    """By what factor a focal is less certain than its local standard deviation (log) says.

    Before a wall, or where a turn and a travel nearly cancel, lenses far apart fit alike, each in a narrow valley of
    its own; the curvature of one valley promises a certainty that is not there.

    The solution with a lens `away` (log) from it is worse by `gained` in misfit, which such a deviation promises to be
    more. `residual` is the pixels' median error.
    """
    if not deviation or away < max(AWAY, deviation):
        return 1.0
    promised = 0.5 * (CORRELATED * max(residual, LEAST_NOISE) * away / deviation) ** 2
    return float(np.clip(np.sqrt(promised / max(gained, 1e-9)), 1.0, MOST_STRETCH))


# --- every frame ------------------------------------------------------------------------------------------------------


def _all_frames(flow: PixelTracks, keyframes: np.ndarray, columns: np.ndarray, work: _Reconstruction) -> Travelled:
    """Poses of the frames between the keyframes, each refined against the solved points."""
    solved = keyframes[work.known]
    nearest = np.abs(np.arange(len(flow.xy))[:, None] - solved).argmin(1)
    cameras = work.cameras.select(np.flatnonzero(work.known)[nearest])
    registered = np.isin(np.arange(len(flow.xy)), solved)
    good = columns[work.good]
    if not registered.all() and len(good):
        points = work.points[work.good]
        for t in np.flatnonzero(~registered):
            usable = flow.seen[t, good]
            if usable.sum() < FEWEST_POINTS:
                continue
            near = (cameras.rotation[t].copy(), cameras.translation[t].copy())
            pose = resect(
                points[usable], flow.xy[t, good[usable]], float(cameras.focal[t]), cameras.center, near, 3 * work.limit
            )
            if pose is not None:
                cameras.rotation[t], cameras.translation[t] = pose
                registered[t] = True
        rest = np.flatnonzero(registered & ~np.isin(np.arange(len(flow.xy)), solved))
        if len(rest):
            seen = Observations.of(flow.xy[np.ix_(rest, good)], flow.seen[np.ix_(rest, good)])
            cameras = cameras.with_poses(rest, refine_poses(cameras.select(rest), points, seen, huber=0.3 * work.limit))
    return Travelled(
        cameras,
        registered,
        work.residual,
        len(good),
        work.focal_deviation,
        work.focal_spread,
        work.focal_seen,
        work.explained,
        work.relief(),
        work.from_proposed,
        work.maps_helped,
        work.maps_agree,
        work.maps_denied,
    )
