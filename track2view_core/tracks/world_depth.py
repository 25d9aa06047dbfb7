"""Depth maps brought into the world of the tracks, frame by frame, and steadied where the camera stands."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError
from .pairing import PairedTracks
from .trackers.depth_maps import align_to_points, sample_inverse_depth

SAME = 0.1
"""A pixel whose inverse depth is within this share of its median over time shows the background."""
STANDS = 1e-9
ROWS_AT_ONCE = 64


def aligned_depth(
    depth: Tensor,  # [T, h, w] any scale and offset in inverse depth, NaN where unknown
    paired: PairedTracks,  # T frames
) -> Tensor:
    """Camera z [T, h, w] float32 in the tracks' units, NaN where unknown.

    Each map's inverse depth is fitted, scale and shift, to the visible tracks. Before a camera that stands, pixels
    whose depth hardly changes get its mean over the clip.

    Raises:
        Track2ViewError: another number of frames, or no map says anything where a track is visible.
    """
    if depth.ndim != 3 or len(depth) != len(paired):
        raise Track2ViewError(
            f"depth has shape {list(depth.shape)} beside tracks of {len(paired)} frames; give one map a frame."
        )
    camera = paired.source_camera
    shown = (paired.visible & paired.source.inside).cpu().numpy()
    maps = depth.cpu().float().numpy()
    measured = sample_inverse_depth(maps, paired.source.xy.cpu().numpy(), shown, camera.width, camera.height)
    z = paired.source.depth.cpu().numpy().astype(np.float64)
    expected = np.where(shown & (z > 0), 1 / np.maximum(z, 1e-9), np.nan)
    if not (np.isfinite(measured) & np.isfinite(expected)).any():
        raise Track2ViewError("The depth maps hold no positive finite depth at any visible track; give other depth.")
    fit = align_to_points(measured, expected)
    known = depth.isfinite() & (depth > 0)
    scale, shift = (torch.from_numpy(values).float()[:, None, None] for values in (fit.scale, fit.shift))
    inverse = torch.where(known, scale / torch.where(known, depth.float(), 1.0) + shift, torch.nan).cpu()
    if bool((camera.world_from_camera - camera.world_from_camera[0]).abs().max() < STANDS):
        inverse = steadied(inverse)
    return torch.where(inverse > 0, 1 / inverse, torch.nan)


def steadied(inverse: Tensor) -> Tensor:
    """Inverse depth [T, h, w] with the background, pixel by pixel, at its mean over time; NaN stays NaN."""
    out = inverse.clone()
    for first in range(0, inverse.shape[1], ROWS_AT_ONCE):
        part = out[:, first : first + ROWS_AT_ONCE]
        middle = part.nanmedian(dim=0).values
        same = (part - middle).abs() < SAME * middle.abs()
        mean = torch.where(same, part, 0).sum(0) / same.sum(0).clamp(min=1)
        out[:, first : first + ROWS_AT_ONCE] = torch.where(same, mean, part)
    return out
