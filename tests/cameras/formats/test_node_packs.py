"""Cameras of other node packs: in and out, with literal directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import (
    cameractrl_from_path,
    cameraposes_from_path,
    load3d_from_path,
    path_from_cameractrl,
    path_from_cameraposes,
    path_from_geometry,
    path_from_load3d,
)
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid
from track2view_core.errors import Track2ViewError

SIZE: dict[str, Any] = {"width": 640, "height": 400, "fps": 16.0}
LENS = torch.tensor([[320.0, 0, 320], [0, 320, 200], [0, 0, 1]], dtype=torch.float64)


def wandering(frames: int = 9) -> CameraPath:
    generator = torch.Generator().manual_seed(1)
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=generator).cumsum(0) * 0.2
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), LENS.repeat(frames, 1, 1), 640, 400)


def assert_same(read: CameraPath, path: CameraPath, tolerance: float = 1e-9) -> None:
    torch.testing.assert_close(read.world_from_camera, path.world_from_camera, atol=tolerance, rtol=0)
    torch.testing.assert_close(read.intrinsics, path.intrinsics, atol=1e-6, rtol=0)


def test_cameractrl_rows_come_back() -> None:
    path = wandering()
    rows = cameractrl_from_path(path)
    assert len(rows) == 9 and all(len(row) == 19 and row[0] == 0 for row in rows)
    assert_same(path_from_cameractrl(rows, **SIZE), path)


def test_a_cameractrl_row_to_the_right() -> None:
    """World-to-camera: a camera 1 to the right has -1 in the last column of the first row."""
    rows = [[0, 0.5, 0.8, 0.5, 0.5, 0, 0, 1, 0, 0, x, 0, 1, 0, 0, 0, 0, 1, 0] for x in (0, -1)]
    assert path_from_cameractrl(rows, **SIZE).world_from_camera[1, :3, 3].tolist() == [1, 0, 0]


def test_cameraposes_are_every_fourth_frame() -> None:
    path = wandering(13)
    poses = cameraposes_from_path(path)
    assert poses.shape == (4, 4, 4)
    read = path_from_cameraposes(poses, fov_degrees=90, **SIZE)
    assert len(read) == 13 and read.fps == 16
    assert_same(read.with_frames([0, 4, 8, 12]), path.with_frames([0, 4, 8, 12]))


def test_the_literal_cameraposes_of_recammaster() -> None:
    """Unreal's axes (x ahead, y right, z up) in centimetres: the second pose is 1 m ahead, 0.5 right and 0.25 up, and
    turned 90 degrees to the right, so that what was ahead of it is now on its left."""
    poses = [
        [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        [[0, -1, 0, 100], [1, 0, 0, 50], [0, 0, 1, 25], [0, 0, 0, 1]],
    ]
    read = path_from_cameraposes(np.array(poses, dtype=np.float32), fov_degrees=90, **SIZE)
    assert len(read) == 5 and torch.equal(read.world_from_camera[0], torch.eye(4, dtype=torch.float64))
    expected = [[0, 0, 1, 0.5], [0, 1, 0, -0.25], [-1, 0, 0, 1], [0, 0, 0, 1]]
    torch.testing.assert_close(read.world_from_camera[4], torch.tensor(expected, dtype=torch.float64))


def test_load3d_comes_back() -> None:
    path = wandering()
    for frame in range(9):
        assert_same(path_from_load3d(load3d_from_path(path, frame), **SIZE), path.with_frames([frame]))


def test_a_load3d_camera_looks_at_its_target() -> None:
    """three.js: at +z looking towards the origin; x is right there too. Seen from us it stands 4 behind the origin."""
    told = {"position": {"x": 0, "y": 0, "z": 4}, "target": {"x": 0, "y": 0, "z": 0}, "zoom": 1}
    level = path_from_load3d(told, fov_degrees=90, **SIZE)
    expected = torch.eye(4, dtype=torch.float64)
    expected[2, 3] = -4
    torch.testing.assert_close(level.world_from_camera[0], expected)
    told["target"] = {"x": 4, "y": 0, "z": 0}
    right = path_from_load3d(told | {"fov": 64.01076641640612}, **SIZE)
    torch.testing.assert_close(right.world_from_camera[0, :3, 2], torch.tensor([0.5, 0, 0.5]).double() * math.sqrt(2))
    torch.testing.assert_close(right.intrinsics[0], LENS, atol=1e-6, rtol=0)
    told["target"] = {"x": 0, "y": 4, "z": 0}
    assert float(path_from_load3d(told, fov_degrees=90, **SIZE).world_from_camera[0, 1, 2]) < -0.7, "up is -y here"


def test_the_quaternion_and_the_zoom_of_a_load3d_camera_count() -> None:
    x, y, z, w = Rotation.from_euler("y", -30, degrees=True).as_quat().tolist()
    told = {
        "position": {"x": 1, "y": 2, "z": 3}, "target": {"x": 0, "y": 0, "z": 0}, "fov": 64.01076641640612, "zoom": 2,
        "quaternion": {"x": x, "y": y, "z": z, "w": w}, "cameraType": "perspective",
    }  # fmt: skip
    read = path_from_load3d(told, **SIZE)
    assert float(read.world_from_camera[0, 0, 2]) == pytest.approx(0.5), "turned 30 degrees to the right"
    assert float(read.intrinsics[0, 0, 0]) == pytest.approx(640)


def test_geometry_of_a_depth_model() -> None:
    path = wandering()
    geometry = {
        "depth": torch.ones(9, 200, 320),
        "extrinsics": path.camera_from_world[None, :, :3].float(),
        "intrinsics": path.resized(320, 200).intrinsics[None].float(),
    }
    assert_same(path_from_geometry(geometry, **SIZE), path, tolerance=1e-5)
    with pytest.raises(Track2ViewError, match="holds no extrinsics"):
        path_from_geometry({"depth": torch.ones(9, 200, 320)}, **SIZE)


@pytest.mark.parametrize(
    ("read", "value", "cause"),
    [
        (path_from_cameractrl, [], "rows of 19"),
        (path_from_cameractrl, [[0.0] * 18], "frame 0"),
        (path_from_cameractrl, [[float("nan")] * 19], "nan"),
        (path_from_cameractrl, "text", "rows of 19"),
        (path_from_load3d, None, "named fields"),
        (path_from_load3d, {"cameraType": "orthographic"}, "perspective"),
        (path_from_load3d, {"position": {"x": 0, "y": 0, "z": 0}}, "target"),
        (path_from_geometry, {"depth": 1, "extrinsics": np.zeros((2, 2)), "intrinsics": np.zeros((2, 2))}, "shape"),
        (path_from_geometry, {"depth": 1, "extrinsics": "x", "intrinsics": 1}, "tensors"),
    ],
)
def test_what_is_no_camera(read: Any, value: object, cause: str) -> None:
    with pytest.raises(Track2ViewError, match=cause):
        read(value, **SIZE)


@pytest.mark.parametrize(
    "value", [np.zeros((3, 4)), np.zeros((0, 4, 4)), np.zeros((2, 4, 4)), [1, 2], 3, np.full((2, 4, 4), np.nan)]
)
def test_what_is_no_camera_poses(value: object) -> None:
    with pytest.raises(Track2ViewError, match="CAMERAPOSES"):
        path_from_cameraposes(value, fov_degrees=60, **SIZE)


def test_looking_straight_up_has_no_upright() -> None:
    told = {"position": {"x": 0, "y": 0, "z": 0}, "target": {"x": 0, "y": 1, "z": 0}, "fov": 50}
    with pytest.raises(Track2ViewError, match="straight up"):
        path_from_load3d(told, **SIZE)
