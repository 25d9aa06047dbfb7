"""Kabsch, triangulation, poses, depth alignment: exact on exact data, steady under outliers."""

from __future__ import annotations

import numpy as np
import pytest

from track2view_core.tracks.trackers.camera_solver import (
    Cameras,
    Observations,
    refine_points,
    refine_poses,
    residuals,
    rotation_from_vector,
    triangulate,
)
from track2view_core.tracks.trackers.depth_maps import (
    align_to_each_other,
    align_to_points,
    fit_inverse_depth,
    ramp_inverse_depth,
    robust_mean,
    sample_inverse_depth,
    smoothed,
)
from track2view_core.tracks.trackers.flow import PixelTracks
from track2view_core.tracks.trackers.rotation_solver import kabsch, robust_rotation, solve_rotation, zoom_ratios
from track2view_core.tracks.trackers.triangulation import carried, lift_turning


def unit_vectors(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def turning_flow(turn: np.ndarray, focal: np.ndarray, seed: int = 0) -> PixelTracks:
    """Exact pixels of points at infinity for a camera that turns about y by `turn` [T] with focal lengths [T]."""
    frames = len(turn)
    random = np.random.default_rng(seed)
    start = random.uniform([-0.7, -0.4], [0.7, 0.4], (150, 2))
    bearing = np.concatenate([start, np.ones((150, 1))], 1)
    rotation = rotation_from_vector(np.stack([np.zeros(frames), turn, np.zeros(frames)], 1))
    local = np.einsum("tij,nj->tni", rotation, bearing)
    xy = focal[:, None, None] * local[..., :2] / local[..., 2:] + [320, 180]
    return PixelTracks(xy, np.abs(xy - [320, 180]).max(2) < 400)


def views(count: int = 5, points: int = 60) -> tuple[Cameras, np.ndarray, Observations]:
    random = np.random.default_rng(3)
    cameras = Cameras(
        rotation_from_vector(0.1 * random.standard_normal((count, 3))),
        0.4 * random.standard_normal((count, 3)),
        np.full(count, 500.0),
        np.array([320.0, 240.0]),
    )
    cloud = random.uniform([-2, -1.5, 4], [2, 1.5, 9], (points, 3))
    seen = Observations.of(np.zeros((count, points, 2)), np.ones((count, points), bool))
    return cameras, cloud, Observations(seen.camera, seen.point, residuals(cameras, cloud, seen)[0])


def test_kabsch_is_exact():
    rotation = rotation_from_vector(np.array([0.3, -1.2, 0.5]))
    start = unit_vectors(10)
    np.testing.assert_allclose(kabsch(start, start @ rotation.T), rotation, atol=1e-12)


def test_robust_rotation_ignores_a_third_of_outliers():
    rotation = rotation_from_vector(np.array([0.0, 0.2, 0.05]))
    start = unit_vectors(120)
    end = start @ rotation.T
    end[::3] = unit_vectors(40, seed=5)
    found, inlier = robust_rotation(start, end, 1e-3)
    np.testing.assert_allclose(found, rotation, atol=1e-9)
    assert inlier.sum() >= 80


def test_a_turn_and_its_focal_are_found():
    turn = np.linspace(0, 0.5, 12)
    found = solve_rotation(
        turning_flow(turn, np.full(12, 520.0)), np.array([320.0, 180.0]), focal=640, focal_known=False, limit=1.0
    )
    assert abs(found.cameras.focal[0] / 520 - 1) < 2e-3 and found.zoom < 1.001
    relative = found.cameras.rotation[-1] @ found.cameras.rotation[0].T
    assert abs(np.degrees(np.arctan2(relative[0, 2], relative[2, 2])) - np.degrees(turn[-1])) < 0.1


def test_a_turn_is_found_behind_slow_movers_that_hold_most_of_the_points():
    turn = np.linspace(0, 0.4, 16)
    flow = turning_flow(turn, np.full(16, 520.0))
    for group, way in enumerate(([0.54, 0.18], [0.66, -0.24], [0.3, 0.36])):
        flow.xy[:, 30 * group : 30 * group + 30] += np.arange(16)[:, None, None] * way
    found = solve_rotation(flow, np.array([320.0, 180.0]), focal=520, focal_known=True, limit=1.0)
    relative = found.cameras.rotation[-1] @ found.cameras.rotation[0].T
    assert abs(np.degrees(np.arctan2(relative[0, 2], relative[2, 2])) - np.degrees(turn[-1])) < 0.05


def test_a_zoom_is_found():
    focal = 500 * np.linspace(1, 1.4, 12)
    flow = turning_flow(np.linspace(0, 0.05, 12), focal)
    np.testing.assert_allclose(zoom_ratios(flow), focal / 500, rtol=0.02)
    found = solve_rotation(flow, np.array([320.0, 180.0]), focal=500, focal_known=True, limit=1.0)
    np.testing.assert_allclose(found.cameras.focal / found.cameras.focal[0], focal / 500, rtol=5e-3)


def test_a_point_of_a_single_frame_is_not_taken_to_stand():
    flow = turning_flow(np.zeros(3), np.full(3, 500.0))
    flow.seen[:] = True
    flow.seen[:, 0], flow.seen[1:, 1], flow.seen[2:, 2] = False, False, False
    still = Cameras(np.tile(np.eye(3), (3, 1, 1)), np.zeros((3, 3)), np.full(3, 500.0), np.array([320.0, 180.0]))
    lifted = lift_turning(flow, still, None, limit=1.0, height=360)
    assert not lifted.kept[:2].any() and lifted.kept[2:].all() and not lifted.moving.any()
    picture = PixelTracks(flow.xy[:1], np.ones_like(flow.seen[:1]))
    assert lift_turning(picture, still.select(np.array([0])), None, limit=1.0, height=360).kept.all()


def test_triangulation_is_exact():
    cameras, cloud, seen = views()
    np.testing.assert_allclose(triangulate(cameras, seen, len(cloud)), cloud, atol=1e-6)
    refined = refine_points(cameras, cloud + 0.02, seen, rounds=8)
    np.testing.assert_allclose(refined.points, cloud, atol=1e-4)
    assert refined.worst.max() < 0.01 and (refined.views == 5).all()


def test_depth_deviation_falls_with_the_baseline():
    cameras, cloud, seen = views()
    wide = refine_points(cameras, cloud, seen).depth_deviation
    close = Cameras(cameras.rotation, 0.1 * cameras.translation, cameras.focal, cameras.center)
    seen_close = Observations(seen.camera, seen.point, seen.xy + residuals(close, cloud, seen)[0])
    assert (refine_points(close, cloud, seen_close).depth_deviation > 3 * wide).all()


def test_poses_are_refined_against_fixed_points():
    cameras, cloud, seen = views()
    bent = Cameras(
        rotation_from_vector(np.full((5, 3), 0.01)) @ cameras.rotation,
        cameras.translation + 0.03,
        cameras.focal,
        cameras.center,
    )
    found = refine_poses(bent, cloud, seen, rounds=15)
    np.testing.assert_allclose(found.rotation, cameras.rotation, atol=1e-5)
    np.testing.assert_allclose(found.translation, cameras.translation, atol=1e-4)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.4, 0.15), (2.5, -0.2)])
