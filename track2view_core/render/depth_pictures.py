"""Dense depth as pictures for other models: near is bright, one range for the whole clip."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..notes import Note
from ..progress import Progress
from .geometry import ClipGeometry
from .upsampling import upsampled

OUTLIERS = 0.001
"""Share of the pixels at either end that set no range: a few that are wrong would leave the rest without contrast."""
MOST_SAMPLED = 2**22
"""Pixels that the range is taken of, evenly spread; sorting more brings nothing but time."""


@dataclass(frozen=True, eq=False)
class DepthPictures:
    pictures: Tensor  # [T, H, W] float32, 0..1: 1 at `near`, 0 at `far` or where nothing is known, even in 1 / depth
    near: float | None  # camera z in the tracks' units; None where nothing is known
    far: float | None

    @property
    def notes(self) -> tuple[Note, ...]:
        return () if self.near is None else (Note.of("depth_range", near=self.near, far=self.far),)


def near_is_bright(
    inverse: Tensor,  # [T, H, W] 1 / camera z, 0 where nothing is known
) -> DepthPictures:
    """Inverse depth over the clip's own range; `geometry_from_pictures` reads it back as `near is bright, metric`."""
    known = inverse[inverse > 0]
    if not len(known):
        return DepthPictures(torch.zeros_like(inverse, dtype=torch.float32), None, None)
    sample = known[:: len(known) // MOST_SAMPLED + 1].float()
    low, high = (float(torch.quantile(sample.cpu()[:MOST_SAMPLED], share)) for share in (OUTLIERS, 1 - OUTLIERS))
    # A clip of one depth is bright all over: it has no far side.
    low = low if high > low else 0.0
    pictures = ((inverse.float() - low) / (high - low)).clamp(0, 1)
    return DepthPictures(pictures, 1 / high, 1 / low if low > 0 else float("inf"))


def source_depth(
    video: Tensor,  # [T, H, W, 3] uint8
    geometry: ClipGeometry,
    *,
    progress: Progress | None = None,
) -> tuple[Tensor, Tensor]:
    """What the clip itself shows: inverse depth [T, H, W] float32 > 0, movers before what stands, and their mask."""
    frames, height, width = video.shape[:3]
    inverse, movers = torch.empty(frames, height, width), torch.empty(frames, height, width, dtype=torch.bool)
    for t in range(frames):
        inverse[t], movers[t] = frame_depth(video[t], geometry, t)
        if progress is not None:
            progress(t + 1, frames, "depth of every pixel")
    return inverse, movers


def frame_depth(
    picture: Tensor,  # [H, W, 3] uint8, frame t at any size
    geometry: ClipGeometry,
    t: int,
) -> tuple[Tensor, Tensor]:
    """Of one frame: inverse depth [H, W] float32 > 0, movers before what stands, and their mask."""
    standing = upsampled(geometry.standing[t], picture)
    masked, own = geometry.silhouettes[t].float(), geometry.mover_inverse[t].float()
    full = F.interpolate(torch.stack([masked, own])[None], tuple(picture.shape[:2]), mode="bilinear")[0]
    movers = full[0] > 0.5
    # Outside the silhouettes the movers' inverse depth is 0: at the rim it is divided by how much is inside.
    return torch.where(movers, full[1] / full[0].clamp(min=0.5), standing), movers
