"""Wall-clock seconds of work on a device, waiting for a card's queue on both sides."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds(call: Callable[[], Any], device: torch.device) -> float:
    synchronise(device)
    begin = time.perf_counter()
    call()
    synchronise(device)
    return time.perf_counter() - begin


def median_seconds(call: Callable[[], Any], device: torch.device, repeats: int) -> float:
    """One run that is not counted, then the median of `repeats`."""
    call()
    return statistics.median(seconds(call, device) for _ in range(repeats))
