"""Clips of the renderer with their truth: the sample clip, so that a first try needs no file, and one of any move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..cameras import CameraPath
from ..cameras.rotations import rotation_exponential
from .camera_moves import move_poses, random_paths
from .furnished_room import furnished_room
from .ray_casting import render
from .scene import Scene, Texture, random_scenes
from .surface_points import source_camera

_DEMO_SEED = 7
_SHAKE_DEGREES, _SHAKE_METRES = 0.4, 0.012  # of the handheld camera


@dataclass(frozen=True, eq=False)
class DemoClip:
    frames: Tensor  # [T, H, W, 3] uint8
    fps: Fraction
    camera: CameraPath  # the true path, world = camera of frame 0; of the whole clip
    depth: Tensor  # [T, H, W] float32, true


def demo_clip(
    *, frames: int = 17, width: int = 256, height: int = 256, seed: int = _DEMO_SEED, only: Sequence[int] | None = None
) -> DemoClip:
    """Render the sample clip of moving shapes, or the frames `only` of it; some seconds in all."""
    scene = random_scenes(1, seed=seed, dynamic=1.0)
    paths = random_paths(1, frames, seed=seed, width=width, height=height, source_moves=("truck",))
    source = paths.world_from_camera[:, 0]
    camera = source_camera(source[0], paths.intrinsics[0], width, height, fps=8.0)
    return _demo(scene, source, paths.intrinsics, paths.time, camera, only)


def furnished_clip(
    *, frames: int = 25, width: int = 480, height: int = 272, only: Sequence[int] | None = None
) -> DemoClip:
    """A clip worth looking at: the camera travels through a furnished room beside a figure that walks.

    `only`: the frames to render; None renders all, in some ten seconds.
    """
    scene, time = furnished_room(), torch.linspace(0, 1, frames)
    first = torch.eye(4)
    first[:3, 3] = torch.tensor([-0.5, 0.4, -3.2])
    poses = first @ move_poses("pan_truck", time, torch.tensor(1.1), torch.tensor(3.0))
    lens = _lens(62.0, width, height)
    camera = source_camera(poses, lens, width, height, fps=12.0)
    return _demo(scene, poses[None], lens[None], time[None], camera, only)


def _demo(
    scene: Scene,
    poses: Tensor,  # [1, T, 4, 4] world from camera
    lens: Tensor,  # [1, 3, 3] px
    time: Tensor,  # [1, T] 0..1
    camera: CameraPath,
    only: Sequence[int] | None,
) -> DemoClip:
    chosen = range(len(camera)) if only is None else only
    views = [
        render(scene, poses[:, t : t + 1], lens, time[:, t : t + 1], camera.width, camera.height, supersample=2)
        for t in chosen
    ]
    return DemoClip(
        frames=torch.cat([view.frames() for view in views]) if views else torch.empty(0, dtype=torch.uint8),
        fps=Fraction(camera.fps),
        camera=camera,
        depth=torch.cat([view.depth[0] for view in views]) if views else torch.empty(0),
    )


DEMOS = {"shapes": demo_clip, "room": furnished_clip}
"""The sample clips by name; `python -m benchmarks.demo_clips` writes the files of them that are shipped."""


@dataclass(frozen=True)
class ShippedClip:
    file: Path
    camera: CameraPath  # the true path, world = camera of frame 0


def shipped_clip(name: str) -> ShippedClip:
    """A sample clip as a file of this package, with its true camera: nothing is rendered."""
    return ShippedClip(Path(__file__).parent / "clips" / f"{name}.mp4", DEMOS[name](only=()).camera)


def _lens(fov_degrees: float, width: int, height: int) -> Tensor:
    """Intrinsics [3, 3] of a lens that sees so much along the long side."""
    focal = 0.5 * max(width, height) / torch.tan(torch.deg2rad(torch.tensor(fov_degrees)) / 2)
    return torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])


@dataclass(frozen=True, eq=False)
class RenderedClip:
    frames: Tensor  # [T, H, W, 3] uint8
    depth: Tensor  # [T, H, W] true
    camera: CameraPath  # true, world = camera of frame 0
    scene: Scene  # one scene, in a world of its own
    scene_from_camera: Tensor  # [T, 4, 4] the true camera in that world
    time: Tensor  # [T] scene time


def rendered_clip(
    move: str,
    *,
    frames: int,
    width: int,
    height: int,
    seed: int,
    amplitude: float = 0.8,
    texture: Texture = "detailed",
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
    intrinsics = _lens(fov_degrees, width, height)[None]
    views = [
        render(scene, poses[:, t : t + 1], intrinsics, time[None, t : t + 1], width, height, supersample)
        for t in range(frames)
    ]
    return RenderedClip(
        torch.cat([view.frames() for view in views]),
        torch.cat([view.depth[0] for view in views]),
        source_camera(poses[0], intrinsics[0], width, height, fps=16.0),
        scene,
        poses[0],
        time,
    )


def _shake(frames: int, generator: torch.Generator) -> Tensor:
    noise = torch.randn(frames, 6, generator=generator)
    noise = (noise + noise.roll(1, 0) + noise.roll(2, 0)) / 3
    noise = noise - noise[:1]
    poses = torch.eye(4).repeat(frames, 1, 1)
    poses[:, :3, :3] = rotation_exponential(torch.deg2rad(torch.tensor(_SHAKE_DEGREES)) * noise[:, :3])
    poses[:, :3, 3] = _SHAKE_METRES * noise[:, 3:]
    return poses
