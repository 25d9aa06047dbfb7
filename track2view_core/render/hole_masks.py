"""Masks of what is not known of a target view: steady in time, grown, and as models that work on latents take them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor

from ..errors import Track2ViewError

LATENT_FRAMES = 4
"""Video frames that one latent frame holds; the first holds one."""
LATENT_PIXELS = 8
"""Pixels of the picture along a side of one of WAN's latent pixels."""

EDGE_STEP = 0.1
"""Share of inverse depth between two neighbouring pixels that is the edge of a thing."""


def majority(before: Tensor, now: Tensor, after: Tensor) -> Tensor:
    """True where at least two of three frames are: a mask `[...]` bool that does not flicker."""
    return (before & now) | (now & after) | (before & after)


def with_edges_cut(
    holes: Tensor,  # [T, H, W] bool
    depth: Tensor,  # [T, H, W] float32, camera z
    pixels: int,
) -> Tensor:
    """The holes and what lies within `pixels` of a step of depth, where colours of both sides are mixed.

    Raises:
        Track2ViewError: `pixels` is below 0.
    """
    if not pixels:
        return holes
    inverse = 1 / depth
    steps = torch.zeros_like(holes)
    for here, found in ((inverse, steps), (inverse.mT, steps.mT)):
        first, second = here[..., 1:], here[..., :-1]
        step = (first - second).abs() > EDGE_STEP * torch.maximum(first, second)
        found[..., 1:] |= step
        found[..., :-1] |= step
    return holes | grown(steps, pixels - 1)


def grown(
    mask: Tensor,  # [..., H, W] bool
    pixels: int,
) -> Tensor:
    """True also within `pixels` of where it is True, in a disc.

    Raises:
        Track2ViewError: `pixels` is below 0.
    """
    if pixels < 0:
        raise Track2ViewError(f"Holes cannot grow by {pixels} px; give 0 or more.")
    if not pixels:
        return mask
    flat = mask.reshape(-1, *mask.shape[-2:])
    height = mask.shape[-2]
    out = torch.zeros_like(flat)
    for down in range(-min(pixels, height - 1), min(pixels, height - 1) + 1):
        half = int((pixels**2 - down**2) ** 0.5)
        wide = _grown_across(flat, half)
        to, of = slice(max(down, 0), height + min(down, 0)), slice(max(-down, 0), height + min(-down, 0))
        out[:, to] |= wide[:, of]
    return out.reshape(mask.shape)


def grown_square(
    mask: Tensor,  # [H, W] bool
    pixels: int = 1,
) -> Tensor:
    """True also within `pixels` each way of where it is True, in a square. Bytes that are shifted cost a tenth of
    pooling."""
    for _ in range(pixels):
        tall = mask.clone()
        tall[1:] |= mask[:-1]
        tall[:-1] |= mask[1:]
        mask = tall.clone()
        mask[:, 1:] |= tall[:, :-1]
        mask[:, :-1] |= tall[:, 1:]
    return mask


def _grown_across(mask: Tensor, pixels: int) -> Tensor:
    """True also within `pixels` to the left and right."""
    count = F.pad(mask.to(torch.int32).cumsum(-1), (pixels + 1, 0))
    last = F.pad(mask.to(torch.int32).cumsum(-1), (0, pixels), mode="replicate") if pixels else count[..., 1:]
    width = mask.shape[-1]
    return last[..., pixels : pixels + width] > count[..., :width]


def over_latent_frames(holes: Tensor) -> Tensor:
    """`[T, H, W]` bool: True in all frames of a latent frame (0 alone, then 4k-3..4k) where it is in any of them."""
    return _of_latent_frames(holes)[_latent_frame(len(holes), holes.device)]


def latent_holes(
    holes: Tensor,  # [T, H, W] bool, T = 4n + 1, sides multiples of 8
    *,
    first_frames: bool = False,
) -> Tensor:
    """`[F, H / 8, W / 8]` bool: latent pixels that are not known whole, in any of their frames and pixels.

    `first_frames` looks at frames 0, 1, 5, 9 .. and at the first pixel of each 8 x 8 alone, as Time-to-Move is
    published.

    Raises:
        Track2ViewError: T is not 4n + 1, or a side no multiple of 8.
    """
    frames, height, width = holes.shape
    if frames % LATENT_FRAMES != 1 or height % LATENT_PIXELS or width % LATENT_PIXELS:
        raise Track2ViewError(
            f"The mask has {frames} frames of {width} x {height}; WAN's latents take 4n + 1 frames and sides that are "
            "multiples of 8: make the clip so with Prepare Clip."
        )
    if first_frames:
        shown = [0, *range(1, frames, LATENT_FRAMES)]
        return holes[shown, ::LATENT_PIXELS, ::LATENT_PIXELS]
    return reduce(_of_latent_frames(holes), "f (h y) (w x) -> f h w", "max", y=LATENT_PIXELS, x=LATENT_PIXELS)


def vace_mask(holes: Tensor) -> Tensor:
    """`[T, H, W]` bool for core's WanVaceToVideo, which takes one frame of the mask for each latent frame.

    It resamples the mask over time by `nearest-exact`, and so reads frames of other latent frames, too. Those that it
    reads hold here what the latent frame that they are read for holds; the others are as `over_latent_frames`.

    Raises:
        Track2ViewError: T is not 4n + 1.
    """
    frames = len(holes)
    if frames % LATENT_FRAMES != 1:
        raise Track2ViewError(
            f"The mask has {frames} frames; VACE takes 4n + 1 of them, as {max(frames - 1, 0) // 4 * 4 + 1}: cut or "
            "pad the clip first."
        )
    latent = _of_latent_frames(holes)
    out = latent[_latent_frame(frames, holes.device)]
    order = torch.arange(frames, dtype=torch.float32)[None, None]
    out[F.interpolate(order, len(latent), mode="nearest-exact")[0, 0].long().to(holes.device)] = latent
    return out


def _of_latent_frames(holes: Tensor) -> Tensor:
    """[T, H, W] -> [F, H, W], whether any frame of the latent frame has it."""
    later = holes[1:]
    padded = torch.cat([later, later.new_zeros(-len(later) % LATENT_FRAMES, *later.shape[1:])])
    return torch.cat([holes[:1], padded.reshape(-1, LATENT_FRAMES, *later.shape[1:]).any(dim=1)])


def _latent_frame(frames: int, device: torch.device) -> Tensor:
    """[T] long, the latent frame of each video frame."""
    return (torch.arange(frames, device=device) + LATENT_FRAMES - 1) // LATENT_FRAMES
