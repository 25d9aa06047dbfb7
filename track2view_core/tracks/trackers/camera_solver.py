"""Cameras from pixels: what the whole tracker solves with, and the ways to solve it.

Model: xy = focal * (R X + t)[:2] / (R X + t)[2] + center. In this order: `Cameras` and `Observations`; the projection
and its derivatives; two cameras from pixels alone; cameras from known points; and cameras and points together,
`bundle_adjust` (Levenberg-Marquardt with the points eliminated, Schur), which depth maps may join.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
import torch

from ...cameras import CameraPath
from ...cameras.rotations import matrix_from_axis_angle

Focal = Literal["fixed", "shared", "each"]
NEAREST = 1e-6
STANDS = 1e-6
"""World units that a camera's centre may wander and still stand."""
OWN = 8
"""Numbers of one camera: rotation vector, translation, own log focal, log scale of its depth map. All cameras share one
more log focal; which of them are free is the caller's choice."""
CORRELATED, LEAST_NOISE = 4.0, 0.03
"""Errors of one track are alike from frame to frame, so many observations tell less than their number says."""
CELLS = 4
"""Parts of the picture, each way, within which the tracks' errors may lean to one side together."""


@dataclass(frozen=True, eq=False)
class Cameras:
    rotation: np.ndarray  # [C, 3, 3] camera_from_world
    translation: np.ndarray  # [C, 3]
    focal: np.ndarray  # [C] pixels
    center: np.ndarray  # [2] pixels

    @staticmethod
    def standing(frames: int, focal: float | np.ndarray, center: np.ndarray) -> Cameras:
        """Cameras at the origin, of one focal length or one each [C]."""
        return Cameras(np.tile(np.eye(3), (frames, 1, 1)), np.zeros((frames, 3)), np.full(frames, focal, float), center)

    @staticmethod
    def of_path(path: CameraPath, center: np.ndarray, scale: float = 1.0) -> Cameras:
        """The path's cameras with square pixels, `scale` times the path's, and their principal point at `center`."""
        pose, lens = path.camera_from_world.cpu().numpy(), path.intrinsics.cpu().numpy() * scale
        focal = 0.5 * (lens[:, 0, 0] + lens[:, 1, 1])
        return Cameras(pose[:, :3, :3].copy(), pose[:, :3, 3].copy(), focal, center)

    def __len__(self) -> int:
        return len(self.rotation)

    @property
    def travels(self) -> bool:
        """Whether the centre ever leaves its place."""
        centers = self.centers()
        return bool(np.abs(centers - centers[0]).max() > STANDS)

    def select(self, index: np.ndarray) -> Cameras:
        return Cameras(self.rotation[index], self.translation[index], self.focal[index], self.center)

    def with_poses(self, index: np.ndarray, other: Cameras) -> Cameras:
        """These cameras with those at `index` taken from `other`."""
        rotation, translation, focal = self.rotation.copy(), self.translation.copy(), self.focal.copy()
        rotation[index], translation[index], focal[index] = other.rotation, other.translation, other.focal
        return Cameras(rotation, translation, focal, self.center)

    def to_camera(self, camera: np.ndarray, points: np.ndarray) -> np.ndarray:
        """World points [M, 3] in the axes of cameras [M]."""
        return np.einsum("mij,mj->mi", self.rotation[camera], points) + self.translation[camera]

    def rays(self, camera: np.ndarray, xy: np.ndarray) -> np.ndarray:
        """Directions [M, 3] with z = 1, in camera axes, of pixels [M, 2]."""
        flat = (xy - self.center) / self.focal[camera][:, None]
        return np.concatenate([flat, np.ones((len(flat), 1))], 1)

    def depths(self, points: np.ndarray) -> np.ndarray:
        """Camera z [C, N] of world points [N, 3], or of moving ones [C, N, 3]."""
        rows = "nj" if points.ndim == 2 else "tnj"
        return np.einsum(f"tj,{rows}->tn", self.rotation[:, 2], points) + self.translation[:, 2:]

    def centers(self) -> np.ndarray:
        """Camera centres [C, 3] in the world."""
        return -np.einsum("cij,ci->cj", self.rotation, self.translation)


