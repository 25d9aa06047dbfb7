"""Flow matching as WAN is trained: a straight path from data to noise, noise levels drawn with a shift."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Noised(NamedTuple):
    latent: Tensor  # [B, C, F, h, w]
    timestep: Tensor  # [B] 0..1000
    velocity: Tensor  # [B, C, F, h, w] what the model has to predict


def noise(clean: Tensor, shift: float, generator: torch.Generator) -> Noised:
    """z_s = (1 - s) z + s e with s = shift u / (1 + (shift - 1) u), u uniform; the velocity is e - z."""
    u = (torch.rand(len(clean), generator=generator) + torch.arange(len(clean))) / len(clean)  # stratified
    sigma = shift * u / (1 + (shift - 1) * u)
    e = torch.randn(clean.shape, generator=generator)
    s = sigma[:, None, None, None, None]
    return Noised((1 - s) * clean + s * e, sigma * 1000, e - clean)
