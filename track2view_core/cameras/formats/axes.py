"""Axes of other programs, as rotations between them and ours (OpenCV: x right, y down, z forward, for cameras).

Every matrix is named `<to>_from_<from>` and orthonormal, so its inverse is its transpose.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
