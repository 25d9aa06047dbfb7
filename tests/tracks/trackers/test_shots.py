"""A camera path that a depth model proposes: used and made better where it holds, left aside where it does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from track2view_core.cameras import CameraPath
from track2view_core.cameras.rotations import matrix_from_axis_angle
from track2view_core.errors import Track2ViewError
from track2view_core.evaluation import rotation_error
from track2view_core.evaluation.tracker_scores import score_tracks
from track2view_core.notes import Note, Severity
from track2view_core.scenes import rendered_clip
from track2view_core.tracks.trackers import KltTracker
from track2view_core.tracks.trackers.camera_solver import Cameras
from track2view_core.tracks.trackers.rotation_solver import Turned
from track2view_core.tracks.trackers.shots import Setup, _describe_turn


def shaken(path: CameraPath, *, degrees: float, metres: float, focal: float = 1.0) -> CameraPath:
    generator = torch.Generator().manual_seed(3)
    poses = path.world_from_camera.clone()
    turns, shifts = torch.randn(2, len(path), 3, generator=generator, dtype=torch.float64)
    poses[:, :3, :3] @= matrix_from_axis_angle(turns * math.radians(degrees))
    poses[:, :3, 3] += shifts * metres
    lens = path.intrinsics.clone()
    lens[:, 0, 0] *= focal
    lens[:, 1, 1] *= focal
    return replace(path, world_from_camera=poses, intrinsics=lens).resized(504, 294)


@pytest.fixture(scope="module")
def arc():
    return rendered_clip("arc", frames=13, width=384, height=224, seed=1)


def test_a_path_that_holds_is_used_and_refined(arc) -> None:
    proposed = shaken(arc.camera, degrees=0.2, metres=0.01, focal=1.05)
    tracks = KltTracker().track(arc.frames, points=200, depth=arc.depth, proposed=proposed)
    assert {note.code for note in tracks.notes} & {"proposed_used", "proposed_not_needed"}
    before = rotation_error(proposed.relative_to_first(), arc.camera).max()
    scores = score_tracks(tracks, arc)
    assert scores.rotation < 0.7 * before and abs(scores.focal) < 0.03 and scores.standing < 0.02


def test_a_path_that_does_not_hold_is_left_aside_and_said_so(arc) -> None:
    proposed = shaken(arc.camera, degrees=8, metres=0.5)
    tracks = KltTracker().track(arc.frames, points=200, depth=arc.depth, proposed=proposed)
    (warning,) = [note for note in tracks.notes if note.code == "proposed_denied"]
    assert warning.severity == Severity.CAUTION and warning.facts["share"] < 0.5 < warning.facts["error"]
    alone = KltTracker().track(arc.frames, points=200, depth=arc.depth)
    assert torch.equal(tracks.camera.world_from_camera, alone.camera.world_from_camera)


def test_a_camera_that_stands_stays_exactly_where_it_is() -> None:
    clip = rendered_clip("static", frames=9, width=256, height=160, seed=1)
    proposed = shaken(clip.camera, degrees=0.1, metres=0.002)
    tracks = KltTracker().track(clip.frames, points=100, depth=clip.depth, proposed=proposed, fov_guess=62)
    assert torch.equal(tracks.camera.world_from_camera, torch.eye(4, dtype=torch.float64).expand(9, 4, 4))
    fov = 2 * math.degrees(math.atan(128 / float(tracks.camera.intrinsics[0, 0, 0])))
    assert fov == pytest.approx(62, abs=1e-3)


def test_a_proposed_path_of_another_length_is_refused(arc) -> None:
    with pytest.raises(Track2ViewError, match="proposed has 5 frames beside a video of 13"):
        KltTracker().track(arc.frames, proposed=arc.camera.with_frames(slice(5)))


def test_a_lens_is_the_less_certain_the_fewer_points_a_solve_explains() -> None:
    """Two standard deviations are stated."""
    cameras = Cameras.standing(3, 500.0, np.array([320.0, 180.0]))
    cameras.rotation[2] = matrix_from_axis_angle(torch.tensor([0.0, 0.3, 0.0])).numpy()
    setup = Setup(640, 360, 500.0, focal_known=False, motion="auto", depth=None, given=None)
    for explained, deviation in ((1.0, 0.04), (0.5, 0.08), (0.01, 0.2)):
        notes: list[Note] = []
        _describe_turn(Turned(cameras, 0.1, 1.0, explained, 0.02, 1.0, focal_seen=True), setup, notes)
        (found,) = [note for note in notes if note.code == "fov_found"]
        assert found.facts["deviation"] == pytest.approx(deviation)
