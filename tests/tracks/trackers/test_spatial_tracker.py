"""SpatialTrackerV2 over a stand-in checkout with its entry points and output shapes, in a process of its own."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch

from track2view_core.cameras import project
from track2view_core.errors import Track2ViewError
from track2view_core.tracks import PointTracks
from track2view_core.tracks.trackers import SpatialTrackerV2
from track2view_core.tracks.trackers.spatial_tracker import TrackerProfile

from .spatial_checkout import (
    asked_starts,
    calls,
    clip,
    scene,
    true_lens,
    worker_in_this_process,
    write_checkout,
)

POINTS = 60


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def here(monkeypatch):
    with worker_in_this_process(monkeypatch):
        yield


def assert_points_are_true(tracks: PointTracks, profile: TrackerProfile, *, within: float = 0.5) -> None:
    """Every track, cast from where it starts onto the true surface, is seen where the true camera sees it.

    That holds only if queries kept their order, poses lead from camera to world, and pixels and lens were scaled back.
    """
    width, height = tracks.camera.width, tracks.camera.height
    true = scene(profile.checkout)
    born, asked = asked_starts(tracks.colors.numpy(), width, height)
    view = project(tracks.camera, tracks.positions)
    found = view.xy.numpy()
    every = np.arange(len(born))
    start = found[born, every]
    assert np.abs(start - asked).max() < 2.0, "tracks start elsewhere than asked: the order is lost"
    lens = true_lens(width, height)
    rays = np.column_stack([start, np.ones(len(start))]) @ np.linalg.inv(lens).T
    poses = np.stack([true["pose"](g) for g in range(len(tracks))])
    depth = np.array([true["hit"](g, ray) for g, ray in zip(born, rays, strict=True)])
    world = np.einsum("nij,nj->ni", poses[born, :3, :3], rays * depth[:, None]) + poses[born, :3, 3]
    for g in range(len(tracks)):
        points = true["moved"](world, np.full(len(born), g), born)
        local = (points - poses[g, :3, 3]) @ poses[g, :3, :3]
        pixels = (local / local[:, 2:]) @ lens.T
        off = np.linalg.norm(pixels[:, :2] - found[g], axis=1)[tracks.visible[g].numpy()]
        assert off.max(initial=0.0) < within, f"frame {g}"


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    profile = write_checkout(tmp_path_factory.mktemp("checkout"), aspect=240 / 160)
    stages = []
    tracks = SpatialTrackerV2(profile).track(
        clip(12, 240, 160), points=POINTS, support_points=100, progress=lambda *step: stages.append(step)
    )
    return profile, tracks, stages


def test_points_and_camera_are_those_of_the_scene(wide):
    profile, tracks, _ = wide
    assert_points_are_true(tracks, profile)
    assert tracks.visible.float().mean() > 0.6


def test_the_result_has_the_clips_own_size_and_length(wide):
    profile, tracks, _ = wide
    assert (len(tracks), tracks.camera.width, tracks.camera.height) == (12, 240, 160)
    assert torch.equal(tracks.camera.world_from_camera[0], torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(tracks.camera.intrinsics[0].numpy(), true_lens(240, 160), atol=1e-3, rtol=0)
    assert calls(profile)[0]["size"] == [350, 518]


def test_where_depth_is_not_certain_no_track_starts_and_none_is_made_up(wide):
    profile, tracks, _ = wide
    _, asked = asked_starts(tracks.colors.numpy(), 240, 160)
    assert tracks.positions.shape[1] == POINTS == calls(profile)[0]["queries"]
    assert asked[:, 1].min() > 0.11 * 160
    assert len(np.unique(asked.round(1), axis=0)) > 0.95 * POINTS  # random duplicates would share their place


def test_tracks_start_in_several_frames_first_and_last_among_them(wide):
    born, _ = asked_starts(wide[1].colors.numpy(), 240, 160)
    assert np.unique(born).tolist() == [0, 6, 11]


def test_options_reach_the_tracker(wide):
    profile, _, _ = wide
    (call,) = calls(profile)
    assert call["support"] == 100 and call["weights"].endswith("offline") and not call["fixed_cam"]


def test_progress_only_grows_and_names_stages(wide):
    _, _, stages = wide
    done = [step[0] for step in stages]
    assert done == sorted(done) and {step[1] for step in stages} == {100}
    assert {"loading SpatialTrackerV2", "estimating depth and cameras", "tracking points"} <= {s[2] for s in stages}


def test_a_portrait_clip_is_padded_not_cropped(tmp_path, here):
    profile = write_checkout(tmp_path, aspect=120 / 200)
    tracks = SpatialTrackerV2(profile).track(torch.from_numpy(clip(6, 120, 200)), points=POINTS)
    assert_points_are_true(tracks, profile)
    assert (tracks.camera.width, tracks.camera.height) == (120, 200) and calls(profile)[0]["size"] == [518, 518]
    _, asked = asked_starts(tracks.colors.numpy(), 120, 200)
    assert asked[:, 1].max() > 0.97 * 200 and asked[:, 0].min() < 6 and asked[:, 0].max() > 114


def test_a_long_clip_is_cut_and_joined_into_one_world(tmp_path, here):
    profile = replace(write_checkout(tmp_path, aspect=1.5), frames_at_once=24)
    tracks = SpatialTrackerV2(profile).track(clip(60, 240, 160), points=120, start_frames=4)
    assert len(tracks) == 60 and [call["frames"] for call in calls(profile)] == [24, 24, 24]
    assert tracks.positions.shape[1] <= 120
    assert_points_are_true(tracks, profile)
    true = scene(profile.checkout)
    poses = np.stack([np.linalg.inv(true["pose"](0)) @ true["pose"](g) for g in range(60)])
    np.testing.assert_allclose(tracks.camera.world_from_camera.numpy(), poses, atol=2e-3)
    born, _ = asked_starts(tracks.colors.numpy(), 240, 160)
    through = tracks.visible[:20].any(0) & tracks.visible[30:].any(0)
    assert through.sum() >= 8 and set(born) - set(range(24))
    assert [note.facts["first"] for note in tracks.notes if note.code == "pieces_joined"] == [18, 36]


def test_a_fixed_camera_stands_exactly_also_across_pieces(tmp_path, here):
    profile = replace(write_checkout(tmp_path, aspect=1.5, standing=True), frames_at_once=16)
    tracks = SpatialTrackerV2(profile).track(clip(24, 240, 160), points=POINTS, camera_fixed=True)
    identity = torch.eye(4, dtype=torch.float64).expand(24, 4, 4)
    assert torch.equal(tracks.camera.world_from_camera, identity)
    assert all(call["fixed_cam"] for call in calls(profile)) and len(calls(profile)) == 2
    assert_points_are_true(tracks, profile)
    assert tracks.camera.intrinsics.std(dim=0).max() < 1e-9


def test_the_online_variant_waits_hidden_until_its_window(tmp_path, here):
    profile = write_checkout(tmp_path, aspect=1.5)
    tracks = SpatialTrackerV2(profile).track(clip(40, 240, 160), points=POINTS, variant="online")
    assert calls(profile)[0]["weights"].endswith("online")
    assert_points_are_true(tracks, profile)
    born, _ = asked_starts(tracks.colors.numpy(), 240, 160)
    late = born == 39
    assert late.any() and not tracks.visible[:20, late].any() and (tracks.confidence[:20, late] == 0).all()
    assert torch.equal(tracks.positions[0, late], tracks.positions[20, late])  # held where it is first known


@pytest.mark.parametrize("frames", [1, 2])
def test_clips_of_hardly_any_frames(tmp_path, here, frames):
    profile = write_checkout(tmp_path, aspect=1.5)
    tracks = SpatialTrackerV2(profile).track(clip(frames, 240, 160), points=20)
    assert len(tracks) == frames and calls(profile)[0]["frames"] == 4
    assert_points_are_true(tracks, profile)


# --- how runs end -----------------------------------------------------------------------------------------------------


class Interrupted(Exception):
    pass


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_an_interrupt_ends_the_child_and_its_children(tmp_path):
    profile = write_checkout(tmp_path, aspect=1.5, hang="front")
    mark = tmp_path / "children.json"
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    met = set()

    def progress(done: int, total: int, stage: str) -> None:
        if mark.is_file() and mark.read_text():
            met.update(child.pid for child in psutil.Process().children(recursive=True))
            raise Interrupted

    with pytest.raises(Interrupted):
        SpatialTrackerV2(profile).track(clip(4, 240, 160), points=20, progress=progress)
    (grandchild,) = json.loads(mark.read_text())
    assert len(met - before) >= 2 and grandchild in met
    assert all(gone(pid) for pid in met - before)


def test_a_crash_becomes_one_sentence_with_the_last_lines(tmp_path):
    profile = write_checkout(tmp_path, aspect=1.5, crash="track")
    with pytest.raises(Track2ViewError) as caught:
        SpatialTrackerV2(profile).track(clip(4, 240, 160), points=20)
    message = str(caught.value)
    assert message.startswith("SpatialTrackerV2 (profile 'stand-in') stopped with exit code 1")
    assert "CUDA out of memory. Tried to allocate 20.00 GiB" in message
    assert "\n" not in message and len(message) < 400 and message.endswith(".")


def test_a_python_without_the_requirements_is_named(tmp_path):
    profile = write_checkout(tmp_path, aspect=1.5)
    (tmp_path / "models/SpaTrackV2/models/predictor.py").write_text("import no_such_requirement", encoding="utf-8")
    with pytest.raises(Track2ViewError, match="no_such_requirement") as caught:
        SpatialTrackerV2(profile).track(clip(4, 240, 160), points=20)
    assert str(profile.python) in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_clip_without_certain_depth_is_refused(tmp_path, here):
    profile = write_checkout(tmp_path, aspect=1.5, sky=1.0)
    with pytest.raises(Track2ViewError, match="certain of the depth at none"):
        SpatialTrackerV2(profile).track(clip(4, 240, 160), points=20)


@pytest.mark.parametrize(
    ("wrong", "word"),
    [({"points": 0}, "points"), ({"variant": "both"}, "variant"), ({"start_frames": 0}, "start_frames"),
     ({"support_points": 3}, "support_points")],
)  # fmt: skip
def test_options_out_of_range_are_refused_before_anything_starts(tmp_path, wrong, word):
    profile = write_checkout(tmp_path, aspect=1.5)
    with pytest.raises(Track2ViewError, match=word):
        SpatialTrackerV2(profile).track(clip(4, 240, 160), **{"points": 20, **wrong})
    assert not (tmp_path / "calls.jsonl").exists()
