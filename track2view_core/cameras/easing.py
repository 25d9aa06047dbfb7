"""Easing: how a move's share of the way grows with its share of the time. Every ease maps 0 to 0 and 1 to 1 exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..errors import Track2ViewError

EASES: Mapping[str, str] = MappingProxyType(
    {
        "linear": "constant speed",
        "smooth": "starts and ends at rest",
        "ease_in": "starts at rest, ends at full speed",
        "ease_out": "starts at full speed, ends at rest",
    }
)

_CURVES: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "linear": lambda time: time,
        "smooth": lambda time: time * time * (3 - 2 * time),
        "ease_in": lambda time: time * time,
        "ease_out": lambda time: time * (2 - time),
    }
)


Share = TypeVar("Share", float, Tensor)


def check_ease(ease: str) -> None:
    """Refuse what is not one of EASES."""
    if ease not in _CURVES:
        raise Track2ViewError(f"ease is {ease!r}; it must be one of {', '.join(EASES)}.")


def eased(share: Share, ease: str) -> Share:
    """Share of the way at a share of the time, both 0..1; a number or a tensor of any shape.

    Raises:
        Track2ViewError: the ease is not one of EASES.
    """
    check_ease(ease)
    return _CURVES[ease](share)


def eased_progress(frames: int, ease: str) -> Tensor:
    """Share of the way at each of `frames` frames, `[T]` float64: 0 on the first and 1 on the last, both exactly.

    A clip of one frame is at the end of the way: its only frame is also its last.

    Raises:
        Track2ViewError: the ease is not one of EASES.
    """
    if frames == 1:
        return eased(torch.ones(1, dtype=torch.float64), ease)
    return eased(torch.arange(frames, dtype=torch.float64) / (frames - 1), ease)
