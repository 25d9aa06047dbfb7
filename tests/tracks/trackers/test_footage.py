"""Faults of real footage: fades, flashes, dissolves, combs and bars are found, told, and do not bend the solve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from track2view_core.cameras import project
from track2view_core.evaluation.tracker_scores import score_tracks
from track2view_core.notes import Note
from track2view_core.scenes import RenderedClip, rendered_clip
from track2view_core.tracks import PointTracks
from track2view_core.tracks.trackers import KltTracker
from track2view_core.tracks.trackers.footage import gray_frames, looked_through

FRAMES = 14
AT = 6


@pytest.fixture(scope="module")
def fine() -> RenderedClip:
    """At twice the rate."""
    return rendered_clip("arc", frames=2 * FRAMES - 1, width=256, height=192, seed=1, dynamic=0.0)


@pytest.fixture(scope="module")
def arc() -> RenderedClip:
    return rendered_clip("arc", frames=FRAMES, width=256, height=192, seed=1, dynamic=0.0)


@pytest.fixture(scope="module")
def other() -> Tensor:
    return rendered_clip("truck", frames=FRAMES, width=256, height=192, seed=9, dynamic=0.0).frames


def mixed(first: Tensor, second: Tensor | float, share: float) -> Tensor:
    return ((1 - share) * first.float() + share * second).round().clamp(0, 255).to(torch.uint8)


def dissolved(first: Tensor, second: Tensor, frames: int) -> Tensor:
    """The last `frames` of one clip over the first of another."""
    over = [mixed(first[k - frames], second[k], (k + 1) / (frames + 1)) for k in range(frames)]
    return torch.cat([first[:-frames], torch.stack(over), second[frames:]])


def put(clip: Tensor, frames: Tensor, at: int = AT) -> Tensor:
    return torch.cat([clip[:at], frames, clip[at + len(frames) :]])


def faded_in(clip: Tensor, frames: int, to: float = 0.0) -> Tensor:
    shares = [min(1.0, t / frames) for t in range(len(clip))]
    return torch.stack([mixed(frame, to, 1 - share) for frame, share in zip(clip, shares, strict=True)])


def boxed(clip: Tensor, rows: int, level: int = 16) -> Tensor:
    clip = clip.clone()
    clip[:, :rows] = clip[:, -rows:] = level
    return clip


def codes(frames: Tensor) -> list[tuple[str, Any]]:
    """What is told of the pictures, with its frames."""
    footage = looked_through(frames.numpy())
    return [
        *((note.code, note.facts.get("span")) for note in footage.notes),
        *(("fade", fade) for fade in footage.fades),
    ]


def told(tracks: PointTracks) -> dict[str, Note]:
    return {note.code: note for note in tracks.notes}


def test_clean_clips_and_plain_cuts_are_clean(arc, other):
    for move in ("pan", "dolly", "static"):
        clip = rendered_clip(move, frames=9, width=256, height=192, seed=2)
        assert codes(clip.frames) == []
    assert codes(arc.frames) == codes(other) == codes(torch.cat([arc.frames[:7], other[:7]])) == []
    assert codes(torch.full((6, 64, 96, 3), 120, dtype=torch.uint8)) == []


@pytest.mark.parametrize("level", [0.0, 245.0])
@pytest.mark.parametrize("share", [0.95, 1.0])
def test_pictures_that_show_nothing_are_left_out(arc, level: float, share: float):
    flash = put(arc.frames, mixed(arc.frames[AT : AT + 2], level, share))
    assert codes(flash) == [("blind_frames", (AT, AT + 1))]
    assert looked_through(flash.numpy()).shown.tolist() == [*range(AT), *range(AT + 2, FRAMES)]


def test_another_picture_cut_in_is_left_out_but_not_another_scene(arc, other):
    assert codes(put(arc.frames, other[:3])) == [("blind_frames", (AT, AT + 2))]
    assert codes(put(arc.frames, other[:4])) == []


@pytest.mark.parametrize("to", [0.0, 255.0])
def test_fades_are_told_with_their_frames_and_evened_out(arc, to: float):
    rising = faded_in(arc.frames, 8, to)
    for clip, blind, fade in ((rising, (0, 0), (1, 7)), (rising.flip(0), (13, 13), (6, 12))):
        found = dict(codes(clip))
        assert found.keys() == {"blind_frames", "fade"}
        assert np.abs(np.subtract(found["blind_frames"], blind)).max() <= 1
        assert np.abs(np.subtract(found["fade"], fade)).max() <= 1
    gray = gray_frames(rising.numpy(), 1.0, looked_through(rising.numpy()))
    assert gray(1).std() == pytest.approx(gray(10).std(), rel=0.15)
    assert gray(1).mean() == pytest.approx(gray(10).mean(), abs=5)


def test_a_flare_is_evened_out(arc):
    assert codes(put(arc.frames, mixed(arc.frames[AT : AT + 2], 60.0, -0.6))) == [("fade", (AT, AT + 1))]


@pytest.mark.parametrize(("rows", "told"), [(16, 16), (1, None)])
def test_black_bars_are_measured(arc, rows: int, told: int | None):
    footage = looked_through(boxed(arc.frames, rows).numpy())
    assert [note.facts["above"] for note in footage.notes] == ([] if told is None else [told])
    assert footage.rows == (slice(0, 192) if told is None else slice(18, 174)) and footage.columns == slice(0, 256)
    pillars = looked_through(boxed(arc.frames.transpose(1, 2), rows).transpose(1, 2).numpy())
    assert pillars.rows == slice(0, 192) and (pillars.columns == slice(0, 256)) == (told is None)


def woven(fine: Tensor) -> Tensor:
    """Even lines of one moment, odd ones of half a frame later."""
    clip = fine[::2].clone()
    clip[:-1, 1::2] = fine[1::2, 1::2]
    return clip


@pytest.mark.parametrize("top", [0, 15])
def test_combs_are_found_and_every_second_line_is_read(fine, top: int):
    clip = woven(fine.frames)
    clip[:, :top] = 0
    footage = looked_through(clip.numpy())
    assert footage.combed and "combs_followed" in [note.code for note in footage.notes]
    gray, first = gray_frames(clip.numpy(), 1.0, footage)(3), footage.rows.start
    plain = gray_frames(fine.frames[::2].numpy(), 1.0)(3)[footage.rows]
    own = slice(first % 2, None, 2)
    assert (gray[own] == plain[own]).all() and np.abs(gray.astype(int) - plain).mean() < 6


def test_a_flash_is_followed_across(arc):
    flash = put(arc.frames, mixed(arc.frames[AT : AT + 2], 245.0, 0.92))
    tracks = KltTracker().track(flash, points=200)
    assert told(tracks)["motion"].facts["motion"] == "general" and len(tracks) == FRAMES
    assert tracks.visible[[AT - 1, AT, AT + 1, AT + 2]].all(0).float().mean() > 0.6
    assert tracks.confidence[AT].mean() < 0.6 * tracks.confidence[AT - 1].mean()
    scores = score_tracks(tracks, arc)
    assert scores.rotation < 0.1 and scores.path < 0.01 and scores.standing < 0.01


def test_the_camera_is_kept_through_a_fade(arc):
    """Up to the frames that show nothing, which wait for the first one that does."""
    tracks = KltTracker().track(faded_in(arc.frames, 5, 0.0)[1:], points=200)
    assert told(tracks)["fade"].facts["span"] == (0, 3) and "frames_not_placed" not in told(tracks)
    truth = arc.camera.with_frames(slice(1, None)).relative_to_first()
    off = tracks.camera.world_from_camera[:, :3, :3].mT @ truth.world_from_camera[:, :3, :3]
    assert float(torch.arccos(((off.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1)).rad2deg().max()) < 0.3


def test_two_scenes_in_a_dissolve_have_a_camera_each(arc, other):
    tracks = KltTracker().track(dissolved(arc.frames[:11], other[:11], 5), points=200)
    note = told(tracks)["dissolve"]
    assert "fade" not in told(tracks)
    assert note.facts == {"span": (6, 10), "frame": 8} and told(tracks)["cuts"].facts == {"frames": (8,)}
    assert not (tracks.visible[6] & tracks.visible[9]).any()
    assert [note.shot for note in tracks.notes if note.code == "motion"] == [0, 8]
    assert torch.equal(tracks.camera.world_from_camera[8], torch.eye(4, dtype=torch.float64))


def test_what_is_left_out_moves_the_frames_of_cuts_and_shots(arc, other):
    """A flash, then a cut, then a flash at its very beginning: the frames named are those of the clip."""
    white = torch.full_like(other[:1], 255)
    clip = torch.cat([arc.frames[:4], white, arc.frames[5:8], white, other[:6]])
    tracks = KltTracker().track(clip, points=120)
    assert told(tracks)["cuts"].facts == {"frames": (9,)}
    assert [note.shot for note in tracks.notes if note.code == "motion"] == [0, 9]
    assert torch.equal(tracks.camera.world_from_camera[8], tracks.camera.world_from_camera[7])
    between = tracks.camera.world_from_camera[[3, 4, 5], :3, 3]
    torch.testing.assert_close(between[1], between[[0, 2]].mean(0))


def test_no_point_is_followed_or_seen_on_a_bar(arc):
    tracks = KltTracker().track(boxed(arc.frames, 20), points=200)
    scores = score_tracks(tracks, arc)
    assert scores.rotation < 0.15 and scores.standing < 0.015
    rows = project(tracks.camera, tracks.positions).xy[..., 1][tracks.visible]
    assert rows.min() > 22 and rows.max() < 170
    followed = tracks.confidence > 0.9
    assert project(tracks.camera, tracks.positions).xy[..., 1][followed].min() > 22
