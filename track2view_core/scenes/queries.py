"""What a tracker would ask for: random pixels of random frames, and the surface points behind them."""

from __future__ import annotations

import torch
from torch import Tensor

from .rendering import cast
from .scene import Scene


def query_points(
    scene: Scene,
    world_from_camera: Tensor,  # [B, T, 4, 4]
    intrinsics: Tensor,  # [B, 3, 3] pixels
    time: Tensor,  # [B, T]
    width: int,
    height: int,
    count: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Surface [B, N] and local [B, N, 3] of the points at N pixel centres, as `seed_points` draws them from a view.

    Only those rays are cast, so no picture is needed.
    """
    pixels = width * height
    picked = torch.randint(time.shape[1] * pixels, (len(scene), count), generator=generator).to(time.device)
    frame, x, y = picked // pixels, picked % width, picked % pixels // width
    pose = torch.gather(world_from_camera, 1, frame[..., None, None].expand(-1, -1, 4, 4))
    pixel = torch.stack([x + 0.5, y + 0.5, torch.ones_like(x)], -1).to(world_from_camera.dtype)
    camera_ray = pixel @ torch.linalg.inv(intrinsics.to(pixel.dtype)).transpose(-1, -2)
    direction = (pose[..., :3, :3] @ camera_ray[..., None])[..., 0]
    # Each query is a "frame" of one ray, since each has a time of its own.
    hits = cast(scene, pose[..., None, :3, 3], direction[:, :, None], torch.gather(time, 1, frame))
    return hits.surface[..., 0], hits.local[..., 0, :]
