"""How well a tracker recovers camera and points, on clips that the project renders itself and so knows exactly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..scenes import random_scenes, render, source_camera
from ..scenes.moves import move_poses
from ..scenes.scene import rotation_from_axis_angle
from ..tracks import PointTracks
from .poses import rotation_error

SHAKE_DEGREES, SHAKE_METRES = 0.4, 0.012


@dataclass(frozen=True, eq=False)
class RenderedClip:
    frames: Tensor  # [T, H, W, 3] uint8
    depth: Tensor  # [T, H, W] true
    camera: CameraPath  # true, world = camera of frame 0


@dataclass(frozen=True)
class TrackerScores:
    """Lengths are compared after one scale factor, which no tracker can know; nan where there is nothing to compare."""

    focal: float  # error of the focal length, as a share of it
    rotation: float  # largest error, degrees
    path: float  # root mean square position error over the path's length
    standing: float  # median relative depth error of visible points called standing
    moving: float  # the same of those called moving
    moving_points: int


def rendered_clip(
    move: str,
    *,
    frames: int,
    width: int,
    height: int,
    seed: int,
    amplitude: float = 0.8,
    texture: str = "detailed",
    dynamic: float = 1.0,
    fov_degrees: float = 62.0,
    supersample: int = 1,
) -> RenderedClip:
    """A clip of one move ("handheld": a shaken pan_truck) through a random scene; the long side sees `fov_degrees`."""
    scene = random_scenes(1, seed=seed, texture=texture, dynamic=dynamic)
    generator = torch.Generator().manual_seed(seed)
    first = torch.eye(4)
    first[:3, 3] = torch.tensor([0.0, 0.0, -2.4]) + 0.3 * (torch.rand(3, generator=generator) - 0.5)
    time = torch.linspace(0, 1, frames) if frames > 1 else torch.zeros(1)
    kind = "pan_truck" if move == "handheld" else move
    relative = move_poses(kind, time, torch.tensor(amplitude), torch.tensor(3.0))
    if move == "handheld":
        relative = relative @ _shake(frames, generator)
    poses = (first @ relative)[None]
    focal = 0.5 * max(width, height) / torch.tan(torch.deg2rad(torch.tensor(fov_degrees)) / 2)
    intrinsics = torch.tensor([[[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]])
    views = [
        render(scene, poses[:, t : t + 1], intrinsics, time[None, t : t + 1], width, height, supersample)
        for t in range(frames)
    ]
    return RenderedClip(
        torch.cat([view.frames() for view in views]),
        torch.cat([view.depth[0] for view in views]),
        source_camera(poses[0], intrinsics[0], width, height, fps=16.0),
    )


def _shake(frames: int, generator: torch.Generator) -> Tensor:
    noise = torch.randn(frames, 6, generator=generator)
    noise = (noise + noise.roll(1, 0) + noise.roll(2, 0)) / 3
    noise = noise - noise[:1]
    poses = torch.eye(4).repeat(frames, 1, 1)
    poses[:, :3, :3] = rotation_from_axis_angle(torch.deg2rad(torch.tensor(SHAKE_DEGREES)) * noise[:, :3])
    poses[:, :3, 3] = SHAKE_METRES * noise[:, 3:]
    return poses


def score_tracks(tracks: PointTracks, clip: RenderedClip) -> TrackerScores:
    """Compares a tracker's result with the truth of the clip it was given."""
    path, truth = tracks.camera, clip.camera
    true_position, position = truth.world_from_camera[:, :3, 3], path.world_from_camera[:, :3, 3]
    length = float((true_position[1:] - true_position[:-1]).norm(dim=-1).sum())
    scale = float((position * true_position).sum() / (position * position).sum().clamp_min(1e-12))
    off = float((scale * position - true_position).square().sum(-1).mean().sqrt())
    view = project(path, tracks.positions)
    row = view.xy[..., 1].long().clamp(0, truth.height - 1)
    column = view.xy[..., 0].long().clamp(0, truth.width - 1)
    ratio = view.depth / clip.depth[torch.arange(len(clip.depth))[:, None], row, column]
    visible = tracks.visible & view.inside
    moving = (tracks.positions - tracks.positions[:1]).abs().amax(dim=(0, 2)) > 1e-6
    standing = ratio[visible & ~moving]
    unit = float(standing.median()) if len(standing) else 1.0
    return TrackerScores(
        focal=float(path.intrinsics[0, 0, 0] / truth.intrinsics[0, 0, 0]) - 1,
        rotation=float(rotation_error(path, truth).max()),
        path=off / length if length > 1e-6 else float("nan"),
        standing=_median_error(standing / unit),
        moving=_median_error(ratio[visible & moving] / unit),
        moving_points=int(moving.sum()),
    )


def _median_error(ratio: Tensor) -> float:
    return float((ratio - 1).abs().median()) if len(ratio) else float("nan")
