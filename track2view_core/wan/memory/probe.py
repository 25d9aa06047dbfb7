"""How fast this device multiplies matrices, in well under a second."""

from __future__ import annotations

import time

import torch

SIDE_ON_CARD, SIDE_ON_CPU = 8192, 1024
PATIENCE = 0.4  # seconds


def matrix_rate(device: torch.device | str, dtype: torch.dtype) -> float:
    """Operations a second (a multiply-add is two) of a large square product in `dtype`: the best of a few."""
    where = torch.device(device)
    side = SIDE_ON_CPU if where.type == "cpu" else SIDE_ON_CARD
    left = torch.randn(side, side, device=where, dtype=dtype)
    _seconds(left, where)  # the first one loads kernels
    best, begun = float("inf"), time.perf_counter()
    while best == float("inf") or time.perf_counter() - begun < PATIENCE:
        best = min(best, _seconds(left, where))
    return 2 * side**3 / best


def _seconds(left: torch.Tensor, device: torch.device) -> float:
    begun = time.perf_counter()
    torch.matmul(left, left)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return max(time.perf_counter() - begun, 1e-9)
