"""Rotations and rigid transforms: matrix, quaternion, axis-angle, twist, and the shortest way between two rotations.

All functions take any batch shape in front and compute in float64 where nothing else is said. Quaternions are
(w, x, y, z), of unit length, w not below 0. An axis-angle vector points along the axis, its length is the angle in
radians, turning right-handed: about +y (down, in camera axes) a positive angle turns the camera to the right, about +x
upwards. A twist `[..., 6]` is an axis-angle vector and a velocity, both in the moving camera's axes: one turn and one
shift at constant speed, so that half the twist of a step along a circle is a step half as far along the same circle.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SERIES_BELOW = 0.3  # radians; above it the closed forms keep 14 digits, below it five terms of the series do


def matrix_from_quaternion(quaternion: Tensor) -> Tensor:
    """Rotation matrices `[..., 3, 3]` of quaternions `[..., 4]` (w, x, y, z); the length is divided out."""
    q = quaternion.to(torch.float64)
    w, x, y, z = (q / q.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def quaternion_from_matrix(rotation: Tensor) -> Tensor:
    """Unit quaternions `[..., 4]` (w, x, y, z), w >= 0, of rotation matrices `[..., 3, 3]`.

    The outer product of the quaternion with itself is linear in the matrix. Its row with the largest diagonal entry
    is the quaternion times a component of at least one half, so no angle, half a turn included, divides by a small
    number.
    """
    m = rotation.to(torch.float64)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    ww, xx, yy, zz = 1 + m00 + m11 + m22, 1 + m00 - m11 - m22, 1 - m00 + m11 - m22, 1 - m00 - m11 + m22
    rows = ((ww, wx, wy, wz), (wx, xx, xy, xz), (wy, xy, yy, yz), (wz, xz, yz, zz))
    outer = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)
    largest = torch.stack([ww, xx, yy, zz], dim=-1).argmax(dim=-1)
    q = outer.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4)).squeeze(-2)
    q = q / q.norm(dim=-1, keepdim=True)
    return torch.where(q[..., :1] < 0, -q, q)


def matrix_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Rotation matrices `[..., 3, 3]` of axis-angle vectors `[..., 3]` in radians; zero gives the exact identity."""
    v = axis_angle.to(torch.float64)
    half = v.norm(dim=-1, keepdim=True) / 2
    return matrix_from_quaternion(torch.cat([half.cos(), torch.sinc(half / torch.pi) * v / 2], dim=-1))


def rotation_exponential(axis_angle: Tensor) -> Tensor:
    """`matrix_from_axis_angle` in the vectors' own dtype, so that pictures can be made on a device without float64.

    As a matrix exponential it rounds otherwise, and every picture of the scenes holds it to the bit.
    """
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.linalg.matrix_exp(skew)


def axis_angle_from_matrix(rotation: Tensor) -> Tensor:
    """Axis-angle vectors `[..., 3]`, length 0..pi radians, of rotations `[..., 3, 3]`; exact for tiny angles too."""
    q = quaternion_from_matrix(rotation)
    vector, sine = q[..., 1:], q[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, q[..., :1])
    return vector * torch.where(sine > 0, angle / sine.clamp(min=torch.finfo(torch.float64).tiny), 2.0)


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Rotations `[..., 3, 3]` a `share` `[...]` (0..1) of the shortest way from `start` to `end`, both `[..., 3, 3]`.

    The speed of turning is constant. Both ends are met bit for bit.
    """
    start, end, share = start.to(torch.float64), end.to(torch.float64), share.to(torch.float64)
    turn = axis_angle_from_matrix(start.mT @ end)
    between = start @ matrix_from_axis_angle(turn * share[..., None])
    at_start, at_end = (share == 0)[..., None, None], (share == 1)[..., None, None]
    return torch.where(at_start, start, torch.where(at_end, end, between))


def rigid(rotation: Tensor, translation: Tensor) -> Tensor:
    """Rigid transforms `[..., 4, 4]` float64 of rotations `[..., 3, 3]` and translations `[..., 3]`."""
    batch = torch.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1])
    transform = torch.eye(4, dtype=torch.float64, device=rotation.device).expand(*batch, 4, 4).clone()
    transform[..., :3, :3] = rotation
    transform[..., :3, 3] = translation
    return transform


def rigid_inverse(transform: Tensor) -> Tensor:
    """Inverse `[..., 4, 4]` of rigid transforms `[..., 4, 4]`: the rotation transposed, no general matrix inverse."""
    rotation, translation = transform[..., :3, :3], transform[..., :3, 3:]
    inverse = transform.clone()
    inverse[..., :3, :3] = rotation.mT
    inverse[..., :3, 3:] = -rotation.mT @ translation
    return inverse


def transform_from_twist(twist: Tensor) -> Tensor:
    """Rigid transforms `[..., 4, 4]` of twists `[..., 6]`; zero gives the exact identity."""
    turn, velocity = twist[..., :3].to(torch.float64), twist[..., 3:].to(torch.float64)
    angle = turn.norm(dim=-1)
    first = 0.5 * torch.sinc(angle / 2 / torch.pi) ** 2  # (1 - cos) / angle^2
    large = angle.clamp(min=_SERIES_BELOW)
    series = _polynomial(angle**2, (1 / 6, -1 / 120, 1 / 5040, -1 / 362880, 1 / 39916800))
    second = torch.where(angle < _SERIES_BELOW, series, (large - large.sin()) / large**3)
    across = torch.linalg.cross(turn, velocity)
    twice = torch.linalg.cross(turn, across)
    return rigid(matrix_from_axis_angle(turn), velocity + first[..., None] * across + second[..., None] * twice)


def twist_from_transform(transform: Tensor) -> Tensor:
    """Twists `[..., 6]` of rigid transforms `[..., 4, 4]`, turning by at most half a turn."""
    turn, shift = axis_angle_from_matrix(transform[..., :3, :3]), transform[..., :3, 3].to(torch.float64)
    angle = turn.norm(dim=-1)
    large = angle.clamp(min=_SERIES_BELOW)
    series = _polynomial(angle**2, (1 / 12, 1 / 720, 1 / 30240, 1 / 1209600, 1 / 47900160))
    second = torch.where(angle < _SERIES_BELOW, series, (1 - large / 2 / (large / 2).tan()) / large**2)
    across = torch.linalg.cross(turn, shift)
    twice = torch.linalg.cross(turn, across)
    return torch.cat([turn, shift - across / 2 + second[..., None] * twice], dim=-1)


def _polynomial(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    total = torch.zeros_like(x)
    for coefficient in reversed(coefficients):
        total = total * x + coefficient
    return total
