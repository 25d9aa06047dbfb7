"""The library's render as the benchmark asks for it: all that follows the tracks, in the order of the pipelines."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from benchmarks.render_measures import resized
from track2view_core.render import ClipGeometry, TargetView, render_target_view
from track2view_core.render.upsampling import upsampled
from track2view_core.tracks import PairedTracks


def rendered(video: Tensor, paired: PairedTracks, geometry: ClipGeometry) -> TargetView:
    """The filled film from the target camera, and what of it is invented."""
    return render_target_view(video, paired, geometry=geometry)


def full_size_standing(geometry: ClipGeometry, video: Tensor) -> Tensor:
    """Inverse depth [T, H, W] of what stands, as the render sees it."""
    if geometry.standing.shape[1:] == video.shape[1:3]:
        return geometry.standing
    return torch.stack([upsampled(small, picture) for small, picture in zip(geometry.standing, video, strict=True)])


def source_inverse_depth(geometry: ClipGeometry, video: Tensor) -> Tensor:
    """Inverse depth [T, H, W] of what the source shows."""
    size = video.shape[1:3]
    mover = resized(geometry.mover_inverse, size, cv2.INTER_NEAREST)
    moves = resized(geometry.silhouettes.float(), size, cv2.INTER_NEAREST) > 0.5
    return torch.where(moves & (mover > 0), mover, full_size_standing(geometry, video))
