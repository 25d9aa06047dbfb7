"""What a drawing means on a clip, with and without tracks; a point to follow; a path checked against tracks."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from track2view_core.cameras import CameraPath, parse_document, preset_path, project, sample_document, to_json
from track2view_core.cameras.presets import preset_document
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import PointTracks, pair_tracks
from track2view_core.tracks.drawn_path import drawn_path
from track2view_core.tracks.path_checks import check_against_tracks, check_paired, checks_report
from track2view_core.tracks.selection import pick_track

FRAMES = 17
TEXT = to_json(preset_document("orbit_left", 0.5, FRAMES))


def tracks(frames: int = FRAMES) -> PointTracks:
    random = torch.Generator().manual_seed(4)
    points = torch.rand(600, 3, generator=random) * torch.tensor([4.0, 3.0, 2.0]) - torch.tensor([2.0, 1.5, -3.0])
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    poses[:, 0, 3] = torch.linspace(0, 0.5, frames, dtype=torch.float64)
    lens = torch.tensor([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    visible = torch.rand(frames, 600, generator=random) < 0.7
    return PointTracks(
        points.repeat(frames, 1, 1), visible, torch.ones(frames, 600), CameraPath(poses, lens, 128, 96, 8.0)
    )


def test_a_drawing_rides_on_the_tracks_camera() -> None:
    clip = tracks()
    drawn = drawn_path(TEXT, clip)
    wanted = preset_path("orbit_left", clip.camera, amount=0.5, scene_scale=clip.scene_scale)
    torch.testing.assert_close(drawn.path.world_from_camera, wanted.world_from_camera, atol=1e-9, rtol=0)
    assert drawn.notes == () and drawn.seed is None


def test_nothing_drawn_is_the_camera_itself_or_the_linked_path() -> None:
    clip = tracks()
    alone = drawn_path("  \n", clip)
    assert alone.path is clip.camera and alone.notes[-1].code == "path_of_base" and alone.seed is None
    linked = preset_path("crane_up", clip.camera, amount=1.0, scene_scale=clip.scene_scale)
    seeded = drawn_path("", clip, linked)
    assert seeded.path is linked
    again = sample_document(seeded.seed, clip.camera, scene_scale=clip.scene_scale)
    assert (again.world_from_camera - linked.world_from_camera).abs().max() < 3e-3 * clip.scene_scale
    longer = drawn_path("", clip, linked.resampled(33))
    assert len(longer.path) == FRAMES and longer.notes[0].code == "path_resampled"


def test_a_linked_path_never_changes_keys() -> None:
    clip = tracks()
    linked = preset_path("crane_up", clip.camera, amount=1.0, scene_scale=clip.scene_scale)
    drawn = drawn_path(TEXT, clip, linked)
    assert torch.equal(drawn.path.world_from_camera, drawn_path(TEXT, clip).path.world_from_camera)
    assert drawn.notes[0].code == "path_not_used"


def test_without_tracks_keys_ride_on_the_linked_path_or_on_a_standing_camera() -> None:
    linked = tracks().camera
    drawn = drawn_path(TEXT, None, linked)
    wanted = sample_document(parse_document(TEXT), linked, scene_scale=1.0)
    assert torch.equal(drawn.path.world_from_camera, wanted.world_from_camera)
    assert drawn_path("", None, linked).path is linked
    document = replace(parse_document(TEXT), aspect=(480, 832), fps=24.0)
    still = drawn_path(to_json(document)).path
    assert (len(still), still.width, still.height, still.fps) == (FRAMES, 480, 832, 24.0)
    assert len(drawn_path("").path) == 81


def test_a_longer_drawing_is_rescaled_and_a_bad_one_refused() -> None:
    (note,) = drawn_path(to_json(preset_document("roll", 1.0, 33)), tracks()).notes
    assert note.code == "keys_rescaled"
    with pytest.raises(Track2ViewError, match="is no JSON"):
        drawn_path("{", tracks())


def test_the_nearest_visible_track_is_picked() -> None:
    clip = tracks()
    picked = pick_track(clip, 5, 0.25, 0.75)
    view = project(clip.camera, clip.positions)
    away = (view.xy[5] - torch.tensor([32.0, 72.0])).norm(dim=-1)
    assert clip.visible[5, picked.track]
    assert float(away[picked.track]) == float(away[clip.visible[5] & view.inside[5]].min())
    assert torch.equal(picked.positions, clip.positions[:, picked.track].double())
    assert picked.visible == pytest.approx(float(clip.visible[:, picked.track].float().mean()))


@pytest.mark.parametrize(
    ("frame", "x", "y", "words"),
    [
        (-1, 0.5, 0.5, "frames 0 to 16"),
        (17, 0.5, 0.5, "frames 0 to 16"),
        (0, 1.5, 0.5, "x is 1.5"),
        (0, 0.5, -1, "y is -1"),
    ],
)
def test_a_place_that_is_none_is_refused(frame: int, x: float, y: float, words: str) -> None:
    with pytest.raises(Track2ViewError, match=re.escape(words)):
        pick_track(tracks(), frame, x, y)


def test_a_frame_without_visible_points_has_nothing_to_follow() -> None:
    clip = tracks()
    visible = clip.visible.clone()
    visible[3] = False
    with pytest.raises(Track2ViewError, match="No track is visible in frame 3"):
        pick_track(replace(clip, visible=visible), 3, 0.5, 0.5)


def test_a_path_is_checked_with_what_the_tracks_know() -> None:
    clip = tracks()
    same = check_against_tracks(clip.camera, clip)
    assert torch.equal(same.coverage, pair_tracks(clip, clip.camera).coverage().double())
    assert float(same.angle_from_source.max()) == float(same.distance_from_source.max()) == 0
    path = preset_path("orbit_left", clip.camera, amount=1.0, scene_scale=clip.scene_scale)
    paired, alone = check_paired(pair_tracks(clip, path)), check_against_tracks(path, clip)
    for name, figures in vars(paired).items():
        torch.testing.assert_close(figures, getattr(alone, name), msg=name, atol=1e-4, rtol=1e-4)
    assert checks_report(alone)[0].code == "path_speed"


def test_a_path_that_looks_away_from_everything_is_a_warning_not_a_failure() -> None:
    clip = tracks()
    path = preset_path("pan_left", clip.camera, amount=6.0, scene_scale=clip.scene_scale, ease="linear")
    away = path.with_frames([FRAMES - 1] * FRAMES)
    checks = check_against_tracks(away, clip)
    assert float(checks.coverage.max()) == 0
    (note,) = [note for note in checks_report(checks) if note.code == "path_uncovered"]
    assert note.text().startswith("Frames 0-16: under 20 % of the view")
