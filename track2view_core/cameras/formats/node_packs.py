"""Cameras as other node packs pass them along: plain objects in memory, in and out.

CAMERACTRL_POSES: rows of RealEstate10K (`realestate10k.py`), as AnimateDiff-Evolved and core's camera nodes pass them.
CAMERAPOSES: an array [N, 4, 4] of Unreal camera-to-world matrices in centimetres, for column vectors, one for every
fourth frame, as WanVideoWrapper's ReCamMaster nodes pass them.
LOAD3D_CAMERA: one camera of core's 3D nodes, in three.js axes (y up, looking down -z), `fov` vertical in degrees.
DA3_GEOMETRY: world-to-camera [1, S, 3, 4] and intrinsics [1, S, 3, 3] in pixels of the image the model worked on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..path import CameraPath
from ..rotations import quaternion_from_matrix, rigid_inverse
from .axes import OPENGL_FROM_OPENCV, Y_UP_FROM_WORLD, change_axes
from .parsing import check_length, mapping, number
from .path_format import (
    RecordedCamera,
    checked_poses,
    complete,
    frame_of,
    pixel_lens,
    poses_of_quaternions,
    vertical_fov_lens,
)
from .realestate10k import COLUMNS, recording_of_rows, rows_of
from .recammaster import opencv_from_unreal, unreal_from_opencv

LATENT_STRIDE = 4  # frames between two poses of CAMERAPOSES


def path_from_cameractrl(rows: object, *, width: int, height: int, fps: float) -> CameraPath:
    """The path of CAMERACTRL_POSES: a list of rows of 19 numbers, one a frame."""
    name = "CAMERACTRL_POSES"
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise Track2ViewError(f"{name} must be a list of rows of {COLUMNS} numbers; connect a camera poses node.")
    check_length(len(rows), name)
    where = frame_of(name)
    told = []
    for index, row in enumerate(rows):
        if not isinstance(row, Sequence) or isinstance(row, str) or len(row) != COLUMNS:
            raise Track2ViewError(f"{where(index)} is no row of {COLUMNS} numbers; connect a camera poses node.")
        told.append([number(value.item() if isinstance(value, np.generic) else value, where(index)) for value in row])
    path, _ = complete(recording_of_rows(told, where), name, width=width, height=height, fov_degrees=None, fps=fps)
    return path


def cameractrl_from_path(path: CameraPath) -> list[list[float]]:
    """CAMERACTRL_POSES of a path; the timestamps are 0, as the nodes that make such rows leave them."""
    return rows_of(path, [0] * len(path))


def path_from_cameraposes(
    poses: object, *, width: int, height: int, fov_degrees: float, fps: float, frames: int | None = None
) -> CameraPath:
    """The path of CAMERAPOSES; the frames between are filled in, so N poses become 4 (N - 1) + 1 frames.

    Args:
        fps: of the filled-in path.
        frames: another number of frames, in the same time.
    """
    matrices = _array(poses, "CAMERAPOSES", (4, 4))
    checked = checked_poses(matrices, frame_of("CAMERAPOSES"))
    recording = RecordedCamera(opencv_from_unreal(checked))
    sparse, _ = complete(
        recording, "CAMERAPOSES", width=width, height=height, fov_degrees=fov_degrees, fps=fps / LATENT_STRIDE
    )
    return sparse.resampled(frames or LATENT_STRIDE * (len(sparse) - 1) + 1)


def cameraposes_from_path(path: CameraPath) -> np.ndarray:
    """CAMERAPOSES of a path: every fourth frame, `[N, 4, 4]` float64; world units are taken for metres."""
    return unreal_from_opencv(path.world_from_camera.cpu())[::LATENT_STRIDE].numpy()


def path_from_load3d(
    camera: object, *, width: int, height: int, fps: float, fov_degrees: float | None = None
) -> CameraPath:
    """A path of one frame of a LOAD3D_CAMERA; its `quaternion` where it has one, else it looks at its `target`.

    Args:
        fov_degrees: the horizontal field of view, for a core whose camera has no `fov`.
    """
    name = "LOAD3D_CAMERA"
    told = mapping(camera, name)
    if told.get("cameraType", "perspective") != "perspective":
        raise Track2ViewError(f"{name} is orthographic, which has no place to film from; set it to perspective.")
    position = _vector(told.get("position"), "xyz", f"{name}, position,")
    where = frame_of(name)
    if told.get("quaternion") is not None:
        w, x, y, z = _vector(told["quaternion"], "wxyz", f"{name}, quaternion,")
        poses = poses_of_quaternions([(w, x, y, z)], [position], where)
    else:
        target = _vector(told.get("target"), "xyz", f"{name}, target,")
        poses = checked_poses(_looking(torch.tensor(position), torch.tensor(target)), where)
    poses = change_axes(poses, new_world_from_old=Y_UP_FROM_WORLD.mT, new_camera_from_old=OPENGL_FROM_OPENCV.mT)
    lens = None
    if told.get("fov") is not None:
        fov, zoom = number(told["fov"], f"{name}, fov,"), number(told.get("zoom", 1), f"{name}, zoom,")
        if not 0 < fov < 180 or zoom <= 0:
            raise Track2ViewError(f"{name} has fov {fov:g} and zoom {zoom:g}; fov must be 0 to 180 and zoom above 0.")
        lens = vertical_fov_lens([2 * math.atan(math.tan(math.radians(fov) / 2) / zoom)])
    recording = RecordedCamera(poses, lens)
    path, _ = complete(recording, name, width=width, height=height, fov_degrees=fov_degrees, fps=fps)
    return path


def load3d_from_path(path: CameraPath, frame: int, *, target_distance: float = 1.0) -> dict[str, Any]:
    """LOAD3D_CAMERA of one frame; its target lies `target_distance` world units straight ahead."""
    chosen = path.with_frames([frame])
    poses = change_axes(
        chosen.world_from_camera.cpu(), new_world_from_old=Y_UP_FROM_WORLD, new_camera_from_old=OPENGL_FROM_OPENCV
    )
    position, ahead = poses[0, :3, 3], -poses[0, :3, 2]
    w, x, y, z = quaternion_from_matrix(poses[0, :3, :3]).tolist()
    fov = 2 * math.degrees(math.atan(chosen.height / 2 / float(chosen.intrinsics[0, 1, 1])))
    return {
        "position": dict(zip("xyz", position.tolist(), strict=True)),
        "target": dict(zip("xyz", (position + target_distance * ahead).tolist(), strict=True)),
        "quaternion": {"x": x, "y": y, "z": z, "w": w},
        "fov": fov,
        "zoom": 1.0,
        "cameraType": "perspective",
    }


def path_from_geometry(geometry: object, *, width: int, height: int, fps: float) -> CameraPath:
    """The path of a DA3_GEOMETRY with `extrinsics` and `intrinsics`, at `width` x `height` of the same aspect."""
    name = "DA3_GEOMETRY"
    told = mapping(geometry, name)
    for key in ("extrinsics", "intrinsics", "depth"):
        if told.get(key) is None:
            raise Track2ViewError(f"{name} holds no {key}; run the depth model in a mode that also finds cameras.")
    extrinsics = _array(_first(told["extrinsics"]), f"{name} extrinsics", (3, 4))
    camera_from_world = torch.eye(4, dtype=torch.float64).repeat(len(extrinsics), 1, 1)
    camera_from_world[:, :3] = extrinsics
    lenses = _array(_first(told["intrinsics"]), f"{name} intrinsics", (3, 3))
    depth = _first(told["depth"])
    if depth.ndim != 3:
        raise Track2ViewError(f"{name} has a depth of shape {list(depth.shape)}; it must be [frames, height, width].")
    rows, columns = depth.shape[1:]
    poses = rigid_inverse(checked_poses(camera_from_world, frame_of(name)))
    path = CameraPath(poses, pixel_lens(lenses)(columns, rows), columns, rows, fps)
    return path.resized(width, height)


def _first(value: Any) -> Any:
    """[S, ...] of [1, S, ...]."""
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Track2ViewError("DA3_GEOMETRY holds something other than tensors; connect a depth model.") from error
    return tensor[0] if tensor.ndim == 4 and len(tensor) == 1 else tensor


def _array(value: object, name: str, shape: tuple[int, int]) -> Tensor:
    """`[N, *shape]` float64 of a tensor, an array or a list of arrays."""
    try:
        array = torch.from_numpy(np.stack([np.asarray(entry, dtype=np.float64) for entry in value]))  # type: ignore[attr-defined]
    except (TypeError, ValueError, RuntimeError) as error:
        raise Track2ViewError(
            f"{name} is no list of {shape[0]} x {shape[1]} matrices; connect a poses node."
        ) from error
    if array.ndim != 3 or tuple(array.shape[1:]) != shape:
        raise Track2ViewError(f"{name} has shape {list(array.shape)}; it must be [N, {shape[0]}, {shape[1]}].")
    if not bool(array.isfinite().all()):
        raise Track2ViewError(f"{name} holds NaN or infinity; solve the camera again.")
    check_length(len(array), name)
    return array


def _vector(value: object, names: str, where: str) -> list[float]:
    if not isinstance(value, Mapping):
        raise Track2ViewError(f"{where} must have {', '.join(names)}; connect a camera of core's 3D nodes.")
    return [number(value.get(key), where) for key in names]


def _looking(position: Tensor, target: Tensor) -> Tensor:
    """One camera-to-world pose `[1, 4, 4]` in three.js axes, upright, from `position` to `target`."""
    back = (position - target).to(torch.float64)
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    right = torch.linalg.cross(up, back)
    if float(right.norm()) <= 1e-9 * float(back.norm()) or float(back.norm()) == 0:
        raise Track2ViewError("LOAD3D_CAMERA looks straight up, down or at itself; turn it a little to the side.")
    back, right = back / back.norm(), right / right.norm()
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(back, right), back], dim=-1)
    pose[:3, 3] = position.to(torch.float64)
    return pose[None]
