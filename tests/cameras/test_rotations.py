"""Laws of rotations: round trips between the three forms, group laws, and the two ends of a slerp."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from torch import Tensor

from track2view_core.cameras.rotations import (
    axis_angle_from_matrix,
    matrix_from_axis_angle,
    matrix_from_quaternion,
    quaternion_from_matrix,
    rigid,
    rigid_inverse,
    rotation_exponential,
    slerp,
)

laws = settings(deadline=None, max_examples=60)


@st.composite
def axis_angles(draw: st.DrawFn, most: float = math.pi) -> Tensor:
    """Any axis; angles from 1e-12 to `most` radians, as often tiny as large."""
    component = st.floats(-1, 1)
    axis = torch.tensor([draw(component), draw(component), draw(component)], dtype=torch.float64)
    if axis.norm() < 1e-3:
        axis = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    angle = draw(st.one_of(st.floats(0, most), st.floats(-12, 0).map(lambda power: 10.0**power)))
    return axis / axis.norm() * min(angle, most)


@laws
@given(axis_angles())
def test_matrices_agree_with_scipy(axis_angle: Tensor) -> None:
    oracle = Rotation.from_rotvec(axis_angle.numpy()).as_matrix()
    np.testing.assert_allclose(matrix_from_axis_angle(axis_angle).numpy(), oracle, atol=1e-14)
    np.testing.assert_allclose(rotation_exponential(axis_angle).numpy(), oracle, atol=1e-12)
    assert rotation_exponential(axis_angle.float()).dtype == torch.float32


@laws
@given(axis_angles(most=math.pi - 1e-6))
def test_axis_angle_survives_the_matrix(axis_angle: Tensor) -> None:
    there_and_back = axis_angle_from_matrix(matrix_from_axis_angle(axis_angle))
    torch.testing.assert_close(there_and_back, axis_angle, atol=1e-9, rtol=1e-6)


@pytest.mark.parametrize("axis", [[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0.6, 0, -0.8], [-1.0, 0, 0]])
def test_half_a_turn_keeps_its_angle(axis: list[float]) -> None:
    matrix = matrix_from_axis_angle(math.pi * torch.tensor(axis, dtype=torch.float64))
    back = axis_angle_from_matrix(matrix)
    assert math.isclose(float(back.norm()), math.pi, rel_tol=1e-12)
    torch.testing.assert_close(matrix_from_axis_angle(back), matrix, atol=1e-12, rtol=0)


@laws
@given(axis_angles())
def test_quaternions_are_unit_with_a_positive_first_entry_and_survive_the_matrix(axis_angle: Tensor) -> None:
    quaternion = quaternion_from_matrix(matrix_from_axis_angle(axis_angle))
    assert quaternion[0] >= 0
    assert math.isclose(float(quaternion.norm()), 1.0, rel_tol=1e-12)
    matrix = matrix_from_quaternion(quaternion)
    torch.testing.assert_close(matrix, matrix_from_axis_angle(axis_angle), atol=1e-14, rtol=0)
    torch.testing.assert_close(matrix_from_quaternion(-3 * quaternion), matrix, atol=1e-14, rtol=0)


@laws
@given(axis_angles())
def test_matrices_are_rotations_and_the_opposite_vector_is_the_inverse(axis_angle: Tensor) -> None:
    matrix, inverse = matrix_from_axis_angle(axis_angle), matrix_from_axis_angle(-axis_angle)
    torch.testing.assert_close(matrix @ inverse, torch.eye(3, dtype=torch.float64), atol=1e-14, rtol=0)
    assert math.isclose(float(torch.linalg.det(matrix)), 1.0, rel_tol=1e-12)


def test_the_zero_vector_is_the_exact_identity_both_ways() -> None:
    zero = torch.zeros(3, dtype=torch.float64)
    assert torch.equal(matrix_from_axis_angle(zero), torch.eye(3, dtype=torch.float64))
    assert torch.equal(axis_angle_from_matrix(torch.eye(3)), zero)


@laws
@given(axis_angles(), axis_angles())
def test_slerp_meets_both_ends_exactly_and_turns_at_constant_speed(first: Tensor, second: Tensor) -> None:
    start, end = matrix_from_axis_angle(first), matrix_from_axis_angle(second)
    share = torch.linspace(0, 1, 9, dtype=torch.float64)
    way = slerp(start.expand(9, 3, 3), end.expand(9, 3, 3), share)
    assert torch.equal(way[0], start)
    assert torch.equal(way[-1], end)
    whole = axis_angle_from_matrix(start.mT @ end).norm()
    turned = axis_angle_from_matrix(start.mT @ way).norm(dim=-1)
    torch.testing.assert_close(turned, share * whole, atol=1e-7, rtol=0)


@laws
@given(axis_angles(), axis_angles(), st.floats(-1e3, 1e3))
def test_rigid_inverse_undoes_and_reverses_composition(first: Tensor, second: Tensor, x: float) -> None:
    a = rigid(matrix_from_axis_angle(first), torch.tensor([x, 1.0, -2.0], dtype=torch.float64))
    b = rigid(matrix_from_axis_angle(second), torch.tensor([0.5, -x, 3.0], dtype=torch.float64))
    identity = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(a @ rigid_inverse(a), identity, atol=1e-10, rtol=0)
    torch.testing.assert_close(rigid_inverse(a @ b), rigid_inverse(b) @ rigid_inverse(a), atol=1e-9, rtol=0)
    torch.testing.assert_close(rigid_inverse(a), torch.linalg.inv(a), atol=1e-9, rtol=0)


def test_every_function_takes_a_batch() -> None:
    vectors = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    batched = matrix_from_axis_angle(vectors)
    single = torch.stack([torch.stack([matrix_from_axis_angle(v) for v in row]) for row in vectors])
    torch.testing.assert_close(batched, single, atol=1e-15, rtol=0)
    torch.testing.assert_close(axis_angle_from_matrix(batched), vectors, atol=1e-12, rtol=0)