@dataclass(frozen=True, eq=False)
class Observations:
    """Who saw which point where; sorted by camera, each (camera, point) once."""

    camera: np.ndarray  # [M]
    point: np.ndarray  # [M]
    xy: np.ndarray  # [M, 2]

    @staticmethod
    def of(xy: np.ndarray, seen: np.ndarray) -> Observations:
        """All that is `seen` [C, N] of `xy` [C, N, 2]."""
        camera, point = np.nonzero(seen)
        return Observations(camera, point, xy[camera, point])


def pixel_limit(width: float, height: float) -> float:
    """Pixels that a well followed point may err in a picture of this size."""
    return max(1.0, 0.0012 * max(width, height))


def ideal_pixels(xy: np.ndarray, path: CameraPath, center: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Pixels [T, N, 2] of the path's lenses, `scale` pixels each of the path's, as `Cameras.of_path` sees them."""
    lens = path.intrinsics.cpu().numpy() * scale
    focal = np.stack([lens[:, 0, 0], lens[:, 1, 1]], 1)[:, None]
    return (xy - lens[:, None, :2, 2]) / focal * focal.mean(2, keepdims=True) + center


def residuals(cameras: Cameras, points: np.ndarray, seen: Observations) -> tuple[np.ndarray, np.ndarray]:
    """Reprojection minus observation [M, 2], and the points in camera axes [M, 3]."""
    local = cameras.to_camera(seen.camera, points[seen.point])
    depth = np.maximum(local[:, 2:], NEAREST)
    return cameras.focal[seen.camera][:, None] * local[:, :2] / depth + cameras.center - seen.xy, local


def jacobians(cameras: Cameras, local: np.ndarray, camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """d xy / d camera [2, 7, M] (left rotation vector, translation, log focal) and d xy / d point [2, 3, M].

    `local` [M, 3]: the points in the axes of cameras [M]. Observations come last: long vectors are quick.
    """
    x, y, z = (local - cameras.translation[camera]).T  # turned into the camera's axes, not yet moved
    focal, depth = cameras.focal[camera], np.maximum(local[:, 2], NEAREST)
    scale, slope = focal / depth, local[:, :2].T / depth
    by_camera, by_point = np.zeros((2, 7, len(local))), np.zeros((2, 3, len(local)))
    by_camera[0, 0], by_camera[0, 1], by_camera[0, 2] = -slope[0] * y, z + slope[0] * x, -y
    by_camera[1, 0], by_camera[1, 1], by_camera[1, 2] = -z - slope[1] * y, slope[1] * x, x
    by_camera[0, 3] = by_camera[1, 4] = 1
    by_camera[:, 5] = -slope
    by_camera[:, :6] *= scale
    by_camera[:, 6] = focal * slope
    rotation = np.moveaxis(cameras.rotation, 0, 2)[:, :, camera]
    by_point[:] = scale * (rotation[:2] - slope[:, None] * rotation[2])
    return by_camera, by_point


def summed(values: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """[..., M] -> [..., groups]: sums over the members of every group; one without members gets 0."""
    out = np.empty((*values.shape[:-1], groups))
    for row in np.ndindex(values.shape[:-1]):
        out[row] = np.bincount(group, values[row], groups)
    return out


def rotation_from_vector(vector: np.ndarray) -> np.ndarray:
    """`matrix_from_axis_angle` of arrays: [..., 3] radians -> [..., 3, 3]."""
    return matrix_from_axis_angle(torch.from_numpy(vector)).numpy()


def huber_cost(error: np.ndarray, limit: float) -> np.ndarray:
    return np.where(error < limit, 0.5 * error**2, limit * (error - 0.5 * limit))


def huber_weight(error: np.ndarray, limit: float) -> np.ndarray:
    return limit / np.maximum(error, limit)


# --- two cameras from pixels alone ------------------------------------------------------------------------------------


def relative_pose(
    start: np.ndarray, end: np.ndarray, focal: float, center: np.ndarray, limit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """From pixels [n, 2] in two frames: rotation, unit translation, inliers [n]; None without an essential matrix."""
    intrinsics = np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1.0]])
    essential, inlier = cv2.findEssentialMat(start, end, intrinsics, cv2.RANSAC, 0.999, limit, 400)
    if essential is None or essential.shape != (3, 3):
        return None
    _, rotation, translation, inlier = cv2.recoverPose(essential, start, end, intrinsics, mask=inlier)
    return rotation, translation.ravel(), inlier.ravel() > 0


# --- cameras from known points ----------------------------------------------------------------------------------------


def resect(
    points: np.ndarray,
    xy: np.ndarray,
    focal: float,
    center: np.ndarray,
    near: tuple[np.ndarray, np.ndarray],
    limit: float,
) -> tuple[np.ndarray, np.ndarray] | None:
    """A camera's rotation and translation from known points, begun at a `near` pose; None where too few agree."""
    intrinsics = np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1.0]])
    found, turn, shift, inlier = cv2.solvePnPRansac(
        points, xy, intrinsics, None, cv2.Rodrigues(near[0])[0], near[1].reshape(3, 1).copy(), True, 200, limit, 0.999,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )  # fmt: skip
    if not found or inlier is None or len(inlier) < max(8, 0.25 * len(points)):
        return None
    return cv2.Rodrigues(turn)[0], shift.ravel()


