"""Picture scores of a clip against the truth: PSNR, SSIM, and how much fine structure is left (PSNR rewards blur)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..errors import Track2ViewError

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # the window of Wang et al. 2004
_SSIM_C1, _SSIM_C2 = 0.01**2, 0.03**2


def psnr(video: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
    """Peak signal-to-noise ratio of every frame.

    Args:
        video: [..., H, W, 3], uint8 or floats in 0..1.
        reference: the same shape.
        mask: [..., H, W] bool, the pixels that count (the disoccluded area, say); all of them by default.

    Returns:
        [...] float64 dB, infinite where the frames are equal, NaN where no pixel counts.
    """
    _check_pair(video, reference)
    error = (_unit_range(video) - _unit_range(reference)).square().mean(-1)
    return -10 * torch.log10(_mean_over(error, mask))


def ssim(video: Tensor, reference: Tensor, mask: Tensor | None = None) -> Tensor:
    """Structural similarity of every frame: Wang et al. 2004, as scikit-image and torchmetrics compute it.

    A Gaussian window of 11 x 11 pixels and sigma 1.5, K1 = 0.01, K2 = 0.03, over each of R, G and B, averaged over the
    pixels whose whole window lies inside the frame.

    Args:
        video, reference, mask: as for `psnr`; a pixel of the mask counts by the window around it.

    Returns:
        [...] float64, 1 where the frames are equal, NaN where no pixel counts.
    """
    _check_pair(video, reference)
    if min(video.shape[-3:-1]) < SSIM_WINDOW:
        raise Track2ViewError(
            f"The video has shape {tuple(video.shape)}; SSIM needs frames of at least {SSIM_WINDOW} x {SSIM_WINDOW} "
            "pixels."
        )
    lead = video.shape[:-3]
    flat = [_unit_range(frames).flatten(0, -4) if lead else _unit_range(frames)[None] for frames in (video, reference)]
    maps = torch.stack([_ssim_map(own, true) for own, true in zip(*flat, strict=True)])  # frame by frame, for memory
    border = SSIM_WINDOW // 2
    inner = None if mask is None else mask[..., border:-border, border:-border]
    return _mean_over(maps.view(*lead, *maps.shape[1:]), inner)


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


def _ssim_map(own: Tensor, true: Tensor) -> Tensor:
    """Two frames [H, W, 3] -> similarity [H-10, W-10], the mean of the three channels."""
    own, true = (rearrange(frame, "h w c -> c h w") for frame in (own, true))
    moments = _window_mean(torch.stack([own, true, own * own, true * true, own * true]))
    mean, other, square, other_square, product = moments
    variance, other_variance, covariance = square - mean**2, other_square - other**2, product - mean * other
    luminance = (2 * mean * other + _SSIM_C1) / (mean**2 + other**2 + _SSIM_C1)
    return (luminance * (2 * covariance + _SSIM_C2) / (variance + other_variance + _SSIM_C2)).mean(0)


def _window_mean(pictures: Tensor) -> Tensor:
    """[5, 3, H, W] under the Gaussian window, where it fits."""
    place = torch.arange(SSIM_WINDOW, dtype=pictures.dtype, device=pictures.device) - SSIM_WINDOW // 2
    weight = torch.exp(-(place**2) / (2 * SSIM_SIGMA**2))
    weight = (weight / weight.sum()).view(1, 1, -1)
    single = rearrange(pictures, "moment c h w -> (moment c) 1 h w")
    smooth = F.conv2d(F.conv2d(single, weight[..., None]), weight[:, :, None])
    return rearrange(smooth, "(moment c) 1 h w -> moment c h w", c=3)


def _mean_over(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean [...] of values [..., h, w] where the mask holds."""
    if mask is None:
        return values.mean((-2, -1))
    if mask.dtype != torch.bool or mask.shape[-2:] != values.shape[-2:]:
        raise Track2ViewError(
            f"The mask is {mask.dtype} of shape {tuple(mask.shape)}; give bool [..., H, W] of the video's own size."
        )
    return torch.where(mask, values, 0.0).sum((-2, -1)) / mask.expand_as(values).sum((-2, -1))


def _check_pair(video: Tensor, reference: Tensor) -> None:
    if video.shape != reference.shape:
        raise Track2ViewError(
            f"The video has shape {tuple(video.shape)} and the reference {tuple(reference.shape)}; "
            "resize or cut one of them so that they agree."
        )
    if video.dim() < 3 or video.shape[-1] != 3:
        raise Track2ViewError(f"The video has shape {tuple(video.shape)}; give frames [..., H, W, 3].")


def _unit_range(video: Tensor) -> Tensor:
    if video.dtype == torch.uint8:
        return video.double() / 255
    if not video.is_floating_point():
        raise Track2ViewError(f"The video is {video.dtype}; give uint8, or floats in 0..1.")
    return video.double()
