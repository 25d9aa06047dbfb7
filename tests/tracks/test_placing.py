"""Placing keeps the geometry: a point lies at the same spot of the picture, wherever the picture lies in its frame."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from track2view_core.cameras import CameraPath, project
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import PointTracks
from track2view_core.tracks.placing import camera_in_frame, place_in_frame
from track2view_core.video import VideoClip, prepare_clip

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
    placed = place_in_frame(tracks, tracks.camera, info)
    torch.testing.assert_close(placed.source.xy[:FRAMES], expected, rtol=1e-5, atol=1e-3)
    torch.testing.assert_close(placed.source.depth[:FRAMES], project(tracks.camera, tracks.positions).depth)
    assert (placed.source_camera.width, placed.source_camera.height) == (info.prepared_width, info.prepared_height)


def test_the_scale_that_was_tracked_at_does_not_matter():
    info = prepared(160, 90)
    small = camera_in_frame(tracks_at(80, 45).camera, info)
    large = camera_in_frame(tracks_at(160, 90).camera, info)
    torch.testing.assert_close(small.intrinsics, large.intrinsics, rtol=0, atol=1e-4)


def test_the_last_frame_is_held_as_long_as_the_clip():
    info = prepared(160, 90)
    placed = place_in_frame(tracks_at(160, 90), tracks_at(160, 90).camera, info)
    assert len(placed) == info.prepared_frames == 9
    for frame in range(FRAMES, 9):
        assert torch.equal(placed.source.xy[frame], placed.source.xy[FRAMES - 1])


def test_tracks_of_another_length_are_refused():
    with pytest.raises(Track2ViewError, match="The tracks have 4 frames and the clip has 6"):
        place_in_frame(tracks_at(160, 90, frames=4), tracks_at(160, 90, frames=4).camera, prepared(160, 90))


def test_tracks_of_another_shape_are_refused():
    with pytest.raises(Track2ViewError, match="another shape"):
        place_in_frame(tracks_at(90, 160), tracks_at(90, 160).camera, prepared(160, 90))


def test_a_path_of_another_length_is_refused():
    with pytest.raises(Track2ViewError, match="The target camera path has 4 frames and the tracks have 6"):
        place_in_frame(tracks_at(160, 90), tracks_at(160, 90, frames=4).camera, prepared(160, 90))
