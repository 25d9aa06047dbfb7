"""Points between known cameras: exact on exact data, how well their depth is known, and movers carried on."""

from __future__ import annotations

import numpy as np
import pytest

from track2view_core.tracks.trackers.camera_solver import (
    Cameras,
    Observations,
    residuals,
    rotation_from_vector,
)
from track2view_core.tracks.trackers.flow import PixelTracks
from track2view_core.tracks.trackers.triangulation import (
    BACKDROP,
    BY_CONTACT,
    ON_BACKDROP,
    carried,
    lift_travelling,
    lift_turning,
    refine_points,
    triangulate,
)


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


def turning(frames: int = 12) -> Cameras:
    angle = np.linspace(0, 0.3, frames)
    rotation = rotation_from_vector(np.stack([0 * angle, angle, 0 * angle], 1))
    return Cameras(rotation, np.zeros((frames, 3)), np.full(frames, 500.0), np.array([320.0, 180.0]))


def test_around_a_camera_that_turns_there_is_a_sphere_and_movers_stand_upright_before_it():
    random, cameras = np.random.default_rng(0), turning()
    world = np.concatenate(
        [random.uniform([-2, -1, 4], [3, 1, 9], (80, 3)), random.uniform([1, -1, 5], [2, 1, 5], (30, 3))]
    )
    points = np.broadcast_to(world, (12, 110, 3)).copy()
    points[:, 80:, 1] += 0.15 * np.arange(12)[:, None]
    local = np.einsum("tij,tnj->tni", cameras.rotation, points)
    flow = PixelTracks(500 * local[..., :2] / local[..., 2:] + cameras.center, np.ones((12, 110), bool))
    lifted = lift_turning(flow, cameras, None, limit=1.0)
    assert lifted.moving[80:].all() and not lifted.moving[:80].any() and (lifted.assumed == ON_BACKDROP).all()
    np.testing.assert_allclose(np.linalg.norm(lifted.positions[:, :80], axis=2), 1 / BACKDROP)
    depth = np.einsum("tj,tnj->tn", cameras.rotation[:, 2], lifted.positions[:, 80:])
    one = np.isclose(depth, np.median(depth, axis=1, keepdims=True), atol=1e-9)
    assert one.mean() > 0.9, "but for tracks far from all others"
    assert (depth < 1).all() and (depth > 0.7).all()


def test_before_a_travelling_camera_slips_do_not_make_a_mover_and_movers_rest_on_the_floor():
    random, frames = np.random.default_rng(0), 20
    centers = np.stack([np.linspace(0, 0.8, frames), 0.05 * np.sin(np.arange(frames)), np.zeros(frames)], 1)
    cameras = Cameras(np.tile(np.eye(3), (frames, 1, 1)), -centers, np.full(frames, 500.0), np.array([320.0, 180.0]))
    floor, wall = (
        random.uniform([-3, 1.5, 3.8], [4, 1.5, 9], (250, 3)),
        random.uniform([-6, -3, 9], [7, 1.5, 9], (250, 3)),
    )
    board = random.uniform([0, -0.2, 6], [0.8, 1.5, 6], (40, 3))
    points = np.broadcast_to(np.concatenate([floor, wall, board]), (frames, 540, 3)).copy()
    points[:, 500:, 0] -= 0.04 * np.arange(frames)[:, None]
    local = points - centers[:, None]
    xy = 500 * local[..., :2] / local[..., 2:] + cameras.center
    xy[4::9, :30] += 12.0  # a window that slips twice
    flow = PixelTracks(xy, np.ones((frames, 540), bool))
    lifted = lift_travelling(flow, cameras, np.ones(frames, bool), None, limit=1.0)
    assert not lifted.moving[:500].any() and lifted.kept[:30].mean() > 0.9
    np.testing.assert_allclose(lifted.positions[0, :30], floor[:30], atol=0.15)
    moves = np.flatnonzero(lifted.moving[500:]) + 500
    assert len(moves) > 30 and (lifted.assumed[moves] == BY_CONTACT).all() and not lifted.assumed[:500].any()
    depth = lifted.positions[:, moves, 2]
    assert np.ptp(depth, axis=1).max() < 1e-6 and np.abs(depth / 6 - 1).max() < 0.1


