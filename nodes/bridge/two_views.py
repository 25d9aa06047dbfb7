"""Two views in one call of a MODEL: the clean source follows the target on the frame axis, and the target comes back.

What every method that films a clip again shares, whatever tells it where the new camera is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...track2view_core.errors import Track2ViewError

if TYPE_CHECKING:
    from ...track2view_core.wan.seams import SourceTimestep

METHOD = "track2view_method"  # among a MODEL's attachments: the name of the method whose second view it carries
VIEWS = "track2view_views"  # among transformer_options: latent frames of a view, rotary, and which views a call is of


def claimed(model: Any, method: str) -> Any:
    """A clone of the MODEL for `method`, which gives it a second view; one that another method has is refused."""
    there = model.get_attachment(METHOD)
    if there not in (None, method):
        raise Track2ViewError(
            f"The MODEL comes from Apply {there}, and one MODEL films by one method; link Apply {method} to the MODEL "
            f"from before it, or take one of the two nodes away."
        )
    patched = model.clone()
    patched.set_attachments(METHOD, method)
    return patched


def wrap(patched: Any, key: str, wrappers: dict[str, Callable[..., Any]]) -> None:
    """Put a wrapper at each of these places, instead of the one that was there under `key`."""
    for place, wrapper in wrappers.items():
        patched.remove_wrappers_with_key(place, key)
        patched.add_wrapper_with_key(place, key, wrapper)


def counted_twice(noise_shape: Sequence[int]) -> list[int]:
    """The shape by which core estimates memory, with both views' tokens: in the height, since context windows clamp
    the frames."""
    return [*noise_shape[:3], 2 * noise_shape[3], *noise_shape[4:]]


def frames_shown(options: dict[str, Any], total: int) -> tuple[int, ...]:
    """The latent frames of the clip that a call sees: all of them, or those of a context window.

    The window is asked as core asks it: newer cores put a frame of before in front of those that it lists.
    """
    window, every = options.get("context_window"), torch.arange(total)
    return tuple((every if window is None else window.get_tensor(every, dim=0)).tolist())


def forward_both(
    executor: Any,
    x: Tensor,  # [B, 16, F', h8, w8] the target
    timestep: Tensor,  # [B]
    context: Any,
    clip_fea: Any,
    time_dim_concat: Tensor | None,
    options: dict[str, Any],
    *,
    source: Tensor,  # [1, 16, F', h8, w8] clean
    source_timestep: SourceTimestep,
    **conds: Any,
) -> Tensor:  # [B, 16, F', h8, w8]
    """WAN's forward over [target, source], cropped to the target."""
    from ...track2view_core.wan.host_seams import frame_timesteps

    frames = x.shape[2]
    following = 0 if time_dim_concat is None else time_dim_concat.shape[2]
    timestep = frame_timesteps(timestep, frames, source_timestep, following)
    sequence = torch.cat([x, source.to(x).expand(len(x), -1, -1, -1, -1)], dim=2)
    return executor(sequence, timestep, context, clip_fea, time_dim_concat, options, **conds)[:, :, :frames]