def test_scale_and_shift_are_recovered_through_noise_and_outliers(scale: float, shift: float):
    random = np.random.default_rng(0)
    measured = random.uniform(0.3, 1.5, 200)
    expected = scale * measured + shift
    expected, measured = expected[expected > 0.05], measured[expected > 0.05]
    found = fit_inverse_depth(measured, expected)
    np.testing.assert_allclose(found, (scale, shift), atol=1e-6)
    noisy = measured * (1 + 0.03 * random.standard_normal(len(measured)))
    noisy[::4] = random.uniform(0.3, 1.5, len(noisy[::4]))
    a, b = fit_inverse_depth(noisy, expected)
    np.testing.assert_allclose(a * measured + b, expected, rtol=0.08, atol=0.02)


def test_flat_anchors_give_a_scale_alone():
    assert fit_inverse_depth(np.full(50, 0.5), np.full(50, 2.0)) == (4.0, 0.0)


def test_frames_without_anchors_take_their_neighbours_fit():
    measured = np.random.default_rng(0).uniform(0.3, 1.5, (5, 60))
    expected = 2 * measured
    expected[2] = np.nan
    alignment = align_to_points(measured, expected)
    np.testing.assert_allclose(alignment.scale, 2, atol=1e-6)
    np.testing.assert_allclose(alignment.inverse(measured), 2 * measured, atol=1e-5)