def refine_poses(
    cameras: Cameras, points: np.ndarray, seen: Observations, *, huber: float = 0.5, rounds: int = 8
) -> Cameras:
    """Every camera on its own against fixed points; a step that makes a camera worse is not taken."""
    count = len(cameras)

    def judged(candidate: Cameras) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        error, local = residuals(candidate, points, seen)
        cost = huber_cost(np.linalg.norm(error, axis=1), huber)
        return np.bincount(seen.camera, cost, minlength=count), error, local

    cost, error, local = judged(cameras)
    for _ in range(rounds):
        weight = huber_weight(np.linalg.norm(error, axis=1), huber) * (local[:, 2] > 1e-3)
        by_camera = jacobians(cameras, local, seen.camera)[0][:, :6]
        weighted = weight * by_camera
        normal = summed(np.einsum("ram,rbm->abm", weighted, by_camera), seen.camera, count).transpose(2, 0, 1)
        gradient = summed(np.einsum("ram,mr->am", weighted, error), seen.camera, count).T
        damped = normal + 1e-6 * np.einsum("nii->ni", normal)[:, :, None] * np.eye(6) + 1e-9 * np.eye(6)
        step = -np.linalg.solve(damped, gradient[:, :, None])[:, :, 0]
        trial = Cameras(
            rotation_from_vector(step[:, :3]) @ cameras.rotation,
            cameras.translation + step[:, 3:],
            cameras.focal,
            cameras.center,
        )
        trial_cost, _, _ = judged(trial)
        better = np.flatnonzero(trial_cost < cost)
        if not len(better):
            break
        cameras = cameras.with_poses(better, trial.select(better))
        cost, error, local = judged(cameras)
    return cameras


# --- cameras and points at once ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DepthRows:
    """What depth maps say of the observations, up to one factor a camera; weight 0 where they say nothing."""

    log_depth: np.ndarray  # [M]
    weight: np.ndarray  # [M] pixels that an error of 1 in log depth counts
    limit: np.ndarray  # [M] pixels from which on such an error is an outlier


@dataclass(frozen=True, eq=False)
class Adjusted:
    cameras: Cameras
    points: np.ndarray  # [N, 3]
    residual: np.ndarray  # [M] pixels
    focal_deviation: float  # standard deviation of the shared log focal; 0 where it was fixed
    focal_spread: float  # the same, as the residuals themselves tell it, which lean alike in a part of the picture
    misfit: float  # robust sum of squares over pixels and maps, halved; pixels squared


