"""A camera that only turns: Kabsch exact on exact data, steady under outliers and movers; a zoom found."""

from __future__ import annotations

import numpy as np

from track2view_core.tracks.trackers.camera_solver import rotation_from_vector
from track2view_core.tracks.trackers.flow import PixelTracks
from track2view_core.tracks.trackers.rotation_solver import kabsch, robust_rotation, solve_rotation, zoom_ratios


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
