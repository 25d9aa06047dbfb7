"""Flow matching as WAN is trained: a straight path from data to noise, noise levels drawn with a shift."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Noised(NamedTuple):
    latent: Tensor  # [B, C, F, h, w]
    timestep: Tensor  # [B] 0..1000
    velocity: Tensor  # [B, C, F, h, w] what the model has to predict


def drawn_levels(count: int, shift: float, generator: torch.Generator) -> Tensor:
    """Noise levels [count]: s = shift u / (1 + (shift - 1) u), one uniform u in each of `count` parts of 0..1."""
    u = (torch.rand(count, generator=generator) + torch.arange(count)) / count
    return shift * u / (1 + (shift - 1) * u)


def noised(clean: Tensor, levels: Tensor, generator: torch.Generator) -> Noised:
    """z_s = (1 - s) z + s e for levels s [B]; the velocity is e - z. Noise is drawn on the CPU."""
    e = torch.randn(clean.shape, generator=generator).to(clean)
    s = levels.to(clean)[:, None, None, None, None]
    return Noised((1 - s) * clean + s * e, levels.to(clean.device) * 1000, e - clean)