def test_maps_of_a_standing_camera_are_brought_to_agree():
    truth = np.random.default_rng(0).uniform(0.3, 1.5, 80)
    scale, shift = np.array([1.0, 0.5, 2.0]), np.array([0.0, 0.1, -0.1])
    measured = (truth - shift[:, None]) / scale[:, None]
    alignment, inverse = align_to_each_other(measured, np.ones((3, 80)), np.ones(80, bool))
    spread = alignment.inverse(measured)
    np.testing.assert_allclose(spread, np.broadcast_to(spread[:1], spread.shape), rtol=0.05)
    assert np.isfinite(inverse).all()


def test_depth_is_sampled_at_any_resolution_and_unknown_stays_unknown():
    depth = np.array([[[1.0, 2.0], [np.inf, -1.0]]])
    xy = np.array([[[10.0, 10.0], [90.0, 10.0], [10.0, 90.0], [90.0, 90.0]]])
    np.testing.assert_allclose(
        sample_inverse_depth(depth, xy, np.ones((1, 4), bool), 100, 100), [[1, 0.5, np.nan, np.nan]]
    )


def test_the_ramp_is_nearer_towards_the_bottom():
    ramp = ramp_inverse_depth(np.linspace(0, 100, 11), 100)
    assert (np.diff(ramp) >= 0).all() and ramp[0] > 0 and ramp[-1] == 1


def test_smoothing_fills_gaps_and_keeps_constants():
    inverse = np.full((9, 2), 0.5)
    inverse[3, 0] = np.nan
    known = np.ones((9, 2), bool)
    np.testing.assert_allclose(smoothed(inverse, known), 0.5)


def test_a_lost_mover_goes_on_with_its_neighbours():
    t = np.arange(6.0)
    path = np.zeros((6, 4, 3))
    path[:, :, 0] = 0.1 * t[:, None]
    path[:, :, 2] = 5
    life = np.ones((6, 4), bool)
    life[3:, 0] = life[:2, 0] = False
    wrong = path.copy()
    wrong[~life] = 99
    np.testing.assert_allclose(carried(wrong, life), path, atol=1e-9)


def test_a_robust_mean_is_the_mean_of_noise_and_forgets_what_lies_far_off():
    values = np.random.default_rng(0).normal(2.0, 0.1, (40, 300))
    assert np.abs(robust_mean(values) - values.mean(0)).max() < 0.02
    values[0], values[1, 5] = 50.0, np.nan
    assert np.abs(robust_mean(values) - 2.0).max() < 0.1
    assert np.isnan(robust_mean(np.full((3, 2), np.nan))).all()


def test_a_fine_depth_map_is_read_by_the_median_around_a_point_and_a_coarse_one_at_its_pixel():
    xy, seen = np.array([[[4.5, 4.5]]]), np.ones((1, 1), bool)
    fine = np.full((1, 9, 9), 2.0)
    fine[0, 4, 4] = 100.0
    assert sample_inverse_depth(fine, xy, seen, 9, 9)[0, 0] == 0.5
    coarse = np.array([[[1.0, 1.0, 1.0], [1.0, 4.0, 1.0], [1.0, 1.0, 1.0]]])
    assert sample_inverse_depth(coarse, xy, seen, 9, 9)[0, 0] == 0.25
