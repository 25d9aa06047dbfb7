"""What a path is like: larger, mirrored, shaken, smoothed, stood still, with another lens. All keep the length."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..easing import EASES, eased
from ..path import CameraPath, checked_scene_scale
from ..rotations import (
    matrix_from_axis_angle,
    matrix_from_quaternion,
    quaternion_from_matrix,
    rigid,
    rigid_inverse,
    slerp,
    transform_from_twist,
    twist_from_transform,
)
from .operation import choice, curve, number, operation, switch, whole

WAVES = 6  # sines that make up one axis of the hand's movement


@operation(
    "Make the move larger, smaller or turn it round.",
    on_move=True,
    amount=number(-20, 20, "1 is the move itself, 0 none, negative the other way"),
)
def scale(path: CameraPath, *, amount: float = 1.0) -> CameraPath:
    """Every step from frame to frame becomes `amount` of its way: half an orbit stays on the same circle.

    A step is a turn and a shift at constant speed in the camera's own axes (a twist), so straight moves stay straight
    and round ones keep their radius. The focal length's change is taken to the same power. 0 holds the first frame.
    """
    if amount == 1:
        return path
    poses = path.world_from_camera
    steps = transform_from_twist(amount * twist_from_transform(rigid_inverse(poses[:-1]) @ poses[1:]))
    scaled = [poses[0]]
    for step in steps:
        scaled.append(scaled[-1] @ step)
    first = path.intrinsics[0]
    intrinsics = first + amount * (path.intrinsics - first)
    for axis in (0, 1):
        focal = path.intrinsics[:, axis, axis]
        intrinsics[:, axis, axis] = focal[0] * (focal / focal[0]) ** amount
    return replace(path, world_from_camera=torch.stack(scaled), intrinsics=intrinsics)


@operation("Swap left and right.", on_move=True)
def mirror(path: CameraPath) -> CameraPath:
    """The movement as a mirror would show it, in the axes of the path's first camera; twice is the path itself."""
    flip = torch.diag(torch.tensor([-1.0, 1.0, 1.0, 1.0], dtype=torch.float64, device=path.device))
    first = path.world_from_camera[0]
    poses = first @ (flip @ (rigid_inverse(first) @ path.world_from_camera) @ flip)
    poses[0] = first
    return replace(path, world_from_camera=poses)


@operation(
    "Shake the camera gently, as a hand holds it.",
    seed=whole(0, 2**31 - 1, "another number is another hand"),
    amount=number(0, 10, "0 is a tripod"),
    degrees=number(0, 30, "most turn about each axis at amount 1", "degrees"),
    shift=number(0, 1, "most shift along each axis at amount 1", "scene scales"),
    frequency=number(0.05, 10, "fastest sway", "a second"),
)
def handheld(
    path: CameraPath,
    *,
    scene_scale: float,
    seed: int = 0,
    amount: float = 1.0,
    degrees: float = 0.4,
    shift: float = 0.006,
    frequency: float = 1.5,
) -> CameraPath:
    """The path with smooth noise in the camera's own axes: six sums of sines, never above the stated amplitudes.

    The numbers come from Python's Mersenne Twister and are the same on every machine. Roll gets half the degrees.
    """
    reach = checked_scene_scale(scene_scale)
    if amount == 0:
        return path
    seconds = torch.arange(len(path), dtype=torch.float64) / path.fps
    source = random.Random(int(seed))
    sway = torch.stack([_sway(seconds, source, frequency) for _ in range(6)], dim=-1).to(path.device)
    turn = torch.tensor([1.0, 1.0, 0.5], dtype=torch.float64, device=path.device) * math.radians(degrees)
    step = rigid(matrix_from_axis_angle(amount * turn * sway[:, :3]), amount * shift * reach * sway[:, 3:])
    return replace(path, world_from_camera=path.world_from_camera @ step)


def _sway(seconds: Tensor, source: random.Random, frequency: float) -> Tensor:
    """Smooth noise `[T]` within -1..1: slow waves are tall, fast ones low, as of a hand."""
    total, most = torch.zeros_like(seconds), 0.0
    for wave in range(WAVES):
        pace = frequency * (wave + source.random()) / WAVES
        height = 1 / (wave + 1)
        total += height * torch.sin(2 * torch.pi * (pace * seconds + source.random()))
        most += height
    return total / most


