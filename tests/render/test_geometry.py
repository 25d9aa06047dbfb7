"""The analysis of a whole clip: nothing crosses a cut, and what is given is taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from track2view_core.cameras import preset_path
from track2view_core.errors import Track2ViewError
from track2view_core.render import clip_geometry, render_target_view
from track2view_core.scenes import exact_tracks
from track2view_core.scenes.ray_casting import render
from track2view_core.scenes.rendered_clips import RenderedClip, rendered_clip
from track2view_core.tracks import PointTracks, pair_tracks

FRAMES, WIDTH, HEIGHT = 7, 96, 64


def clip_and_tracks(seed: int) -> tuple[RenderedClip, PointTracks]:
    clip = rendered_clip("truck", frames=FRAMES, width=WIDTH, height=HEIGHT, seed=seed)
    poses, lens, time = clip.scene_from_camera[None], clip.camera.intrinsics[:1].float(), clip.time[None]
    view = render(clip.scene, poses, lens, time, WIDTH, HEIGHT)
    return clip, exact_tracks(clip.scene, view, poses, lens, time, points=300, seed=seed)[0]


def joined(first: PointTracks, second: PointTracks) -> PointTracks:
    """Two shots of one clip: the points of each are seen in its own frames alone, as a tracker reports them."""

    def over_clip(tracks: PointTracks, before: int, after: int) -> tuple[Tensor, Tensor, Tensor]:
        held = torch.cat([tracks.positions[:1].expand(before, -1, -1), tracks.positions,
                          tracks.positions[-1:].expand(after, -1, -1)])  # fmt: skip
        pad = torch.nn.functional.pad
        return held, pad(tracks.visible, (0, 0, before, after)), pad(tracks.confidence, (0, 0, before, after))

    parts = zip(over_clip(first, 0, len(second)), over_clip(second, len(first), 0), strict=True)
    path = replace(
        first.camera,
        world_from_camera=torch.cat([first.camera.world_from_camera, second.camera.world_from_camera]),
        intrinsics=torch.cat([first.camera.intrinsics, second.camera.intrinsics]),
    )
    positions, visible, confidence = (torch.cat(pair, 1) for pair in parts)
    return PointTracks(positions, visible, confidence, path)


def test_nothing_crosses_a_cut():
    clips, tracks = zip(*(clip_and_tracks(seed) for seed in (3, 4)), strict=True)
    video = torch.cat([clip.frames for clip in clips])
    both = joined(*tracks)
    path = preset_path("truck_left", both.camera, amount=0.3, scene_scale=both.scene_scale)
    alone = [path.with_frames(slice(0, FRAMES)), path.with_frames(slice(FRAMES, 2 * FRAMES))]
    whole = clip_geometry(video, both)
    assert whole.shots == (slice(0, FRAMES), slice(FRAMES, 2 * FRAMES))
    parts = [clip_geometry(clip.frames, one) for clip, one in zip(clips, tracks, strict=True)]
    for name in ("standing", "silhouettes", "mover_inverse"):
        torch.testing.assert_close(getattr(whole, name), torch.cat([getattr(part, name) for part in parts]))
    view = render_target_view(video, pair_tracks(both, path), geometry=whole)
    views = [
        render_target_view(clip.frames, pair_tracks(one, part), geometry=geometry)
        for clip, one, part, geometry in zip(clips, tracks, alone, parts, strict=True)
    ]
    for name in ("frames", "holes"):
        assert torch.equal(getattr(view, name), torch.cat([getattr(one, name) for one in views]))


def test_frames_without_points_are_no_cut():
    clip, tracks = clip_and_tracks(3)
    blind = replace(tracks, visible=tracks.visible.clone())
    blind.visible[2:4] = False
    assert clip_geometry(clip.frames, blind).shots == (slice(0, FRAMES),)


def test_a_depth_map_is_taken_where_it_knows_and_a_mask_changes_silhouettes_alone():
    clip, tracks = clip_and_tracks(3)
    depth = clip.depth.clone()
    depth[:, :, : WIDTH // 2] = torch.nan
    found, mapped = clip_geometry(clip.frames, tracks), clip_geometry(clip.frames, tracks, depth=depth)
    half = found.standing.shape[2] // 2
    torch.testing.assert_close(mapped.standing[:, :, : half - 1], found.standing[:, :, : half - 1])
    there = 1 / torch.nn.functional.interpolate(clip.depth[:, None], found.standing.shape[1:], mode="nearest-exact")
    torch.testing.assert_close(mapped.standing[:, :, half + 1 :], there[:, 0, :, half + 1 :])
    mask = torch.zeros(FRAMES, HEIGHT, WIDTH, dtype=torch.bool)
    mask[:, 10:40, 20:50] = True
    masked = clip_geometry(clip.frames, tracks, movers=mask)
    assert torch.equal(masked.silhouettes, mask[:, ::2, ::2])
    assert torch.equal(masked.standing, found.standing)
    assert torch.equal(masked.mover_inverse > 0, masked.silhouettes)
    everything = clip_geometry(clip.frames, tracks, movers=torch.ones_like(mask))
    assert [note.code for note in everything.notes] == ["mostly_moving"]


@pytest.mark.parametrize("name", ["depth", "movers"])
def test_maps_of_another_clip_are_refused_by_name(name: str):
    clip, tracks = clip_and_tracks(3)
    with pytest.raises(Track2ViewError, match=f"{name} has shape"):
        clip_geometry(clip.frames, tracks, **{name: torch.ones(FRAMES + 1, HEIGHT, WIDTH, dtype=torch.bool)})


def test_frames_of_another_shape_than_the_tracks_are_refused():
    clip, tracks = clip_and_tracks(3)
    with pytest.raises(Track2ViewError, match="another shape; give the frames that were tracked"):
        clip_geometry(clip.frames[:, : HEIGHT // 2], tracks)
