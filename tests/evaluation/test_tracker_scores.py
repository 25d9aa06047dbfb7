"""Tracker scores: closed forms, what an exact tracker scores, and evo's path errors."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from track2view_core.cameras.rotations import matrix_from_axis_angle
from track2view_core.errors import Track2ViewError
from track2view_core.evaluation.camera_errors import path_scores, similarity_fit
from track2view_core.evaluation.tracker_scores import (
    WITHIN_PIXELS,
    in_camera_axes,
    point_scores,
    score_points,
    true_tracks,
)
from track2view_core.scenes import rendered_clip
from track2view_core.scenes.ray_casting import render
from track2view_core.scenes.surface_points import exact_tracks

FOCAL = 100.0


def cloud(frames: int = 4, points: int = 20, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(frames, points, 3, generator=generator) + torch.tensor([-0.5, -0.5, 3.0])


def everywhere(truth: torch.Tensor) -> torch.Tensor:
    return torch.ones(truth.shape[:2], dtype=torch.bool)


def some_path(frames: int = 9, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    path = torch.eye(4, dtype=torch.float64).repeat(frames, 1, 1)
    path[:, :3, :3] = matrix_from_axis_angle(0.3 * torch.randn(frames, 3, generator=generator).double())
    path[:, :3, 3] = torch.randn(frames, 3, generator=generator).double()
    return path


@pytest.mark.parametrize("scale", [1.0, 0.01, 30.0])
def test_the_truth_at_any_scale_scores_one(scale: float):
    truth = cloud()
    seen = everywhere(truth)
    scores = point_scores(scale * truth, seen, truth, seen, FOCAL)
    assert (scores.apd3d, scores.aj3d, scores.oa) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("pixels", [0.5, 1.5, 3.0, 6.0, 12.0, 20.0])
def test_a_known_distance_counts_for_the_thresholds_above_it(pixels: float):
    truth = cloud(points=21)
    seen = everywhere(truth)
    wrong = truth.clone()
    wrong[:, 0, 0] += pixels * truth[:, 0, 2] / FOCAL  # one of many, so that the median norm stays
    scored = torch.zeros_like(seen)
    scored[:, 0] = True
    scores = point_scores(wrong, seen, truth, seen, FOCAL, scored)
    expected = sum(pixels < k for k in WITHIN_PIXELS) / len(WITHIN_PIXELS)
    assert scores.apd3d == expected
    # A wrong place counts twice: as missed and as a wrong claim.
    assert scores.aj3d == pytest.approx(sum((pixels < k) / (1 + (pixels >= k)) for k in WITHIN_PIXELS) / 5)
    assert scores.oa == 1.0


def test_visibility_is_scored_beside_the_place():
    truth = cloud(frames=1, points=10)
    seen, truly = everywhere(truth), everywhere(truth)
    seen[0, :2] = False  # missed
    truly[0, 8:] = False  # wrong claims
    scores = point_scores(truth, seen, truth, truly, FOCAL)
    assert scores.apd3d == 1.0 and scores.oa == pytest.approx(0.6)
    assert scores.aj3d == pytest.approx(6 / (8 + 2))


def test_nothing_to_compare_is_no_score():
    truth = cloud()
    none = torch.zeros(truth.shape[:2], dtype=torch.bool)
    assert math.isnan(point_scores(truth, none, truth, everywhere(truth), FOCAL).apd3d)


def test_an_exact_tracker_scores_one_and_a_still_one_does_not():
    clip = rendered_clip("arc", frames=5, width=96, height=64, seed=2)
    lens = clip.camera.intrinsics[:1].float()
    pose, time = clip.scene_from_camera[None], clip.time[None]
    view = render(clip.scene, pose, lens, time, 96, 64)
    (tracks,) = exact_tracks(clip.scene, view, pose, lens, time, points=150, seed=0)
    tracks = tracks.select(tracks.visible.any(0))
    truth, visible, frame = true_tracks(tracks, clip)
    assert visible[frame, torch.arange(len(frame))].float().mean() > 0.97
    off = (truth - tracks.positions).norm(dim=-1).flatten()
    assert off.median() < 1e-4 and off.quantile(0.95) < 1e-2  # points on an edge may be taken for what is beside them
    assert score_points(tracks, clip).apd3d > 0.96 and score_points(tracks, clip).oa > 0.96
    frozen = tracks.positions[:1].expand_as(tracks.positions)
    still = point_scores(
        in_camera_axes(clip.camera, frozen), visible, in_camera_axes(clip.camera, truth), visible, float(lens[0, 0, 0])
    )
    assert still.apd3d < 0.9


def test_a_similarity_is_found_exactly():
    start, rotation = some_path().numpy()[:, :3, 3], some_path(seed=3)[4, :3, :3]
    goal = 2.5 * torch.from_numpy(start) @ rotation.T + torch.tensor([1.0, -2.0, 0.5])
    scale, found, shift = similarity_fit(torch.from_numpy(start), goal)
    assert scale == pytest.approx(2.5)
    torch.testing.assert_close(found, rotation, atol=1e-9, rtol=0)
    torch.testing.assert_close(shift, torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), atol=1e-9, rtol=0)


def test_path_errors_do_not_depend_on_world_and_scale():
    path, world = some_path(), some_path(seed=5)[2]
    moved = world @ path
    moved[:, :3, 3] *= 7.0
    scores = path_scores(moved, path)
    assert scores.ate < 1e-9 and scores.rpe < 1e-9 and scores.rpe_degrees < 1e-5


def test_a_straight_path_and_a_still_one_have_answers():
    straight = torch.eye(4, dtype=torch.float64).repeat(5, 1, 1)
    straight[:, 2, 3] = torch.arange(5.0)
    assert path_scores(straight, straight).ate < 1e-9
    still = torch.eye(4, dtype=torch.float64).repeat(5, 1, 1)
    scores = path_scores(still, still)
    assert math.isnan(scores.ate) and scores.rpe_degrees == 0
    with pytest.raises(Track2ViewError, match="paths of one length"):
        path_scores(still, still[:3])


def test_path_errors_are_those_of_evo(tmp_path):
    """evo is fetched for this test alone, without what it would draw in."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path), "evo"]
    subprocess.run(command, check=True)
    true, bent = some_path(12).numpy(), some_path(12, seed=1).numpy()
    np.savez(tmp_path / "paths.npz", true=true, own=bent)
    script = """
import sys, numpy as np
from evo.core import metrics
from evo.core.trajectory import PosePath3D
paths = np.load(sys.argv[1])
true, own = (PosePath3D(poses_se3=list(paths[name])) for name in ("true", "own"))
own.align(true, correct_scale=True)
parts = metrics.PoseRelation.translation_part, metrics.PoseRelation.rotation_angle_deg
print(true.path_length)
ape = metrics.APE(parts[0]); ape.process_data((true, own)); print(ape.get_statistic(metrics.StatisticsType.rmse))
for part in parts:
    rpe = metrics.RPE(part, 1, metrics.Unit.frames); rpe.process_data((true, own))
    print(rpe.get_statistic(metrics.StatisticsType.rmse))
"""
    said = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "paths.npz")],
        env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    length, ate, rpe, degrees = (float(line) for line in said.stdout.split())
    scores = path_scores(torch.from_numpy(bent), torch.from_numpy(true))
    assert scores.ate * length == pytest.approx(ate, rel=1e-6)
    assert scores.rpe * length == pytest.approx(rpe, rel=1e-6)
    assert scores.rpe_degrees == pytest.approx(degrees, rel=1e-6)
