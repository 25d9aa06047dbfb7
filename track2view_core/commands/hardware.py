"""Where to compute, and in which precision: the command line decides, the core never guesses."""

from __future__ import annotations

import torch

from ..errors import Track2ViewError


def chosen_device(name: str) -> torch.device:
    """The device called `name`; `auto` is a CUDA card where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise Track2ViewError(
            f"--device is {name}, which this torch cannot use; take auto, cpu, cuda or mps."
        ) from error
    if device.type == "meta":
        raise Track2ViewError("--device is meta, which computes nothing; take auto, cpu, cuda or mps.")
    return device


def chosen_hardware(device: str, dtype: str) -> tuple[str, str]:
    """What `Refilm` takes as device and dtype; a dtype of `auto` is bfloat16 on a card and float32 on the CPU."""
    place = chosen_device(device)
    if dtype == "auto":
        dtype = "float32" if place.type == "cpu" else "bfloat16"
    return str(place), dtype
