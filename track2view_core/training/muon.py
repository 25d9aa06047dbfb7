"""Muon (Jordan et al. 2024) for convolution kernels: momentum, orthogonalised by a Newton-Schulz iteration.

torch.optim.Muon takes matrices only; kernels are flattened to matrices here, and equal shapes go through one batched
iteration, which is what makes it cheap for a network of many small kernels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.775, 2.0315)


class Muon(torch.optim.Optimizer):
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
            updates.append((parameter.grad + group["momentum"] * buffer).reshape(rows, columns))
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
