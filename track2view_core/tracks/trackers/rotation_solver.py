"""A camera that only turns (and perhaps zooms): Kabsch on bearings, robust, then refined together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .camera_solver import Cameras, Focal, Observations, bundle_adjust
from .flow import PixelTracks

TRIALS = 60
LONGEST_FOCAL, SHORTEST_FOCAL = 4.0, 0.4
"""Limits of the focal scan, in units of the longer side."""
CLEARLY_BETTER = 0.03
"""So many limits must another focal save before it is preferred to the guess."""
UNSEEN_FOCAL = 0.1
"""With a focal less certain than this (log) the turn does not show it, and the guess is the better one."""
SLIGHT_TRAVEL, SWING = 0.005, 0.01
"""A camera that seems to turn may well travel by the first share of the scene's depth, unseen, and by the second for
every radian; before slanted walls either is taken for a longer or shorter lens."""
ZOOM_SUSPECTED = 0.04
CONVINCES, ZOOM_DOUBTED, SHARP = 0.8, 1.05, 0.1
"""A turn that explains this share of the points, without a zoom (which a travel forward resembles) and to this share of
a limit (parallax would blur it), needs no rival."""
MOST_POINTS = 500
ROUNDS = ((4.0, 1e-4), (2.0, 1e-4), (1.0, 1e-4), (1.0, 1e-7))
"""Round after round: how far a point may err (median, in limits) to take part, so that slow movers drop out, and at
which change of the misfit the round is done: only the last has to be exact."""


@dataclass(frozen=True, eq=False)
class Turned:
    cameras: Cameras
    residual: float  # median over the explained points, pixels
    inliers: float  # share of observations within twice the limit
    explained: float  # share of the points whose root mean square error is below the limit
    focal_deviation: float
    zoom: float  # largest focal over smallest
    focal_seen: bool = False  # the turn shows the focal

    def convinces(self, limit: float) -> bool:
        return self.explained >= CONVINCES and self.zoom <= ZOOM_DOUBTED and self.residual <= SHARP * limit

    @property
    def angle(self) -> float:
        """The widest turn away from frame 0, radians."""
        return _widest_turn(self.cameras)


def kabsch(start: np.ndarray, end: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """The rotation R [3, 3] that minimises sum weight |R start - end|^2 for rows [n, 3]."""
    weighted = start if weight is None else start * weight[:, None]
    u, _, vt = np.linalg.svd(end.T @ weighted)
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt


def robust_rotation(start: np.ndarray, end: np.ndarray, limit: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """RANSAC on pairs of unit bearings [n, 3]: the rotation, and which bearings lie within `limit` radians of it."""
    random = np.random.default_rng(seed)
    pairs = random.integers(0, len(start), (TRIALS, 2))
    a, b = start[pairs], end[pairs]
    u, _, vt = np.linalg.svd(b.transpose(0, 2, 1) @ a)
    sign = np.sign(np.linalg.det(u @ vt))
    u[:, :, 2] *= sign[:, None]
    trial = u @ vt
    error = np.linalg.norm(np.einsum("kij,nj->kni", trial, start) - end, axis=2)
    inlier = error[(error < limit).sum(1).argmax()] < limit
    for _ in range(3):
        if inlier.sum() < 2:
            break
        rotation = kabsch(start[inlier], end[inlier])
        inlier = np.linalg.norm(start @ rotation.T - end, axis=1) < limit
    rotation = kabsch(start[inlier], end[inlier]) if inlier.sum() >= 2 else np.eye(3)
    return rotation, inlier


def solve_rotation(
    flow: PixelTracks,
    center: np.ndarray,  # [2] pixels
    *,
    focal: float,
    focal_known: bool,
    limit: float,
) -> Turned:
    """Poses with one common centre. The focal is found with the turn unless it is known; a zoom is found either way."""
    still = Turned(Cameras.standing(len(flow.xy), focal, center), 0.0, 0.0, 0.0, 0.0, 1.0)
    if len(flow.xy) < 2 or (flow.seen.sum(0) > 1).sum() < 3:
        return still
    each = np.ones(len(flow.xy))
    best, first = _turned(flow, center, each * focal, "fixed", limit), focal
    if not focal_known:
        scanned = _scan(flow, center, focal, limit)
        free = _turned(flow, center, each * scanned, "shared", limit)
        if free.focal_deviation < UNSEEN_FOCAL and free.explained >= best.explained - 0.02:
            best = replace(free, focal_seen=True)
    ratios = zoom_ratios(flow)
    if np.ptp(np.log(ratios)) > ZOOM_SUSPECTED:
        zooming = _turned(flow, center, first * ratios, "each", limit)
        if zooming.inliers > best.inliers + 0.1 or zooming.residual < 0.5 * best.residual:
            best = zooming
    return best


def zoom_ratios(flow: PixelTracks) -> np.ndarray:
    """How much larger the picture is than in frame 0 [T], from the distances between random pairs of points."""
    random, ratios = np.random.default_rng(0), [1.0]
    for t in range(1, len(flow.xy)):
        shared = np.flatnonzero(flow.seen[t - 1] & flow.seen[t])
        step = 1.0
        if len(shared) > 3:
            a, b = random.choice(shared, (2, 400))
            before = np.linalg.norm(flow.xy[t - 1, a] - flow.xy[t - 1, b], axis=1)
            after = np.linalg.norm(flow.xy[t, a] - flow.xy[t, b], axis=1)
            far = before > np.median(before)
            step = float(np.median(after[far] / before[far])) if far.any() else 1.0
        ratios.append(ratios[-1] * float(np.clip(step, 0.8, 1.25)))
    return np.array(ratios)


def _scan(flow: PixelTracks, center: np.ndarray, guess: float, limit: float) -> float:
    """The focal under which turns explain the widest pairs of frames best; the guess where none is clearly better."""
    last = len(flow.xy) - 1
    pairs = []
    for early in sorted({0, last // 3, last // 2}):
        shared = (flow.seen[early] & flow.seen).sum(1)
        late = np.flatnonzero(shared >= max(12, 0.3 * shared[early]))
        if len(late) and late[-1] > early:
            pairs.append((early, int(late[-1])))
    longer = 2 * center.max()

    def misfit(focal: float) -> float:
        total = 0.0
        for early, late in pairs:
            shared = flow.seen[early] & flow.seen[late]
            a, b = (_bearings(flow.xy[t, shared], focal, center) for t in (early, late))
            rotation, _ = robust_rotation(a, b, 3 * limit / focal)
            total += float(np.median(np.linalg.norm(a @ rotation.T - b, axis=1)) * focal)
        return total

    candidates = longer * np.geomspace(SHORTEST_FOCAL, LONGEST_FOCAL, 19)
    errors = np.array([misfit(f) for f in candidates])
    best = int(errors.argmin())
    gain = misfit(guess) - errors[best]
    return float(candidates[best]) if gain > max(0.1 * misfit(guess), CLEARLY_BETTER * limit) else guess


def _turned(flow: PixelTracks, center: np.ndarray, focal: np.ndarray, free_focal: Focal, limit: float) -> Turned:
    cameras, world = _chain(flow, center, focal, limit)
    frames = np.unique(np.linspace(0, len(flow.xy) - 1, 60).round().astype(int))
    long = flow.seen[frames].sum(0) >= 2
    t, n = np.nonzero(flow.seen)
    deviation = 0.0
    for reach, tolerance in ROUNDS:
        error = np.full(flow.seen.shape, np.nan)
        error[t, n] = _errors(cameras, world, flow, t, n)
        good = long & (np.nanmedian(np.where(flow.seen.any(0), error, 0), axis=0) < reach * limit)
        chosen = np.flatnonzero(good)
        if len(chosen) > MOST_POINTS:
            chosen = np.random.default_rng(0).choice(chosen, MOST_POINTS, replace=False)
        if len(chosen) < 6 or len(frames) < 2:
            break
        seen = Observations.of(flow.xy[np.ix_(frames, chosen)], flow.seen[np.ix_(frames, chosen)])
        adjusted = bundle_adjust(
            cameras.select(frames), world[chosen], seen, focal=free_focal, translation=False,
            expected_focal=float(focal[0]), huber=0.5 * limit, iterations=40, tolerance=tolerance,
        )  # fmt: skip
        cameras = _filled(cameras, frames, adjusted.cameras)
        cameras, world = _chain(flow, center, cameras.focal, limit, cameras)
        deviation = adjusted.focal_deviation
    error = _errors(cameras, world, flow, t, n)
    zoom = float(cameras.focal.max() / cameras.focal.min())
    views = np.bincount(n, minlength=flow.seen.shape[1])
    square = np.bincount(n, error**2, minlength=len(views)) / np.maximum(views, 1)
    long, stands = views > 2, square < limit**2
    explained = float(stands[long].mean()) if long.any() else 0.0
    residual = float(np.median(error[stands[n]])) if stands[n].any() else float(np.median(error))
    deviation = float(np.hypot(deviation, 0.5 * (SLIGHT_TRAVEL / max(_widest_turn(cameras), 1e-9) + SWING)))
    return Turned(cameras, residual, float((error < 2 * limit).mean()), explained, deviation, zoom)


def _widest_turn(cameras: Cameras) -> float:
    chord = np.linalg.norm(cameras.rotation - cameras.rotation[0], axis=(1, 2)) / np.sqrt(8)
    return float(2 * np.arcsin(np.minimum(chord, 1)).max())


def _chain(
    flow: PixelTracks, center: np.ndarray, focal: np.ndarray, limit: float, known: Cameras | None = None
) -> tuple[Cameras, np.ndarray]:
    """Frame after frame, the turn against the bearings known so far; a point's bearing is that of its first frames."""
    frames, count = flow.seen.shape
    cameras = Cameras.standing(frames, 1.0, center) if known is None else known
    rotation = cameras.rotation.copy()
    total, views = np.zeros((count, 3)), np.zeros(count)
    for t in range(frames):
        seen = flow.seen[t]
        bearing = _bearings(flow.xy[t], focal[t], center)
        old = seen & (views > 0)
        if known is None and t > 0:
            rotation[t] = rotation[t - 1]
            if old.sum() >= 3:
                world = total[old] / np.linalg.norm(total[old], axis=1, keepdims=True)
                rotation[t], _ = robust_rotation(world, bearing[old], 2 * limit / focal[t], seed=t)
        fresh = seen & (views < 5) if known is None else seen
        total[fresh] += bearing[fresh] @ rotation[t]
        views += fresh
    world = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)
    return Cameras(rotation, np.zeros((frames, 3)), np.asarray(focal, float), center), world


def _filled(all_frames: Cameras, frames: np.ndarray, solved: Cameras) -> Cameras:
    """Takes the solved frames over; the frames between turn with their nearest solved one."""
    nearest = np.abs(np.arange(len(all_frames))[:, None] - frames).argmin(1)
    correction = solved.rotation @ all_frames.rotation[frames].transpose(0, 2, 1)
    focal = np.interp(np.arange(len(all_frames)), frames, solved.focal)
    return Cameras(correction[nearest] @ all_frames.rotation, all_frames.translation, focal, all_frames.center)


def _bearings(xy: np.ndarray, focal: float, center: np.ndarray) -> np.ndarray:
    ray = np.concatenate([(xy - center) / focal, np.ones((len(xy), 1))], 1)
    return ray / np.linalg.norm(ray, axis=1, keepdims=True)


def _errors(cameras: Cameras, world: np.ndarray, flow: PixelTracks, t: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Pixels between where a bearing falls and where its point was seen."""
    local = np.einsum("mij,mj->mi", cameras.rotation[t], world[n])
    projected = cameras.focal[t][:, None] * local[:, :2] / np.maximum(local[:, 2:], 1e-6) + cameras.center
    return np.linalg.norm(projected - flow.xy[t, n], axis=1)
