"""Time-to-Move on ComfyUI's noise mask: the render holds what it knows for the first steps, then the model is free.

The method (Time-to-Move, 2025) starts all latents from the noised render and, until a later noise level, overwrites
what is known with the render at the step's own noise. That is what core's samplers do with a noise mask, so only the
level at which the mask is lifted is added, at the place where core's DifferentialDiffusion stands, too.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...track2view_core.errors import Track2ViewError

SLACK = 1e-6
"""A step at the very level of `hold_until` is free."""


def holding(model: Any, hold_until: float) -> Any:
    """A clone of the MODEL whose noise mask is lifted after the share `hold_until` of the schedule."""
    if type(model.model).__name__ == "WAN22":
        raise Track2ViewError(
            "The MODEL is WAN 2.2 5B, which treats noise masks in a way of its own; Time-to-Move takes WAN 2.1 or the "
            "experts of WAN 2.2 14B: load such a file."
        )
    lifted_at = float(model.get_model_object("model_sampling").percent_to_sigma(hold_until))

    def held(sigma: Tensor, denoise_mask: Tensor, extra_options: dict[str, Any]) -> Tensor:
        return denoise_mask if float(sigma.flatten()[0]) > lifted_at + SLACK else torch.ones_like(denoise_mask)

    patched = model.clone()
    patched.set_model_denoise_mask_function(held)
    return patched
