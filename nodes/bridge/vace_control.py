"""Control of core's VACE class by other means than its own node: core reads a conditioning by its names."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def with_control(
    conditioning: list[Any],
    latents: Tensor,  # [1, 32, F, h, w], raw as ComfyUI's VAE nodes give them
    embedding: Tensor,  # [1, 64, F, h, w], what stands in the place of VACE's mask
    strength: float,
) -> list[Any]:
    """The conditioning with one control more; those that it has stay."""
    from node_helpers import conditioning_set_values

    # model_base.WAN21_Vace normalises the latents, 16 channels at a time, and puts the other 64 behind them as they are
    control = {"vace_frames": [latents], "vace_mask": [embedding], "vace_strength": [strength]}
    return conditioning_set_values(conditioning, control, append=True)
