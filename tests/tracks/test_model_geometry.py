"""Depth from other nodes: what their objects say, and what is refused."""

from __future__ import annotations

import json
import math

import pytest
import torch

from track2view_core.cameras.rotations import matrix_from_axis_angle, rigid
from track2view_core.errors import Track2ViewError
from track2view_core.tracks.model_geometry import (
    geometry_from_da3,
    geometry_from_moge,
    geometry_from_pictures,
    path_from_matrices,
)

INF, NAN = float("inf"), float("nan")


def da3(**changes: object) -> dict:
    """As core's Depth Anything 3 node hands it on: two views of 4 x 2, worked on at 56 x 28."""
    told = {
        "depth": torch.tensor([[[1.0, 2, 3, 4], [1, 2, 3, 4]], [[2.0, 2, 2, 2], [INF, 0, NAN, -1]]]),
        "image": torch.zeros(2, 2, 4, 3),
        "mode": "multiview",
        "confidence": torch.ones(2, 2, 4),
        "extrinsics": torch.tensor(
            [[[[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], [[1.0, 0, 0, -0.5], [0, 1, 0, 0], [0, 0, 1, 0]]]]
        ),
        "intrinsics": torch.tensor([[[40.0, 0, 28], [0, 40, 14], [0, 0, 1]]]).repeat(1, 2, 1, 1).reshape(1, 2, 3, 3),
    }
    return {name: value for name, value in {**told, **changes}.items() if value is not None}


def moge(**changes: object) -> dict:
    """As core's MoGe node hands it on: infinite outside the mask, lenses in shares of the picture."""
    told = {
        "points": torch.zeros(2, 2, 4, 3),
        "depth": torch.tensor([[[1.0, 2, 3, INF], [1, 2, 3, 4]], [[2.0, 2, 2, 2], [2, 2, 2, 2]]]),
        "intrinsics": torch.tensor([[[0.8, 0, 0.5], [0, 1.6, 0.5], [0, 0, 1]]]).repeat(2, 1, 1),
        "mask": torch.tensor([[[1, 1, 1, 0], [1, 1, 1, 1]], [[1, 1, 1, 1], [0, 1, 1, 1]]]).bool(),
        "image": torch.zeros(2, 2, 4, 3),
    }
    return {name: value for name, value in {**told, **changes}.items() if value is not None}


def test_the_literal_dict_of_depth_anything_3() -> None:
    found = geometry_from_da3(da3(), frames=2, width=400, height=200)
    assert found.depth.tolist()[0] == [[1, 2, 3, 4], [1, 2, 3, 4]]
    assert found.depth[1, 0].tolist() == [2, 2, 2, 2] and found.depth[1, 1].isnan().all()
    camera = found.camera
    # Extrinsics are world-to-camera: a shift of -0.5 in x is a camera that stands 0.5 to the right.
    assert camera.world_from_camera[1, :3, 3].tolist() == [0.5, 0, 0]
    # 40 px of a picture 56 px wide, which is not the size of the depth maps.
    assert camera.intrinsics[0, 0].tolist() == pytest.approx([400 * 40 / 56, 0, 200])
    assert camera.intrinsics[0, 1].tolist() == pytest.approx([0, 200 * 40 / 28, 100])
    assert found.fov_degrees == pytest.approx(2 * math.degrees(math.atan(28 / 40)))


def test_a_mono_depth_without_cameras_and_with_a_sky() -> None:
    sky = torch.zeros(2, 2, 4)
    sky[0, 0] = 1
    found = geometry_from_da3(da3(extrinsics=None, intrinsics=None, mode="mono", sky=sky), frames=2, width=4, height=2)
    assert found.camera is None and found.fov_degrees is None
    assert found.depth[0, 0].isnan().all() and found.depth[0, 1].tolist() == [1, 2, 3, 4]


def test_paths_survive_the_way_out_and_in() -> None:
    generator = torch.Generator().manual_seed(0)
    step = 0.3 * torch.randn(5, 6, dtype=torch.float64, generator=generator)
    step[0] = 0
    poses = rigid(matrix_from_axis_angle(step[:, :3]), step[:, 3:])
    lens = torch.tensor([[60.0, 0, 32], [0, 60, 18], [0, 0, 1]]).expand(1, 5, 3, 3)
    told = {"depth": torch.ones(5, 36, 64), "extrinsics": torch.linalg.inv(poses)[None, :, :3], "intrinsics": lens}
    camera = geometry_from_da3(told, frames=5, width=640, height=360, fps=25).camera
    torch.testing.assert_close(camera.world_from_camera, poses, atol=1e-9, rtol=0)
    torch.testing.assert_close(camera.intrinsics[:, 0, 0], torch.full((5,), 600.0, dtype=torch.float64))
    assert camera.fps == 25


def test_the_literal_dict_of_moge() -> None:
    found = geometry_from_moge(moge(), frames=2, width=400, height=200)
    assert found.depth[0, 0].tolist()[:3] == [1, 2, 3]
    assert found.depth[0, 0, 3].isnan() and found.depth[1, 1, 0].isnan() and int(found.depth.isnan().sum()) == 2
    assert found.fov_degrees == pytest.approx(2 * math.degrees(math.atan(0.5 / 0.8)))
    assert found.camera is None


@pytest.mark.parametrize("fov", [20.0, 60.0, 110.0])
def test_depth_and_lens_survive_the_way_through_moge(fov: float) -> None:
    """Points and depth that a lens and a depth map make say the same again, with and without the depth."""
    depth = 1 + torch.rand(2, 18, 32, generator=torch.Generator().manual_seed(0))
    focal = 0.5 / math.tan(math.radians(fov) / 2)  # in widths
    lens = torch.tensor([[focal, 0, 0.5], [0, focal * 32 / 18, 0.5], [0, 0, 1]]).repeat(2, 1, 1)
    y, x = torch.meshgrid((torch.arange(18) + 0.5) / 18, (torch.arange(32) + 0.5) / 32, indexing="ij")
    rays = torch.stack([x, y, torch.ones_like(x)], -1) @ torch.linalg.inv(lens[0]).T
    told = {"points": depth[..., None] * rays, "depth": depth, "intrinsics": lens, "image": torch.zeros(2, 18, 32, 3)}
    for given in (told, {name: value for name, value in told.items() if name != "depth"}):
        found = geometry_from_moge(given, frames=2, width=64, height=36)
        torch.testing.assert_close(found.depth, depth)
        assert found.fov_degrees == pytest.approx(fov, abs=1e-4)


def test_a_moge_point_map_stands_in_for_its_depth() -> None:
    points = torch.zeros(2, 2, 4, 3)
    points[..., 2] = 5
    found = geometry_from_moge(moge(depth=None, points=points, intrinsics=None, mask=None), frames=2, width=4, height=2)
    assert (found.depth == 5).all() and found.fov_degrees is None


@pytest.mark.parametrize(
    ("read", "told", "words"),
    [
        (geometry_from_da3, [1, 2], "DA3_GEOMETRY is list; link"),
        (geometry_from_da3, da3(depth=None), "holds no depth"),
        (geometry_from_da3, da3(depth=torch.ones(3, 2, 4)), "3 frames and the clip 2"),
        (geometry_from_da3, da3(depth=torch.ones(2, 4, 2)), "another shape"),
        (geometry_from_da3, da3(depth=torch.ones(2, 2)), "must be \\[frames, height, width\\]"),
        (geometry_from_da3, da3(extrinsics=torch.zeros(1, 2, 3, 4)), "DA3_GEOMETRY"),
        (geometry_from_da3, da3(extrinsics=da3()["extrinsics"][:, :1]), "."),
        (geometry_from_moge, moge(depth=None, points=None), "holds no depth"),
        (geometry_from_moge, moge(mask=torch.ones(1, 2, 4)), "mask of shape"),
    ],
)
def test_what_does_not_fit_is_one_sentence(read, told, words) -> None:
    with pytest.raises(Track2ViewError, match=words):
        read(told, frames=2, width=4, height=2)


def test_metric_pictures_run_from_near_to_far() -> None:
    gray = torch.tensor([[[0.0, 0.25, 0.5, 1.0]]])
    far = geometry_from_pictures(gray, "far is bright, metric", near=2, far=10).depth
    near = geometry_from_pictures(gray, "near is bright, metric", near=2, far=10).depth
    torch.testing.assert_close(far[0, 0], torch.tensor([2.0, 4, 6, 10]))
    torch.testing.assert_close(1 / near[0, 0], torch.tensor([0.1, 0.2, 0.3, 0.5]))


@pytest.mark.parametrize("kind", ["near is bright", "far is bright"])
def test_relative_pictures_are_positive_and_ordered(kind: str) -> None:
    depth = geometry_from_pictures(torch.linspace(0, 1, 9).reshape(1, 3, 3), kind).depth.flatten()
    order = depth.diff()
    assert (depth > 0).all() and ((order < 0).all() if kind.startswith("near") else (order > 0).all())


@pytest.mark.parametrize(("near", "far"), [(0, 1), (2, 1), (1, INF), (NAN, 2)])
def test_metric_pictures_need_their_distances(near: float, far: float) -> None:
    with pytest.raises(Track2ViewError, match=r"0 < depth_near < depth_far"):
        geometry_from_pictures(torch.zeros(1, 2, 2), "far is bright, metric", near=near, far=far)
    with pytest.raises(Track2ViewError, match="must be one of"):
        geometry_from_pictures(torch.zeros(1, 2, 2), "bright")


def test_cropping_keeps_every_ray_where_it_is() -> None:
    """What one pixel of the clip sees is the same before and after the padding is cut away."""
    lens = torch.tensor([[40.0, 0, 28], [0, 40, 14], [0, 0, 1]]).repeat(1, 2, 1, 1)
    depth = torch.arange(2 * 20 * 40.0).reshape(2, 20, 40) + 1
    whole = geometry_from_da3(da3(depth=depth, intrinsics=lens), frames=2, width=80, height=40)
    part = whole.cropped((0, 4, 80, 32), (80, 40), 1)
    assert torch.equal(part.depth, depth[:1, 2:18])
    assert part.camera.intrinsics[0, 1, 2] == pytest.approx(16) and (part.camera.width, part.camera.height) == (80, 32)
    assert part.fov_degrees == pytest.approx(whole.fov_degrees)
    narrow = whole.cropped((10, 0, 60, 40), (80, 40), 2)
    assert math.tan(math.radians(narrow.fov_degrees) / 2) == pytest.approx(
        0.75 * math.tan(math.radians(whole.fov_degrees) / 2)
    )


EXTRINSICS = torch.tensor([[[1.0, 0, 0, 0.5], [0, 0, 1, 0], [0, -1, 0, 2], [0, 0, 0, 1]]])  # as camera packs pass them
INTRINSICS = torch.tensor([[[320.0, 0, 256], [0, 320, 144], [0, 0, 1]]])


@pytest.mark.parametrize("form", ["tensors", "3 x 4", "behind 1", "lists", "json"])
def test_the_literal_matrices_of_camera_packs(form: str) -> None:
    outside, inside = EXTRINSICS, INTRINSICS
    if form == "3 x 4":
        outside = outside[:, :3]
    elif form == "behind 1":
        outside, inside = outside[None], inside[None]
    elif form == "lists":
        outside, inside = outside.tolist(), inside.tolist()
    elif form == "json":
        outside, inside = json.dumps(outside.tolist()), json.dumps(inside.tolist())
    path = path_from_matrices(outside, inside, width=1024, height=576, fps=24)
    assert path.world_from_camera[0].tolist() == [[1, 0, 0, -0.5], [0, 0, -1, 2], [0, 1, 0, 0], [0, 0, 0, 1]]
    assert path.intrinsics[0].tolist() == [[640, 0, 512], [0, 640, 288], [0, 0, 1]] and path.fps == 24


def test_matrices_survive_the_round_trip() -> None:
    path = geometry_from_da3(da3(), frames=2, width=400, height=200).camera
    again = path_from_matrices(path.camera_from_world, path.intrinsics, width=400, height=200, fps=path.fps)
    torch.testing.assert_close(again.world_from_camera, path.world_from_camera)
    torch.testing.assert_close(again.intrinsics, path.intrinsics)


@pytest.mark.parametrize(
    ("outside", "inside", "words"),
    [
        ("nonsense", INTRINSICS, "EXTRINSICS holds no matrices"),
        (EXTRINSICS, "[", "INTRINSICS holds no matrices"),
        (EXTRINSICS[..., :3], INTRINSICS, "EXTRINSICS has matrices of"),
        (EXTRINSICS.expand(3, 4, 4), INTRINSICS.expand(2, 3, 3), "3 poses and 2 intrinsics"),
        (EXTRINSICS, INTRINSICS * 0, "principal point"),
        (EXTRINSICS * 2, INTRINSICS, "."),
        (EXTRINSICS * NAN, INTRINSICS, "."),
    ],
)
def test_what_is_no_matrices_is_one_sentence(outside, inside, words) -> None:
    with pytest.raises(Track2ViewError, match=words):
        path_from_matrices(outside, inside, width=64, height=36, fps=16)
