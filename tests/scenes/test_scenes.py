"""The renderer's own laws: what it says about geometry agrees with what it draws."""

import pytest
import torch

from track2view_core.cameras import project
from track2view_core.errors import Track2ViewError
from track2view_core.scenes import (
    HELD_OUT_MOVES,
    TRAIN_MOVES,
    demo_clip,
    exact_tracks,
    random_paths,
    random_scenes,
    render,
)
from track2view_core.scenes.camera_moves import move_poses
from track2view_core.scenes.ray_casting import cast, pixel_rays

SIZE, FRAMES, SCENES = 48, 5, 3


@pytest.fixture(scope="module")
def clip():
    scenes = random_scenes(SCENES, seed=3, dynamic=1.0)
    paths = random_paths(SCENES, FRAMES, seed=3, width=SIZE, height=SIZE, targets=2)
    views = [render(scenes, paths.world_from_camera[:, c], paths.intrinsics, paths.time, SIZE, SIZE) for c in range(3)]
    return scenes, paths, views


def test_all_cameras_share_frame_zero_and_then_part(clip):
    _, _, views = clip
    assert torch.equal(views[0].rgb[:, 0], views[1].rgb[:, 0])
    assert (views[0].rgb[:, -1] - views[1].rgb[:, -1]).abs().mean() > 0.01


def test_the_same_seed_draws_the_same_scenes_and_another_seed_does_not():
    first, again, other = (random_scenes(2, seed=s) for s in (5, 5, 6))
    assert torch.equal(first.colour, again.colour) and torch.equal(first.rotation, again.rotation)
    assert not torch.equal(first.colour, other.colour)


def test_held_out_moves_are_never_trained_on():
    assert not set(HELD_OUT_MOVES) & set(TRAIN_MOVES)


@pytest.mark.parametrize("kind", [*TRAIN_MOVES, *HELD_OUT_MOVES, "static"])
def test_every_move_starts_at_rest_and_stays_rigid(kind):
    poses = move_poses(kind, torch.linspace(0, 1, 9), torch.tensor(0.7), torch.tensor(3.0))
    rotation = poses[:, :3, :3]
    assert torch.allclose(poses[0], torch.eye(4), atol=1e-6)
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3).expand(9, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(9), atol=1e-5)


def test_hits_lie_on_the_surface_they_name(clip):
    scenes, paths, _ = clip
    origin, direction = pixel_rays(paths.world_from_camera[:, 0], paths.intrinsics, SIZE, SIZE)
    hits = cast(scenes, origin, direction, paths.time)
    for b in range(SCENES):
        on_room = hits.surface[b] == 0
        walls = (hits.local[b][on_room] / scenes.room[b]).abs().amax(-1)
        assert torch.allclose(walls, torch.ones_like(walls), atol=1e-4)
        for k in hits.surface[b].unique().tolist():
            if k == 0:
                continue
            unit = hits.local[b][hits.surface[b] == k] / scenes.size[b, k - 1]
            radius = unit.norm(dim=-1) if scenes.is_ellipsoid[b, k - 1] else unit.abs().amax(-1)
            assert torch.allclose(radius, torch.ones_like(radius), atol=2e-3)


def test_normals_have_unit_length_and_face_the_camera(clip):
    scenes, paths, _ = clip
    origin, direction = pixel_rays(paths.world_from_camera[:, 0], paths.intrinsics, SIZE, SIZE)
    normal = cast(scenes, origin, direction, paths.time).normal
    assert torch.allclose(normal.norm(dim=-1), torch.ones(normal.shape[:-1]), atol=1e-4)
    assert ((normal * direction).sum(-1) < 1e-3).float().mean() > 0.999


def test_visible_tracks_project_onto_the_rendered_depth_and_colour(clip):
    scenes, paths, views = clip
    source = paths.world_from_camera[:, 0]
    tracks = exact_tracks(scenes, views[0], source, paths.intrinsics, paths.time, points=200, seed=1)
    for b, track in enumerate(tracks):
        seen = project(track.camera, track.positions)
        assert not (track.visible & ~seen.inside).any()
        frame, point = track.visible.nonzero(as_tuple=True)
        assert len(frame) > 200
        x, y = seen.xy[frame, point].floor().long().unbind(-1)
        depth, rendered = seen.depth[frame, point], views[0].depth[b, frame, y, x]
        near = ((depth - rendered).abs() / rendered) < 0.05  # the pixel's centre is up to half a pixel away
        assert near.float().mean() > 0.9
        colours = views[0].rgb[b, frame, y, x] - track.colors[point].float() / 255
        assert colours[near].abs().mean() < 0.06


def test_the_world_of_exact_tracks_is_the_first_source_camera(clip):
    scenes, paths, views = clip
    tracks = exact_tracks(
        scenes, views[0], paths.world_from_camera[:, 0], paths.intrinsics, paths.time, points=4, seed=1
    )
    assert torch.allclose(tracks[0].camera.world_from_camera[0], torch.eye(4, dtype=torch.float64), atol=1e-9)


def test_supersampling_keeps_the_geometry_and_the_mean_colour(clip):
    scenes, paths, views = clip
    fine = render(scenes, paths.world_from_camera[:, 0], paths.intrinsics, paths.time, SIZE, SIZE, supersample=2)
    assert torch.equal(fine.depth, views[0].depth)
    assert (fine.rgb.mean() - views[0].rgb.mean()).abs() < 5e-3


def test_a_batch_renders_like_its_scenes_one_by_one(clip):
    scenes, paths, views = clip
    one = render(scenes[1:2], paths.world_from_camera[1:2, 0], paths.intrinsics[1:2], paths.time[1:2], SIZE, SIZE)
    assert torch.allclose(one.rgb[0], views[0].rgb[1], atol=1e-5)


def test_an_unknown_texture_is_refused():
    with pytest.raises(Track2ViewError, match="'smooth' or 'detailed'"):
        random_scenes(1, seed=0, texture="plain")


def test_the_demo_clip_moves_and_comes_with_its_camera_and_depth():
    demo = demo_clip(frames=5, width=64, height=64)
    assert demo.frames.shape == (5, 64, 64, 3) and demo.frames.dtype == torch.uint8
    assert len(demo.camera) == 5 and demo.depth.shape == (5, 64, 64)
    assert demo.camera.world_from_camera[-1, :3, 3].norm() > 0.05
    assert (demo.frames[0].float() - demo.frames[-1].float()).abs().mean() > 2
