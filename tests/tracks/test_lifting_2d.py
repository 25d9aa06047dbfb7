"""2D tracks lifted to 3D: exact tracks give back the points they came from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath, project
from track2view_core.errors import Track2ViewError
from track2view_core.evaluation.tracker_scores import rendered_clip
from track2view_core.tracks import PointTracks
from track2view_core.tracks.exchange_2d import FlatTracks
from track2view_core.tracks.lifting_2d import lift_tracks

FRAMES, WIDTH, HEIGHT = 9, 256, 160


def camera(*, travel: float, lens: tuple[float, float, float, float] = (200, 200, 128, 80)) -> CameraPath:
    poses = torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1)
    poses[:, 0, 3] = torch.linspace(0, travel, FRAMES)
    fx, fy, cx, cy = lens
    matrix = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)
    return CameraPath(poses, matrix.expand(FRAMES, 3, 3), WIDTH, HEIGHT)


def scene(path: CameraPath) -> PointTracks:
    """A slanted wall of standing points, every fifth of which slides along it."""
    generator = torch.Generator().manual_seed(0)
    uv = torch.rand(200, 2, generator=generator) - 0.5
    first = torch.stack([2 * uv[:, 0], 1.2 * uv[:, 1], 3 + uv[:, 0]], -1)
    points = first.repeat(FRAMES, 1, 1)
    slide = torch.linspace(0, 0.3, FRAMES)[:, None] * torch.tensor([0.0, 1, 0])
    points[:, ::5] += slide[:, None]
    view = project(path, points)
    return PointTracks(points, view.inside, torch.ones(FRAMES, 200), path)


def wall_depth(path: CameraPath) -> torch.Tensor:
    """The slanted wall z = 3 + x / 2 as the camera sees it."""
    y, x = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
    lens, left = path.intrinsics[0], path.world_from_camera[:, 0, 3].float()
    ray = (x - float(lens[0, 2])) / float(lens[0, 0])
    return (3 + 0.5 * left[:, None, None]) / (1 - 0.5 * ray) + 0 * y


LENSES = [(200, 200, 128, 80), (210, 190, 120, 86)]


@pytest.mark.parametrize("lens", LENSES)
@pytest.mark.parametrize("travel", [0.0, 1.0])
def test_exact_tracks_give_back_their_points(travel: float, lens) -> None:
    path = camera(travel=travel, lens=lens)
    true = scene(path)
    view = project(path, true.positions)
    lifted = lift_tracks(FlatTracks(view.xy, true.visible), camera=path, depth=wall_depth(path))
    assert lifted.positions.shape[1] >= 190
    again = project(path, lifted.positions)
    # which of the given tracks was kept: the one whose pixels it has
    apart = (again.xy[:, :, None] - view.xy[:, None]).norm(dim=-1)
    apart = torch.where(lifted.visible[:, :, None] & true.visible[:, None], apart, 0.0).amax(0)
    nearest = apart.min(dim=1)
    assert nearest.values.max() < 1.5, "standing points stay within the limit of 1 px, moving ones are exact"
    error = (lifted.positions - true.positions[:, nearest.indices]).norm(dim=-1) / true.positions[..., 2].median()
    assert error[lifted.visible].median() < 0.005 and error[lifted.visible].quantile(0.95) < 0.03
    assert "of them moving" in lifted.notes[0]


def test_without_depth_a_ramp_is_warned_of() -> None:
    path = camera(travel=0.0)
    true = scene(path)
    lifted = lift_tracks(FlatTracks(project(path, true.positions).xy, true.visible), camera=path)
    assert any(note.startswith("WARNING") and "ground ramp" in note for note in lifted.notes)


def test_order_colours_and_unknown_depth() -> None:
    clip = rendered_clip("static", frames=5, width=96, height=64, seed=1)
    xy = torch.tensor([[80.0, 20.0], [10.0, 50.0], [40.0, 30.0]]).repeat(5, 1, 1)
    depth = clip.depth.clone()
    depth[:, :40, 60:] = float("inf")
    visible = torch.ones(5, 3, dtype=torch.bool)
    lifted = lift_tracks(FlatTracks(xy, visible), camera=clip.camera, depth=depth, video=clip.frames)
    back = project(clip.camera, lifted.positions)
    torch.testing.assert_close(back.xy, xy, atol=1e-2, rtol=0)
    assert lifted.positions.isfinite().all()
    seen = clip.frames[0, 30, 40].float()
    assert (lifted.colors[2].float() - seen).abs().max() < 60 and lifted.colors.shape == (3, 3)


@pytest.mark.parametrize("which", ["camera", "depth", "video"])
def test_other_lengths_are_named(which: str) -> None:
    path = camera(travel=0.0)
    given = {"camera": path, "depth": np.ones((FRAMES, 4, 4)), "video": np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)}
    given[which] = given[which].with_frames([0, 1]) if which == "camera" else given[which][:2]
    with pytest.raises(Track2ViewError, match=f"9 frames and {which} has 2"):
        lift_tracks(FlatTracks(torch.zeros(FRAMES, 3, 2), torch.ones(FRAMES, 3, dtype=torch.bool)), **given)


def test_tracks_outside_the_picture_cannot_be_placed() -> None:
    flat = FlatTracks(torch.full((FRAMES, 3, 2), -50.0), torch.ones(FRAMES, 3, dtype=torch.bool))
    with pytest.raises(Track2ViewError, match="None of the 3 2D tracks"):
        lift_tracks(flat, camera=camera(travel=1.0), depth=np.ones((FRAMES, 4, 4)))


def test_a_foreign_world_becomes_the_first_cameras() -> None:
    path = camera(travel=1.0)
    moved = path.world_from_camera.clone()
    moved[:, :3, 3] += torch.tensor([5.0, 1, 2], dtype=torch.float64)
    true = scene(path)
    flat = FlatTracks(project(path, true.positions).xy, true.visible)
    here = lift_tracks(flat, camera=path, depth=wall_depth(path))
    there = lift_tracks(flat, camera=replace(path, world_from_camera=moved), depth=wall_depth(path))
    torch.testing.assert_close(there.positions, here.positions, atol=1e-4, rtol=0)
