"""The travelling camera from exact and noisy pixels, behind movers that hold most of the points."""

from __future__ import annotations

import numpy as np
import pytest

from track2view_core.tracks.trackers.camera_solver import Cameras, rotation_from_vector
from track2view_core.tracks.trackers.flow import PixelTracks
from track2view_core.tracks.trackers.reconstruction import among_movers, focal_doubt, reconstruct

FRAMES, FOCAL, CENTER = 13, 500.0, np.array([320.0, 200.0])


def arc() -> Cameras:
    """A camera on a sixth of a circle about a point at depth 5."""
    turn = np.linspace(0, 1, FRAMES)[:, None] * [0, np.pi / 6, 0]
    rotation = rotation_from_vector(turn)
    pivot = np.array([0, 0, 5.0])
    return Cameras(rotation, pivot - rotation @ pivot, np.full(FRAMES, FOCAL), CENTER)


def seen_by(cameras: Cameras, points: np.ndarray, noise: float = 0.05) -> PixelTracks:
    """Pixels of points [T, N, 3] where they lie in the picture."""
    local = np.einsum("tij,tnj->tni", cameras.rotation, points) + cameras.translation[:, None]
    xy = FOCAL * local[..., :2] / local[..., 2:] + CENTER
    xy += noise * np.random.default_rng(5).standard_normal(xy.shape)
    return PixelTracks(xy, ((xy > 0) & (xy < 2 * CENTER)).all(2) & (local[..., 2] > 0.5))


def standing(count: int) -> np.ndarray:
    room = np.random.default_rng(0).uniform([-3.5, -2, 3], [3.5, 2, 9], (count, 3))
    return np.repeat(room[None], FRAMES, 0)


def moving(count: int) -> np.ndarray:
    """A box of points that turns and goes to the side."""
    box = np.random.default_rng(1).uniform(-0.6, 0.6, (count, 3))
    time = np.linspace(0, 1, FRAMES)[:, None]
    turned = np.einsum("tij,nj->tni", rotation_from_vector(time * [0.2, -0.9, 0]), box)
    return turned + ([-0.5, 0.3, 4.0] + time * [1.2, -0.2, 0.4])[:, None]


def errors(found: Cameras, truth: Cameras) -> tuple[float, float]:
    """Largest error of a rotation in degrees, and of the focal."""
    relative = found.rotation @ found.rotation[0].T @ (truth.rotation @ truth.rotation[0].T).transpose(0, 2, 1)
    cosine = np.clip((np.trace(relative, axis1=1, axis2=2) - 1) / 2, -1, 1)
    return float(np.degrees(np.arccos(cosine)).max()), abs(float(found.focal[0]) / FOCAL - 1)


@pytest.mark.parametrize("movers", [0, 550])
def test_the_scene_is_found_behind_a_mover_with_most_of_the_points(movers: int):
    """The mover's points fit a camera of their own just as well; the scene spans more of the picture."""
    truth = arc()
    flow = seen_by(truth, np.concatenate([standing(400), moving(movers)], 1))
    if movers:
        assert flow.seen[:, 400:].sum() > 0.6 * flow.seen.sum()
    found = reconstruct(flow, CENTER, focal=1.06 * FOCAL, focal_known=False, limit=1.0)
    rotation, focal = errors(found.cameras, truth)
    assert found.registered.all() and rotation < 0.1 and focal < 0.005


def test_a_point_amid_movers_does_not_stand():
    """Half the picture moves; a point on either side that fits the other is outvoted on the mover's side alone."""
    random = np.random.default_rng(0)
    xy = np.repeat(random.uniform(0, 100, (1, 400, 2)), 5, 0)
    mover = xy[0, :, 0] < 50
    fits = mover & (random.random(400) < 0.1)
    deep = fits & (xy[0, :, 0] < 35)
    stands = ~mover | fits
    amid = among_movers(xy, np.ones((5, 400), bool), stands, ~stands)
    assert deep.sum() > 8 and amid[deep].mean() > 0.8
    assert not amid[mover & ~fits].any() and amid[~mover].mean() < 0.02


def test_points_without_company_keep_their_verdict():
    xy, seen, all_stand = np.zeros((3, 4, 2)), np.ones((3, 4), bool), np.ones(4, bool)
    assert not among_movers(xy, seen, all_stand, ~all_stand).any()
    assert not among_movers(np.zeros((3, 0, 2)), np.ones((3, 0), bool), np.ones(0, bool), np.ones(0, bool)).any()


def test_a_lens_that_does_no_better_than_another_is_uncertain():
    """The other lens is 20 % away; a deviation of 1 % promises much gain."""
    promised = 0.5 * (4 * 0.1 * 20) ** 2
    assert focal_doubt(0.01, 0.2, promised, 0.1) == pytest.approx(1)
    assert focal_doubt(0.01, 0.2, promised / 100, 0.1) == pytest.approx(10)
    assert 0.01 * focal_doubt(0.01, 0.2, -1.0, 0.1) > 0.5
    assert focal_doubt(0.01, 0.02, 0.0, 0.1) == 1 and focal_doubt(0.1, 0.05, 0.0, 0.1) == 1
