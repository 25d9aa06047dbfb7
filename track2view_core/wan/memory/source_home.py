"""Where a run that is about to start keeps its source, if that attends to itself alone: by the memory there is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from ...notes import Note
from .plan import home_of_states, sampling_memory, source_states
from .plan_text import source_note
from .request import Dtype, Request, bundle_settings

if TYPE_CHECKING:
    from ..bundle_config import BundleConfig

_NAMES: dict[torch.dtype, Dtype] = {torch.float32: "fp32", torch.float16: "fp16"}


def diffusers_request(
    config: BundleConfig, *, frames: int, height: int, width: int, tracks: int, dtype: torch.dtype, guided: bool
) -> Request:
    """A generation by diffusers' transformer of this dtype, as the plan reckons with it; frames 4n + 1, pixels."""
    return Request(
        **{
            **bundle_settings(config),
            "guidance": guided,
            "frames": frames,
            "height": height,
            "width": width,
            "route": "diffusers",
            "batched": False,
            "dtype": _NAMES.get(dtype, "bf16"),
            "tracks": tracks,
        }
    )


def with_home(request: Request, *, weights: int, card: int, host: int) -> tuple[Request, Note]:
    """The request with its source where there is room, and the note that says so.

    weights: bytes that the models will still take; card, host: bytes that are free.
    """
    size = source_states(request)
    beside = weights + sampling_memory(replace(request, source_states="host"))
    home = home_of_states(size, beside, card=card, host=host, windows=request.windows)
    return replace(request, source_states=home), source_note(home, size)
