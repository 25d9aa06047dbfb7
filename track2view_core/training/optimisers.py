"""Optimisers and the course of their rate."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import Track2ViewError
from .muon import Muon
from .settings import OptimiserSettings


def is_hidden(name: str, parameter: Tensor) -> bool:
    """Whether Muon fits: matrices of the transformer's blocks and the VAE's inner kernels, full rank all of them.

    What meets inputs or outputs, embeddings, modulation tables, norms and low-rank pairs stay with AdamW.
    """
    if any(word in name for word in ("lora", "scale_shift", "patch", "conv_in")):
        return False
    if parameter.ndim == 2:
        return "blocks." in name
    return parameter.ndim >= 4 and min(parameter.shape[:2]) > 3


def make_optimisers(parameters: Mapping[str, Tensor], settings: OptimiserSettings) -> list[torch.optim.Optimizer]:
    """One optimiser, or two: Muon's and AdamW's."""
    adam = {"lr": settings.rate, "betas": settings.betas, "weight_decay": settings.weight_decay}
    if settings.name == "adamw8bit":
        try:
            from bitsandbytes.optim import AdamW8bit
        except ImportError as error:
            raise Track2ViewError(
                "optimiser.name is adamw8bit, which needs bitsandbytes; pip install bitsandbytes, or set it to adamw."
            ) from error
        return [AdamW8bit(list(parameters.values()), **adam)]
    if settings.name == "adamw":
        return [torch.optim.AdamW(list(parameters.values()), **adam)]
    hidden = [parameter for name, parameter in parameters.items() if is_hidden(name, parameter)]
    others = [parameter for name, parameter in parameters.items() if not is_hidden(name, parameter)]
    optimisers: list[torch.optim.Optimizer] = []
    if hidden:
        optimisers.append(Muon(hidden, lr=settings.muon_rate))
    if others:
        optimisers.append(torch.optim.AdamW(others, **adam))
    return optimisers


def rate_factor(step: int, steps: int, settings: OptimiserSettings) -> float:
    """What the rates are multiplied with at a step."""
    rise = min(1.0, (step + 1) / settings.warmup) if settings.warmup else 1.0
    return rise * _between(step / steps, settings.points)


def _between(share: float, points: tuple[tuple[float, float], ...]) -> float:
    before, after = points[0], points[0]
    for point in points:
        before, after = after, point
        if share < point[0]:
            break
    if share <= before[0] or share >= after[0]:
        return before[1] if share <= before[0] else after[1]
    done = (share - before[0]) / (after[0] - before[0])
    return after[1] + (before[1] - after[1]) * (0.5 + 0.5 * math.cos(math.pi * done))
