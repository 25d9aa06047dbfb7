"""The solver's derivatives against automatic ones, and its convergence on exact data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from track2view_core.tracks.trackers.camera_solver import (
    Cameras,
    DepthRows,
    Observations,
    _Problem,
    bundle_adjust,
    jacobians,
    refine_poses,
    residuals,
    rotation_from_vector,
    summed,
)


def world(cameras: int = 6, points: int = 40, seed: int = 0) -> tuple[Cameras, np.ndarray, Observations]:
    random = np.random.default_rng(seed)
    turns = rotation_from_vector(0.1 * random.standard_normal((cameras, 3)))
    turns[0] = np.eye(3)
    shift = 0.3 * random.standard_normal((cameras, 3))
    shift[0] = 0
    truth = Cameras(turns, shift, np.full(cameras, 400.0), np.array([320.0, 240.0]))
    cloud = random.uniform([-2, -1.5, 4], [2, 1.5, 8], (points, 3))
    seen = Observations.of(np.zeros((cameras, points, 2)), random.random((cameras, points)) < 0.8)
    error, _ = residuals(truth, cloud, seen)
    return truth, cloud, Observations(seen.camera, seen.point, error)


def test_jacobians_are_those_of_automatic_differentiation():
    cameras, points, seen = world()
    _, local = residuals(cameras, points, seen)
    by_camera, by_point = jacobians(cameras, local, seen.camera)
    for m in range(0, len(seen.camera), 37):
        c, n = seen.camera[m], seen.point[m]
        rotation, shift = torch.from_numpy(cameras.rotation[c]), torch.from_numpy(cameras.translation[c])

        def pixel(step, point, rotation=rotation, shift=shift):
            x, y, z = step[0], step[1], step[2]
            zero = torch.zeros_like(x)
            skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
            turned = torch.linalg.matrix_exp(skew) @ rotation @ point + shift + step[3:6]
            return 400.0 * torch.exp(step[6]) * turned[:2] / turned[2]

        zero = torch.zeros(7, dtype=torch.float64)
        expected = torch.autograd.functional.jacobian(pixel, (zero, torch.from_numpy(points[n])))
        np.testing.assert_allclose(by_camera[..., m], expected[0].numpy(), atol=1e-9)
        np.testing.assert_allclose(by_point[..., m], expected[1].numpy(), atol=1e-9)


@pytest.mark.parametrize("members", [0, 50])
def test_sums_over_groups_are_those_of_a_loop(members: int):
    random = np.random.default_rng(0)
    values, group = random.standard_normal((2, 3, members)), random.integers(0, 6, members)
    expected = np.stack([values[..., group == g].sum(-1) for g in range(7)], -1)
    np.testing.assert_allclose(summed(values, group, 7), expected, atol=1e-12)


@pytest.fixture(params=["pixels", "pixels and maps"])
def linearised(request):
    """A problem with outliers, trust and a prior, perhaps with depth maps; its state and equations."""
    truth, points, seen = world()
    random = np.random.default_rng(3)
    seen = Observations(seen.camera, seen.point, seen.xy + 0.6 * random.standard_normal(seen.xy.shape))
    depth = None
    if request.param != "pixels":
        log_depth = np.log(truth.to_camera(seen.camera, points[seen.point])[:, 2])
        told = random.random(len(log_depth)) < 0.7
        depth = DepthRows(log_depth + 0.03 * random.standard_normal(len(log_depth)), 20.0 * told, 0.5 * told)
    trust = random.uniform(0.5, 1.4, len(seen.xy))
    problem = _Problem(truth, seen, len(points), "shared", True, 0, 380.0, 0.5, depth, trust)
    state = problem.begun(truth, points + 0.01 * random.standard_normal(points.shape))
    return problem, state, problem.linearise(state)


def test_the_gradient_is_that_of_the_cost(linearised):
    problem, state, system = linearised
    size, points = len(system.gradient), system.point_gradient.shape[1]

    def slope(camera_step: np.ndarray, point_step: np.ndarray) -> float:
        ahead, behind = (
            problem.cost(problem.stepped(state, sign * camera_step, sign * point_step)) for sign in (1e-6, -1e-6)
        )
        return (ahead - behind) / 2e-6

    slopes = [slope(direction, np.zeros((points, 3))) for direction in np.eye(size)]
    np.testing.assert_allclose(slopes, system.gradient, rtol=1e-4, atol=1e-3)
    directions = np.eye(3 * points)[:30].reshape(-1, points, 3)
    slopes = [slope(np.zeros(size), direction) for direction in directions]
    np.testing.assert_allclose(slopes, system.point_gradient.T.ravel()[:30], rtol=1e-4, atol=1e-3)


def test_a_step_without_the_points_is_that_of_all_equations_at_once(linearised):
    _, _, system = linearised
    size, points = len(system.gradient), system.point_gradient.shape[1]
    blocks = np.zeros((points, 3, points, 3))
    blocks[np.arange(points), :, np.arange(points)] = system.point_block
    mixed = system.mixed.transpose(0, 2, 1).reshape(size, -1)
    whole = np.block([[system.hessian, mixed], [mixed.T, blocks.reshape(3 * points, -1)]])
    whole += np.diag(0.1 * np.diag(whole) + 1e-9)
    expected = -np.linalg.solve(whole, np.append(system.gradient, system.point_gradient.T))
    camera_step, point_step = system.solve(0.1)
    np.testing.assert_allclose(np.append(camera_step, point_step), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("focal", ["fixed", "shared"])
def test_exact_data_is_recovered_from_a_wrong_start(focal: str):
    truth, points, seen = world()
    random = np.random.default_rng(1)
    bent = Cameras(
        rotation_from_vector(0.01 * random.standard_normal((6, 3))) @ truth.rotation,
        truth.translation + 0.02 * random.standard_normal((6, 3)),
        truth.focal * (1.0 if focal == "fixed" else 1.1),
        truth.center,
    )
    bent.rotation[0], bent.translation[0] = truth.rotation[0], truth.translation[0]
    start = points + 0.05 * random.standard_normal(points.shape)
    found = bundle_adjust(bent, start, seen, focal=focal, iterations=100, tolerance=1e-12)
    assert found.residual.max() < 1e-3
    np.testing.assert_allclose(found.cameras.rotation, truth.rotation, atol=1e-4)
    np.testing.assert_allclose(found.cameras.focal, truth.focal, rtol=1e-3)
    scale = np.linalg.norm(truth.translation) / np.linalg.norm(found.cameras.translation)
    np.testing.assert_allclose(found.points * scale, points, atol=1e-2)


def test_outliers_do_not_pull():
    truth, points, seen = world()
    wrong = seen.xy.copy()
    wrong[::15] += 40
    found = bundle_adjust(truth, points, Observations(seen.camera, seen.point, wrong), focal="shared", iterations=60)
    np.testing.assert_allclose(found.cameras.rotation, truth.rotation, atol=5e-3)


def test_the_held_camera_and_fixed_focal_stay():
    truth, points, seen = world()
    moved = Observations(seen.camera, seen.point, seen.xy + np.random.default_rng(2).standard_normal(seen.xy.shape))
    found = bundle_adjust(truth, points, moved, focal="fixed", held=2)
    assert (found.cameras.rotation[2] == truth.rotation[2]).all() and (found.cameras.focal == 400).all()


def test_a_point_without_trust_does_not_bend_the_cameras():
    truth, points, seen = world()
    spoiled = seen.point < 8
    noise = 5.0 * np.random.default_rng(0).standard_normal(seen.xy.shape)
    seen = Observations(seen.camera, seen.point, seen.xy + noise * spoiled[:, None])
    found = [
        bundle_adjust(truth, points, seen, focal="shared", huber=100.0, trust=np.where(spoiled, low, 1.0))
        for low in (1.0, 1e-3)
    ]
    turned, kept = (np.abs(adjusted.cameras.rotation - truth.rotation).max() for adjusted in found)
    assert kept < 1e-5 < 1e-3 < turned
    assert found[1].residual[~spoiled].max() < 1e-2


def test_poses_are_refined_against_fixed_points():
    cameras, cloud, seen = world()
    bent = Cameras(
        rotation_from_vector(np.full((6, 3), 0.01)) @ cameras.rotation,
        cameras.translation + 0.03,
        cameras.focal,
        cameras.center,
    )
    found = refine_poses(bent, cloud, seen, rounds=15)
    np.testing.assert_allclose(found.rotation, cameras.rotation, atol=1e-5)
    np.testing.assert_allclose(found.translation, cameras.translation, atol=1e-4)


@pytest.mark.parametrize("alike", [True, False])
def test_the_focal_spreads_as_errors_do_that_lean_alike_in_a_part_of_the_picture(alike: bool):
    """Over many solves the found lens scatters as each says of itself, whether parts of the picture err or tracks."""
    off, spread = [], []
    for seed in range(24):
        truth, points, seen = world(points=120, seed=5)
        random = np.random.default_rng(seed)
        cell = (4 * (points[:, 0] + 2) / 4).astype(int) * 4 + (4 * (points[:, 1] + 1.5) / 3).astype(int)
        drift = random.standard_normal((16 if alike else 120, 2))[cell if alike else np.arange(120)]
        bent = seen.xy + 0.4 * drift[seen.point] * seen.camera[:, None]
        found = bundle_adjust(truth, points, Observations(seen.camera, seen.point, bent), iterations=10, huber=1e3)
        off.append(np.log(found.cameras.focal[0] / 400))
        spread.append(found.focal_spread)
    assert 0.6 < np.mean(spread) / np.std(off) < 1.6


def test_points_that_are_not_quite_solved_leave_the_spread_of_the_focal_alone():
    truth, points, seen = world(points=120)
    random = np.random.default_rng(0)
    bent = Observations(seen.camera, seen.point, seen.xy + random.standard_normal(seen.xy.shape))
    found = bundle_adjust(truth, points, bent, iterations=20, tolerance=1e-9, huber=1e3)
    problem = _Problem(truth, bent, len(points), "shared", True, 0, None, 1e3, None, None)
    spreads = []
    for off in (0, 0.01):
        state = problem.begun(found.cameras, found.points + off * random.standard_normal(points.shape))
        spreads.append(problem._last_spread(state, problem.linearise(state), 1.0))
    assert spreads[1] == pytest.approx(spreads[0], rel=0.05)
