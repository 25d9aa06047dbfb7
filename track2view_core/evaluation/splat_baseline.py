"""The baseline that needs no model: the tracked points' colours splatted into the target view, holes filled."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..conditioner import scatter_to_grid
from ..errors import Track2ViewError
from ..tracks import PairedTracks

_CELLS_A_POINT = 1.0  # of the splat's grid: finer, and what is behind shows through between the points of a surface
_LEAST_WEIGHT = 1e-4


def splat_points(video: Tensor, tracks: PairedTracks) -> Tensor:
    """Re-render a clip from its tracked points alone.

    Every point takes its colour from the source frame of the same time, where it is seen there, else from the nearest
    frame in time that sees it. The points are scattered with the conditioner's own soft z-buffer into a grid of about
    one cell a point (never finer than the pixels). Cells that no point reaches are filled from coarser and coarser
    averages of those around them (pull-push), and the grid is enlarged to the picture bilinearly.

    Args:
        video: [T, H, W, 3] uint8, the source.
        tracks: T frames of the size of the video.

    Returns:
        [T, H, W, 3] uint8, the target view.
    """
    frames, height, width = video.shape[:3]
    camera = tracks.target_camera
    if len(tracks) != frames or (camera.width, camera.height) != (width, height):
        raise Track2ViewError(
            f"The video is {frames} frames of {width} x {height} and the tracks are {len(tracks)} frames of "
            f"{camera.width} x {camera.height}; track the same clip, or resize the tracks to it."
        )
    tracks = tracks.select(tracks.seen)
    points = tracks.visible.shape[1]
    if not points:
        raise Track2ViewError("No track is visible in the source view; nothing can be splatted, track the clip again.")
    cell = max(1.0, (height * width / (_CELLS_A_POINT * points)) ** 0.5)
    grid = (max(1, round(height / cell)), max(1, round(width / cell)))
    target = tracks.target
    mean, coverage = scatter_to_grid(
        point_colours(video, tracks)[None],
        target.xy[None],
        target.depth[None],
        target.inside[None],
        grid,
        (height, width),
    )
    filled = _fill_holes(*(rearrange(grid, "1 c t h w -> t c h w") for grid in (mean, coverage)))
    picture = F.interpolate(filled, (height, width), mode="bilinear", align_corners=False)
    return rearrange((picture.clamp(0, 1) * 255).round().to(torch.uint8), "t c h w -> t h w c")


def point_colours(video: Tensor, tracks: PairedTracks) -> Tensor:
    """Colour 0..1 [T, N, 3] of every track at every time, from the nearest frame in time that sees it."""
    frames, height, width = video.shape[:3]
    scale = torch.tensor([2 / width, 2 / height])
    sampled = F.grid_sample(
        rearrange(video, "t h w c -> t c h w").float() / 255,
        (tracks.source.xy * scale - 1)[:, None],
        align_corners=False,
        padding_mode="border",
    )
    sampled = rearrange(sampled, "t c 1 n -> t n c")
    seen = tracks.visible & tracks.source.inside
    apart = (torch.arange(frames)[:, None] - torch.arange(frames)).abs()  # [T, T]
    nearest = (apart[:, :, None] + (frames + 1) * ~seen[None]).argmin(1)  # [T, N]
    return torch.take_along_dim(sampled, nearest[..., None], 0)


def _fill_holes(mean: Tensor, weight: Tensor) -> Tensor:
    """Fill cells [T, 3, h, w] of weight [T, 1, h, w] below 1 from the average of those around, coarse to fine."""
    height, width = mean.shape[2:]
    if height == 1 and width == 1:
        return mean
    pool = lambda x: F.avg_pool2d(F.pad(x, (0, width % 2, 0, height % 2)), 2, divisor_override=1)  # noqa: E731
    total = pool(weight)
    coarse = _fill_holes(pool(mean * weight) / total.clamp(min=_LEAST_WEIGHT), total.clamp(max=1))
    around = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]
    return torch.lerp(around, mean, weight)
