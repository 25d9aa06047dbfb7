"""Which tracks: each rule keeps exactly the tracks it names, in their order; a place in the picture names one."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from track2view_core.cameras import CameraPath, project
from track2view_core.errors import Track2ViewError
from track2view_core.notes import Note
from track2view_core.tracks import PointTracks
from track2view_core.tracks.selection import edit_tracks, is_moving, pick_track

FRAMES, WIDTH, HEIGHT = 6, 128, 96


def grid() -> PointTracks:
    """8 x 6 points, one in the middle of each 16 px cell, at depth 2; those of the last column slide upwards."""
    y, x = torch.meshgrid(torch.arange(6) * 16 + 8.0, torch.arange(8) * 16 + 8.0, indexing="ij")
    depth = torch.full((48,), 2.0)
    points = torch.stack([(x.flatten() - 64) / 100 * 2, (y.flatten() - 48) / 100 * 2, depth], -1)
    positions = points.repeat(FRAMES, 1, 1)
    positions[:, 7::8, 2] += torch.linspace(0, 0.5, FRAMES)[:, None]
    lens = torch.tensor([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]]).expand(FRAMES, 3, 3)
    camera = CameraPath(torch.eye(4).expand(FRAMES, 4, 4), lens, WIDTH, HEIGHT)
    confidence = torch.linspace(0, 1, 48).expand(FRAMES, -1)
    colors = torch.arange(48, dtype=torch.uint8)[:, None].expand(-1, 3)
    return PointTracks(positions, torch.ones(FRAMES, 48, dtype=torch.bool), confidence, camera, colors)


def kept(tracks: PointTracks) -> list[int]:
    return tracks.colors[:, 0].tolist()


def test_without_rules_nothing_changes() -> None:
    edited, report = edit_tracks(grid())
    assert torch.equal(edited.positions, grid().positions) and report == (Note.of("tracks_left", count=48, given=48),)


@pytest.mark.parametrize("frames", [1, FRAMES])
@pytest.mark.parametrize("scale", [1, 2])
def test_a_mask_drops_or_keeps_what_is_inside(frames: int, scale: int) -> None:
    mask = torch.zeros(frames, HEIGHT * scale, WIDTH * scale)
    mask[:, :, : 32 * scale] = 1  # the first two columns
    dropped, report = edit_tracks(grid(), mask=mask)
    assert kept(dropped) == [n for n in range(48) if n % 8 > 1] and report[1].facts["count"] == 12
    inside, _ = edit_tracks(grid(), mask=mask, mask_rule="keep inside")
    assert kept(inside) == [n for n in range(48) if n % 8 <= 1]


def test_only_frames_that_show_a_track_count_for_the_mask() -> None:
    mask = torch.zeros(FRAMES, HEIGHT, WIDTH)
    mask[:2] = 1
    visible = torch.ones(FRAMES, 48, dtype=torch.bool)
    visible[2:, :5] = False  # these five are seen only while the mask is there
    edited, _ = edit_tracks(replace(grid(), visible=visible), mask=mask)
    assert kept(edited) == list(range(5, 48))


def test_confidence_is_that_of_the_frames_that_show_a_track() -> None:
    edited, _ = edit_tracks(grid(), least_confidence=0.5)
    assert kept(edited) == list(range(24, 48))
    confidence = grid().confidence.clone()
    confidence[3:, 40] = 0
    visible = torch.ones(FRAMES, 48, dtype=torch.bool)
    visible[3:, 40] = False
    edited, _ = edit_tracks(replace(grid(), confidence=confidence, visible=visible), least_confidence=0.5)
    assert 40 in kept(edited)


def test_motion_classes_share_the_tracks() -> None:
    moving, _ = edit_tracks(grid(), motion="moving")
    standing, _ = edit_tracks(grid(), motion="standing")
    assert kept(moving) == list(range(7, 48, 8))
    assert sorted(kept(moving) + kept(standing)) == list(range(48))
    hidden = grid().visible.clone()
    hidden[1:, 7] = False
    assert not is_moving(replace(grid(), visible=hidden))[7], "what was seen once cannot be told to move"


def test_the_best_are_spread_and_in_order() -> None:
    edited, report = edit_tracks(grid(), most=12)
    assert len(kept(edited)) == 12 and kept(edited) == sorted(kept(edited))
    assert str(report[1]) == "the best 12 dropped 36"
    columns, rows = {n % 8 for n in kept(edited)}, {n // 8 for n in kept(edited)}
    assert len(columns) >= 4 and len(rows) >= 3
    assert kept(edit_tracks(grid(), most=100)[0]) == list(range(48))


def test_rules_work_together() -> None:
    mask = torch.zeros(1, HEIGHT, WIDTH)
    mask[:, :48] = 1  # the first three rows
    edited, report = edit_tracks(grid(), mask=mask, least_confidence=0.75, motion="standing", most=3)
    assert len(kept(edited)) == 3 and all(n >= 36 and n % 8 != 7 for n in kept(edited))
    assert [note.code for note in report] == ["tracks_left"] + 4 * ["tracks_dropped"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mask": torch.ones(1, HEIGHT, WIDTH)}, "No track is left: the mask .* dropped 48 of 48"),
        ({"least_confidence": 2.0}, "confidence 2 dropped 48"),
        ({"mask": torch.ones(2, HEIGHT, WIDTH)}, "must be \\[6 or 1"),
        ({"mask": torch.ones(1, WIDTH, HEIGHT)}, "another shape"),
        ({"motion": "dancing"}, "one of all, standing, moving"),
        ({"mask_rule": "drop"}, "one of drop inside, keep inside"),
    ],
)
def test_what_leaves_nothing_or_does_not_fit_is_one_sentence(options: dict, words: str) -> None:
    with pytest.raises(Track2ViewError, match=words):
        edit_tracks(grid(), **options)


# --- one track, by its place ------------------------------------------------------------------------------------------


def cloud(frames: int = 17) -> PointTracks:
    random = torch.Generator().manual_seed(4)
    points = torch.rand(600, 3, generator=random) * torch.tensor([4.0, 3.0, 2.0]) - torch.tensor([2.0, 1.5, -3.0])
    poses = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    poses[:, 0, 3] = torch.linspace(0, 0.5, frames, dtype=torch.float64)
    lens = torch.tensor([[100.0, 0, 64], [0, 100, 48], [0, 0, 1]], dtype=torch.float64).repeat(frames, 1, 1)
    visible = torch.rand(frames, 600, generator=random) < 0.7
    return PointTracks(
        points.repeat(frames, 1, 1), visible, torch.ones(frames, 600), CameraPath(poses, lens, 128, 96, 8.0)
    )


def test_the_nearest_visible_track_is_picked() -> None:
    clip = cloud()
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
        pick_track(cloud(), frame, x, y)


def test_a_frame_without_visible_points_has_nothing_to_follow() -> None:
    clip = cloud()
    visible = clip.visible.clone()
    visible[3] = False
    with pytest.raises(Track2ViewError, match="No track is visible in frame 3"):
        pick_track(replace(clip, visible=visible), 3, 0.5, 0.5)
