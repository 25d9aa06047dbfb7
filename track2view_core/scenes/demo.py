"""The built-in sample clip: a rendered scene with its true camera path, so that the first try needs no file."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from ..cameras import CameraPath
from .moves import random_paths
from .rendering import render
from .scene import random_scenes
from .tracking import source_camera

_DEMO_SEED = 7


@dataclass(frozen=True, eq=False)
class DemoClip:
    frames: Tensor  # [T, H, W, 3] uint8
    fps: Fraction
    camera: CameraPath  # the true path, world = camera of frame 0
    depth: Tensor  # [T, H, W] float32, true


def demo_clip(*, frames: int = 17, width: int = 256, height: int = 256, seed: int = _DEMO_SEED) -> DemoClip:
    """Render the sample clip; about a second on one core."""
    scene = random_scenes(1, seed=seed, dynamic=1.0)
    paths = random_paths(1, frames, seed=seed, width=width, height=height, source_moves=("truck",))
    source = paths.world_from_camera[:, 0]
    views = [
        render(scene, source[:, t : t + 1], paths.intrinsics, paths.time[:, t : t + 1], width, height, supersample=2)
        for t in range(frames)
    ]
    return DemoClip(
        frames=torch.cat([view.frames() for view in views]),
        fps=Fraction(8),
        camera=source_camera(source[0], paths.intrinsics[0], width, height, fps=8.0),
        depth=torch.cat([view.depth[0] for view in views]),
    )