def strayed(flow: PixelTracks, by: float) -> PixelTracks:
    """The first tracks walk off their places, each on a way of its own."""
    random, frames = np.random.default_rng(1), len(flow.xy)
    way = random.standard_normal((1, 8, 2)) * np.linspace(-1, 1, frames)[:, None, None] ** 3
    xy = flow.xy.copy()
    xy[:, :8] += by * way / np.sqrt((way**2).sum(2).mean(0))[None, :, None]
    return PixelTracks(xy, flow.seen)


@pytest.mark.parametrize("travels", [False, True])
def test_a_point_that_moves_with_no_other_is_doubtful_unless_it_moves_far(travels: bool):
    random, frames = np.random.default_rng(0), 16
    points = random.uniform([-3, -1.5, 4], [3, 1.5, 9], (300, 3))
    centers = np.stack([np.linspace(0, 0.8 * travels, frames), *np.zeros((2, frames))], 1)
    cameras = Cameras(np.tile(np.eye(3), (frames, 1, 1)), -centers, np.full(frames, 500.0), np.array([320.0, 180.0]))
    local = points - centers[:, None]
    still = PixelTracks(500 * local[..., :2] / local[..., 2:] + cameras.center, np.ones((frames, 300), bool))

    def lifted(by: float, **options):
        flow = strayed(still, by)
        if travels:
            return lift_travelling(flow, cameras, np.ones(frames, bool), None, limit=1.0, **options)
        return lift_turning(flow, cameras, None, limit=1.0, **options)

    slipped, own, far = lifted(5.0), lifted(5.0, lone_movers=True), lifted(40.0)
    assert not slipped.moving.any() and not slipped.kept[:8].any() and slipped.kept[8:].all()
    assert own.moving[:8].sum() >= 7 and far.moving[:8].sum() >= 7 and not far.moving[8:].any()


def test_depth_is_the_less_certain_the_worse_the_points_fit():
    """By each point's own residual and its rays, and by how many points fit no scene."""
    random, frames = np.random.default_rng(0), 16
    points = random.uniform([-3, -1.5, 4], [3, 1.5, 9], (400, 3))
    centers = np.stack([np.linspace(0, 0.5, frames), *np.zeros((2, frames))], 1)
    cameras = Cameras(np.tile(np.eye(3), (frames, 1, 1)), -centers, np.full(frames, 500.0), np.array([320.0, 180.0]))
    local = points - centers[:, None]
    exact = 500 * local[..., :2] / local[..., 2:] + cameras.center
    drift = (
        random.standard_normal((1, 400, 2)) * np.linspace(0, 1, frames)[:, None, None]
    )  # errors of one track are alike
    seen = np.ones((frames, 400), bool)

    def lifted(xy: np.ndarray):
        return lift_travelling(PixelTracks(xy, seen), cameras, np.ones(frames, bool), None, limit=1.0)

    noise = np.where(np.arange(400) < 200, 0.1, 1.0)[:, None] * drift
    told = lifted(exact + noise)
    assert told.depth_error is not None
    use = told.kept & ~told.moving
    off = np.abs(np.linalg.norm(told.positions[0], axis=1) / np.linalg.norm(points, axis=1) - 1)
    well, badly = told.depth_error[:200], told.depth_error[200:][use[200:]]
    assert np.median(badly) > 3 * np.median(well) and len(badly) > 100
    assert (off < 3 * told.depth_error)[use].mean() > 0.9
    lost = exact + 0.1 * drift
    lost[:, :200] += 6 * random.standard_normal((frames, 200, 2))
    assert lifted(lost).standing_error > 1.7 * lifted(exact + 0.1 * drift).standing_error
