"""CameraPath: what it accepts, what it refuses and in which words, and the laws of its operations."""

from __future__ import annotations

import math
import re
from dataclasses import FrozenInstanceError, replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from track2view_core.cameras import CameraPath, project
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid
from track2view_core.errors import Track2ViewError


def wandering_path(frames: int = 9, seed: int = 0, width: int = 128, height: int = 96) -> CameraPath:
    generator = torch.Generator().manual_seed(seed)
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=generator).cumsum(0) * 0.1
    intrinsics = torch.tensor([[110.0, 0, 60.0], [0, 112.0, 50.0], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    intrinsics[:, :2, :2] *= torch.linspace(1, 1.3, frames, dtype=torch.float64)[:, None, None]
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), intrinsics, width, height, fps=24.0)


def assert_same_path(path: CameraPath, other: CameraPath, tolerance: float = 0.0) -> None:
    torch.testing.assert_close(path.world_from_camera, other.world_from_camera, atol=tolerance, rtol=0)
    torch.testing.assert_close(path.intrinsics, other.intrinsics, atol=tolerance, rtol=0)
    assert (path.width, path.height, path.fps) == (other.width, other.height, other.fps)


def test_everything_becomes_float64_and_frozen() -> None:
    path = CameraPath(torch.eye(4).repeat(3, 1, 1), torch.eye(3).repeat(3, 1, 1), 64, 48, fps=Fraction(30000, 1001))
    assert path.world_from_camera.dtype == path.intrinsics.dtype == torch.float64
    assert len(path) == 3
    assert path.fps == pytest.approx(29.97003)
    with pytest.raises(FrozenInstanceError):
        path.width = 3  # type: ignore[misc]


def test_paths_compare_by_identity_so_that_tensors_never_break_a_comparison() -> None:
    path = wandering_path()
    assert path != replace(path)
    assert path == path


def _with_pose(change: Tensor, frame: int = 4) -> dict[str, Tensor]:
    poses = wandering_path().world_from_camera.clone()
    poses[frame] = poses[frame] @ change
    return {"world_from_camera": poses}


def _with_intrinsics(row: int, column: int, value: float) -> dict[str, Tensor]:
    intrinsics = wandering_path().intrinsics.clone()
    intrinsics[2, row, column] = value
    return {"intrinsics": intrinsics}


_mirrored = torch.diag(torch.tensor([1.0, -1, 1, 1], dtype=torch.float64))
_scaled = torch.diag(torch.tensor([1.001, 1, 1, 1], dtype=torch.float64))
_row_vectors = {"world_from_camera": wandering_path().world_from_camera.mT}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"world_from_camera": torch.eye(4)}, r"world_from_camera has shape \[4, 4\].*\[T, 4, 4\]"),
        ({"world_from_camera": torch.zeros(0, 4, 4)}, r"world_from_camera has shape \[0, 4, 4\]"),
        ({"world_from_camera": torch.eye(4).repeat(8, 1, 1)}, "8 poses and 9 intrinsics"),
        ({"intrinsics": torch.eye(4).repeat(9, 1, 1)}, r"intrinsics has shape.*\[T, 3, 3\]"),
        (_with_pose(_mirrored), r"frame 4 a mirrored rotation \(determinant -1\)"),
        (_with_pose(_scaled), "frame 4 a rotation that is not orthonormal"),
        (_row_vectors, "last row that is not 0 0 0 1; row-vector matrices must be transposed"),
        (_with_pose(torch.full((4, 4), math.nan, dtype=torch.float64)), "world_from_camera holds NaN.* frame 4"),
        (_with_intrinsics(0, 0, -5.0), "intrinsics at frame 2 .*fx and fy above 0"),
        (_with_intrinsics(2, 2, 0.0), "intrinsics at frame 2"),
        (_with_intrinsics(1, 2, math.inf), "intrinsics holds NaN or infinity at frame 2"),
        ({"width": 0}, "width is 0.*whole number"),
        ({"height": 95.5}, "height is 95.5.*whole number"),
        ({"height": "96"}, "height is 96.*whole number"),
        ({"fps": 0.0}, "fps is 0.0"),
        ({"fps": math.nan}, "fps is nan"),
    ],
)
def test_a_path_that_does_not_hold_is_refused_by_field_and_frame(change: dict, words: str) -> None:
    with pytest.raises(Track2ViewError, match=re.compile(words, re.DOTALL)):
        replace(wandering_path(), **change)


