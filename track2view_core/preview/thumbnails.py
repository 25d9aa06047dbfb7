"""A clip's frames in small, for the browser to lay under a drawing."""

from __future__ import annotations

import torch
from torch import Tensor

from ..video.resizing import resize_picture


def thumbnails(frames: Tensor, *, longest: int = 512) -> Tensor:  # [T, H, W, 3] uint8
    """The frames `[T, h, w, 3]` uint8 with the longer side at most `longest` px; both sides even, as every player
    wants them."""
    height, width = frames.shape[1:3]
    share = min(1.0, longest / max(height, width))
    small = [max(2, 2 * round(side * share / 2)) for side in (width, height)]
    return torch.stack([torch.from_numpy(resize_picture(frame.cpu().numpy(), *small)) for frame in frames])
