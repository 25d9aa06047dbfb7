"""The plain-float curves and quaternions against scipy, and the laws of their ends."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation, Slerp

from track2view_core.cameras.keyframes import float_geometry as geometry

laws = settings(deadline=None, max_examples=60)
vectors = st.tuples(*[st.floats(-5, 5)] * 3)
shares = st.floats(0, 1)


@st.composite
def quaternions(draw: st.DrawFn) -> geometry.Quaternion:
    parts = draw(st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: geometry.dot(q, q) > 1e-2))
    return geometry.normalised(parts)


def rotation(q: geometry.Quaternion) -> Rotation:
    return Rotation.from_quat([q[1], q[2], q[3], q[0]])


@laws
@given(quaternions(), quaternions())
def test_the_product_is_scipys(a: geometry.Quaternion, b: geometry.Quaternion) -> None:
    oracle = (rotation(a) * rotation(b)).as_matrix()
    np.testing.assert_allclose(rotation(geometry.product(a, b)).as_matrix(), oracle, atol=1e-13)


@laws
@given(quaternions(), quaternions(), shares)
def test_the_great_arc_is_scipys_slerp_where_it_is_the_short_way(a, b, share: float) -> None:
    b = geometry.negated(b) if geometry.dot(a, b) < 0 else b
    found = rotation(geometry.great_arc(a, b, share))
    if geometry.dot(a, b) > 1e-6:  # at half a turn either way is the short one
        oracle = Slerp([0, 1], Rotation.concatenate([rotation(a), rotation(b)]))(share)
        assert (found.inv() * oracle).magnitude() < 1e-7
    for end, q in ((0.0, a), (1.0, b)):
        assert geometry.great_arc(a, b, end) == pytest.approx(q, abs=1e-12)
    assert math.isclose(geometry.dot(*[geometry.great_arc(a, b, share)] * 2), 1, abs_tol=1e-14)


@laws
@given(quaternions())
def test_the_arc_to_the_opposite_quaternion_stays_where_it_is(a: geometry.Quaternion) -> None:
    assert geometry.great_arc(a, geometry.negated(a), 0.5) == pytest.approx(a, abs=1e-12)


@laws
@given(quaternions())
def test_the_exponential_undoes_the_logarithm(q: geometry.Quaternion) -> None:
    q = geometry.negated(q) if q[0] < 0 else q  # keys are given such signs that no relative turn has w below 0
    assert geometry.exponential(geometry.logarithm(q)) == pytest.approx(q, abs=1e-12)


@laws
@given(quaternions(), quaternions(), quaternions(), quaternions())
def test_squad_meets_its_ends(a, b, c, d) -> None:
    b = geometry.negated(b) if geometry.dot(a, b) < 0 else b  # as the keys of a document are prepared
    c = geometry.negated(c) if geometry.dot(b, c) < 0 else c
    d = geometry.negated(d) if geometry.dot(c, d) < 0 else d
    inner_b, inner_c = geometry.inner_quaternion(a, b, c), geometry.inner_quaternion(b, c, d)
    assert geometry.squad(b, c, inner_b, inner_c, 0.0) == pytest.approx(b, abs=1e-12)
    assert geometry.squad(b, c, inner_b, inner_c, 1.0) == pytest.approx(c, abs=1e-12)


def test_squad_through_evenly_turned_keys_turns_evenly() -> None:
    keys = [geometry.rolled(geometry.IDENTITY, 20.0 * k) for k in range(4)]
    inner = [geometry.inner_quaternion(keys[k - 1], keys[k], keys[k + 1]) for k in (1, 2)]
    for share in (0.1, 0.5, 0.9):
        found = geometry.squad(keys[1], keys[2], *inner, share)
        assert found == pytest.approx(geometry.rolled(geometry.IDENTITY, 20 + 20 * share), abs=1e-12)


def barry_goldman(p0, p1, p2, p3, share: float) -> np.ndarray:
    """The textbook pyramid of centripetal Catmull-Rom, an independent way to the same curve."""
    points = [np.array(p, dtype=float) for p in (p0, p1, p2, p3)]
    knots = [0.0]
    for a, b in pairwise(points):
        knots.append(knots[-1] + np.linalg.norm(b - a) ** 0.5)
    t = knots[1] + share * (knots[2] - knots[1])

    def between(a: np.ndarray, b: np.ndarray, first: int, last: int) -> np.ndarray:
        return ((knots[last] - t) * a + (t - knots[first]) * b) / (knots[last] - knots[first])

    a1, a2, a3 = (between(points[k], points[k + 1], k, k + 1) for k in range(3))
    return between(between(a1, a2, 0, 2), between(a2, a3, 1, 3), 1, 2)


@laws
@given(vectors, vectors, vectors, vectors, shares)
def test_the_curve_is_barry_and_goldmans(p0, p1, p2, p3, share: float) -> None:
    steps = [geometry.distance(*pair) for pair in ((p0, p1), (p1, p2), (p2, p3))]
    if min(steps) < 1e-3:
        return
    np.testing.assert_allclose(
        geometry.catmull_rom(p0, p1, p2, p3, share), barry_goldman(p0, p1, p2, p3, share), atol=1e-9
    )


@laws
@given(vectors, vectors, vectors, vectors)
def test_the_curve_meets_its_ends_exactly_and_an_open_one_is_straight(p0, p1, p2, p3) -> None:
    assert geometry.catmull_rom(p0, p1, p2, p3, 0.0) == pytest.approx(p1, abs=1e-14)
    assert geometry.catmull_rom(p0, p1, p2, p3, 1.0) == pytest.approx(p2, abs=1e-14)
    middle = geometry.catmull_rom(None, p1, p2, None, 0.25)
    assert middle == pytest.approx(geometry.blend_vectors(p1, p2, 0.25), abs=1e-9)


def test_a_repeated_point_holds_still_and_counts_as_no_neighbour() -> None:
    a, b = (1.0, 2.0, 3.0), (2.0, 2.0, 3.0)
    assert geometry.catmull_rom((0.0, 0.0, 0.0), a, a, b, 0.4) == pytest.approx(a, abs=1e-15)
    assert geometry.catmull_rom(a, a, b, None, 0.3) == geometry.catmull_rom(None, a, b, None, 0.3)


@laws
@given(vectors, vectors)
def test_aiming_points_z_at_the_target_and_keeps_x_level(position, target) -> None:
    turned = geometry.aim(position, target)
    if geometry.distance(position, target) < 1e-6:
        return
    matrix = rotation(turned).as_matrix()
    forward = np.subtract(target, position) / geometry.distance(position, target)
    np.testing.assert_allclose(matrix[:, 2], forward, atol=1e-9)
    assert abs(matrix[1, 0]) < 1e-12  # x of the camera has no y
    assert matrix[1, 1] > -1e-12  # and its y does not point up


def test_aiming_straight_up_and_down_keeps_x_and_aiming_at_oneself_has_no_answer() -> None:
    here = (1.0, 1.0, 1.0)
    for y in (-3.0, 3.0):
        matrix = rotation(geometry.aim(here, (1.0, 1.0 + y, 1.0))).as_matrix()
        np.testing.assert_allclose(matrix[:, 0], [1, 0, 0], atol=1e-12)
        np.testing.assert_allclose(matrix[:, 2], [0, math.copysign(1, y), 0], atol=1e-12)
    assert geometry.aim(here, here) is None
    assert geometry.aim((0.0, 0.0, 0.0), (0.0, 0.0, 5.0)) == geometry.IDENTITY


def test_an_orbit_begins_in_front_of_its_target_goes_right_and_up() -> None:
    assert geometry.orbit_offset(0.0, 0.0, 2.0) == (0.0, 0.0, -2.0)
    x, y, z = geometry.orbit_offset(0.3, 0.2, 2.0)
    assert x > 0 and y < 0 and -2 < z < 0
    assert math.isclose(math.sqrt(x * x + y * y + z * z), 2.0)


@laws
@given(st.lists(st.tuples(st.floats(0.1, 9), st.floats(-5, 5)), min_size=3, max_size=3))
def test_on_a_line_a_curve_passes_its_points_as_scipys_monotone_one_does(steps: list[tuple[float, float]]) -> None:
    times, values = np.array(steps)[:, 0].cumsum(), np.array(steps)[:, 1]
    (before, after), (one, two) = np.diff(values), np.diff(times)
    arriving, leaving = geometry.passing((before, 0, 0), (after, 0, 0), one, two)
    rate = float(PchipInterpolator(times, values).derivative()(times[1]))
    assert arriving == pytest.approx((rate * one, 0, 0), abs=1e-9)
    assert leaving == pytest.approx((rate * two, 0, 0), abs=1e-9)


@laws
@given(st.floats(-4, 4), st.floats(-1.4, 1.4), st.floats(0.1, 3), vectors)
def test_slopes_around_a_target_are_those_of_the_place(azimuth: float, elevation: float, reach: float, slope) -> None:
    step = 1e-6
    there = geometry.orbit_offset(*(v + step * d for v, d in zip((azimuth, elevation, reach), slope, strict=True)))
    moved = geometry.times(geometry.difference(geometry.orbit_offset(azimuth, elevation, reach), there), 1 / step)
    found = geometry.offset_slope(azimuth, elevation, reach, slope)
    assert found == pytest.approx(moved, abs=1e-3)
    assert geometry.orbit_slope(azimuth, elevation, reach, found) == pytest.approx(slope, abs=1e-9)


@laws
@given(
    st.tuples(st.floats(-0.6, 0.6), st.floats(-0.4, 0.4), st.floats(0.5, 3)),
    st.tuples(st.floats(-2, 2), st.floats(-0.3, 0.3), st.floats(1, 3)),
)
def test_what_is_framed_stays_at_its_pixel_with_a_level_camera(place, toward) -> None:
    turn = rotation(geometry.framed(place, toward))
    local = turn.inv().apply(toward)
    assert local / np.linalg.norm(local) == pytest.approx(place / np.linalg.norm(place), abs=1e-9)
    assert turn.as_matrix()[1, 0] == pytest.approx(0, abs=1e-12)
    ahead = geometry.framed((0, 0, place[2]), toward)
    assert ahead == pytest.approx(geometry.aim((0, 0, 0), toward), abs=1e-12)
    assert geometry.framed(place, place) == pytest.approx(geometry.IDENTITY, abs=1e-12)