def bundle_adjust(
    cameras: Cameras,
    points: np.ndarray,  # [N, 3]
    seen: Observations,
    *,
    focal: Focal = "shared",
    translation: bool = True,
    held: int = 0,
    expected_focal: float | None = None,
    huber: float = 0.5,
    iterations: int = 20,
    tolerance: float = 2e-6,
    depth: DepthRows | None = None,
    trust: np.ndarray | None = None,
) -> Adjusted:
    """Refines cameras and points; camera `held` keeps its pose, the overall scale is left to the damping.

    An error of one pixel counts as `trust` [M] pixels.

    `depth` joins the pixels with the maps' shape, every map at a scale of its own.

    `focal` is "fixed", "shared" (one for all, found) or "each" (that of `held` stays, the others are found).

    `expected_focal` pulls the focal weakly (a quarter in log), so that it stays put where the motion does not show it.
    """
    problem = _Problem(cameras, seen, len(points), focal, translation, held, expected_focal, huber, depth, trust)
    state = problem.begun(cameras, points)
    cost, damping = problem.cost(state), 1e-3
    for _ in range(iterations):
        system = problem.linearise(state)
        while True:
            trial = problem.stepped(state, *system.solve(damping))
            trial_cost = problem.cost(trial)
            if trial_cost < cost:
                break
            damping *= 4
            if damping > 1e8:
                return problem.finished(state)
        change, state, cost = (cost - trial_cost) / max(cost, 1e-12), trial, trial_cost
        damping = max(damping / 5, 1e-9)
        if change < tolerance:
            break
    return problem.finished(state)


@dataclass(frozen=True, eq=False)
class _State:
    cameras: Cameras
    points: np.ndarray
    log_scale: np.ndarray  # [C] of the depth maps


