"""Depth maps: read, brought into line with points and with each other; in the camera solve they show what little
parallax leaves open, and deny what moves along."""

from __future__ import annotations

import numpy as np
import pytest

from track2view_core.tracks.trackers.camera_solver import (
    Cameras,
    Observations,
    bundle_adjust,
    residuals,
    rotation_from_vector,
)
from track2view_core.tracks.trackers.depth_maps import (
    align_to_each_other,
    align_to_points,
    denied,
    depth_rows,
    drifts,
    fit_inverse_depth,
    map_misfit,
    map_spread,
    robust_mean,
    sample_inverse_depth,
    smoothed,
    without_shift,
)


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


def test_a_fine_depth_map_is_read_by_the_median_around_a_point_and_a_coarse_one_at_its_pixel():
    xy, seen = np.array([[[4.5, 4.5]]]), np.ones((1, 1), bool)
    fine = np.full((1, 9, 9), 2.0)
    fine[0, 4, 4] = 100.0
    assert sample_inverse_depth(fine, xy, seen, 9, 9)[0, 0] == 0.5
    coarse = np.array([[[1.0, 1.0, 1.0], [1.0, 4.0, 1.0], [1.0, 1.0, 1.0]]])
    assert sample_inverse_depth(coarse, xy, seen, 9, 9)[0, 0] == 0.25


def test_smoothing_fills_gaps_and_keeps_constants():
    inverse = np.full((9, 2), 0.5)
    inverse[3, 0] = np.nan
    known = np.ones((9, 2), bool)
    np.testing.assert_allclose(smoothed(inverse, known), 0.5)


def test_a_robust_mean_is_the_mean_of_noise_and_forgets_what_lies_far_off():
    values = np.random.default_rng(0).normal(2.0, 0.1, (40, 300))
    assert np.abs(robust_mean(values) - values.mean(0)).max() < 0.02
    values[0], values[1, 5] = 50.0, np.nan
    assert np.abs(robust_mean(values) - 2.0).max() < 0.1
    assert np.isnan(robust_mean(np.full((3, 2), np.nan))).all()


def scene(noise: float = 0.0, reach: float = 0.1) -> tuple[Cameras, np.ndarray, Observations, np.ndarray]:
    """Cameras on a short arc, points, what they saw, and inverse depth maps, each at a scale of its own."""
    random = np.random.default_rng(0)
    angle = np.linspace(0, reach, 8)
    rotation = rotation_from_vector(np.stack([0 * angle, angle, 0 * angle], 1))
    centers = np.stack([-5 * np.sin(angle), 0 * angle, 5 - 5 * np.cos(angle)], 1)
    cameras = Cameras(rotation, -np.einsum("cij,cj->ci", rotation, centers), np.full(8, 400.0), np.array([320.0, 240]))
    points = random.uniform([-2, -1.5, 3.5], [2, 1.5, 7], (120, 3))
    seen = Observations.of(np.zeros((8, 120, 2)), np.ones((8, 120), bool))
    error, local = residuals(cameras, points, seen)
    xy = error + noise * random.standard_normal(error.shape)
    inverse = (1 / local[:, 2]).reshape(8, 120) * random.uniform(0.5, 2, (8, 1))
    return cameras, points, Observations(seen.camera, seen.point, xy), inverse


def bent(cameras: Cameras) -> Cameras:
    return Cameras(cameras.rotation, cameras.translation, 1.15 * cameras.focal, cameras.center)


def test_maps_show_the_focal_that_little_parallax_leaves_open():
    truth, points, seen, inverse = scene(noise=0.3, reach=0.03)
    blurred = inverse * (1 + 0.05 * np.random.default_rng(1).standard_normal(inverse.shape))
    alone = bundle_adjust(bent(truth), points, seen, expected_focal=460, iterations=60, tolerance=1e-9)
    cameras, world = bent(truth), points
    for _ in range(3):
        depth = depth_rows(cameras, world, seen, blurred, 0.3)
        joined = bundle_adjust(cameras, world, seen, expected_focal=460, iterations=60, tolerance=1e-9, depth=depth)
        cameras, world = joined.cameras, joined.points
    off = [abs(found.cameras.focal[0] / 400 - 1) for found in (alone, joined)]
    assert off[1] < 0.5 * off[0] and joined.focal_deviation < 0.5 * alone.focal_deviation


