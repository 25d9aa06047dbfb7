"""A result's camera read off its pictures: the tracker's own accuracy on the truth, the whole move on a copy."""

import json
import math
from dataclasses import replace

import pytest
import torch

from track2view_core.cameras import CameraPath, preset_path
from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import camera_check, rotation_error, translation_error
from track2view_core.evaluation.camera_check import check_camera, check_picture
from track2view_core.scenes import render, rendered_clip
from track2view_core.tracks import PointTracks
from track2view_core.tracks.trackers import KltTracker

FRAMES, WIDTH, HEIGHT = 12, 192, 128
FOV = 62.0


@pytest.fixture(scope="module")
def shot():
    """A rendered clip, a move of it that turns and travels, and the true pictures of that move."""
    clip = rendered_clip("truck", frames=FRAMES, width=WIDTH, height=HEIGHT, seed=5, dynamic=0.0, supersample=2)
    asked = preset_path("orbit_left", clip.camera, amount=0.6, scene_scale=2.4)
    start = clip.scene_from_camera[0].double() @ torch.linalg.inv(clip.camera.world_from_camera[0])
    poses = (start @ asked.world_from_camera).float()[None]
    lens, time = clip.camera.intrinsics[:1].float(), clip.time[None]
    truth = torch.cat(
        [
            render(clip.scene, poses[:, t : t + 1], lens, time[:, t : t + 1], WIDTH, HEIGHT, supersample=2).frames()
            for t in range(FRAMES)
        ]
    )
    return clip, asked, truth


@pytest.fixture(scope="module")
def on_truth(shot):
    clip, asked, truth = shot
    return check_camera(truth, asked, source=clip.camera)


@pytest.fixture(scope="module")
def on_copy(shot):
    clip, asked, _ = shot
    return check_camera(clip.frames, asked, source=clip.camera)


def codes(check) -> set[str]:
    return {note.code for note in check.notes}


def a_point(camera: CameraPath) -> PointTracks:
    seen = torch.ones(len(camera), 1, dtype=torch.bool)
    return PointTracks(torch.tensor([0.0, 0, 2]).repeat(len(camera), 1, 1), seen, seen.float(), camera)


def test_on_the_true_pictures_it_gives_the_trackers_own_accuracy(shot, on_truth):
    _, asked, truth = shot
    found = KltTracker().track(truth, fov_degrees=FOV).camera
    assert on_truth.rot_err == pytest.approx(float(rotation_error(found, asked)[1:].mean()), rel=1e-3)
    assert on_truth.trans_err == pytest.approx(float(translation_error(found, asked)[1:].mean()), rel=1e-3)
    assert on_truth.rot_err < 0.5 and on_truth.trans_err < 0.05
    assert on_truth.measured.all() and "camera_not_followed" not in codes(on_truth)
    # what is drawn is the found path where the request starts, in its units
    apart = (on_truth.found.world_from_camera - asked.world_from_camera)[:, :3, 3].norm(dim=-1)
    extent = (asked.world_from_camera[:, :3, 3] - asked.world_from_camera[0, :3, 3]).norm(dim=-1).max()
    assert (apart / extent - on_truth.translation).abs().max() < 1e-9


def test_on_a_copy_of_the_source_it_gives_the_size_of_the_move(shot, on_copy):
    clip, asked, _ = shot
    size = float(rotation_error(clip.camera, asked)[1:].mean())
    assert size > 5 and on_copy.source_rotation == pytest.approx(size)
    assert on_copy.rot_err == pytest.approx(size, abs=0.5)
    assert on_copy.trans_err == pytest.approx(on_copy.source_translation, abs=0.05)
    assert "camera_not_followed" in codes(on_copy)


def test_its_figures_are_json_and_its_picture_shows_both_paths(on_truth, on_copy):
    data = json.loads(json.dumps(on_copy.data(), allow_nan=False))
    assert data["rot_err_degrees"] == on_copy.rot_err and len(data["rotation_degrees"]) == FRAMES
    near, far = (check_picture(check).float() for check in (on_truth, on_copy))
    assert near.shape == far.shape and (near - far).abs().mean() > 1


def test_a_result_in_which_nothing_can_be_followed_is_not_measured(shot):
    clip, asked, _ = shot
    flat = torch.full_like(clip.frames, 90)
    check = check_camera(flat, asked, source=clip.camera)
    assert codes(check) == {"camera_not_measurable"} and math.isnan(check.rot_err) and math.isnan(check.trans_err)
    assert json.loads(json.dumps(check.data(), allow_nan=False))["rot_err_degrees"] is None
    check_picture(check)


def test_frames_that_were_not_measured_are_in_no_mean(shot, monkeypatch):
    _, asked, truth = shot
    found = camera_check.no_path(FRAMES)
    known = torch.arange(FRAMES) < 6
    poses = torch.where(known[:, None, None], asked.world_from_camera, found.world_from_camera)
    fit = replace(found, world_from_camera=poses, measurable=known)
    monkeypatch.setattr(camera_check, "tracked_camera", lambda *_: (a_point(asked), fit))
    check = check_camera(truth, asked)
    assert check.rot_err == pytest.approx(0, abs=1e-6) and check.trans_err == pytest.approx(0, abs=1e-6)
    assert check.rotation[6:].isnan().all() and {"camera_errors", "camera_partly_measured"} <= codes(check)


def test_a_path_that_only_turns_has_no_trans_err(shot, monkeypatch):
    clip, _, _ = shot
    lens = clip.camera.intrinsics
    still = CameraPath(torch.eye(4, dtype=torch.float64).repeat(FRAMES, 1, 1), lens, WIDTH, HEIGHT)
    turning = preset_path("pan_left", still, amount=0.5, scene_scale=1.0)
    fit = replace(camera_check.no_path(FRAMES), measurable=torch.ones(FRAMES, dtype=torch.bool))
    monkeypatch.setattr(camera_check, "tracked_camera", lambda *_: (a_point(still), fit))
    check = check_camera(clip.frames, turning, source=still)
    assert math.isnan(check.trans_err) and check.rot_err > 5
    assert codes(check) == {"camera_error_turning", "camera_of_copy", "camera_not_followed"}


def test_frames_of_another_path_are_refused(shot):
    clip, asked, _ = shot
    with pytest.raises(Track2ViewError, match="12 frames and camera_path 11"):
        check_camera(clip.frames, asked.with_frames(slice(0, 11)))
    with pytest.raises(Track2ViewError, match="another shape"):
        check_camera(clip.frames[:, :, :100], asked)
