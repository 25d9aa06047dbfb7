"""Axes of other programs, as rotations between them and ours, and rotations as three turns about axes.

Ours are OpenCV's: x right, y down, z forward, for cameras. Every matrix is named `<to>_from_<from>` and orthonormal, so
its inverse is its transpose. Turns are taken apart so that no angle, a locked gimbal included, costs digits.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..rotations import matrix_from_axis_angle


def _matrix(*rows: tuple[float, float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


# OpenGL, three.js, glTF, Blender and Nuke: a camera's x points right, y up, and it looks down -z. Its own inverse.
OPENGL_FROM_OPENCV = _matrix((1, 0, 0), (0, -1, 0), (0, 0, -1))

# A world with y up (glTF, three.js, Nuke), so that our y, which points down in the first view, becomes -y.
Y_UP_FROM_WORLD = OPENGL_FROM_OPENCV

# Blender's world has z up and y away from the viewer: x stays, our z (forward) is its y, our y (down) its -z.
Z_UP_FROM_WORLD = _matrix((1, 0, 0), (0, 0, 1), (0, -1, 0))

# Unreal is left-handed (determinant -1): x forward, y right, z up, for cameras and worlds alike.
UNREAL_FROM_OPENCV = _matrix((0, 0, 1), (1, 0, 0), (0, -1, 0))

IDENTITY = _matrix((1, 0, 0), (0, 1, 0), (0, 0, 1))

_AXES = {"x": 0, "y": 1, "z": 2}


def change_axes(
    poses: Tensor,  # [T, 4, 4] camera-to-world
    *,
    new_world_from_old: Tensor,  # [3, 3]
    new_camera_from_old: Tensor,  # [3, 3]
) -> Tensor:
    """The same camera-to-world poses `[T, 4, 4]` in other axes of the world and of the camera."""
    changed = poses.clone()
    changed[:, :3, :3] = new_world_from_old @ poses[:, :3, :3] @ new_camera_from_old.mT
    changed[:, :3, 3] = poses[:, :3, 3] @ new_world_from_old.mT
    return changed


def turn(axis: str, angles: Tensor) -> Tensor:
    """Rotations `[T, 3, 3]` by `angles` `[T]` radians, right-handed, about the axis x, y or z."""
    vectors = torch.zeros(len(angles), 3, dtype=torch.float64)
    vectors[:, _AXES[axis]] = angles
    return matrix_from_axis_angle(vectors)


def compose(order: str, degrees: Tensor) -> Tensor:
    """Products of three turns `[T, 3, 3]`: "yxz" is turn(y) @ turn(x) @ turn(z), `degrees` `[T, 3]` in that order."""
    angles = torch.deg2rad(degrees.to(torch.float64))
    first, second, third = (turn(axis, angles[:, index]) for index, axis in enumerate(order))
    return first @ second @ third


def decompose(order: str, rotations: Tensor) -> Tensor:
    """Degrees `[T, 3]` with compose(order, degrees) = rotations `[T, 3, 3]`, without jumps from frame to frame.

    Only for three different axes. Each turn is taken off before the next is measured, so what rounding did to the
    first two is made good by the third.
    """
    i, j, k = (_AXES[axis] for axis in order)
    sign = 1.0 if (i, j, k) in ((0, 1, 2), (1, 2, 0), (2, 0, 1)) else -1.0
    first = torch.atan2(-sign * rotations[:, j, k], rotations[:, k, k])
    rest = turn(order[0], first).mT @ rotations
    second = torch.atan2(sign * rest[:, i, k], rest[:, k, k])
    rest = turn(order[1], second).mT @ rest
    third = torch.atan2(sign * rest[:, j, i], rest[:, j, j])
    angles = np.unwrap(torch.stack([first, second, third], dim=-1).numpy(), axis=0)
    return torch.from_numpy(angles) * (180 / math.pi)
