"""Two-view start, camera resection and triangulation: the pieces from which a travelling camera is solved."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .bundle_adjustment import (
    Cameras,
    Observations,
    huber_cost,
    huber_weight,
    jacobians,
    residuals,
    rotation_from_vector,
    summed,
)

BEHIND = 1e3
"""Stands for the pixel error of a point behind the camera."""


@dataclass(frozen=True, eq=False)
class Triangulated:
    points: np.ndarray  # [N, 3] world
    worst: np.ndarray  # [N] largest reprojection error, pixels
    middle: np.ndarray  # [N] root mean square reprojection error, pixels
    depth_deviation: np.ndarray  # [N] standard deviation of the depth as a share of it, for one pixel of noise
    views: np.ndarray  # [N] how many cameras saw it


def triangulate(cameras: Cameras, seen: Observations, count: int) -> np.ndarray:
    """Points [count, 3] nearest to all their viewing rays; exact on exact data."""
    ray = cameras.rays(seen.camera, seen.xy)
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    ray = np.einsum("mij,mi->mj", cameras.rotation[seen.camera], ray)
    across = np.eye(3)[:, :, None] - ray.T[:, None] * ray.T
    normal = summed(across, seen.point, count).transpose(2, 0, 1)
    right = summed((across * cameras.centers()[seen.camera].T).sum(1), seen.point, count).T
    return np.linalg.solve(normal + 1e-9 * np.eye(3), right[:, :, None])[:, :, 0]


def refine_points(
    cameras: Cameras, points: np.ndarray, seen: Observations, *, huber: float = 0.5, rounds: int = 4
) -> Triangulated:
    """Minimises every point's reprojection error with the cameras held, and tells how well its depth is known."""
    count = len(points)
    for last in (False,) * rounds + (True,):
        error, local = residuals(cameras, points, seen)
        size = np.linalg.norm(error, axis=1)
        weight = huber_weight(size, huber) * (local[:, 2] > 1e-3)
        _, by_point = jacobians(cameras, local, seen.camera)
        weighted = weight * by_point
        normal = summed(np.einsum("ram,rbm->abm", weighted, by_point), seen.point, count).transpose(2, 0, 1)
        gradient = summed(np.einsum("ram,mr->am", weighted, error), seen.point, count).T
        damped = normal + 1e-3 * np.einsum("nii->ni", normal)[:, :, None] * np.eye(3) + 1e-9 * np.eye(3)
        if last:
            break
        step = -np.linalg.solve(damped, gradient[:, :, None])[:, :, 0]
        limit = 0.5 * np.linalg.norm(points - cameras.centers().mean(0), axis=1)
        points = points + step * np.minimum(1, limit / np.maximum(np.linalg.norm(step, axis=1), 1e-12))[:, None]
    size[local[:, 2] <= 0] = BEHIND
    views = np.bincount(seen.point, minlength=count)
    worst = np.zeros(count)
    np.maximum.at(worst, seen.point, size)
    squares = np.bincount(seen.point, size**2, minlength=count)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.linalg.inv(damped))[:, -1], 0))
    near = np.full(count, np.inf)
    np.minimum.at(near, seen.point, np.maximum(local[:, 2], 1e-6))
    return Triangulated(points, worst, np.sqrt(squares / np.maximum(views, 1)), spread / near, views)


def two_view_start(
    start: np.ndarray, end: np.ndarray, focal: float, center: np.ndarray, limit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """From pixels [n, 2] in two frames: rotation, unit translation, inliers [n]; None without an essential matrix."""
    intrinsics = np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1.0]])
    essential, inlier = cv2.findEssentialMat(start, end, intrinsics, cv2.RANSAC, 0.999, limit, 400)
    if essential is None or essential.shape != (3, 3):
        return None
    _, rotation, translation, inlier = cv2.recoverPose(essential, start, end, intrinsics, mask=inlier)
    return rotation, translation.ravel(), inlier.ravel() > 0


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
