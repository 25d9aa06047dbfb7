"""Rotations as three turns about axes, taken apart so that no angle, a locked gimbal included, costs digits."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ..rotations import matrix_from_axis_angle

_AXES = {"x": 0, "y": 1, "z": 2}


def turn(axis: str, angles: Tensor) -> Tensor:
    """Rotations `[T, 3, 3]` by `angles` `[T]` radians, right-handed, about the axis x, y or z."""
    vectors = torch.zeros(len(angles), 3, dtype=torch.float64)
    vectors[:, _AXES[axis]] = angles
    return matrix_from_axis_angle(vectors)


def compose(order: str, degrees: Tensor) -> Tensor:
    """Products of three turns `[T, 3, 3]`: "yxz" is turn(y) @ turn(x) @ turn(z), `degrees` `[T, 3]` in that order."""
    angles = torch.deg2rad(degrees.to(torch.float64))
    first, second, third = (turn(axis, angles[:, index]) for index, axis in enumerate(order))
    return first @ second @ third


def decompose(order: str, rotations: Tensor) -> Tensor:
    """Degrees `[T, 3]` with compose(order, degrees) = rotations `[T, 3, 3]`, without jumps from frame to frame.

    Only for three different axes. Each turn is taken off before the next is measured, so what rounding did to the
    first two is made good by the third.
    """
    i, j, k = (_AXES[axis] for axis in order)
    sign = 1.0 if (i, j, k) in ((0, 1, 2), (1, 2, 0), (2, 0, 1)) else -1.0
    first = torch.atan2(-sign * rotations[:, j, k], rotations[:, k, k])
    rest = turn(order[0], first).mT @ rotations
    second = torch.atan2(sign * rest[:, i, k], rest[:, k, k])
    rest = turn(order[1], second).mT @ rest
    third = torch.atan2(sign * rest[:, j, i], rest[:, j, j])
    angles = np.unwrap(torch.stack([first, second, third], dim=-1).numpy(), axis=0)
    return torch.from_numpy(angles) * (180 / math.pi)
