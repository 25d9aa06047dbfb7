"""What NeoVerse is told, against its published formulas written out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import PairedTracks, PointTracks, pair_tracks
from track2view_core.wan.neoverse import (
    CameraEmbedding,
    control_camera,
    control_view,
    plucker_rays,
    relative_depth,
    starts_at_source,
)

FRAMES, WIDTH, HEIGHT = 9, 48, 32


def pairs(amount: float = 0.5, relative_to: str = "source", unit: float = 1.0, place: float = 0.0) -> PairedTracks:
    """One clip and move, in a world of any unit, whose origin is `place` to the side of the camera."""
    draw = torch.Generator().manual_seed(2)
    camera = CameraPath.standing(FRAMES, WIDTH, HEIGHT)
    poses = camera.world_from_camera.clone()
    poses[:, 0, 3] += 0.02 * torch.arange(FRAMES) * unit + place
    camera = replace(camera, world_from_camera=poses)
    start = torch.randn(1, 30, 3, generator=draw) * 0.3 + torch.tensor([0, 0, 2.0])
    positions = (start * unit + torch.tensor([place, 0, 0])).expand(FRAMES, -1, -1)
    tracks = PointTracks(positions, torch.ones(FRAMES, 30, dtype=torch.bool), torch.ones(FRAMES, 30), camera)
    scale = {"amount": amount, "scene_scale": tracks.scene_scale, "relative_to": relative_to}
    return pair_tracks(tracks, preset_path("arc_left", camera, **scale))


def test_every_ray_is_the_formulas():
    camera = control_camera(pairs(), WIDTH, HEIGHT)
    rays = plucker_rays(camera)
    assert rays.shape == (FRAMES, 6, HEIGHT, WIDTH)
    for t, x, y in ((0, 0, 0), (5, 40, 3), (8, 47, 31)):
        (fx, _, cx), (_, fy, cy), _ = camera.intrinsics[t].tolist()
        pose = camera.world_from_camera[t]
        d = pose[:3, :3] @ torch.tensor([(x - cx) / fx, (y - cy) / fy, 1.0], dtype=torch.float64)
        d = d / d.norm()
        o = pose[:3, 3]
        moment = torch.stack([o[1] * d[2] - o[2] * d[1], o[2] * d[0] - o[0] * d[2], o[0] * d[1] - o[1] * d[0]])
        assert torch.allclose(rays[t, :, y, x].double(), torch.cat([d, moment]), atol=1e-6)
    assert rays[:, 3:].abs().max() > 0.1


def test_the_camera_counts_from_the_source_in_shares_of_the_scenes_depth():
    plain = control_camera(pairs(), WIDTH, HEIGHT)
    assert torch.allclose(plain.world_from_camera[0], torch.eye(4, dtype=torch.float64), atol=1e-6)
    for other in (pairs(unit=40.0), pairs(place=3.0)):
        found = control_camera(other, WIDTH, HEIGHT).world_from_camera
        assert torch.allclose(found, plain.world_from_camera, atol=1e-5)
    twice = control_camera(pairs(), WIDTH, HEIGHT, scene_depth=2.0).world_from_camera
    assert torch.allclose(twice[:, :3, 3], 2 * plain.world_from_camera[:, :3, 3])
    assert torch.equal(twice[:, :3, :3], plain.world_from_camera[:, :3, :3])
    large = control_camera(pairs(), 2 * WIDTH, 2 * HEIGHT)
    assert torch.allclose(plucker_rays(large)[:, :, ::2, ::2], plucker_rays(plain), atol=1e-6)


def test_the_embedding_is_one_convolution_over_the_padded_clip():
    torch.manual_seed(0)
    embedding = CameraEmbedding().requires_grad_(False)
    camera, known = control_camera(pairs(), WIDTH, HEIGHT), torch.rand(FRAMES, HEIGHT, WIDTH) > 0.5
    told = torch.cat([known[:, None].float(), plucker_rays(camera)], 1).movedim(0, 1)[None]
    told = torch.nn.functional.pad(told, (0, 0, 0, 0, 3, 0))
    convolution, norm, _ = embedding.layers
    by_hand = torch.nn.functional.conv3d(told, convolution.weight, convolution.bias, stride=(4, 8, 8))
    assert norm.num_groups == 8
    groups = by_hand.reshape(1, 8, -1)
    spread = groups.var(2, unbiased=False, keepdim=True) + norm.eps
    by_hand = ((groups - groups.mean(2, keepdim=True)) / spread.sqrt()).reshape(by_hand.shape)
    by_hand = by_hand * norm.weight[:, None, None, None] + norm.bias[:, None, None, None]
    found = embedding(known, camera)
    assert found.shape == (1, 64, 3, HEIGHT // 8, WIDTH // 8)
    assert torch.allclose(found, by_hand * torch.sigmoid(by_hand), atol=2e-5)


@pytest.mark.parametrize("shape", [(8, 32, 48), (9, 24, 48), (9, 32, 40)])
def test_pictures_that_wan_cannot_take_are_refused(shape):
    camera = CameraPath.standing(shape[0], shape[2], shape[1])
    with pytest.raises(Track2ViewError, match="4n \\+ 1 frames and sides that are multiples of 16"):
        CameraEmbedding()(torch.zeros(shape, dtype=torch.bool), camera)
    with pytest.raises(Track2ViewError, match="give both of one clip"):
        CameraEmbedding()(torch.zeros(13, 32, 48, dtype=torch.bool), CameraPath.standing(9, 48, 32))


def test_depth_is_a_share_of_the_98th_percentile_of_all_pixels_holes_too():
    z = torch.arange(1000.0).reshape(10, 10, 10) * 7
    z[0] = 0
    ordered = sorted(z.flatten().tolist())
    place = 0.98 * 999
    far = ordered[int(place)] + (place - int(place)) * (ordered[int(place) + 1] - ordered[int(place)])
    found = relative_depth(z)
    assert torch.allclose(found, (z / far).clamp(max=1), atol=1e-6)
    assert found.max() == 1 and (found[0] == 0).all() and found.dtype == torch.float32
    assert torch.allclose(relative_depth(z * 30), found, atol=1e-6), "no unit"
    assert (relative_depth(torch.zeros(1, 2, 2)) == 0).all()


def view(paired: PairedTracks, **settings):
    draw = torch.Generator().manual_seed(5)
    frames = torch.randint(1, 256, (FRAMES, HEIGHT, WIDTH, 3), generator=draw, dtype=torch.uint8)
    holes = torch.rand(FRAMES, HEIGHT, WIDTH, generator=draw) < 0.3
    inverse = 1 / (1 + torch.rand(FRAMES, HEIGHT, WIDTH, generator=draw))
    source = torch.full_like(frames, 200)
    return control_view(paired, source, frames, holes, inverse, **settings), frames, holes, inverse


def test_nothing_but_the_sources_first_frame_is_known():
    found, frames, holes, _ = view(pairs())
    assert (found.pictures[0] == 200).all() and found.known[0].all() and not found.known[1:].any()
    assert torch.equal(found.pictures[1:], frames[1:] * ~holes[1:, ..., None])
    assert view(pairs())[1].min() > 0, "the render that came is as it was"


def test_kept_pixels_are_known_but_in_holes():
    found, _, holes, _ = view(pairs(), keep_render=True)
    assert torch.equal(found.known[1:], ~holes[1:]) and found.known[0].all()


def test_depth_is_camera_z_and_nothing_in_holes():
    found, _, holes, inverse = view(pairs())
    assert torch.allclose(found.depth, relative_depth((1 / inverse) * ~holes))
    assert (found.depth[holes] == 0).all() and found.depth[~holes].min() > 0.4


@pytest.mark.parametrize("unit", [0.01, 100.0])
def test_how_far_is_elsewhere_counts_in_the_scenes_depth(unit):
    paired = pairs(unit=unit)
    for share, same in ((2e-4, True), (5e-3, False)):
        poses = paired.target_camera.world_from_camera.clone()
        poses[0, 1, 3] += share * 2 * unit  # the scene is about 2 units away
        moved = replace(paired, target_camera=replace(paired.target_camera, world_from_camera=poses))
        assert starts_at_source(moved) == same


@pytest.mark.parametrize("move", ["elsewhere", "turned", "zoomed"])
def test_a_path_that_starts_elsewhere_knows_no_frame(move):
    paired = pairs()
    assert starts_at_source(paired)
    poses, lens = paired.target_camera.world_from_camera.clone(), paired.target_camera.intrinsics.clone()
    if move == "elsewhere":
        poses[0, 1, 3] += 0.01
    elif move == "turned":
        poses[0] = poses[-1]
        poses[0, :3, 3] = 0
    else:
        lens[0, :2, :2] *= 1.05
    other = replace(paired, target_camera=replace(paired.target_camera, world_from_camera=poses, intrinsics=lens))
    assert not starts_at_source(other)
    found, frames, holes, _ = view(other)
    assert not found.known.any() and torch.equal(found.pictures, frames * ~holes[..., None])