class _Problem:
    def __init__(self, cameras, seen, count, focal, translation, held, expected_focal, huber, depth, trust) -> None:
        self.seen, self.count, self.huber, self.depth = seen, count, huber, depth
        self.trust = np.ones(len(seen.xy)) if trust is None else trust
        free = np.zeros((len(cameras), OWN), bool)
        free[:, :3] = True
        free[:, 3:6] = translation
        free[:, 6] = focal == "each"
        free[held] = False
        free[:, 7] = depth is not None
        self.free = np.append(free.ravel(), focal == "shared")
        self.expected_log_focal = None if expected_focal is None else np.log(expected_focal)
        self.prior = 0.0 if expected_focal is None or focal != "shared" else 4.0
        self.held = held
        self.bounds = np.searchsorted(seen.camera, np.arange(len(cameras) + 1))

    def begun(self, cameras: Cameras, points: np.ndarray) -> _State:
        """The first state, every map at the scale that its median asks for."""
        log_scale = np.zeros(len(cameras))
        if self.depth is not None:
            _, local = residuals(cameras, points, self.seen)
            off = np.log(np.maximum(local[:, 2], NEAREST)) - self.depth.log_depth
            for camera in range(len(cameras)):
                told = (self.seen.camera == camera) & (self.depth.weight > 0)
                log_scale[camera] = np.median(off[told]) if told.any() else 0.0
        return _State(cameras, points, log_scale)

    def cost(self, state: _State) -> float:
        return self.misfit(state) + 0.5 * self.prior * self._pull(state) ** 2

    def misfit(self, state: _State) -> float:
        error, local = residuals(state.cameras, state.points, self.seen)
        pixels = huber_cost(self.trust * np.linalg.norm(error, axis=1), self.huber).sum()
        if self.depth is not None:
            pixels += huber_cost(np.abs(self._depth_error(state, local)), self.depth.limit).sum()
        return float(pixels)

    def _depth_error(self, state: _State, local: np.ndarray) -> np.ndarray:
        """How far the points [M] are from where the maps see them, in pixels of weight."""
        off = np.log(np.maximum(local[:, 2], NEAREST)) - self.depth.log_depth - state.log_scale[self.seen.camera]
        return self.depth.weight * off

    def _pull(self, state: _State) -> float:
        return 0.0 if not self.prior else float(np.log(state.cameras.focal[self.held]) - self.expected_log_focal)

    def linearise(self, state: _State) -> _System:
        seen, cameras = self.seen, len(state.cameras)
        error, by_camera, by_point = self._equations(state)
        size = OWN * cameras + 1
        hessian, gradient = np.zeros((size, size)), np.zeros(size)
        mixed = np.zeros((size, 3, self.count))
        across = np.einsum("ram,rbm->abm", by_camera, by_point)
        for c, (first, last) in enumerate(pairwise(self.bounds)):
            own = slice(OWN * c, OWN * c + OWN)
            rows = by_camera[:, :, first:last].transpose(1, 0, 2).reshape(OWN, -1)
            hessian[own, own] = rows @ rows.T
            gradient[own] = rows @ error[:, first:last].ravel()
            mixed[own][:, :, seen.point[first:last]] = across[:, :, first:last]
        focals = np.arange(cameras) * OWN + 6  # the shared one moves all of them
        hessian[:-1, -1] = hessian[-1, :-1] = hessian[:-1, focals].sum(1)
        hessian[-1, -1] = hessian[focals, focals].sum() + self.prior
        gradient[-1] = gradient[focals].sum() + self.prior * self._pull(state)
        mixed[-1] = summed(across[6], seen.point, self.count)
        point_block = summed(np.einsum("ram,rbm->abm", by_point, by_point), seen.point, self.count)
        point_gradient = summed(np.einsum("ram,rm->am", by_point, error), seen.point, self.count)
        free = self.free
        return _System(
            hessian[free][:, free], gradient[free], mixed[free], np.moveaxis(point_block, 2, 0), point_gradient
        )

    def _equations(self, state: _State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weighted error [R, M] and its derivatives by camera [R, OWN, M] and by point [R, 3, M].

        A row each for x and y, and with maps a third for the depth.
        """
        seen, depth = self.seen, self.depth
        off, local = residuals(state.cameras, state.points, seen)
        rows = 2 if depth is None else 3
        error, by_camera = np.empty((rows, len(off))), np.zeros((rows, OWN, len(off)))
        by_point = np.empty((rows, 3, len(off)))
        weight = huber_weight(self.trust * np.linalg.norm(off, axis=1), self.huber) * self.trust**2
        error[:2] = off.T
        by_camera[:2, :7], by_point[:2] = jacobians(state.cameras, local, seen.camera)
        weights = [weight, weight]
        if depth is not None:
            error[2] = self._depth_error(state, local)
            share = depth.weight / np.maximum(local[:, 2], NEAREST)
            x, y, _ = (local - state.cameras.translation[seen.camera]).T
            by_camera[2, 0], by_camera[2, 1], by_camera[2, 5] = share * y, -share * x, share
            by_camera[2, 7] = -depth.weight
            by_point[2] = share * state.cameras.rotation[seen.camera, 2].T
            weights.append(huber_weight(np.abs(error[2]), np.maximum(depth.limit, 1e-12)))
        root = np.sqrt(np.array(weights) * (local[:, 2] > 1e-3))
        return root * error, root[:, None] * by_camera, root[:, None] * by_point

    def stepped(self, state: _State, camera_step: np.ndarray, point_step: np.ndarray) -> _State:
        step = np.zeros(len(self.free))
        step[self.free] = camera_step
        own, old = step[:-1].reshape(-1, OWN), state.cameras
        cameras = replace(
            old,
            rotation=rotation_from_vector(own[:, :3]) @ old.rotation,
            translation=old.translation + own[:, 3:6],
            focal=old.focal * np.exp(np.clip(own[:, 6] + step[-1], -1, 1)),
        )
        return _State(cameras, state.points + point_step, state.log_scale + own[:, 7])

    def finished(self, state: _State) -> Adjusted:
        error, _ = residuals(state.cameras, state.points, self.seen)
        error = np.linalg.norm(error, axis=1)
        noise = CORRELATED * max(float(np.median(error)), LEAST_NOISE)
        if not self.free[-1]:
            return Adjusted(state.cameras, state.points, error, 0.0, 0.0, self.misfit(state))
        system = self.linearise(state)
        deviation, spread = system.last_deviation(noise, self.prior), self._last_spread(state, system, noise)
        return Adjusted(state.cameras, state.points, error, deviation, spread, self.misfit(state))

    def _last_spread(self, state: _State, system: _System, noise: float) -> float:
        """Standard deviation of the last camera parameter by what the parts of the picture pull it to.

        A lens that is not quite a pinhole, or texture that slides, bends all tracks of a part of the picture alike. The
        covariance that allows for it is the cluster-robust one (Liang and Zeger 1986): inverse Hessian, sum over the
        parts of their gradients' squares, inverse Hessian.
        """
        row = np.zeros(len(self.free))
        row[self.free] = system.inverse_without_prior(noise, self.prior)[-1]
        own = row[:-1].reshape(-1, OWN) + np.eye(OWN)[6] * row[-1]  # the shared focal moves that of every camera
        error, by_camera, _ = self._equations(state)
        pull = np.einsum("ma,ram,rm->m", own[self.seen.camera], by_camera, error)
        place = np.linalg.pinv(system.point_block, hermitian=True)  # a point far away has no depth
        by_point = np.einsum("f,fan->an", row[self.free], system.mixed)
        through_points = np.einsum("an,nab,bn->n", by_point, place, system.point_gradient)
        pull = np.bincount(self.seen.point, pull, self.count) - through_points
        views = np.bincount(self.seen.point, minlength=self.count)
        middle = summed(self.seen.xy.T, self.seen.point, self.count)[:, views > 0] / views[views > 0]
        pull = pull[views > 0] - pull[views > 0].mean()  # what is left in all is the prior's
        low, high = middle.min(1, keepdims=True), middle.max(1, keepdims=True)
        column, line = np.minimum((CELLS * (middle - low) / np.maximum(high - low, 1e-9)).astype(int), CELLS - 1)
        return float(np.linalg.norm(np.bincount(line * CELLS + column, pull)))


@dataclass(frozen=True, eq=False)
class _System:
    """Normal equations of the cameras' free numbers, of the points, and what joins them."""

    hessian: np.ndarray  # [A, A]
    gradient: np.ndarray  # [A]
    mixed: np.ndarray  # [A, 3, N]
    point_block: np.ndarray  # [N, 3, 3]
    point_gradient: np.ndarray  # [3, N]

    def _reduced(self, damping: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The cameras' equations without the points, and [3, 3, N] that makes the points' blocks the identity."""
        diagonal = np.einsum("nii->ni", self.point_block)
        block = self.point_block + (damping * diagonal + 1e-9)[:, :, None] * np.eye(3)
        whiten = np.moveaxis(np.linalg.inv(np.linalg.cholesky(block)), 0, 2).copy()
        white = np.empty_like(self.mixed)
        for row in range(3):  # of a lower triangle
            white[:, row] = sum(whiten[row, k] * self.mixed[:, k] for k in range(row + 1))
        white = white.reshape(len(white), -1)
        gradient = (whiten * self.point_gradient).sum(1).ravel()
        hessian = self.hessian + np.diag(damping * np.diag(self.hessian) + 1e-9)
        return hessian - white @ white.T, self.gradient - white @ gradient, whiten

    def solve(self, damping: float) -> tuple[np.ndarray, np.ndarray]:
        """Steps of the cameras' free numbers [A] and of the points [N, 3]."""
        hessian, gradient, whiten = self._reduced(damping)
        camera_step = -np.linalg.solve(hessian, gradient)
        pushed = self.point_gradient + (camera_step @ self.mixed.reshape(len(camera_step), -1)).reshape(3, -1)
        white = (whiten * pushed).sum(1)
        return camera_step, -(whiten * white[:, None]).sum(0).T

    def last_deviation(self, noise: float, prior: float) -> float:
        """Standard deviation of the last camera parameter by the pixels alone, for noise of this size."""
        return float(noise * np.sqrt(max(self.inverse_without_prior(noise, prior)[-1, -1], 0)))

    def inverse_without_prior(self, noise: float, prior: float) -> np.ndarray:
        """[A, A] inverse of the cameras' equations, the focal's prior counted as no more than one observation."""
        hessian, _, _ = self._reduced(1e-9)
        hessian[-1, -1] -= prior - min(prior, noise**2)
        return np.linalg.pinv(hessian, hermitian=True)
