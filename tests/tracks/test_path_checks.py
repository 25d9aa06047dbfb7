"""A path checked with what the tracks know of both views."""

from __future__ import annotations

import torch

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.tracks import PointTracks, pair_tracks
from track2view_core.tracks.path_checks import (
    check_against_tracks,
    check_paired,
    checks_report,
    coverage_notes,
    filled_pixels,
)

FRAMES = 17


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


def test_an_empty_quarter_of_the_view_is_not_covered() -> None:
    """Tokens are reached from 16 px away, which in a small picture is all of it."""
    random, frames = torch.Generator().manual_seed(1), 3
    pixels = torch.rand(500, 2, generator=random) * torch.tensor([128.0, 96.0])
    lens = torch.tensor([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    camera = CameraPath(torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1), lens, 128, 96, 8.0)
    points = torch.cat([(pixels - torch.tensor([64.0, 48.0])) / 100, torch.ones(500, 1)], 1).repeat(frames, 1, 1)
    clip = PointTracks(points, torch.ones(frames, 500, dtype=torch.bool), torch.ones(frames, 500), camera)
    torch.testing.assert_close(
        filled_pixels(pair_tracks(clip, camera)).mean(), torch.tensor(0.98).double(), atol=0.03, rtol=0
    )
    poses = camera.world_from_camera.clone()
    poses[1, 0, 3], poses[2, 0, 3] = 0.32, 5.0  # 32 px to the right; away
    paired = pair_tracks(clip, CameraPath(poses, lens, 128, 96, 8.0))
    filled = filled_pixels(paired)
    assert abs(float(filled[1]) - 0.75) < 0.05 < float(paired.coverage()[1]) - 0.75 and filled[2] == 0
    assert [note.code for note in coverage_notes(paired)] == ["coverage", "coverage_blind", "coverage_low"]
    assert coverage_notes(paired)[0].facts["lowest"] == 0.0
    larger = pair_tracks(clip, CameraPath(poses, lens, 128, 96, 8.0).resized(256, 192))
    torch.testing.assert_close(filled_pixels(larger), filled, atol=0.02, rtol=0)
