"""Rigid steps as twists: one turn and one shift at constant speed, so that a share of a step is a share of its way.

A twist `[..., 6]` is an axis-angle vector in radians and a velocity, both in the moving camera's axes. Half the twist
of a step along a circle is a step half as far along the same circle.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .rotations import axis_angle_from_matrix, matrix_from_axis_angle, rigid

_SERIES_BELOW = 0.3  # radians; above it the closed forms keep 14 digits, below it five terms of the series do


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
