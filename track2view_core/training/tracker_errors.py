"""Makes exact tracks err as a tracker's do, so that the model meets at training what it will meet in use."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TrackerErrors:
    """Upper ends; every clip draws its own share of each, so that clean tracks are seen too."""

    jitter: float = 0.0015  # of the image width, per frame
    drift: float = 0.004  # of the image width, reached at the last frame
    depth: float = 0.08  # relative, constant along a track
    flipped: float = 0.04  # share of wrong visibilities


def perturb(
    points: Tensor,  # [B, F, N, 3] in the source camera of each frame
    visible: Tensor,  # [B, F, N] bool
    focal: Tensor,  # [B] pixels
    width: int,
    errors: TrackerErrors,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Points and visibilities with errors; a point moves across the line of sight by pixels and along it by a share."""
    batch, frames, count = visible.shape

    def share() -> Tensor:
        return torch.rand(batch, 1, 1, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator)

    ramp = torch.linspace(0, 1, frames)[None, :, None, None]
    pixels = errors.jitter * width * share()[..., None] * normal(frames, count, 2)
    pixels = pixels + errors.drift * width * share()[..., None] * ramp * normal(1, count, 2)
    z = points[..., 2:]
    xy = points[..., :2] + pixels * z / focal[:, None, None, None]
    depth = 1 + (errors.depth * share() * normal(1, count)).clamp(-0.3, 0.3)[..., None]
    flips = torch.rand(batch, frames, count, generator=generator) < errors.flipped * share()
    return torch.cat([xy, z], -1) * depth, visible ^ flips
