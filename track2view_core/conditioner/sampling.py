"""Read a grid of features where the tracks pass. No parameters."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import Track2ViewError


def sample_along_tracks(
    tokens: Tensor,  # [B, D, F, h, w]
    xy: Tensor,  # [B, F, N, 2] pixels
    image_size: tuple[int, int],  # (H, W) pixels
) -> Tensor:  # [B, F, N, D]
    """Bilinear samples of each frame's grid at that frame's track positions; exact on cell centres.

    Beyond the outermost centres the border value holds. Coordinates are taken in float32 at least; those that are not
    finite are replaced, so that the sample is finite (and meaningless). The result has the dtype of `tokens`.

    Raises:
        Track2ViewError: the shapes do not belong together.
    """
    if tokens.ndim != 5 or xy.ndim != 4 or xy.shape[-1] != 2:
        raise Track2ViewError(
            f"The tokens to sample have shape {list(tokens.shape)} and xy has {list(xy.shape)}; they must be "
            "[B, D, F, h, w] and [B, F, N, 2]."
        )
    batch, dim, frames, rows, columns = tokens.shape
    if xy.shape[:2] != (batch, frames):
        raise Track2ViewError(
            f"The xy to sample at have shape {list(xy.shape)}; with tokens {list(tokens.shape)} they must be "
            f"[{batch}, {frames}, N, 2]."
        )
    precision = torch.promote_types(torch.promote_types(tokens.dtype, xy.dtype), torch.float32)
    size = torch.tensor([image_size[1], image_size[0]], dtype=precision, device=xy.device)
    # -1 and 1 are the image's edges; anything beyond them reads the border, so the clamp changes no sample.
    place = (2 * xy.to(precision) / size - 1).nan_to_num(nan=0.0).clamp(-2, 2)
    tracks = xy.shape[2]
    grid = tokens.to(precision).transpose(1, 2).reshape(batch * frames, dim, rows, columns)
    # All tracks in one row of the "image": grid_sample is vectorised along its rows.
    place = place.reshape(batch * frames, 1, tracks, 2)
    sampled = F.grid_sample(grid, place, padding_mode="border", align_corners=False)
    return sampled.view(batch, frames, dim, tracks).transpose(2, 3).to(tokens.dtype)
