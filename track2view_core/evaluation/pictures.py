"""Picture scores of a clip against the truth: PSNR, and how much fine structure is left (PSNR alone rewards blur)."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import Track2ViewError


def psnr(video: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of every frame.

    Args:
        video: [..., H, W, 3], uint8 or floats in 0..1.
        reference: the same shape.

    Returns:
        [...] float64 dB, infinite where the frames are equal.
    """
    if video.shape != reference.shape:
        raise Track2ViewError(
            f"The video has shape {tuple(video.shape)} and the reference {tuple(reference.shape)}; "
            "resize or cut one of them so that they agree."
        )
    error = (_unit_range(video) - _unit_range(reference)).square().mean((-3, -2, -1))
    return -10 * torch.log10(error)


def gradient_energy(video: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels, along x plus along y: frames [..., H, W, 3] -> [...] float64.

    Its ratio to the truth's tells blur (far below 1) and noise or blocks (far above 1) from sharp pictures (near 1).
    """
    if video.dim() < 3 or min(video.shape[-3:-1]) < 2:
        raise Track2ViewError(f"The video has shape {tuple(video.shape)}; give [..., H, W, 3], at least 2 x 2 pixels.")
    frames = _unit_range(video)
    across = (frames[..., :, 1:, :] - frames[..., :, :-1, :]).square().mean((-3, -2, -1))
    down = (frames[..., 1:, :, :] - frames[..., :-1, :, :]).square().mean((-3, -2, -1))
    return across + down


def _unit_range(video: Tensor) -> Tensor:
    if video.dtype == torch.uint8:
        return video.double() / 255
    if not video.is_floating_point():
        raise Track2ViewError(f"The video is {video.dtype}; give uint8, or floats in 0..1.")
    return video.double()
