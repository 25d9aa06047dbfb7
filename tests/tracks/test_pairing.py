"""Pairing is one to one; latent frames stand for the right video frames; coverage is the scatter's footprint."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from track2view_core.cameras import CameraPath, ViewTracks, preset_path, project
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import PairedTracks, PointTracks, pair_tracks
from track2view_core.tracks.pairing import (
    FRAMES_PER_LATENT,
    PIXELS_PER_TOKEN,
    camera_of_prepared_frame,
    pair_in_prepared_frame,
    pair_without_padding,
)
from track2view_core.video import FRAME_STRIDE, SIZE_STRIDE, VideoClip, prepare_clip


def still_camera(frames: int, width: int = 128, height: int = 96) -> CameraPath:
    intrinsics = torch.tensor([[100.0, 0, width / 2], [0, 100.0, height / 2], [0, 0, 1]]).repeat(frames, 1, 1)
    return CameraPath(torch.eye(4).repeat(frames, 1, 1), intrinsics, width, height)


def drifting_tracks(frames: int = 9, points: int = 40, seed: int = 0) -> PointTracks:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(1, points, 3, generator=generator) + torch.tensor([0, 0, 4.0])
    positions = start + 0.05 * torch.randn(frames, points, 3, generator=generator).cumsum(0)
    visible = torch.rand(frames, points, generator=generator) > 0.4
    return PointTracks(positions, visible, torch.ones(frames, points), still_camera(frames))


def paired(frames: int = 9, points: int = 40, seed: int = 0) -> PairedTracks:
    tracks = drifting_tracks(frames, points, seed)
    target = preset_path("arc_left", tracks.camera, amount=1.0, scene_scale=tracks.scene_scale)
    return pair_tracks(tracks, target)


def hand_made(
    source_xy: Tensor,  # [T, N, 2]
    target_xy: Tensor | None = None,
    visible: Tensor | None = None,
    source_inside: Tensor | None = None,
    target_inside: Tensor | None = None,
    width: int = 128,
    height: int = 96,
) -> PairedTracks:
    """Pairs with stated xy; depth is 1 + frame."""
    shape = source_xy.shape[:2]
    depth = 1.0 + torch.arange(shape[0], dtype=torch.float32)[:, None].expand(shape)
    every = torch.ones(shape, dtype=torch.bool)
    camera = still_camera(shape[0], width, height)
    return PairedTracks(
        ViewTracks(source_xy, depth, every if source_inside is None else source_inside),
        ViewTracks(
            source_xy if target_xy is None else target_xy, depth, every if target_inside is None else target_inside
        ),
        every if visible is None else visible,
        camera,
        camera,
    )


# --- one to one -------------------------------------------------------------------------------------------------------


def test_both_views_are_the_projections_of_the_same_points_in_the_same_order() -> None:
    tracks = drifting_tracks()
    target = preset_path("orbit_right", tracks.camera, amount=0.5, scene_scale=tracks.scene_scale)
    pair = pair_tracks(tracks, target)
    for view, camera in ((pair.source, tracks.camera), (pair.target, target)):
        oracle = project(camera, tracks.positions)
        assert torch.equal(view.xy, oracle.xy)
        assert torch.equal(view.depth, oracle.depth)
        assert torch.equal(view.inside, oracle.inside)
    assert pair.visible is tracks.visible
    assert (pair.source_camera, pair.target_camera) == (tracks.camera, target)


def test_pairing_commutes_with_choosing_and_reordering_tracks() -> None:
    tracks = drifting_tracks()
    target = preset_path("truck_left", tracks.camera, amount=0.5, scene_scale=4.0)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))[:17]
    first, then = pair_tracks(tracks.select(order), target), pair_tracks(tracks, target).select(order)
    assert torch.equal(first.source.xy, then.source.xy)
    assert torch.equal(first.target.depth, then.target.depth)
    assert torch.equal(first.visible, then.visible)


def test_the_source_path_as_target_gives_the_same_view_twice() -> None:
    tracks = drifting_tracks()
    pair = pair_tracks(tracks, tracks.camera)
    assert torch.equal(pair.source.xy, pair.target.xy)
    assert torch.equal(pair.source.inside, pair.target.inside)


def test_other_lengths_and_paths_that_look_away_are_refused() -> None:
    tracks = drifting_tracks()
    with pytest.raises(Track2ViewError, match="The target camera path has 8 frames and the tracks have 9"):
        pair_tracks(tracks, still_camera(8))
    away = preset_path("pan_left", still_camera(9), amount=6.0, scene_scale=4.0, ease="linear").with_frames([8] * 9)
    with pytest.raises(Track2ViewError, match="looks away from all 40 tracked points"):
        pair_tracks(tracks, away)


def test_resized_pairs_agree_with_pairs_made_at_that_size() -> None:
    tracks = drifting_tracks()
    target = preset_path("pan_left", tracks.camera, amount=0.3, scene_scale=4.0)
    resized = pair_tracks(tracks, target).resized(64, 160)
    direct = pair_tracks(replace(tracks, camera=tracks.camera.resized(64, 160)), target.resized(64, 160))
    held = direct.target.inside
    torch.testing.assert_close(resized.target.xy[held], direct.target.xy[held], atol=1e-3, rtol=0)
    torch.testing.assert_close(resized.target_camera.intrinsics, target.resized(64, 160).intrinsics)


def test_pairs_whose_fields_do_not_fit_together_are_refused_by_field() -> None:
    pair = paired()
    for change, name in (
        ({"target": pair.target.select(torch.arange(5))}, "target"),
        ({"visible": pair.visible[1:]}, "visible"),
        ({"visible": pair.visible.float()}, "visible"),
        ({"source_camera": still_camera(8)}, "source_camera"),
        ({"target_camera": still_camera(10)}, "target_camera"),
    ):
        with pytest.raises(Track2ViewError, match=f"PairedTracks.{name} "):
            replace(pair, **change)


# --- latent frames ----------------------------------------------------------------------------------------------------


def test_strides_are_those_of_the_video_room() -> None:
    assert (FRAMES_PER_LATENT, PIXELS_PER_TOKEN) == (FRAME_STRIDE, SIZE_STRIDE)


@pytest.mark.parametrize("frames", [1, 5, 9, 81])
def test_last_takes_video_frame_4k(frames: int) -> None:
    pair = paired(frames, points=7)
    latent = pair.at_latent_frames()
    assert len(latent) == (frames - 1) // 4 + 1
    for k in range(len(latent)):
        assert torch.equal(latent.source.xy[k], pair.source.xy[4 * k])
        assert torch.equal(latent.target.depth[k], pair.target.depth[4 * k])
        assert torch.equal(latent.target.inside[k], pair.target.inside[4 * k])
        assert torch.equal(latent.visible[k], pair.visible[4 * k])
        assert torch.equal(latent.target_camera.world_from_camera[k], pair.target_camera.world_from_camera[4 * k])
    assert latent.source_camera.fps == pair.source_camera.fps / 4


@pytest.mark.parametrize("seed", range(4))
def test_mean_equals_its_definition_written_out(seed: int) -> None:
    pair = paired(13, points=30, seed=seed)
    latent = pair.at_latent_frames("mean")
    for k in range(len(latent)):
        group = [0] if k == 0 else list(range(4 * k - 3, 4 * k + 1))
        for n in range(30):
            visible = any(bool(pair.visible[t, n]) for t in group)
            assert bool(latent.visible[k, n]) == visible
            source_frames = [
                t for t in group if bool(pair.source.inside[t, n]) and (bool(pair.visible[t, n]) or not visible)
            ]
            target_frames = [t for t in group if bool(pair.target.inside[t, n])]
            for view, mean, frames in (
                (pair.source, latent.source, source_frames),
                (pair.target, latent.target, target_frames),
            ):
                assert bool(mean.inside[k, n]) == bool(frames)
                counted = frames or [4 * k]
                torch.testing.assert_close(mean.xy[k, n], view.xy[counted, n].mean(0), atol=1e-3, rtol=1e-5)
                torch.testing.assert_close(mean.depth[k, n], view.depth[counted, n].mean(0))


def test_mean_never_lets_an_unseen_frame_pass_for_seen() -> None:
    xy = torch.zeros(5, 1, 2)
    visible = torch.tensor([1, 0, 1, 0, 0], dtype=torch.bool)[:, None]
    inside = torch.tensor([1, 1, 0, 1, 1], dtype=torch.bool)[:, None]  # visible only where it is not inside
    latent = hand_made(xy, visible=visible, source_inside=inside).at_latent_frames("mean")
    assert (latent.visible & latent.source.inside)[:, 0].tolist() == [True, False]


@pytest.mark.parametrize("anchor", ["last", "mean"])
def test_points_that_stand_still_read_the_same_with_either_anchor(anchor: str) -> None:
    xy = (torch.rand(1, 6, 2) * 90).expand(9, 6, 2)
    latent = hand_made(xy).at_latent_frames(anchor)
    torch.testing.assert_close(latent.source.xy, xy[:3], atol=1e-5, rtol=0)
    assert latent.visible.all()


def test_lengths_that_are_not_4n_plus_1_and_unknown_anchors_are_refused() -> None:
    with pytest.raises(Track2ViewError, match=r"8 frames, but WAN takes 4n \+ 1 \(such as 5 or 9\)"):
        paired(8).at_latent_frames()
    with pytest.raises(Track2ViewError, match="'first'; it must be 'last' or 'mean'"):
        paired().at_latent_frames("first")  # type: ignore[arg-type]


# --- coverage ---------------------------------------------------------------------------------------------------------


def slow_coverage(pair: PairedTracks, frame: int) -> float:
    """Tokens with bilinear weight above 0 from any inside track that the source shows."""
    columns, rows = math.ceil(pair.target_camera.width / 16), math.ceil(pair.target_camera.height / 16)
    reached = set()
    for n in range(pair.visible.shape[1]):
        shown = any(bool(pair.visible[t, n] and pair.source.inside[t, n]) for t in range(len(pair)))
        if not shown or not pair.target.inside[frame, n]:
            continue
        x, y = pair.target.xy[frame, n].double().tolist()
        u = min(max(x / pair.target_camera.width * columns - 0.5, 0), columns - 1)
        v = min(max(y / pair.target_camera.height * rows - 0.5, 0), rows - 1)
        for column in range(columns):
            for row in range(rows):
                if max(0, 1 - abs(u - column)) * max(0, 1 - abs(v - row)) > 0:
                    reached.add((row, column))
    return len(reached) / (columns * rows)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10_000), st.sampled_from([(128, 96), (48, 16), (16, 16), (50, 70)]), st.integers(0, 12))
def test_coverage_equals_the_slow_count(seed: int, size: tuple[int, int], points: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    width, height = size
    xy = torch.rand(1, points, 2, generator=generator) * torch.tensor([width, height])
    xy = torch.where(
        torch.rand(xy.shape, generator=generator) < 0.3, (xy / 8).round() * 8, xy
    )  # token centres, borders
    masks = [torch.rand(1, points, generator=generator) > 0.3 for _ in range(3)]
    pair = hand_made(xy, None, *masks, width, height)
    assert float(pair.coverage()) == pytest.approx(slow_coverage(pair, 0))


def test_a_point_on_a_token_centre_reaches_one_token_and_between_centres_four() -> None:
    xy = torch.tensor([[[24.0, 40.0]], [[32.0, 40.0]], [[32.0, 48.0]], [[0.0, 0.0]], [[127.9, 95.9]]])
    tokens = hand_made(xy).coverage() * 8 * 6
    assert tokens.tolist() == pytest.approx([1, 2, 4, 1, 1])


def test_random_tracks_reach_the_share_of_tokens_that_their_footprint_predicts() -> None:
    xy = torch.rand(8, 500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([832.0, 480.0])
    expected = 1 - math.exp(-500 * 4 / (30 * 52))
    assert float(hand_made(xy, width=832, height=480).coverage().mean()) == pytest.approx(expected, abs=0.02)


def test_no_tracks_cover_nothing() -> None:
    assert hand_made(torch.zeros(5, 0, 2)).coverage().tolist() == [0] * 5


FRAMES, POINTS = 6, 40


def tracks_at(width: int, height: int, frames: int = FRAMES) -> PointTracks:
    generator = torch.Generator().manual_seed(0)
    positions = torch.randn(frames, POINTS, 3, generator=generator) * 0.5 + torch.tensor([0.0, 0.0, 3.0])
    intrinsics = torch.tensor([[0.8 * width, 0, width / 2], [0, 0.8 * width, height / 2], [0, 0, 1]]).expand(
        frames, 3, 3
    )
    camera = CameraPath(torch.eye(4).expand(frames, 4, 4), intrinsics, width, height)
    seen = torch.ones(frames, POINTS, dtype=torch.bool)
    return PointTracks(positions, seen, seen.float(), camera)


def prepared(width: int, height: int, frames: int = FRAMES):
    clip = VideoClip(torch.zeros(frames, height, width, 3, dtype=torch.uint8), Fraction(24))
    return prepare_clip(clip, width=96, height=64)[1]


@pytest.mark.parametrize(("width", "height"), [(161, 90), (90, 161), (64, 64), (96, 64), (201, 33)])
def test_points_keep_their_place_in_the_picture(width: int, height: int):
    info = prepared(width, height)
    tracks = tracks_at(width, height)
    left, top, content_width, content_height = info.content
    scale = torch.tensor([content_width / width, content_height / height])
    expected = project(tracks.camera, tracks.positions).xy * scale + torch.tensor([left, top])
    placed = pair_in_prepared_frame(tracks, tracks.camera, info)
    torch.testing.assert_close(placed.source.xy[:FRAMES], expected, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(placed.source.depth[:FRAMES], project(tracks.camera, tracks.positions).depth)
    assert (placed.source_camera.width, placed.source_camera.height) == (info.prepared_width, info.prepared_height)


def test_the_scale_that_was_tracked_at_does_not_matter():
    info = prepared(160, 90)
    small = camera_of_prepared_frame(tracks_at(80, 45).camera, info)
    large = camera_of_prepared_frame(tracks_at(160, 90).camera, info)
    torch.testing.assert_close(small.intrinsics, large.intrinsics, rtol=0, atol=1e-4)


def test_the_last_frame_is_held_as_long_as_the_clip():
    info = prepared(160, 90)
    placed = pair_in_prepared_frame(tracks_at(160, 90), tracks_at(160, 90).camera, info)
    assert len(placed) == info.prepared_frames == 9
    for frame in range(FRAMES, 9):
        assert torch.equal(placed.source.xy[frame], placed.source.xy[FRAMES - 1])


@pytest.mark.parametrize(("width", "height"), [(161, 90), (90, 161), (96, 64)])
@pytest.mark.parametrize("scale", [1, 2])
def test_pairs_come_out_of_the_prepared_frame_as_those_of_the_clip(width: int, height: int, scale: int):
    info, tracks = prepared(width, height), tracks_at(width, height)
    target = preset_path("truck_right", tracks.camera, amount=0.2, scene_scale=tracks.scene_scale)
    placed = pair_in_prepared_frame(tracks, target, info)
    cut = pair_without_padding(placed.resized(scale * info.prepared_width, scale * info.prepared_height), info)
    clips_own = pair_tracks(tracks, target).resized(*info.content[2:])
    for view in ("source", "target"):
        found, expected = getattr(cut, view), getattr(clips_own, view)
        torch.testing.assert_close(found.xy, expected.xy, rtol=1e-5, atol=1e-3)
        torch.testing.assert_close(found.depth, expected.depth)
        assert (found.inside == expected.inside).float().mean() > 0.99  # a point on the rim may fall on either side
    torch.testing.assert_close(cut.target_camera.intrinsics, clips_own.target_camera.intrinsics, rtol=0, atol=1e-4)
    with pytest.raises(Track2ViewError, match="pair the tracks with this clip info"):
        pair_without_padding(cut, info)


def test_tracks_of_another_length_are_refused():
    with pytest.raises(Track2ViewError, match="The tracks have 4 frames and the clip has 6"):
        pair_in_prepared_frame(tracks_at(160, 90, frames=4), tracks_at(160, 90, frames=4).camera, prepared(160, 90))


def test_tracks_of_another_shape_are_refused():
    with pytest.raises(Track2ViewError, match="another shape"):
        pair_in_prepared_frame(tracks_at(90, 160), tracks_at(90, 160).camera, prepared(160, 90))


def test_a_path_of_another_length_is_refused():
    with pytest.raises(Track2ViewError, match="The target camera path has 4 frames and the tracks have 6"):
        pair_in_prepared_frame(tracks_at(160, 90), tracks_at(160, 90, frames=4).camera, prepared(160, 90))
