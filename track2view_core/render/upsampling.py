"""A small map of depth at the picture's full size: steps of depth fall on the picture's edges, and stay steps."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

STEP = 0.04
"""Share of inverse depth between two neighbours that makes a step, where a slope does not explain it."""
STEEPER = 2.0
"""A step is so many times steeper than the map is on one side of it; a slope goes on as it is."""
COLOUR = 12.0
"""Grey levels of colour difference at which a neighbour says little of a pixel."""


def upsampled(
    standing: Tensor,  # [h, w] inverse depth
    picture: Tensor,  # [H, W, 3] uint8, same device
) -> Tensor:
    """Inverse depth [H, W] float32 at the picture's size.

    Slopes are interpolated. At a step each pixel takes one of the two sides, the one whose colours it has, and
    continues that side's surface: nothing ever lies between them.
    """
    h, w = standing.shape
    height, width = picture.shape[:2]
    small = standing.float()
    full = functional.interpolate(small[None, None], (height, width), mode="bilinear", align_corners=False)[0, 0]
    step = functional.max_pool2d(_steps(small).float()[None, None], 3, 1, 1)
    at = functional.interpolate(step, (height, width), mode="nearest")[0, 0] > 0
    row, column = at.nonzero(as_tuple=True)
    if not len(row):
        return full
    channels = picture.permute(2, 0, 1).float().contiguous()
    colours = functional.adaptive_avg_pool2d(channels[None], (h, w))[0].flatten(1)
    own = channels.flatten(1).index_select(1, row * width + column)  # [3, M]
    y, x = (row + 0.5) * h / height - 0.5, (column + 0.5) * w / width - 0.5
    r, c = y.round().long(), x.round().long()
    values, weights = [], []
    for rr in ((r + step).clamp_(0, h - 1) for step in (-1, 0, 1)):
        down = (rr - y).square_()
        for cc in ((c + step).clamp_(0, w - 1) for step in (-1, 0, 1)):
            index = rr * w + cc
            off = colours.index_select(1, index).sub_(own).square_().sum(0)
            values.append(small.flatten().index_select(0, index))
            away = (cc - x).square_().add_(down)
            weights.append(off.div_(-2 * COLOUR**2).sub_(away, alpha=0.3).exp_().add_(1e-9))
    value, weight = torch.stack(values), torch.stack(weights)  # [9, M]
    high, low = value.amax(0), value.amin(0)
    upper = value > (high + low) / 2
    votes = (weight * upper).sum(0) > (weight * ~upper).sum(0)
    weight = weight * (upper == votes)
    full[row, column] = (weight * value).sum(0) / weight.sum(0)
    return full


def _steps(small: Tensor) -> Tensor:
    """Which pixels [h, w] have a step beside them."""
    steps = torch.zeros_like(small, dtype=torch.bool)
    for here, found in ((small, steps), (small.T, steps.T)):
        change = (here[:, 1:] - here[:, :-1]).abs()
        near = torch.maximum(here[:, 1:], here[:, :-1])
        before, after = torch.cat([change[:, :1], change[:, :-1]], 1), torch.cat([change[:, 1:], change[:, -1:]], 1)
        step = (change > STEP * near) & (change > STEEPER * torch.minimum(before, after))
        found[:, 1:] |= step
        found[:, :-1] |= step
    return steps
