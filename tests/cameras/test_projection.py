"""Projection against a plain oracle, the pixel convention, and the borders of `inside`."""

from __future__ import annotations

import math

import pytest
import torch

from track2view_core.cameras import CameraPath, ViewTracks, project
from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid
from track2view_core.errors import Track2ViewError

GENERATOR = torch.Generator()


def some_path(frames: int = 4) -> CameraPath:
    steps = torch.randn(frames, 6, dtype=torch.float64, generator=GENERATOR.manual_seed(3)) * 0.2
    intrinsics = torch.tensor([[90.0, 2.0, 30.0], [0, 95.0, 20.0], [0, 0, 1]]).repeat(frames, 1, 1)
    return CameraPath(rigid(matrix_from_axis_angle(steps[:, :3]), steps[:, 3:]), intrinsics, 64, 48)


def still_camera() -> CameraPath:
    """One frame at the origin: focal length 50, 100 x 80 px, principal point in the middle."""
    return CameraPath(torch.eye(4)[None], torch.tensor([[[50.0, 0, 50], [0, 50.0, 40], [0, 0, 1]]]), 100, 80)


def test_projection_equals_the_matrix_products_written_out() -> None:
    path = some_path()
    points = torch.randn(4, 200, 3, generator=GENERATOR.manual_seed(4)) * 3
    view = project(path, points)
    for t in range(len(path)):
        for n in range(points.shape[1]):
            camera = torch.linalg.inv(path.world_from_camera[t]) @ torch.cat([points[t, n].double(), torch.ones(1)])
            z = float(camera[2])
            assert float(view.depth[t, n]) == pytest.approx(z, abs=1e-5)
            if z <= 1e-6:
                assert not view.inside[t, n]
                continue
            u, v, _ = ((path.intrinsics[t] @ camera[:3]) / z).tolist()
            if max(abs(u), abs(v)) < 1e6:
                assert view.xy[t, n].tolist() == pytest.approx([u, v], rel=1e-5, abs=1e-3)
            assert bool(view.inside[t, n]) == (0 <= u < 64 and 0 <= v < 48)


def test_a_point_on_the_axis_lands_on_the_principal_point_and_axes_point_right_and_down() -> None:
    points = torch.tensor([[[0.0, 0, 2], [0.4, 0, 2], [0, 0.4, 2]]])
    view = project(still_camera(), points)
    assert view.xy[0].tolist() == [[50, 40], [60, 40], [50, 50]]
    assert view.depth[0].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("xy", "inside"),
    [
        ((0.0, 0.0), True),
        ((-0.01, 5.0), False),
        ((99.99, 79.99), True),
        ((100.0, 5.0), False),
        ((5.0, 80.0), False),
        ((99.9999999, 5.0), False),  # rounds to 100 in float32: what is handed out decides
    ],
)
def test_inside_is_half_open_like_the_pixels(xy: tuple[float, float], inside: bool) -> None:
    point = torch.tensor([[[(xy[0] - 50) / 50, (xy[1] - 40) / 50, 1.0]]], dtype=torch.float64)
    assert bool(project(still_camera(), point).inside) is inside


@pytest.mark.parametrize("z", [0.0, -0.0, -1.0, 1e-9, -1e30, 1e-6])
def test_points_not_in_front_are_outside_finite_and_nowhere_in_the_image(z: float) -> None:
    view = project(still_camera(), torch.tensor([[[0.0, 0.0, z]]], dtype=torch.float64))
    assert not view.inside.any()
    assert view.xy.isfinite().all()
    assert view.xy[0, 0].tolist() == [-100, -80]
    assert float(view.depth) == pytest.approx(z)


def test_grazing_points_stay_finite_and_castable() -> None:
    view = project(still_camera(), torch.tensor([[[1e20, -1e20, 1e-5]]], dtype=torch.float64))
    assert view.xy[0, 0].tolist() == [1e6, -1e6]
    assert not view.inside.any()


def test_no_points_give_empty_views() -> None:
    view = project(some_path(), torch.zeros(4, 0, 3))
    assert view.xy.shape == (4, 0, 2)
    assert view.inside.shape == (4, 0)


@pytest.mark.parametrize("shape", [(4, 5), (3, 5, 3), (4, 5, 4)])
def test_points_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(Track2ViewError, match=r"must be \[4, N, 3\]"):
        project(some_path(), torch.zeros(shape))


def test_a_view_checks_its_fields() -> None:
    xy, depth, inside = torch.zeros(2, 3, 2), torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool)
    for fields, name in (
        ((xy[0], depth, inside), "xy"),
        ((xy, depth[:, :2], inside), "depth"),
        ((xy, depth, inside[:1]), "inside"),
        ((xy, depth, depth), "inside"),
    ):
        with pytest.raises(Track2ViewError, match=f"ViewTracks.{name}"):
            ViewTracks(*fields)


def test_projection_passes_gradients_to_the_points() -> None:
    points = (torch.randn(4, 9, 3, generator=GENERATOR.manual_seed(5)) * 3).requires_grad_()
    view = project(some_path(), points)
    (view.xy.sum() + view.depth.sum()).backward()
    assert points.grad is not None
    assert math.isfinite(float(points.grad.abs().sum()))
