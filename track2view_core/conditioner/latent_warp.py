"""The source latents carried along the tracks into the target view, at latent resolution. No parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from ..tracks import TrackBatch
from .sampling import sample_along_tracks
from .scattering import scatter_to_grid


def nearest_valid_frame(valid: Tensor) -> Tensor:  # [B, F, N] bool -> [B, F, N] long
    """For each frame and track the nearest valid frame, the earlier of two; 0 where it never is valid."""
    frames = valid.shape[1]
    number = torch.arange(frames, device=valid.device)
    distance = (number[:, None] - number).abs()[None, :, :, None]  # [1, F, F', 1]
    return torch.where(valid[:, None], distance, frames).argmin(2)


def warp_latents(
    latents: Tensor,  # [B, C, F, 2h, 2w] source
    batch: TrackBatch,
    valid: Tensor,  # [B, F, N] bool, visible and inside in the source
    *,
    beta: float,
    norm: str,
) -> Tensor:  # [B, C + 1, F, 2h, 2w]
    """Mean and coverage of the source latents seen from the target camera.

    A track that cannot be seen in a frame brings the value of its nearest visible frame; one that never can brings
    nothing.
    """
    values = sample_along_tracks(latents, batch.source_xy, batch.image_size)
    frame = nearest_valid_frame(valid)
    values = values.gather(1, frame[..., None].expand(-1, -1, -1, values.shape[-1]))
    reach = batch.target_inside & valid.any(1, keepdim=True)
    grid = tuple(latents.shape[-2:])
    mean, coverage = scatter_to_grid(
        values, batch.target_xy, batch.target_depth, reach, grid, batch.image_size, beta=beta, norm=norm
    )
    return torch.cat([mean, coverage.to(mean.dtype)], 1)
