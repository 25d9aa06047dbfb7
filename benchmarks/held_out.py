"""Held-out clips of the project's renderer: scenes and kinds of camera move that no training has seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from track2view_core.scenes import HELD_OUT_MOVES, Scene, View, random_paths, random_scenes, render
from track2view_core.scenes.scene import Texture

EVALUATION_SEED = 900_000
CALIBRATION_SEED = 910_000  # thresholds are set on these scenes, never on those evaluated
_RAYS_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class HeldOutClip:
    scene: Scene  # a batch of 1
    source: Tensor  # [T, 4, 4] world_from_camera in the scene's world
    target: Tensor  # [T, 4, 4], shares frame 0 with the source
    intrinsics: Tensor  # [3, 3] pixels of size x size
    time: Tensor  # [T]
    size: int
    moves: tuple[str, str]  # of source and target
    seed: int

    def textured(self, texture: Texture) -> HeldOutClip:
        """The same geometry, motion and cameras under another texture; clips are smooth from the start."""
        return replace(self, scene=random_scenes(1, seed=self.seed, texture=texture))

    def view(self, cameras: Tensor, size: int | None = None) -> View:
        """Render cameras [T, 4, 4]; `size` other than the clip's scales the picture."""
        size = size or self.size
        intrinsics = self.intrinsics * torch.tensor([size / self.size, size / self.size, 1.0])[:, None]
        at_once = max(1, _RAYS_AT_ONCE // size**2)
        views = [
            render(self.scene, poses[None], intrinsics[None], time[None], size, size)
            for poses, time in zip(cameras.split(at_once), self.time.split(at_once), strict=True)
        ]
        fields = ("rgb", "depth", "surface", "local")
        return View(*(torch.cat([getattr(view, name) for view in views], 1) for name in fields))


def held_out_clips(count: int, *, seed: int, size: int, frames: int) -> Iterator[HeldOutClip]:
    """`count` scenes, each with a random source move and a held-out target move; scene i does not depend on `count`."""
    for index in range(count):
        scene = random_scenes(1, seed=seed + index)
        paths = random_paths(1, frames, seed=seed + index, width=size, height=size, moves=HELD_OUT_MOVES)
        source, target = paths.world_from_camera[0]
        moves = (paths.kinds[0][0], paths.kinds[0][1])
        yield HeldOutClip(scene, source, target, paths.intrinsics[0], paths.time[0], size, moves, seed + index)
