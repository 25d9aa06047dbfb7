""""""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import psnr, splat_points
from track2view_core.evaluation.splat_baseline import point_colours
from track2view_core.scenes import exact_tracks, random_paths, random_scenes, render
from track2view_core.tracks import PairedTracks, ViewTracks, pair_tracks


@pytest.fixture(scope="module")
def rendered():
    scene = random_scenes(1, seed=7)
    paths = random_paths(1, 3, seed=7, width=64, height=64, moves=("rising_arc",), source_moves=("static",))
    source, target = paths.world_from_camera[0]
    views = [render(scene, path[None], paths.intrinsics, paths.time, 64, 64) for path in (source, target)]
    points = exact_tracks(scene, views[0], source[None], paths.intrinsics, paths.time, points=1500, seed=0)[0]
    relative = torch.linalg.inv(source[:1].double()) @ target.double()
    camera = CameraPath(relative, points.camera.intrinsics, 64, 64)
    return views[0].frames(), views[1].frames(), pair_tracks(points, camera), points


def test_the_splat_beats_the_copied_source_on_a_moved_view(rendered):
    source, target, tracks, _ = rendered
    splat = splat_points(source, tracks)
    assert splat.dtype == torch.uint8 and splat.shape == target.shape
    assert psnr(splat, target)[1:].mean() > psnr(source, target)[1:].mean() + 3


def test_without_motion_the_splat_is_the_source(rendered):
    source, _, _, points = rendered
    assert psnr(splat_points(source, pair_tracks(points, points.camera)), source).mean() > 24


def one_point(depth: float, x: float = 8.0) -> tuple[torch.Tensor, PairedTracks]:
    """Two frames, one point; the second frame does not see it."""
    video = torch.stack([torch.full((16, 16, 3), 200), torch.full((16, 16, 3), 30)]).to(torch.uint8)
    intrinsics = torch.tensor([[16.0, 0, 8], [0, 16, 8], [0, 0, 1]]).expand(2, 3, 3)
    camera = CameraPath(torch.eye(4).repeat(2, 1, 1), intrinsics, 16, 16)
    view = ViewTracks(torch.tensor([x, 8.0]).expand(2, 1, 2), torch.full((2, 1), depth), torch.ones(2, 1).bool())
    return video, PairedTracks(view, view, torch.tensor([[True], [False]]), camera, camera)


def test_a_hidden_point_keeps_the_colour_of_the_nearest_frame_that_sees_it():
    video, tracks = one_point(2.0)
    assert torch.allclose(point_colours(video, tracks), torch.tensor(200 / 255).expand(2, 1, 3))


def test_holes_take_the_colour_around_them():
    video, tracks = one_point(2.0, x=3.0)
    assert (splat_points(video, tracks) == 200).all()


def test_mistakes_are_one_sentence(rendered):
    source, _, tracks, _ = rendered
    with pytest.raises(Track2ViewError, match=r"32 x 64.*64 x 64"):
        splat_points(source[:, :, :32], tracks)
    with pytest.raises(Track2ViewError, match="No track is visible"):
        splat_points(source, replace(tracks, visible=torch.zeros_like(tracks.visible)))
