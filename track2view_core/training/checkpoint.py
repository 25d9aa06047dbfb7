"""Resumable training state in one file that is never half-written."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn


def save_checkpoint(
    file: Path, step: int, model: nn.Module, optimisers: list[torch.optim.Optimizer], average: dict[str, Tensor]
) -> None:
    state = {
        "step": step,
        "model": {name: p for name, p in model.named_parameters() if p.requires_grad},
        "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        "average": average,
        "random": torch.get_rng_state(),
    }
    temporary = file.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(file)


def load_checkpoint(
    file: Path, model: nn.Module, optimisers: list[torch.optim.Optimizer], average: dict[str, Tensor]
) -> int:
    """Restore everything in place and return the step to go on from; 0 when there is no checkpoint."""
    if not file.exists():
        return 0
    state = torch.load(file, weights_only=True)
    model.load_state_dict(state["model"], strict=False)
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(saved)
    average.update(state["average"])
    torch.set_rng_state(state["random"])
    return int(state["step"])
