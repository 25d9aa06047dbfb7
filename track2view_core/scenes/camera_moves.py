"""Random camera paths for the scenes: source and targets share frame 0; held-out kinds are never trained on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

from ..cameras.rotations import rotation_exponential

Move = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _vectors(like: Tensor, x: Tensor | float = 0.0, y: Tensor | float = 0.0, z: Tensor | float = 0.0) -> Tensor:
    return torch.stack([torch.zeros_like(like) + value for value in (x, y, z)], -1)


def _pan(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _vectors(e, y=0.42 * a * e), _vectors(e)


def _tilt(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _vectors(e, x=0.3 * a * e), _vectors(e)


def _truck(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _vectors(e), _vectors(e, x=1.1 * a * e)


def _pedestal(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _vectors(e), _vectors(e, y=0.7 * a * e)


def _dolly(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _vectors(e), _vectors(e, z=torch.where(a > 0, 1.0, 0.6) * a * e)


def _pan_truck(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _vectors(e, y=0.2 * a * e), _vectors(e, x=0.8 * a * e)


def _arc(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    angle = 0.5 * a * e
    return _vectors(e, y=-angle), _vectors(e, x=d * angle.sin(), z=d * (1 - angle.cos()))


def _spiral(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    angle = 2 * math.pi * e
    circle = _vectors(e, x=0.55 * a * angle.sin(), y=0.24 * a * (1 - angle.cos()), z=0.5 * a.abs() * e)
    return _vectors(e), circle


def _rising_arc(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    angle = 0.4 * a * e
    turn = _vectors(e, y=-angle, z=0.35 * a * e)
    return turn, _vectors(e, x=d * angle.sin(), y=-0.3 * a.abs() * e, z=d * (1 - angle.cos()))


def _zigzag(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    swing = torch.sin(3 * math.pi * e)
    return _vectors(e, x=0.12 * a * e, y=0.2 * a * swing), _vectors(e, x=0.5 * a * swing)


def _static(e: Tensor, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    return _vectors(e), _vectors(e)


# Each move maps progress, signed amplitude and subject distance to (axis-angle, translation) in frame 0's axes.
_MOVES: MappingProxyType[str, Move] = MappingProxyType(
    {
        "static": _static,
        "pan": _pan,
        "tilt": _tilt,
        "truck": _truck,
        "pedestal": _pedestal,
        "dolly": _dolly,
        "arc": _arc,
        "pan_truck": _pan_truck,
        "spiral": _spiral,
        "rising_arc": _rising_arc,
        "zigzag": _zigzag,
    }
)
TRAIN_MOVES = ("pan", "tilt", "truck", "pedestal", "dolly", "arc", "pan_truck")
HELD_OUT_MOVES = ("spiral", "rising_arc", "zigzag")


@dataclass(frozen=True, eq=False)
class ScenePaths:
    """C camera paths through each of B scenes; all start from the same pose at frame 0."""

    world_from_camera: Tensor  # [B, C, T, 4, 4] in the scene's world, OpenCV axes
    intrinsics: Tensor  # [B, 3, 3] pixels
    time: Tensor  # [B, T] scene time, 0..1
    width: int
    height: int
    kinds: tuple[tuple[str, ...], ...]  # [B][C]

    def to(self, device: torch.device | str) -> ScenePaths:
        moved = {name: getattr(self, name).to(device) for name in ("world_from_camera", "intrinsics", "time")}
        return replace(self, **moved)


def move_poses(kind: str, progress: Tensor, amplitude: Tensor, distance: Tensor) -> Tensor:
    """Poses [T, 4, 4] of one move relative to its first camera.

    Args:
        progress: [T] 0..1.
        amplitude: scalar, its sign mirrors the move.
        distance: scalar, to the point that an arc turns around.
    """
    axis_angle, translation = _MOVES[kind](progress, amplitude, distance)
    poses = torch.eye(4).repeat(len(progress), 1, 1)
    poses[:, :3, :3] = rotation_exponential(axis_angle)
    poses[:, :3, 3] = translation
    return poses


def _first_cameras(uniform: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
    """Poses [B, 4, 4] near the back wall looking into the room, and the distance [B] to what they look at."""
    position = torch.stack([uniform(-0.6, 0.6), uniform(-0.4, 0.4), uniform(-2.7, -2.1)], -1)
    subject = torch.stack([uniform(-0.5, 0.5), uniform(-0.3, 0.3), uniform(0.4, 1.2)], -1)
    forward = subject - position
    distance = forward.norm(dim=-1)
    forward = forward / distance[:, None]
    down = torch.tensor([0.0, 1.0, 0.0]).expand_as(forward)
    right = torch.nn.functional.normalize(torch.linalg.cross(down, forward), dim=-1)
    pose = torch.eye(4).repeat(len(position), 1, 1)
    pose[:, :3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], -1)
    pose[:, :3, 3] = position
    return pose, distance


def random_paths(
    scenes: int,
    frames: int,
    *,
    seed: int,
    width: int,
    height: int,
    moves: Sequence[str] = TRAIN_MOVES,
    source_moves: Sequence[str] = ("static", *TRAIN_MOVES),
    targets: int = 1,
) -> ScenePaths:
    """Draw a source path (camera 0, gentler) and `targets` target paths (cameras 1..) for each scene."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(scenes, *shape, generator=generator) * (high - low) + low

    first, distance = _first_cameras(uniform)
    focal = 0.5 * width / torch.tan(torch.deg2rad(uniform(52, 72)) / 2)
    intrinsics = torch.zeros(scenes, 3, 3)
    intrinsics[:, 0, 0] = intrinsics[:, 1, 1] = focal
    intrinsics[:, 0, 2], intrinsics[:, 1, 2], intrinsics[:, 2, 2] = width / 2, height / 2, 1
    time = torch.linspace(0, 1, frames) if frames > 1 else torch.zeros(1)
    poses, kinds = [], []
    for camera in range(1 + targets):
        names = source_moves if camera == 0 else moves
        choice: list[int] = torch.randint(len(names), (scenes,), generator=generator).tolist()
        amplitude = uniform(0.15, 0.6) if camera == 0 else uniform(0.4, 1.0)
        amplitude = amplitude * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
        pace = torch.exp(uniform(-0.4, 0.4))
        relative = [move_poses(names[choice[b]], time ** pace[b], amplitude[b], distance[b]) for b in range(scenes)]
        poses.append(first[:, None] @ torch.stack(relative))
        kinds.append([names[k] for k in choice])
    return ScenePaths(
        torch.stack(poses, 1), intrinsics, time.repeat(scenes, 1), width, height, tuple(zip(*kinds, strict=True))
    )
