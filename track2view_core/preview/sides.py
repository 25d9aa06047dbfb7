"""Two clips beside each other, to compare them by eye."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress
from .drawing import GAP, GROUND, caption, pane, pane_size


def side_by_side(
    left: Tensor,  # [T, H, W, 3] uint8
    right: Tensor,  # [T, H', W', 3] uint8
    labels: tuple[str, str] = ("source", "target"),
    *,
    progress: Progress | None = None,
) -> Tensor:
    """Both clips at one height with their names. Returns [T, h, w, 3] uint8 with even sides."""
    if len(left) != len(right):
        raise Track2ViewError(
            f"The left clip has {len(left)} frames and the right one has {len(right)}; give two clips of one length."
        )
    sizes = [pane_size(clip.shape[2], clip.shape[1]) for clip in (left, right)]
    height = max(size[1] for size in sizes)
    widths = [max(2, 2 * round(size[0] * height / size[1] / 2)) for size in sizes]
    pictures = torch.empty((len(left), height, sum(widths) + GAP, 3), dtype=torch.uint8)
    canvas = pictures.numpy()
    canvas[:] = GROUND
    for t in range(len(left)):
        for clip, width, label, at in zip((left, right), widths, labels, (0, widths[0] + GAP), strict=True):
            picture = pane(clip[t], (width, height))
            caption(picture, label)
            canvas[t, :, at : at + width] = picture
        if progress is not None:
            progress(t + 1, len(left), "Side by side")
    return pictures