def test_small_errors_of_float32_poses_are_accepted() -> None:
    path = wandering_path()
    assert_same_path(replace(path, world_from_camera=path.world_from_camera.float()), path, tolerance=1e-6)


def test_camera_from_world_is_the_inverse() -> None:
    path = wandering_path()
    identity = torch.eye(4, dtype=torch.float64).expand(len(path), 4, 4)
    torch.testing.assert_close(path.camera_from_world @ path.world_from_camera, identity, atol=1e-12, rtol=0)


def test_relative_to_first_starts_at_the_exact_identity_and_sees_the_same() -> None:
    path = wandering_path()
    relative = path.relative_to_first()
    assert torch.equal(relative.world_from_camera[0], torch.eye(4, dtype=torch.float64))
    points = torch.randn(len(path), 20, 3, generator=torch.Generator().manual_seed(1)) + torch.tensor([0, 0, 6.0])
    world = points.double() @ path.world_from_camera[0, :3, :3].mT + path.world_from_camera[0, :3, 3]
    torch.testing.assert_close(project(relative, points.double()).xy, project(path, world).xy, atol=1e-3, rtol=0)
    assert_same_path(relative.relative_to_first(), relative, tolerance=1e-14)


def test_resized_views_agree_in_shares_of_the_image_and_resizing_back_is_the_identity() -> None:
    path = wandering_path()
    smaller = path.resized(37, 61)
    points = torch.randn(len(path), 50, 3, generator=torch.Generator().manual_seed(2)) + torch.tensor([0, 0, 5.0])
    scale = torch.tensor([37 / 128, 61 / 96])
    view, resized = project(path, points), project(smaller, points)
    held = view.inside
    torch.testing.assert_close(resized.xy[held], view.xy[held] * scale, atol=1e-3, rtol=0)
    assert_same_path(smaller.resized(128, 96), path, tolerance=1e-12)


def test_resampling_agrees_with_scipy_and_keeps_both_ends_exactly() -> None:
    path = wandering_path(frames=5)
    finer = path.resampled(12)
    times = np.linspace(0, 4, 12)
    oracle = Slerp(np.arange(5), Rotation.from_matrix(path.world_from_camera[:, :3, :3].numpy()))(times).as_matrix()
    np.testing.assert_allclose(finer.world_from_camera[:, :3, :3].numpy(), oracle, atol=1e-12)
    for axis in range(3):
        line = np.interp(times, np.arange(5), path.world_from_camera[:, axis, 3].numpy())
        np.testing.assert_allclose(finer.world_from_camera[:, axis, 3].numpy(), line, atol=1e-12)
    for end in (0, -1):
        assert torch.equal(finer.world_from_camera[end], path.world_from_camera[end])
        assert torch.equal(finer.intrinsics[end], path.intrinsics[end])


@pytest.mark.parametrize("times", [2, 3, 7])
def test_resampling_to_a_finer_grid_keeps_the_old_frames_and_comes_back(times: int) -> None:
    path = wandering_path(frames=6)
    finer = path.resampled(5 * times + 1)
    assert_same_path(finer.with_frames(slice(None, None, times)), replace(path, fps=path.fps * times))
    assert_same_path(finer.resampled(6), path, tolerance=1e-13)


def test_resampling_keeps_the_time_from_first_to_last_frame() -> None:
    path = wandering_path(frames=6)
    assert 10 / path.resampled(11).fps == pytest.approx(5 / path.fps)


def test_one_frame_resamples_to_copies_and_anything_to_one_frame() -> None:
    path = wandering_path(frames=4)
    single = path.resampled(1)
    assert_same_path(single, path.with_frames([0]))
    assert_same_path(single.resampled(3), path.with_frames([0, 0, 0]))
    with pytest.raises(Track2ViewError, match="whole number of at least 1"):
        path.resampled(0)


def test_padding_repeats_the_last_frame_and_never_shortens() -> None:
    path = wandering_path(frames=3)
    assert_same_path(path.padded(5), path.with_frames([0, 1, 2, 2, 2]))
    assert_same_path(path.padded(3), path)
    with pytest.raises(Track2ViewError, match="would shorten a path of 3 frames"):
        path.padded(2)
