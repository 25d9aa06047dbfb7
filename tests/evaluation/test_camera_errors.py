"""Camera errors: closed forms, laws, and the sums of CamI2V."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.cameras import CameraPath
from track2view_core.cameras.rotations import matrix_from_axis_angle
from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import cami2v_errors, rotation_error, translation_error


def poses(turns: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    path = torch.eye(4, dtype=torch.float64).repeat(len(turns), 1, 1)
    path[:, :3, :3], path[:, :3, 3] = matrix_from_axis_angle(turns.double()), shifts.double()
    return path


def some_path(seed: int, frames: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return poses(torch.randn(frames, 3, generator=generator), torch.randn(frames, 3, generator=generator))


@pytest.mark.parametrize("degrees", [0.0, 1e-7, 1e-3, 0.01, 1.0, 90.0, 179.9, 180.0])
def test_a_known_turn_is_read_off_exactly(degrees):
    still = poses(torch.zeros(3, 3), torch.zeros(3, 3))
    axis = torch.nn.functional.normalize(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), dim=0)
    turned = poses(axis * math.radians(degrees) * torch.tensor([[0.0], [0.5], [1.0]]), torch.zeros(3, 3))
    expected = torch.tensor([0.0, degrees / 2, degrees], dtype=torch.float64)
    torch.testing.assert_close(rotation_error(turned, still), expected, rtol=1e-5, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_errors_do_not_depend_on_the_world_and_are_zero_for_the_same_path(seed):
    path, other, world = some_path(seed), some_path(seed + 1), some_path(seed + 2)[0]
    assert rotation_error(world @ path, path).max() < 1e-6
    assert translation_error(world @ path, path).max() < 1e-9
    torch.testing.assert_close(rotation_error(world @ path, other), rotation_error(path, other))
    torch.testing.assert_close(rotation_error(path, other), rotation_error(other, path))
    torch.testing.assert_close(translation_error(path, world @ other), translation_error(path, other))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_fitted_scale_forgives_the_unit_and_nothing_else(seed, unit):
    path, other = some_path(seed), some_path(seed + 1)
    scaled = path.clone()
    scaled[:, :3, 3] *= unit
    assert translation_error(scaled, path).max() < 1e-9
    torch.testing.assert_close(translation_error(scaled, other), translation_error(path, other))
    assert translation_error(path, other).square().sum() <= translation_error(path, other, "none").square().sum() + 1e-9


def test_metric_units_are_a_share_of_the_extent():
    reference = poses(torch.zeros(3, 3), torch.tensor([[0.0, 0, 0], [1, 0, 0], [4, 0, 0]]))
    estimated = poses(torch.zeros(3, 3), torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]))
    expected = torch.tensor([0.0, 0.0, 0.5], dtype=torch.float64)
    torch.testing.assert_close(translation_error(estimated, reference, "none"), expected)


def test_opposite_and_still_paths_score_as_no_motion_at_all():
    path = some_path(3)
    path[:, :3, :3] = torch.eye(3)
    opposite, still = path.clone(), path.clone()
    opposite[:, :3, 3] = 2 * path[0, :3, 3] - path[:, :3, 3]
    still[:, :3, 3] = 0
    away = (path[:, :3, 3] - path[0, :3, 3]).norm(dim=-1)
    for estimated in (opposite, still):
        torch.testing.assert_close(translation_error(estimated, path), away / away.max())


def test_only_measured_frames_take_part_in_the_scale():
    path = some_path(4)
    estimated = path.clone()
    estimated[:, :3, 3] *= 3
    estimated[-1, :3, 3] += 50
    measured = torch.ones(len(path), dtype=torch.bool)
    measured[-1] = False
    assert translation_error(estimated, path, measured=measured)[:-1].max() < 1e-9
    assert translation_error(estimated, path)[:-1].max() > 0.1


def test_cami2v_sums_are_those_of_a_slow_twin_from_its_definition():
    own, true = some_path(8), some_path(9)
    rotations, shifts, together = 0.0, 0.0, 0.0
    relative = [torch.linalg.inv(path[0]) @ path for path in (own, true)]
    for path in relative:
        path[:, :3, 3] /= max(float(pose[:3, 3].norm()) for pose in path) + 1e-9
    for a, b in zip(*relative, strict=True):
        rotations += math.acos(max(-1.0, min(1.0, (float((a[:3, :3].T @ b[:3, :3]).trace()) - 1) / 2)))
        shifts += float((a[:3, 3] - b[:3, 3]).norm())
        together += float((a[:3] - b[:3]).norm())
    told = cami2v_errors(own, true)
    assert (told.rot_err, told.trans_err, told.cam_mc) == pytest.approx((rotations, shifts, together), abs=1e-6)
    own[:, :3, 3] *= 5
    assert cami2v_errors(own, true).trans_err == pytest.approx(told.trans_err, abs=1e-6)


def test_a_path_that_does_not_move_has_no_translation_error():
    still = poses(torch.randn(4, 3), torch.zeros(4, 3))
    assert translation_error(some_path(1, 4), still).isnan().all()


def test_camera_paths_are_taken_as_well():
    tensor, other = some_path(5), some_path(6)
    intrinsics = torch.tensor([[100.0, 0, 32], [0, 100, 24], [0, 0, 1]]).expand(len(tensor), 3, 3)
    path = CameraPath(tensor, intrinsics, 64, 48)
    assert torch.equal(rotation_error(path, other), rotation_error(tensor, other))
    assert torch.equal(translation_error(path, other), translation_error(tensor, other))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rotation_error(some_path(0, 3), some_path(0, 4)), ["3 frames", "4"]),
        (lambda: translation_error(torch.eye(4), some_path(0)), ["(4, 4)", "[T, 4, 4]"]),
        (lambda: translation_error(some_path(0), some_path(0), "metric"), ["'metric'", "'fit'", "'none'"]),
    ],
)
def test_mistakes_are_one_sentence(call, words):
    with pytest.raises(Track2ViewError) as caught:
        call()
    assert all(word in str(caught.value) for word in words)
