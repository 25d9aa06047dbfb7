"""Tracks that move: which stand after all, which belong together, and how far away their surroundings put them."""

from __future__ import annotations

import numpy as np
import pytest

from track2view_core.tracks.moving_objects import (
    amid_movers,
    contact_inverse_depth,
    growth,
    moving_objects,
    resting_inverse_depth,
    standing_again,
    steady,
)
from track2view_core.tracks.trackers.camera_solver import Cameras, rotation_from_vector

WIDTH, HEIGHT, FRAMES, FOCAL = 832.0, 468.0, 25, 700.0
CENTER = np.array([WIDTH / 2, HEIGHT / 2])
FLOOR = 1.5
"""Camera height over the floor; y is down."""


def travelling() -> Cameras:
    """To the right by 0.6 in all, turning a little."""
    move = np.linspace(0, 1, FRAMES)
    rotation = rotation_from_vector(np.stack([0 * move, 0.1 * move, 0 * move], 1))
    centers = np.stack([0.6 * move, 0.05 * np.sin(9 * move), 0 * move], 1)
    return Cameras(rotation, -np.einsum("tij,tj->ti", rotation, centers), np.full(FRAMES, FOCAL), CENTER)


def pixels(cameras: Cameras, points: np.ndarray) -> np.ndarray:
    """[T, N, 2] of world points [N, 3] or [T, N, 3]."""
    world = np.broadcast_to(points, (len(cameras), *points.shape[-2:]))
    local = np.einsum("tij,tnj->tni", cameras.rotation, world) + cameras.translation[:, None]
    return FOCAL * local[..., :2] / local[..., 2:] + CENTER


def test_what_one_fixed_point_explains_stands_again() -> None:
    random = np.random.default_rng(0)
    cameras = travelling()
    near = random.uniform([-1, -1, 2], [1, 1, 6], (40, 3))
    far = random.uniform([-1, -1, 2], [1, 1, 6], (20, 3)) * 1e5
    leaving = near[:20] + np.linspace(0, 1, FRAMES)[:, None, None] * [0.0, 0.4, 0.0]
    xy = np.concatenate([pixels(cameras, points) for points in (near, far, leaving)], 1)
    slips = random.random(xy.shape[:2]) < 0.12  # a window that caught on something else
    slips[:, 60:] = False
    xy = xy + np.where(slips[..., None], 15.0, 0.2) * random.standard_normal(xy.shape)
    seen = np.ones(xy.shape[:2], bool)
    seen[:9, ::3] = False
    seen[4:, 5] = False
    found = standing_again(xy, seen, cameras, typical=4.0, limit=1.0)
    assert found.stands[:60].mean() > 0.9 and not found.stands[60:].any()
    assert not found.stands[5] and np.isinf(found.error[5]), "four frames tell nothing"
    told = found.points[:40][found.stands[:40]]
    np.testing.assert_allclose(told[:, 2], near[found.stands[:40], 2], rtol=0.06)
    assert (np.linalg.norm(found.points[40:60][found.stands[40:60]], axis=1) > 100).all()


def test_tracks_that_move_alike_are_one_object_and_lone_ones_none() -> None:
    random = np.random.default_rng(0)
    still = random.uniform([0, 0], [WIDTH, HEIGHT], (200, 2))
    one, other = random.uniform([300, 200], [400, 300], (30, 2)), random.uniform([360, 200], [460, 300], (20, 2))
    lone = random.uniform([0, 0], [WIDTH, HEIGHT], (6, 2))
    t = np.arange(FRAMES)[:, None, None]
    pan = t * np.array([2.0, 0.0])  # the whole picture
    wild = 40 * np.sin(t * random.uniform(0.1, 0.4, (6, 2)))
    xy = np.concatenate([still + pan, one + pan + t * [3.0, 0], other + pan - t * [3.0, 0], lone + pan + wild], 1)
    seen = np.ones(xy.shape[:2], bool)
    seen[10:, 200:210] = seen[:8, 210:220] = False  # nobody lives from one end to the other
    moving = np.arange(256) >= 200
    labels = moving_objects(xy, seen, moving, WIDTH)
    assert (labels[:200] == -1).all() and (labels[250:] == -1).all()
    assert len(set(labels[200:230])) == len(set(labels[230:250])) == 1
    assert {labels[200], labels[230]} == {0, 1}
    assert (moving_objects(xy[:1], seen[:1], moving, WIDTH) == -1).all(), "a picture shows no motion"


