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
    colours = functional.adaptive_avg_pool2d(picture.permute(2, 0, 1)[None].float(), (h, w))[0].reshape(3, -1)
    own = picture[row, column].float().T  # [3, M]
    y, x = (row + 0.5) * h / height - 0.5, (column + 0.5) * w / width - 0.5
    r, c = y.round().long(), x.round().long()
    values, weights = [], []
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            rr, cc = (r + dy).clamp(0, h - 1), (c + dx).clamp(0, w - 1)
            index = rr * w + cc
            off = ((own - colours[:, index]) ** 2).sum(0)
            values.append(small.reshape(-1)[index])
            weights.append(torch.exp(-off / (2 * COLOUR**2) - 0.3 * ((rr - y) ** 2 + (cc - x) ** 2)) + 1e-9)
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
