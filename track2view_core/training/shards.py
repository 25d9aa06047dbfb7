"""Rendered multi-camera training data in small safetensors shards that are made, resumed and read one at a time.

A shard holds a few scenes seen by C cameras that share frame 0, with exact tracks queried in every camera: each ordered
pair of cameras of a scene is one training pair.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..progress import Progress
from ..scenes import follow_points, random_paths, random_scenes, render, visible_points
from ..scenes.tracking import seed_points
from ..video import latent_frames


@dataclass(frozen=True)
class ShardSpec:
    scenes: int = 8
    cameras: int = 4
    frames: int = 17
    size: int = 128
    tracks: int = 384


@dataclass(frozen=True, eq=False)
class Shard:
    """S scenes, C cameras, T frames, F latent frames, N tracks a camera."""

    frames: Tensor  # [S, C, T, H, W, 3] uint8
    world_from_camera: Tensor  # [S, C, F, 4, 4] at latent frames
    intrinsics: Tensor  # [S, 3, 3] pixels
    positions: Tensor  # [S, C, F, N, 3] world, tracks queried in camera C
    visible: Tensor  # [S, C, F, N] bool, in camera C

    def save(self, file: Path) -> None:
        temporary = file.with_suffix(".tmp")
        save_file({field.name: getattr(self, field.name).contiguous() for field in fields(self)}, temporary)
        temporary.replace(file)

    @classmethod
    def load(cls, file: Path) -> Shard:
        return cls(**load_file(file))


def render_shard(spec: ShardSpec, seed: int) -> Shard:
    """Render one shard; the same seed gives the same shard."""
    scenes = random_scenes(spec.scenes, seed=seed)
    paths = random_paths(
        spec.scenes, spec.frames, seed=seed, width=spec.size, height=spec.size, targets=spec.cameras - 1
    )
    latent = torch.arange(latent_frames(spec.frames)) * 4
    generator = torch.Generator().manual_seed(seed)
    frames, positions, visible = [], [], []
    for camera in range(spec.cameras):
        poses = paths.world_from_camera[:, camera]
        view = render(scenes, poses, paths.intrinsics, paths.time, spec.size, spec.size)
        frames.append((view.rgb * 255).round().to(torch.uint8))
        surface, local, _ = seed_points(view, spec.tracks, generator)
        points = follow_points(scenes, surface, local, paths.time[:, latent])
        positions.append(points)
        visible.append(
            visible_points(
                scenes, points, poses[:, latent], paths.intrinsics, paths.time[:, latent], spec.size, spec.size
            )
        )
    return Shard(
        frames=torch.stack(frames, 1),
        world_from_camera=paths.world_from_camera[:, :, latent],
        intrinsics=paths.intrinsics,
        positions=torch.stack(positions, 1),
        visible=torch.stack(visible, 1),
    )


def render_shards(
    folder: Path,
    count: int,
    *,
    spec: ShardSpec,
    first_seed: int,
    progress: Progress | None = None,
) -> list[Path]:
    """Make the shards that `folder` lacks and return all of them in order."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"shard_{first_seed + i:06d}.safetensors" for i in range(count)]
    for i, file in enumerate(files):
        if not file.exists():
            with torch.inference_mode():
                render_shard(spec, first_seed + i).save(file)
        if progress is not None:
            progress(i + 1, count, "rendering scenes")
    return files
