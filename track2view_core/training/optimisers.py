"""Optimisers, and the course of their rates over a run.

Muon (Jordan et al. 2024) is momentum, orthogonalised by a Newton-Schulz iteration. torch.optim.Muon takes matrices
only; here kernels are flattened to matrices, and equal shapes go through one batched iteration, which is what makes it
cheap for a network of many small kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from einops import rearrange
from torch import Tensor

from ..errors import Track2ViewError
from .settings import OptimiserSettings


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


def is_hidden(name: str, parameter: Tensor) -> bool:
    """Whether Muon fits: matrices of the transformer's blocks and the VAE's inner kernels, full rank all of them.

    What meets inputs or outputs, embeddings, modulation tables, norms and low-rank pairs stay with AdamW.
    """
    if any(word in name for word in ("lora", "scale_shift", "patch", "conv_in")):
        return False
    if parameter.ndim == 2:
        return "blocks." in name
    return parameter.ndim >= 4 and min(parameter.shape[:2]) > 3


# Of the polynomial that Newton-Schulz applies to singular values: Jordan et al. chose them to rise fast from near zero.
_COEFFICIENTS = (3.4445, -4.775, 2.0315)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised; tall matrices step by the square root of rows / columns more."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                self._step_shape(group, shape, parameters)

    def _step_shape(self, group: dict, shape: torch.Size, parameters: list[Tensor]) -> None:
        rows, columns = shape[0], math.prod(shape[1:])
        updates = []
        for parameter in parameters:
            buffer = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
            buffer.mul_(group["momentum"]).add_(parameter.grad)
            updates.append(rearrange(parameter.grad + group["momentum"] * buffer, "out ... -> out (...)"))
        scale = group["lr"] * math.sqrt(max(1.0, rows / columns))
        for parameter, update in zip(parameters, orthogonalise(torch.stack(updates)), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update.reshape(shape), alpha=-scale)


def orthogonalise(matrices: Tensor, iterations: int = 4) -> Tensor:
    """Push the singular values of [B, rows, columns] towards one."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-12)
    for _ in range(iterations):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
