"""Points between known cameras: exact on exact data, how well their depth is known, and movers carried on."""

from __future__ import annotations

import numpy as np

from track2view_core.tracks.trackers.camera_solver import (
    Cameras,
    Observations,
    residuals,
    rotation_from_vector,
)
from track2view_core.tracks.trackers.flow import PixelTracks
from track2view_core.tracks.trackers.triangulation import carried, lift_turning, refine_points, triangulate


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


def test_a_point_of_a_single_frame_is_not_taken_to_stand():
    start = np.random.default_rng(0).uniform([-30, 0], [670, 380], (150, 2))
    flow = PixelTracks(np.repeat(start[None], 3, 0), np.ones((3, 150), bool))
    flow.seen[:, 0], flow.seen[1:, 1], flow.seen[2:, 2] = False, False, False
    still = Cameras(np.tile(np.eye(3), (3, 1, 1)), np.zeros((3, 3)), np.full(3, 500.0), np.array([320.0, 180.0]))
    lifted = lift_turning(flow, still, None, limit=1.0)
    assert not lifted.kept[:2].any() and lifted.kept[2:].all() and not lifted.moving.any()
    picture = PixelTracks(flow.xy[:1], np.ones_like(flow.seen[:1]))
    assert lift_turning(picture, still.select(np.array([0])), None, limit=1.0).kept.all()


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
