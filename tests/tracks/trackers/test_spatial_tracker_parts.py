"""The parts around SpatialTrackerV2's process: profiles, pixels, pieces, results; laws without a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from track2view_core.cameras.rotations import matrix_from_axis_angle
from track2view_core.errors import Track2ViewError
from track2view_core.tracks.trackers.spatial_tracker import read_profiles
from track2view_core.tracks.trackers.spatial_tracker.joining import fit_similarity, held, piece_spans
from track2view_core.tracks.trackers.spatial_tracker.placement import Placement, start_points
from track2view_core.tracks.trackers.spatial_tracker.process import run_watched
from track2view_core.tracks.trackers.spatial_tracker.profiles import PUBLISHED_WEIGHTS
from track2view_core.tracks.trackers.spatial_tracker.tracker import WORKER, _read_result

from .spatial_checkout import write_checkout

sizes = st.tuples(st.integers(64, 2000), st.integers(64, 2000)).filter(lambda s: 0.25 < s[0] / s[1] < 4)


# --- profiles ---------------------------------------------------------------------------------------------------------


def profile_file(folder: Path, **entry: object) -> Path:
    file = folder / "trackers.json"
    whole = {"checkout": str(folder), "python": sys.executable, **entry}
    file.write_text(json.dumps({"spatial_tracker_v2": {"mine": whole}, "other_tracker": 1}), encoding="utf-8")
    return file


def test_no_file_and_no_variables_are_no_profiles(tmp_path):
    assert read_profiles(tmp_path / "none.json", {"PATH": "x"}) == {} == read_profiles(None, {})


def test_the_file_and_the_variables_each_give_profiles(tmp_path):
    file = profile_file(tmp_path, weights={"front": "/w/front"}, device="cuda:1", frames_at_once=100)
    variables = {
        "TRACK2VIEW_SPATIAL_TRACKER_CHECKOUT": str(tmp_path / "other"),
        "TRACK2VIEW_SPATIAL_TRACKER_PYTHON": sys.executable,
        "TRACK2VIEW_SPATIAL_TRACKER_WEIGHTS": str(tmp_path / "weights"),
        "TRACK2VIEW_SPATIAL_TRACKER_FRAMES_AT_ONCE": "64",
    }
    found = read_profiles(file, variables)
    assert list(found) == ["mine", "environment"]
    mine, environment = found.values()
    assert (mine.checkout, mine.device, mine.frames_at_once) == (tmp_path, "cuda:1", 100)
    assert mine.weights == {
        "front": "/w/front",
        "offline": "Yuxihenry/SpatialTrackerV2-Offline",
        "online": "Yuxihenry/SpatialTrackerV2-Online",
    }
    assert environment.checkout == tmp_path / "other" and environment.frames_at_once == 64
    assert environment.weights["online"] == str(tmp_path / "weights" / "online")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"checkout": "relative/folder"}, "checkout"),
        ({"python": ""}, "python"),
        ({"python": 3}, "python"),
        ({"weights": {"back": "x"}}, "front, offline and online"),
        ({"weights": "x"}, "front, offline and online"),
        ({"device": "gpu"}, "cuda"),
        ({"frames_at_once": 501}, "500"),
        ({"frames_at_once": True}, "500"),
        ({"command": "rm"}, "'command'"),
    ],
)
def test_a_wrong_entry_is_named_with_its_profile_and_file(tmp_path, entry, words):
    with pytest.raises(Track2ViewError) as caught:
        read_profiles(profile_file(tmp_path, **entry), {})
    assert words in str(caught.value) and "'mine'" in str(caught.value) and "trackers.json" in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]", '{"spatial_tracker_v2": []}', '{"spatial_tracker_v2": {"mine": 1}}'])
def test_a_file_of_another_form_is_refused(tmp_path, text):
    file = tmp_path / "trackers.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Track2ViewError, match=r"trackers\.json"):
        read_profiles(file, {})


def test_half_a_profile_in_the_environment_is_refused():
    with pytest.raises(Track2ViewError, match="TRACK2VIEW_SPATIAL_TRACKER"):
        read_profiles(None, {"TRACK2VIEW_SPATIAL_TRACKER_PYTHON": sys.executable})


@pytest.mark.parametrize(
    ("missing", "word"),
    [
        ("models/SpaTrackV2/models/predictor.py", "predictor.py"),
        ("models/SpaTrackV2/models/vggt4track/models/vggt_moe.py", "vggt_moe.py"),
        ("weights/front/model.safetensors", "model.safetensors"),
        ("weights/online/config.json", "config.json"),
    ],
)
def test_what_is_missing_is_named_before_anything_starts(tmp_path, missing, word):
    profile = write_checkout(tmp_path, aspect=1.0)
    profile.check("online", {})
    (tmp_path / missing).unlink()
    with pytest.raises(Track2ViewError, match=word) as caught:
        profile.check("online", {})
    assert str(tmp_path) in str(caught.value) and "'stand-in'" in str(caught.value)


def test_a_wrong_folder_or_python_is_named(tmp_path):
    profile = write_checkout(tmp_path, aspect=1.0)
    file = profile_file(tmp_path, checkout=str(tmp_path / "nowhere"))
    with pytest.raises(Track2ViewError, match="nowhere"):
        read_profiles(file, {})["mine"].check("offline", {})
    file = profile_file(tmp_path, python=str(tmp_path / "no_python"), weights=dict(profile.weights))
    with pytest.raises(Track2ViewError, match="no_python"):
        read_profiles(file, {})["mine"].check("offline", {})


def test_weights_by_name_are_found_in_hugging_faces_cache_or_named(tmp_path):
    profile = replace(write_checkout(tmp_path, aspect=1.0), weights=PUBLISHED_WEIGHTS)
    environment = {"HF_HOME": str(tmp_path / "hf")}
    with pytest.raises(Track2ViewError, match="hf download Yuxihenry/SpatialTrackerV2_Front"):
        profile.check("offline", environment)
    folders = {}
    for part, name in PUBLISHED_WEIGHTS.items():
        folders[part] = tmp_path / "hf/hub" / f"models--{name.replace('/', '--')}" / "snapshots/abc"
        folders[part].parent.mkdir(parents=True)
        (tmp_path / "weights" / part).rename(folders[part])
    found = profile.check("online", environment)
    assert found == {"front": str(folders["front"]), "tracker": str(folders["online"])}
    assert profile.check("online", {"HF_HUB_CACHE": str(tmp_path / "hf/hub")}) == found
    (folders["online"] / "model.safetensors").unlink()
    with pytest.raises(Track2ViewError, match="SpatialTrackerV2-Online"):
        profile.check("online", environment)
    profile.check("offline", environment)


def test_a_python_that_does_not_run_is_named(tmp_path):
    program = tmp_path / "python"
    program.write_bytes(b"\x7fELF no program")
    program.chmod(0o755)
    with pytest.raises(Track2ViewError, match="cannot be started") as caught:
        run_watched([str(program)], folder=tmp_path, environment=os.environ, watch=lambda _: None, name="the tracker")
    assert str(program) in str(caught.value)


# --- pixels -----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(sizes)
def test_pixels_go_there_and_back(size):
    placement = Placement.of(*size)
    xy = np.random.default_rng(0).uniform(0, size, (50, 2))
    there = placement.to_tracker(xy)
    np.testing.assert_allclose(placement.to_clip(there), xy, atol=1e-9)
    low, high = (placement.left - 0.5, -0.5), (placement.left + placement.content_width - 0.5, placement.height - 0.5)
    assert (there >= low).all() and (there <= high).all()


@settings(deadline=None)
@given(sizes)
def test_the_tracker_crops_nothing_of_any_clip(size):
    placement = Placement.of(*size)
    assert placement.width == 518 and placement.height <= 518 and placement.height % 14 == 0
    assert placement.left * 2 + placement.content_width in (518, 517)


def test_a_bright_spot_lies_where_the_mapping_says():
    frame = np.zeros((400, 225, 3), np.uint8)
    frame[100:103, 50:53] = 255  # centred on (51.5, 101.5)
    placement = Placement.of(225, 400)
    picture = placement.picture(frame)[..., 0].astype(float)
    content = picture[:, placement.left : placement.left + placement.content_width]
    y, x = np.indices(content.shape)
    found = [(content * x).sum() / content.sum() + placement.left, (content * y).sum() / content.sum()]
    np.testing.assert_allclose(found, placement.to_tracker(np.array([51.5, 101.5])), atol=0.1)
    assert (picture[:, : placement.left] == 255).all()


@settings(deadline=None)
@given(sizes, st.floats(300, 900), st.floats(0.5, 3))
def test_intrinsics_follow_the_pixels(size, focal, aspect):
    placement = Placement.of(*size)
    lens = np.array([[[focal, 0, 250.0], [0, focal * aspect, 130.0], [0, 0, 1]]])
    points = np.random.default_rng(1).normal((0, 0, 8), size=(20, 3))
    of_tracker, of_clip = ((points / points[:, 2:]) @ k[0].T for k in (lens, placement.intrinsics_of_clip(lens)))
    np.testing.assert_allclose(placement.to_clip(of_tracker[:, :2]), of_clip[:, :2], atol=1e-6)


@given(sizes, st.integers(1, 5), st.integers(40, 400))
@settings(max_examples=40, deadline=None)
def test_any_first_part_of_the_starts_is_spread_over_picture_and_frames(size, frames, count):
    frame, xy = start_points(400, [3 * n for n in range(frames)], *size)
    frame, xy = frame[:count], xy[:count]
    assert (xy > 0).all() and (xy < size).all()
    assert np.ptp(np.bincount(frame, minlength=3 * frames - 2)[::3]) <= 1
    quarters = np.bincount((xy[:, 0] > size[0] / 2) + 2 * (xy[:, 1] > size[1] / 2), minlength=4) / count
    assert quarters.min() > 0.15


# --- pieces -----------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(1, 3000), st.integers(16, 500))
def test_pieces_cover_the_clip_overlap_and_stay_short(frames, at_once):
    spans = piece_spans(frames, at_once)
    assert spans[0][0] == 0 and spans[-1][1] == frames
    assert all(stop - start <= at_once for start, stop in spans)
    shared = [before[1] - after[0] for before, after in pairwise(spans)]
    assert all(overlap >= min(32, at_once // 4) - 1 for overlap in shared)
    assert (len(spans) == 1) == (frames <= at_once)


def test_the_offline_trackers_limit_is_500_frames():
    assert len(piece_spans(500, 500)) == 1 and len(piece_spans(501, 500)) == 2


@settings(deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6), st.floats(0.2, 5), st.integers(0, 9))
def test_a_similarity_is_found_again_among_outliers(values, scale, seed):
    import torch

    random = np.random.default_rng(seed)
    rotation = matrix_from_axis_angle(torch.tensor(values[:3], dtype=torch.float64)).numpy()
    moved = random.normal(size=(60, 3))
    fixed = scale * moved @ rotation.T + values[3:]
    fixed[:12] += random.normal(size=(12, 3)) * scale
    fit = fit_similarity(moved, fixed, np.ones(60))
    np.testing.assert_allclose(fit.points(moved)[12:], fixed[12:], atol=1e-6 * (scale + 1))
    np.testing.assert_allclose(fit.rotation, rotation, atol=1e-6)


def test_values_are_held_where_nothing_is_known():
    known = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 1], [1, 0, 0]], bool)
    values = np.arange(12.0).reshape(4, 3)
    assert held(values, known).tolist() == [[3, 1, 2], [3, 1, 2], [3, 1, 8], [9, 1, 8]]


# --- what comes back --------------------------------------------------------------------------------------------------


def result(**changed: object) -> dict[str, object]:
    arrays = {
        "kept": np.arange(3),
        "world_from_camera": np.tile(np.eye(4, dtype=np.float32), (5, 1, 1)),
        "intrinsics": np.tile(np.eye(3, dtype=np.float32), (5, 1, 1)),
        "camera_points": np.ones((5, 3, 3), np.float32),
        "pixels": np.ones((5, 3, 2), np.float32),
        "visibility": np.ones((5, 3), np.float32),
        "confidence": np.ones((5, 3), np.float32),
    }
    return {name: array for name, array in {**arrays, **changed}.items() if array is not None}


class Payload:
    """What would run if anything were unpickled."""

    def __reduce__(self):
        return Path.write_text, (Path("unpickled"), "boom")


@pytest.mark.parametrize("name", ["kept", "camera_points", "confidence"])
def test_pickled_objects_in_a_result_are_refused_unopened(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "result.npz", **result(**{name: np.array([Payload()], dtype=object)}))
    with pytest.raises(Track2ViewError, match="without a sound result"):
        _read_result(tmp_path / "result.npz", 5, 9)
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"camera_points": np.ones((4, 3, 3), np.float32)},
        {"pixels": np.ones((5, 2, 2), np.float32)},
        {"visibility": np.ones((5, 3), np.int64)},
        {"kept": np.array([0, 1, 9])},
        {"kept": np.array([0, 1, -1])},
        {"kept": np.zeros(3)},
        {"intrinsics": None},
    ],
)
def test_results_of_another_shape_are_refused(tmp_path, changed):
    np.savez(tmp_path / "result.npz", **result(**changed))
    with pytest.raises(Track2ViewError, match="SpatialTrackerV2"):
        _read_result(tmp_path / "result.npz", 5, 9)


def test_a_missing_or_cut_result_is_refused(tmp_path):
    np.savez(tmp_path / "whole.npz", **result())
    assert set(_read_result(tmp_path / "whole.npz", 5, 9)) == set(result())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-200])
    for name in ("cut.npz", "none.npz"):
        with pytest.raises(Track2ViewError, match="without a sound result"):
            _read_result(tmp_path / name, 5, 9)


def test_the_worker_never_unpickles_a_request_and_imports_nothing_of_ours(tmp_path):
    write_checkout(tmp_path, aspect=1.0)
    np.savez(tmp_path / "request.npz", frames=np.array([Payload()], dtype=object), queries=np.zeros((1, 3)))
    request = {"checkout": str(tmp_path), "device": "cpu"}
    (tmp_path / "request.json").write_text(json.dumps(request), encoding="utf-8")
    said = []
    with pytest.raises(Track2ViewError, match="Object arrays cannot be loaded"):
        run_watched(
            [sys.executable, str(WORKER), str(tmp_path)],
            folder=tmp_path,
            environment=os.environ,
            watch=lambda message: said.append(message) if message else None,
            name="the worker",
        )
    assert not (tmp_path / "unpickled").exists()
    assert said[0] == {"stage": "loading SpatialTrackerV2", "share": 0.0}
    assert "track2view" not in WORKER.read_text(encoding="utf-8").replace("Track2View", "")


def test_the_worker_ends_when_nobody_reads_it_any_more(tmp_path):
    write_checkout(tmp_path, aspect=1.0)
    (tmp_path / "models/SpaTrackV2/models/predictor.py").write_text("import time\ntime.sleep(600)", encoding="utf-8")
    (tmp_path / "request.json").write_text(json.dumps({"checkout": str(tmp_path)}), encoding="utf-8")
    worker = subprocess.Popen([sys.executable, str(WORKER), str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert worker.stdout is not None and b"loading" in worker.stdout.readline()
        worker.stdout.close()
        assert worker.wait(60) == 1
    finally:
        worker.kill()
        worker.wait()