def test_exact_maps_and_pixels_are_at_rest_at_the_truth():
    truth, points, seen, inverse = scene()
    found = bundle_adjust(truth, points, seen, depth=depth_rows(truth, points, seen, inverse, 0.1))
    np.testing.assert_allclose(found.points, points, atol=1e-6)
    np.testing.assert_allclose(found.cameras.focal, 400, rtol=1e-6)
    assert map_misfit(truth, points, seen, inverse) < 1e-9 < map_spread(seen, inverse)


def test_a_pure_travel_leaves_the_focal_open_even_with_maps():
    """Sideways stretch and focal cancel: no depth tells them apart, so the uncertainty must say so."""
    truth, points, _, _ = scene()
    steps = np.stack([np.zeros(8), np.zeros(8), np.linspace(0, -1, 8)], 1)
    ahead = Cameras(np.tile(np.eye(3), (8, 1, 1)), steps, truth.focal, truth.center)
    seen = Observations.of(np.zeros((8, 120, 2)), np.ones((8, 120), bool))
    error, local = residuals(ahead, points, seen)
    seen = Observations(seen.camera, seen.point, error + 0.1 * np.random.default_rng(0).standard_normal(error.shape))
    depth = depth_rows(ahead, points, seen, (1 / local[:, 2]).reshape(8, 120), 0.1)
    assert bundle_adjust(ahead, points, seen, expected_focal=400, depth=depth).focal_deviation > 0.06


def test_a_point_that_moves_along_is_denied():
    truth, points, seen, inverse = scene()
    wrong = inverse.copy()
    wrong[:, 7] *= 1.5
    assert np.flatnonzero(denied(truth, points, seen, wrong, np.ones(120, bool))).tolist() == [7]


@pytest.mark.parametrize("travels", [True, False])
def test_maps_of_one_scale_tell_a_travel_towards_a_flat_wall_from_a_zoom(travels: bool):
    _, points, _, _ = scene()
    wall = np.column_stack([points[:, :2], np.full(120, 5.0)])
    steps = np.stack([np.zeros(8), np.zeros(8), np.linspace(0, -1, 8)], 1)
    ahead = Cameras(np.tile(np.eye(3), (8, 1, 1)), steps, np.full(8, 400.0), np.array([320.0, 240]))
    seen = Observations.of(np.zeros((8, 120, 2)), np.ones((8, 120), bool))
    _, local = residuals(ahead, wall, seen)
    maps = 1 / local[:, 2].reshape(8, 120) if travels else np.full((8, 120), 0.2)
    travelling, resting = drifts(ahead, wall, seen, maps)
    assert (travelling < 0.01 < resting) if travels else (resting < 0.01 < travelling)


def test_the_shift_of_relative_maps_is_taken_off_and_other_maps_stay():
    truth, points, seen, inverse = scene()
    relative = inverse + 0.2 * inverse.mean(1, keepdims=True)
    assert (without_shift(truth, points, seen, inverse).shift == 0).all()
    repaired = without_shift(truth, points, seen, relative).inverse(relative)
    assert map_misfit(truth, points, seen, repaired) < 0.1 * map_misfit(truth, points, seen, relative)


def test_a_mover_that_brings_most_anchors_of_some_frames_does_not_bend_the_maps():
    random = np.random.default_rng(0)
    expected = random.uniform(0.2, 0.6, (12, 100))
    measured = expected * (1 + 0.02 * random.standard_normal(expected.shape))
    expected[:4, :70] *= 1.7  # taken for standing, at a wrong depth
    alignment = align_to_points(measured, expected)
    np.testing.assert_allclose(alignment.inverse(measured)[:4, 70:] / expected[:4, 70:], 1, atol=0.12)