@operation(
    "Take the shake out of the movement.",
    seconds=number(0, 60, "length of the time over which it is averaged", "seconds"),
    amount=number(0, 1, "0 leaves the path, 1 gives the smooth one"),
    turns=switch("smooth where the camera looks"),
    positions=switch("smooth where the camera stands"),
)
def smooth(
    path: CameraPath, *, seconds: float = 0.5, amount: float = 1.0, turns: bool = True, positions: bool = True
) -> CameraPath:
    """A Gaussian mean over time; `seconds` is its full width at half height. The first and last frame stay exactly.

    Beyond its ends the path goes on as its own reflection, so steady movement is not slowed down there.
    """
    sigma = seconds * path.fps / (2 * math.sqrt(2 * math.log(2)))
    if amount == 0 or sigma < 1e-3 or len(path) < 3 or not (turns or positions):
        return path
    poses = path.world_from_camera.clone()
    if positions:
        steady = _mean_over_time(path.world_from_camera[:, :3, 3], sigma, _reflected_points)
        poses[:, :3, 3] = torch.lerp(path.world_from_camera[:, :3, 3], steady, amount)
    if turns:
        quaternions = _continuous(quaternion_from_matrix(path.world_from_camera[:, :3, :3]))
        steady = matrix_from_quaternion(_mean_over_time(quaternions, sigma, _reflected_turns))
        share = torch.full((len(path),), float(amount), dtype=torch.float64, device=path.device)
        poses[:, :3, :3] = slerp(path.world_from_camera[:, :3, :3], steady, share)
    poses[[0, -1]] = path.world_from_camera[[0, -1]]
    return replace(path, world_from_camera=poses)


def _mean_over_time(values: Tensor, sigma: float, reflected) -> Tensor:
    radius = min(math.ceil(4 * sigma), len(values) - 1)
    longer = torch.cat(
        [
            reflected(values[1 : radius + 1], values[0]).flip(0),
            values,
            reflected(values[-radius - 1 : -1], values[-1]).flip(0),
        ]
    )
    distance = torch.arange(-radius, radius + 1, dtype=torch.float64, device=values.device)
    weights = torch.exp(-0.5 * (distance / sigma) ** 2)
    return torch.einsum("tdk,k->td", longer.unfold(0, 2 * radius + 1, 1), weights / weights.sum())


def _reflected_points(values: Tensor, end: Tensor) -> Tensor:
    return 2 * end - values


def _reflected_turns(values: Tensor, end: Tensor) -> Tensor:
    """end conj(q) end: as far on the other side of `end`; for unit quaternions that is 2 (end . q) end - q."""
    return 2 * (values @ end)[:, None] * end - values


def _continuous(quaternions: Tensor) -> Tensor:
    """The same turns, each with the sign that is nearer to the one before."""
    flips = torch.where((quaternions[1:] * quaternions[:-1]).sum(-1) < 0, -1.0, 1.0).to(torch.float64).cumprod(0)
    return quaternions * torch.cat([torch.ones_like(flips[:1]), flips])[:, None] if len(flips) else quaternions


@operation(
    "Zoom along a curve: factors on the path's own focal length.",
    factors=curve(0.01, 100, "factor at a share of the clip; 2 is twice as near"),
    ease=choice(tuple(EASES), "how the factor goes from one pair to the next"),
)
def focal_keys(
    path: CameraPath, *, factors: Sequence[tuple[float, float]] = ((0, 1), (1, 1)), ease: str = "smooth"
) -> CameraPath:
    """The path through a lens whose focal length is times `factors` (share of the clip, factor), held outside them."""
    if all(factor == 1 for _, factor in factors):
        return path
    last = max(len(path) - 1, 1)
    zoom = torch.ones(len(path), 3, 3, dtype=torch.float64, device=path.device)
    for t in range(len(path)):
        zoom[t, :2, :2] = _factor(factors, t / last, ease)
    return replace(path, intrinsics=path.intrinsics * zoom)


def _factor(factors: Sequence[tuple[float, float]], time: float, ease: str) -> float:
    before = sum(at <= time for at, _ in factors) - 1
    if before < 0:
        return factors[0][1]
    if before == len(factors) - 1:
        return factors[-1][1]
    (start, low), (end, high) = factors[before], factors[before + 1]
    share = eased((time - start) / (end - start), ease)
    return low * (1 - share) + high * share


@operation(
    "Replace a shaky camera by a calm one that goes the same way.",
    seconds=number(0, 60, "length of the time over which the movement is averaged", "seconds"),
    amount=number(0, 1, "0 leaves the camera, 1 gives the calm one"),
    zoom=switch("hold the first frame's lens"),
)
def stabilise(path: CameraPath, *, seconds: float = 2.0, amount: float = 1.0, zoom: bool = False) -> CameraPath:
    """`smooth` over a long time, of turns and positions; the first and last frame stay where they are."""
    calm = smooth(path, seconds=seconds, amount=amount)
    if zoom and amount > 0:
        calm = replace(calm, intrinsics=path.intrinsics.lerp(path.intrinsics[:1], float(amount)))
    return calm


@operation(
    "Put the camera on a tripod: it stands as in one frame of the path all the time.",
    at=number(0, 1, "share of the clip at which it stands there already"),
)
def lock_off(path: CameraPath, *, at: float = 0.0) -> CameraPath:
    """Every frame has the pose and the lens of the frame at that share of the clip."""
    return path.with_frames([round(at * (len(path) - 1))] * len(path))


@operation(
    "Let the camera run up to a moment and stay there.",
    on_move=True,
    at=number(0, 1, "share of the clip after which it stands still"),
)
def freeze(path: CameraPath, *, at: float = 1.0) -> CameraPath:
    """The frames up to that share of the clip as they are, and the one there from then on; 1 changes nothing."""
    stop = round(at * (len(path) - 1))
    if stop == len(path) - 1:
        return path
    return path.with_frames([min(frame, stop) for frame in range(len(path))])
