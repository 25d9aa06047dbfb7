"""Following a point, still or moving: where it is in the picture, how far away, how large."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.cameras.operations.operation import edit_path
from track2view_core.cameras.rotations import axis_angle_from_matrix, matrix_from_axis_angle, rigid_inverse

from ..camera_paths import paths, still, wandering

laws = settings(deadline=None, max_examples=40)


def edited(path: CameraPath, name: str, point: Tensor, **parameters: Any) -> CameraPath:
    return edit_path(path, name, parameters, point=point)


def moving_point(frames: int, seed: int) -> Tensor:
    steps = torch.randn(frames, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).cumsum(0)
    return 0.2 * steps + torch.tensor([0.3, -0.2, 9.0], dtype=torch.float64)


def pixel(path: CameraPath, point: Tensor) -> Tensor:
    """`[T, 2]` in float64, straight from the definition."""
    point = point.expand(len(path), 3)
    camera = torch.linalg.inv(path.world_from_camera) @ torch.cat([point, torch.ones(len(path), 1)], -1)[..., None]
    image = (path.intrinsics @ camera[:, :3])[..., 0]
    return image[:, :2] / image[:, 2:]


def distance(path: CameraPath, point: Tensor) -> Tensor:
    return (path.world_from_camera[:, :3, 3] - point).norm(dim=-1)


@laws
@given(paths, st.integers(0, 99))
def test_what_is_looked_at_is_in_the_middle(path: CameraPath, seed: int) -> None:
    point = moving_point(len(path), seed)
    held = edited(path, "look_at", point)
    torch.testing.assert_close(pixel(held, point), path.intrinsics[:, :2, 2], atol=1e-9, rtol=0)
    assert torch.equal(held.world_from_camera[:, :3, 3], path.world_from_camera[:, :3, 3])
    half = edited(path, "look_at", point, amount=0.5)
    whole = axis_angle_from_matrix(path.world_from_camera[:, :3, :3].mT @ held.world_from_camera[:, :3, :3])
    part = axis_angle_from_matrix(path.world_from_camera[:, :3, :3].mT @ half.world_from_camera[:, :3, :3])
    torch.testing.assert_close(part, whole / 2, atol=1e-9, rtol=0)


def test_looking_back_is_half_a_turn_about_the_vertical() -> None:
    behind = edited(still(3), "look_at", torch.tensor([0.0, 0.0, -2.0]))
    wanted = matrix_from_axis_angle(torch.tensor([0.0, torch.pi, 0.0], dtype=torch.float64))
    torch.testing.assert_close(behind.world_from_camera[1, :3, :3], wanted, atol=1e-12, rtol=0)


@laws
@given(paths, st.integers(0, 99), st.floats(-400, 400), st.floats(-60, 60))
def test_going_around_keeps_the_distance_and_the_place_in_the_picture(
    path: CameraPath, seed: int, degrees: float, rise: float
) -> None:
    point = moving_point(len(path), seed)
    around = edited(path, "orbit", point, degrees=degrees, rise=rise)
    torch.testing.assert_close(distance(around, point), distance(path, point), atol=1e-9, rtol=0)
    torch.testing.assert_close(pixel(around, point), pixel(path, point), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("ease", ["linear", "smooth"])
def test_going_around_a_point_ahead_is_the_preset(ease: str) -> None:
    path = preset_path("static", wandering(1).with_frames([0] * 9), amount=1, scene_scale=4.0)
    point = path.world_from_camera[0, :3, 3] + 4 * path.world_from_camera[0, :3, 2]
    for name, degrees in (("orbit_right", 30.0), ("orbit_left", -30.0)):
        wanted = preset_path(name, path, amount=1, scene_scale=4.0, ease=ease)
        found = edited(path, "orbit", point, degrees=degrees, ease=ease)
        torch.testing.assert_close(found.world_from_camera, wanted.world_from_camera, atol=1e-12, rtol=0)


def test_rising_goes_up_and_looks_down() -> None:
    risen = edited(still(5), "orbit", torch.tensor([0.0, 0.0, 4.0]), degrees=0, rise=20).world_from_camera
    assert risen[-1, 1, 3] < 0 < risen[-1, 1, 2]


@laws
@given(paths, st.integers(0, 99))
def test_accompanied_a_point_keeps_its_place_relative_to_the_camera(path: CameraPath, seed: int) -> None:
    point = moving_point(len(path), seed)
    along = edited(path, "accompany", point)
    offset = along.world_from_camera[:, :3, 3] - point
    torch.testing.assert_close(offset, path.world_from_camera[:, :3, 3] - point[0], atol=1e-12, rtol=0)
    assert torch.equal(along.world_from_camera[:, :3, :3], path.world_from_camera[:, :3, :3])


@laws
@given(st.integers(0, 99))
def test_a_dolly_zoom_keeps_the_projected_size(seed: int) -> None:
    path = wandering(17, seed=seed, size=0.05)
    point = moving_point(17, seed)
    zoomed = edited(path, "dolly_zoom", point)

    def size(camera: CameraPath) -> Tensor:
        right, down = camera.world_from_camera[:, :3, 0], camera.world_from_camera[:, :3, 1]
        middle = pixel(camera, point)
        return torch.stack(
            [(pixel(camera, point + 0.1 * axis) - middle).norm(dim=-1) for axis in (right, down)], dim=-1
        )

    torch.testing.assert_close(size(zoomed), size(path)[:1].expand(17, 2), atol=1e-9, rtol=0)
    assert torch.equal(zoomed.world_from_camera, path.world_from_camera)
    torch.testing.assert_close(zoomed.intrinsics[:, :, 2], path.intrinsics[:, :, 2], atol=0, rtol=0)


def test_a_dolly_zoom_on_a_dolly_is_the_preset() -> None:
    source = still(17)
    dolly = preset_path("dolly_in", source, amount=1, scene_scale=4.0)
    wanted = preset_path("dolly_zoom", source, amount=1, scene_scale=4.0)
    subject = source.world_from_camera[0, :3, :3] @ torch.tensor([0.0, 0.0, 4.0], dtype=torch.float64)
    found = edited(dolly, "dolly_zoom", subject)
    torch.testing.assert_close(found.intrinsics, wanted.intrinsics, atol=1e-9, rtol=0)
    assert torch.equal(found.world_from_camera, wanted.world_from_camera)


def test_the_path_of_a_point_may_be_float32_as_tracks_are() -> None:
    path = wandering()
    point = moving_point(17, 0)
    one, two = (edited(path, "look_at", given) for given in (point, point.float()))
    torch.testing.assert_close(
        rigid_inverse(one.world_from_camera) @ two.world_from_camera,
        still().world_from_camera,
        atol=1e-6,
        rtol=0,
    )
