"""Rendered scenes put on disk as a rig of cameras would film them, with the exact geometry kept at hand."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from track2view_core.cameras import CameraPath
from track2view_core.cameras.formats import write_path
from track2view_core.curation.rendered_pairs import SceneSettings, camera_frames, drawn_scenes
from track2view_core.scenes import Scene, ScenePaths
from track2view_core.video import VideoClip, write_clip

FPS = 16


@dataclass(frozen=True, eq=False)
class Rig:
    """One scene and C cameras that share frame 0."""

    folder: Path
    scene: Scene  # a batch of one
    paths: ScenePaths
    frames: Tensor  # [C, T, H, W, 3] uint8
    cameras: list[CameraPath]  # in the scene's world


def rendered_rig(
    folder: Path, *, seed: int, cameras: int = 2, frames: int = 17, size: int = 192, dynamic: float = 0.0
) -> Rig:
    """Render one scene; `save_rig` writes it."""
    how = SceneSettings(
        scenes=1, cameras=cameras, frames=frames, width=size, height=size, texture="detailed", dynamic=dynamic
    )
    scene, paths = drawn_scenes(how, seed)
    lens = paths.intrinsics.expand(frames, 3, 3)
    rig = [CameraPath(poses, lens, size, size, FPS) for poses in paths.world_from_camera[0]]
    return Rig(folder, scene, paths, camera_frames(scene, paths, 2)[0], rig)


def save_rig(rig: Rig, *, frames: list[Tensor] | None = None, cameras: list[CameraPath] | None = None) -> Path:
    """camNN.mp4 and camNN.json of every camera, as good as H.264 gets; other frames or cameras where given."""
    rig.folder.mkdir(parents=True, exist_ok=True)
    for number, (clip, camera) in enumerate(zip(frames or rig.frames, cameras or rig.cameras, strict=True), 1):
        write_clip(VideoClip(torch.as_tensor(clip), Fraction(FPS)), rig.folder / f"cam{number:02d}.mp4", quality=4)
        write_path(camera, rig.folder / f"cam{number:02d}.json", format="track2view_camera")
    return rig.folder
