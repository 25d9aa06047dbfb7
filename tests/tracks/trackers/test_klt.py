"""The built-in tracker as a whole: the accuracy it must reach on exactly known clips, and that it always answers."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from track2view_core.errors import Track2ViewError
from track2view_core.evaluation.tracker_scores import score_tracks
from track2view_core.notes import Note, Severity
from track2view_core.scenes import RenderedClip, rendered_clip
from track2view_core.tracks import PointTracks
from track2view_core.tracks.trackers import KltTracker, PointTracker

SEED = 1
CLASSES = {"static": "static", "pan": "rotation", "arc": "general"}
FRAMES = {"static": 13, "pan": 13, "arc": 25}


def motion_class(tracks: PointTracks) -> str:
    return next(note.facts["motion"] for note in tracks.notes if note.code == "motion")


def told(tracks: PointTracks) -> dict[str, Note]:
    return {note.code: note for note in tracks.notes}


@pytest.fixture(scope="module")
def tracked() -> dict[str, tuple[RenderedClip, PointTracks]]:
    """With depth maps that err by 5 %."""
    found = {}
    for move in CLASSES:
        clip = rendered_clip(move, frames=FRAMES[move], width=384, height=224, seed=SEED)
        noise = torch.randn(clip.depth.shape, generator=torch.Generator().manual_seed(0))
        found[move] = clip, KltTracker().track(clip.frames, points=500, depth=clip.depth * (1 + 0.05 * noise))
    return found


@pytest.mark.parametrize("move", list(CLASSES))
def test_the_motion_class_is_right_and_the_result_well_formed(move: str, tracked):
    clip, tracks = tracked[move]
    assert motion_class(tracks) == CLASSES[move]
    check(tracks, clip.frames, 500)
    born = tracks.visible.float().argmax(0)
    assert tracks.positions.shape[1] > 250 and tracks.visible.float().mean() > 0.4
    assert move == "static" or (born > 0).any()


def test_an_arc_is_recovered(tracked):
    clip, tracks = tracked["arc"]
    scores = score_tracks(tracks, clip)
    assert abs(scores.focal) < 5e-3 and scores.path < 0.01 and scores.rotation < 0.1
    assert scores.standing < 0.01 and scores.moving < 0.06


def test_a_standing_camera_is_exactly_the_identity(tracked):
    clip, tracks = tracked["static"]
    assert torch.equal(tracks.camera.world_from_camera, torch.eye(4, dtype=torch.float64).expand(13, 4, 4))
    assert score_tracks(tracks, clip).moving < 0.06


def test_a_pan_has_one_centre_and_a_small_error(tracked):
    clip, tracks = tracked["pan"]
    assert tracks.camera.world_from_camera[:, :3, 3].abs().max() == 0
    assert score_tracks(tracks, clip).rotation < 0.3


def test_standing_points_project_onto_what_they_were_seen_on(tracked):
    """The first camera is the world, so a standing point keeps its place there."""
    _, tracks = tracked["arc"]
    assert torch.equal(tracks.camera.world_from_camera[0], torch.eye(4, dtype=torch.float64))
    assert abs(tracks.scene_scale) > 0.1


@pytest.fixture(scope="module")
def small() -> torch.Tensor:
    return rendered_clip("arc", frames=9, width=128, height=96, seed=3, amplitude=0.25, dynamic=0.0).frames


def check(tracks: PointTracks, video, points: int) -> None:
    frames, height, width = video.shape[:3]
    assert len(tracks) == frames and tracks.positions.shape[1] <= points
    assert (tracks.camera.width, tracks.camera.height) == (width, height)
    assert tracks.positions.isfinite().all() and tracks.visible.any() and tracks.notes
    assert tracks.colors is not None and tracks.scene_scale > 0


def test_the_protocol_is_met():
    tracker: PointTracker = KltTracker()
    assert callable(tracker.track)


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_short_clips(frames: int, small):
    check(KltTracker().track(small[:frames], points=100), small[:frames], 100)


def test_a_hundred_frames(small):
    there_and_back = torch.cat([small, small.flip(0)[1:-1]])
    video = there_and_back.repeat(7, 1, 1, 1)[:100, ::2, ::2]
    check(KltTracker().track(video, points=100, motion="static"), video, 100)


def test_odd_portrait_frames_and_numpy(small):
    video = small[:6, :95, 10:73].numpy()
    check(KltTracker().track(video, points=80), video, 80)


def test_one_point_is_one_track(small):
    assert KltTracker().track(small[:3], points=1).positions.shape[1] == 1


def test_a_cut_is_noted_and_both_shots_have_points(small):
    other = rendered_clip("pan", frames=6, width=128, height=96, seed=9, amplitude=0.2, dynamic=0.0).frames
    video = torch.cat([small[:6], other])
    tracks = KltTracker().track(video, points=120)
    check(tracks, video, 120)
    assert told(tracks)["cuts"].facts == {"frames": (6,)}
    assert [note.shot for note in tracks.notes if note.code == "motion"] == [0, 6]
    assert tracks.visible[3].any() and tracks.visible[9].any()
    assert not (tracks.visible[3] & tracks.visible[9]).any()
    assert torch.equal(tracks.camera.world_from_camera[6], torch.eye(4, dtype=torch.float64))


def test_a_zoom_is_told_from_a_travel():
    picture = rendered_clip("static", frames=1, width=320, height=240, seed=4).frames[0].numpy()
    zoomed = []
    for scale in np.linspace(1, 1.35, 10):
        matrix = np.array([[scale, 0, 79.5 - 159.5 * scale], [0, scale, 59.5 - 119.5 * scale]])
        zoomed.append(cv2.warpAffine(picture, matrix, (160, 120), flags=cv2.INTER_CUBIC))
    tracks = KltTracker().track(np.stack(zoomed), points=100)
    ratio = tracks.camera.intrinsics[:, 0, 0] / tracks.camera.intrinsics[0, 0, 0]
    assert abs(float(ratio[-1]) - 1.35) < 0.03 and motion_class(tracks) == "rotation"


FLAT = np.full((6, 64, 96, 3), 120, np.uint8)


def test_a_clip_without_texture_is_one_sentence_that_names_the_field():
    with pytest.raises(Track2ViewError, match="set motion to static, rotation or general"):
        KltTracker().track(FLAT)


@pytest.mark.parametrize("motion", ["static", "rotation", "general"])
def test_a_clip_without_texture_has_a_result_when_the_motion_is_set(motion: str):
    tracks = KltTracker().track(FLAT, points=50, motion=motion)
    check(tracks, FLAT, 50)
    assert tracks.visible.all() and told(tracks)["grid"].severity == Severity.WARNING


def test_noise_is_no_traceback():
    noise = np.random.default_rng(0).integers(0, 255, (6, 64, 96, 3), dtype=np.uint8)
    check(KltTracker().track(noise, points=50, motion="general"), noise, 50)


def test_without_depth_maps_an_assumption_is_announced(small):
    tracks = KltTracker().track(small[:1], points=50)
    note = told(tracks)["depth_assumed"]
    assert note.severity == Severity.CAUTION and "depth" in note.remedy


def test_depth_maps_without_any_depth_are_announced(small):
    tracks = KltTracker().track(small[:4], points=50, depth=np.full((4, 5, 5), np.nan))
    check(tracks, small[:4], 50)
    assert "depth_empty" in told(tracks)


def test_a_given_camera_is_kept():
    clip = rendered_clip("arc", frames=9, width=192, height=128, seed=SEED, dynamic=0.0)
    tracks = KltTracker().track(clip.frames, points=200, camera=clip.camera)
    assert torch.equal(tracks.camera.world_from_camera, clip.camera.world_from_camera)
    assert score_tracks(tracks, clip).standing < 0.03


def test_depth_maps_are_read_where_an_off_centre_lens_puts_the_points():
    clip = rendered_clip("static", frames=3, width=192, height=128, seed=SEED, dynamic=0.0)
    lens = clip.camera.intrinsics.clone()
    lens[:, 0, 2] -= 48
    cut = replace(
        clip,
        frames=clip.frames[:, :, 48:].contiguous(),
        depth=clip.depth[:, :, 48:].contiguous(),
        camera=replace(clip.camera, intrinsics=lens, width=144),
    )
    tracks = KltTracker().track(cut.frames, points=200, camera=cut.camera, depth=cut.depth)
    assert score_tracks(tracks, cut).standing < 0.01


def test_the_field_of_view_is_kept_when_given(small):
    tracks = KltTracker().track(small[:5], points=50, fov_degrees=50)
    assert float(tracks.camera.intrinsics[0, 0, 0]) == pytest.approx(64 / np.tan(np.radians(25)))


def test_the_same_clip_gives_the_same_tracks_and_no_global_setting_stays(small):
    threads = cv2.getNumThreads()
    first, second = (KltTracker().track(small[:5], points=60) for _ in range(2))
    assert torch.equal(first.positions, second.positions) and cv2.getNumThreads() == threads


def test_progress_is_told_and_may_interrupt(small):
    calls = []
    KltTracker().track(small, points=60, progress=lambda *call: calls.append(call))
    assert {stage for _, _, stage in calls} >= {"following points", "judging visibility"}
    assert all(0 <= done <= total for done, total, _ in calls)

    def stop(done: int, total: int, stage: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        KltTracker().track(small, points=60, progress=stop)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video": FLAT.astype(np.float32)}, "uint8"),
        ({"video": FLAT[0]}, r"\[T, H, W, 3\]"),
        ({"video": FLAT[:0]}, "at least one frame"),
        ({"video": FLAT[:, :8]}, "at least 16 px"),
        ({"points": 0}, "points is 0"),
        ({"motion": "wild"}, "motion is 'wild'"),
        ({"fov_degrees": 200}, "fov_degrees is 200"),
        ({"depth": np.ones((3, 4, 4))}, "depth has shape"),
    ],
)
def test_bad_input_is_one_sentence(change: dict, message: str):
    options = {"video": FLAT, "motion": "static", **change}
    with pytest.raises(Track2ViewError, match=message):
        KltTracker().track(options.pop("video"), **options)