def test_a_standing_track_among_movers_is_not_believed() -> None:
    random = np.random.default_rng(0)
    xy = np.concatenate([random.uniform(0, 400, (100, 2)), random.uniform(180, 220, (40, 2)), [[200.0, 200.0]]])
    xy = np.broadcast_to(xy, (5, 141, 2))
    moving = (np.arange(141) >= 100) & (np.arange(141) < 140)
    told = amid_movers(xy, np.ones((5, 141), bool), moving)
    assert told[140] and told[:100].mean() < 0.1 and not told[moving].any()


def room() -> tuple[np.ndarray, np.ndarray]:
    """Places in a picture of a floor before a wall 12 away, and their inverse depth."""
    random = np.random.default_rng(1)
    xy = random.uniform([0, 0], [WIDTH, HEIGHT], (600, 2))
    floor = (xy[:, 1] - CENTER[1]) / (FOCAL * FLOOR)
    return xy, np.maximum(floor, 1 / 12)


def box(depth: float, high: float = 1.7, wide: float = 0.7) -> np.ndarray:
    """Places [200, 2] in the picture of an upright thing on the floor, right of the middle."""
    random = np.random.default_rng(2)
    across = random.uniform([0.3, FLOOR - high], [0.3 + wide, FLOOR], (200, 2))
    return FOCAL * across / depth + CENTER


@pytest.mark.parametrize("depth", [5.0, 6.5, 9.0])
def test_an_object_is_as_far_as_the_floor_that_it_stands_on(depth: float) -> None:
    xy, inverse = room()
    thing = box(depth)
    hidden = (xy > thing.min(0)).all(1) & (xy < thing.max(0)).all(1)
    told = contact_inverse_depth(thing, xy[~hidden], inverse[~hidden], WIDTH, HEIGHT)
    assert told * depth == pytest.approx(1, abs=0.05)


def test_cut_feet_are_looked_for_below_the_picture() -> None:
    xy, inverse = room()
    thing = box(3.0)
    thing = thing[thing[:, 1] < HEIGHT]
    told = contact_inverse_depth(thing, xy, inverse, WIDTH, HEIGHT)
    lowest = inverse.max()
    assert 1.05 * lowest < told < 2.0 * lowest, "nearer than all that is seen of the floor"
    assert told * 3.0 == pytest.approx(1, abs=0.25)
    assert np.isnan(contact_inverse_depth(thing, xy[:3], inverse[:3], WIDTH, HEIGHT))


def test_a_rigid_thing_grows_as_its_inverse_depth() -> None:
    random = np.random.default_rng(0)
    inverse = np.linspace(0.1, 0.3, FRAMES)
    shape = random.uniform([-0.5, -1], [0.5, 1], (40, 2))
    turn = np.cos(np.linspace(0, 1.2, FRAMES))[:, None]  # about the vertical: only its width changes
    xy = FOCAL * inverse[:, None, None] * np.stack([shape[:, 0] * turn, shape[:, 1] + 0 * turn], 2)
    xy = xy + 0.1 * random.standard_normal(xy.shape)
    seen = random.random((FRAMES, 40)) < 0.9
    seen[:8, :15] = seen[16:, 15:30] = False
    grown = growth(xy, seen)
    np.testing.assert_allclose(np.exp(grown), inverse / inverse[0], rtol=0.05)
    told = inverse * np.exp(0.2 * random.standard_normal(FRAMES))
    told[5:9] = np.nan
    along = steady(told, grown)
    assert np.abs(along / inverse - 1).max() < 0.15 < np.abs(np.log(told / inverse))[~np.isnan(told)].max()
    assert np.abs(np.diff(np.log(along / inverse))).max() < 0.02
    with pytest.raises(ValueError, match="no frame"):
        steady(np.full(FRAMES, np.nan))


def test_all_tracks_of_an_object_get_one_depth_a_frame_also_those_that_go_with_it() -> None:
    xy, inverse = room()
    depth = np.linspace(8.0, 5.5, FRAMES)
    thing = np.stack([box(z)[:30] for z in depth])
    stray = thing[:, :1] + [4.0, 0]
    seen = np.ones((FRAMES, 631), bool)
    seen[4:, 630] = False  # too short to be joined to anything
    everything = np.concatenate([np.broadcast_to(xy, (FRAMES, 600, 2)), thing, stray], 1)
    known = np.concatenate([np.broadcast_to(inverse, (FRAMES, 600)), np.full((FRAMES, 31), np.nan)], 1)
    moving = np.arange(631) >= 600
    told = resting_inverse_depth(everything, seen, moving, known, WIDTH, HEIGHT)
    assert np.isnan(told[:, :600]).all() and np.isnan(told[4:, 630]).all()
    assert (told[:, 600:630] == told[:, 600:601]).all() and (told[:4, 630] == told[:4, 600]).all()
    assert np.abs(told[:, 600] * depth - 1).max() < 0.1
