"""A point held in the picture: looked at, gone around, accompanied, kept at one size. The point may move.

A point is `[3]` or `[T, 3]` in world units, such as one track of `PointTracks.positions`. All keep the length.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..easing import EASES, eased_progress
from ..path import CameraPath
from ..projection import NEAR_DEPTH
from ..rotations import matrix_from_axis_angle, rigid_inverse
from .operation import checked_point, choice, number, operation


@operation(
    "Turn the camera so that a point stays in the middle of the picture.",
    amount=number(0, 1, "0 leaves the path, 1 holds the point in the middle"),
)
def look_at(path: CameraPath, *, point: Tensor, amount: float = 1.0) -> CameraPath:
    """At each frame the shortest turn that brings the point onto the axis of view, times `amount`.

    The middle is where the axis of view meets the picture, the principal point. The path's own roll stays.

    Raises:
        Track2ViewError: the camera stands in the point at some frame.
    """
    target = checked_point(point, path)
    if amount == 0:
        return path
    camera = _in_camera(path, target)
    distance = camera.norm(dim=-1)
    if (distance < NEAR_DEPTH).any():
        frame = int((distance < NEAR_DEPTH).nonzero()[0])
        raise Track2ViewError(
            f"Operation look_at: at frame {frame} the camera stands in the point it should look at; choose another "
            "point or move the path away from it."
        )
    x, y, z = camera.unbind(-1)
    aside = torch.hypot(x, y)
    angle = amount * torch.atan2(aside, z)
    # About (-y, x, 0) z turns towards (x, y); straight behind, where that is no direction, about the vertical.
    level = aside > 1e-12 * distance
    axis = torch.stack([-y / aside.clamp(min=1e-300), x / aside.clamp(min=1e-300), torch.zeros_like(x)], dim=-1)
    upright = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64, device=path.device)
    turn = matrix_from_axis_angle(torch.where(level[:, None], axis, upright) * angle[:, None])
    return _turned(path, turn)


@operation(
    "Carry the camera around a point on top of its own movement.",
    degrees=number(-3600, 3600, "way around by the end, + the camera goes to the right", "degrees"),
    rise=number(-89, 89, "way over it by the end, + the camera goes up", "degrees"),
    ease=choice(tuple(EASES), "how it starts and ends"),
)
def orbit(
    path: CameraPath, *, point: Tensor, degrees: float = 30.0, rise: float = 0.0, ease: str = "smooth"
) -> CameraPath:
    """The camera turned as one piece around the point, about the axes of the path's first camera.

    Distance to the point and the point's place in the picture stay what they were at each frame; `look_at` brings it
    to the middle.
    """
    target = checked_point(point, path)
    if degrees == 0 and rise == 0:
        return path
    progress = eased_progress(len(path), ease).to(path.device)
    down, right = path.world_from_camera[0, :3, 1], path.world_from_camera[0, :3, 0]
    around = matrix_from_axis_angle(torch.deg2rad(-degrees * progress)[:, None] * down)
    over = matrix_from_axis_angle(torch.deg2rad(-rise * progress)[:, None] * right)
    turn = around @ over
    poses = path.world_from_camera.clone()
    poses[:, :3, :3] = turn @ poses[:, :3, :3]
    poses[:, :3, 3] = target + (turn @ (path.world_from_camera[:, :3, 3] - target)[..., None])[..., 0]
    return replace(path, world_from_camera=poses)


@operation(
    "Move along with a point that moves.",
    amount=number(-10, 10, "share of the point's way, 0 leaves the path"),
)
def accompany(path: CameraPath, *, point: Tensor, amount: float = 1.0) -> CameraPath:
    """The point's way since frame 0 is added to the camera's; turns and lenses stay."""
    target = checked_point(point, path)
    if amount == 0:
        return path
    poses = path.world_from_camera.clone()
    poses[:, :3, 3] += amount * (target - target[0])
    return replace(path, world_from_camera=poses)


@operation(
    "Zoom against the movement, so that a point's surroundings keep their size while the background changes.",
    amount=number(0, 1, "0 leaves the lens, 1 holds the size"),
)
def dolly_zoom(path: CameraPath, *, point: Tensor, amount: float = 1.0) -> CameraPath:
    """Focal length proportional to the point's depth, so that what stands there is as large as in frame 0.

    Raises:
        Track2ViewError: the point is not in front of the camera at some frame.
    """
    target = checked_point(point, path)
    if amount == 0:
        return path
    depth = _in_camera(path, target)[:, 2]
    if (depth < NEAR_DEPTH).any():
        frame = int((depth < NEAR_DEPTH).nonzero()[0])
        raise Track2ViewError(
            f"Operation dolly_zoom: at frame {frame} the point is not in front of the camera; choose a point that is "
            "in view all the time, or look at it first."
        )
    zoom = torch.ones(len(path), 3, 3, dtype=torch.float64, device=path.device)
    for axis in (0, 1):
        focal = path.intrinsics[:, axis, axis]
        zoom[:, axis, axis] = (focal[0] / focal * depth / depth[0]) ** amount
    zoom[:, 0, 1] = zoom[:, 0, 0]
    return replace(path, intrinsics=path.intrinsics * zoom)


def _in_camera(path: CameraPath, points: Tensor) -> Tensor:
    """World points `[T, 3]` in the axes of each frame's camera."""
    camera_from_world = rigid_inverse(path.world_from_camera)
    return (camera_from_world[:, :3, :3] @ points[..., None])[..., 0] + camera_from_world[:, :3, 3]


def _turned(path: CameraPath, turn: Tensor) -> CameraPath:
    """The path with each camera turned by `turn` `[T, 3, 3]` in its own axes."""
    poses = path.world_from_camera.clone()
    poses[:, :3, :3] = poses[:, :3, :3] @ turn
    return replace(path, world_from_camera=poses)
