"""PointTracks: what it accepts and refuses, the scene's scale, and its operations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.errors import Track2ViewError
from track2view_core.notes import Note
from track2view_core.tracks import PointTracks

NOTE = Note.of("depth_aligned")


def still_camera(frames: int) -> CameraPath:
    intrinsics = torch.tensor([[100.0, 0, 64], [0, 100.0, 48], [0, 0, 1]]).repeat(frames, 1, 1)
    return CameraPath(torch.eye(4).repeat(frames, 1, 1), intrinsics, 128, 96)


def tracks_at_depths(depths: list[float], frames: int = 5) -> PointTracks:
    positions = torch.zeros(frames, len(depths), 3)
    positions[..., 2] = torch.tensor(depths)
    shape = positions.shape[:2]
    colors = torch.arange(3 * len(depths), dtype=torch.uint8).reshape(-1, 3)
    return PointTracks(positions, torch.ones(shape, dtype=torch.bool), torch.ones(shape), still_camera(frames), colors)


def test_floats_become_float32_and_notes_a_tuple() -> None:
    tracks = tracks_at_depths([1.0, 2.0])
    double = replace(tracks, positions=tracks.positions.double(), confidence=tracks.confidence.half(), notes=[NOTE])
    assert double.positions.dtype == double.confidence.dtype == torch.float32
    assert double.notes == (NOTE,)
    with pytest.raises(Track2ViewError, match="notes holds 'a sentence'"):
        replace(tracks, notes=("a sentence",))
    assert len(double) == 5


def _broken_positions() -> torch.Tensor:
    positions = torch.ones(5, 3, 3)
    positions[2, 1, 0] = torch.nan
    positions[3, 0, 2] = torch.inf
    return positions


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"positions": torch.zeros(5, 3)}, r"positions has shape \[5, 3\].*\[T, N, 3\]"),
        ({"positions": _broken_positions()}, r"NaN or infinity at frame 2, track 1 \(2 places"),
        ({"visible": torch.ones(5, 2, dtype=torch.bool)}, r"visible has shape \[5, 2\].*\[5, 3\]"),
        ({"visible": torch.ones(5, 3)}, "visible has dtype torch.float32.*torch.bool"),
        ({"confidence": torch.ones(4, 3)}, r"confidence has shape \[4, 3\]"),
        ({"confidence": torch.full((5, 3), 1.5)}, r"confidence holds .*outside 0\.\.1"),
        ({"confidence": torch.full((5, 3), torch.nan)}, "confidence holds NaN"),
        ({"colors": torch.zeros(2, 3, dtype=torch.uint8)}, r"colors has shape \[2, 3\]"),
        ({"colors": torch.zeros(3, 3)}, "colors has dtype"),
        ({"camera": still_camera(4)}, "5 frames of positions and a camera of 4 frames"),
    ],
)
def test_tracks_that_do_not_hold_are_refused_by_field(change: dict, words: str) -> None:
    with pytest.raises(Track2ViewError, match=words):
        replace(tracks_at_depths([1.0, 2.0, 3.0]), **change)


def test_scene_scale_is_the_median_depth_of_what_frame_0_shows() -> None:
    tracks = tracks_at_depths([2.0, 3.0, 4.0, 100.0, 5.0])
    visible = tracks.visible.clone()
    visible[0, 3] = False
    assert replace(tracks, visible=visible).scene_scale == pytest.approx(3.5)


def test_scene_scale_is_measured_along_the_camera_and_not_from_the_origin() -> None:
    tracks = tracks_at_depths([2.0, 3.0, 4.0])
    poses = tracks.camera.world_from_camera.clone()
    poses[:, 2, 3] = -5.0
    assert replace(tracks, camera=replace(tracks.camera, world_from_camera=poses)).scene_scale == pytest.approx(8.0)


def test_scene_scale_takes_the_first_frame_that_shows_any_point_in_front() -> None:
    tracks = tracks_at_depths([2.0, -3.0])
    visible = torch.zeros(5, 2, dtype=torch.bool)
    visible[:, 1] = True  # behind the camera: a wrong label must not set the scale
    visible[3, 0] = True
    assert replace(tracks, visible=visible).scene_scale == pytest.approx(2.0)
    with pytest.raises(Track2ViewError, match="None of the 2 tracks is visible"):
        _ = replace(tracks, visible=visible & False).scene_scale


def test_select_keeps_every_field_of_the_chosen_tracks() -> None:
    tracks = tracks_at_depths([1.0, 2.0, 3.0])
    for chosen in (torch.tensor([True, False, True]), torch.tensor([0, 2])):
        selected = tracks.select(chosen)
        assert selected.positions[0, :, 2].tolist() == [1, 3]
        assert selected.visible.shape == selected.confidence.shape == (5, 2)
        assert selected.colors is not None
        assert selected.colors[:, 0].tolist() == [0, 6]
        assert selected.camera is tracks.camera
    assert replace(tracks, colors=None).select(torch.tensor([1])).colors is None


def test_padding_repeats_the_last_frame_of_points_and_camera() -> None:
    tracks = tracks_at_depths([1.0], frames=2)
    positions = tracks.positions.clone()
    positions[1, 0, 0] = 7
    padded = replace(tracks, positions=positions).padded(5)
    assert padded.positions[:, 0, 0].tolist() == [0, 7, 7, 7, 7]
    assert len(padded.camera) == len(padded) == 5
    with pytest.raises(Track2ViewError, match="would shorten"):
        padded.padded(3)


def test_tracks_compare_by_identity() -> None:
    tracks = tracks_at_depths([1.0])
    assert tracks == tracks
    assert tracks != replace(tracks)
