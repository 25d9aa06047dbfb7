"""Pixels that no time shows, invented from what stands farther away beside them, and steady in time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .layers import Layer
from .warping import Reprojection, sampled

HALF = 2
"""Pixels for one of what is invented before its texture: it is smooth."""
OFF_SURFACE = 0.1
"""Share of inverse depth by which a known pixel is nearer than what a hole uncovers, and has 1/e of its word."""
LEAST_WORD = 1e-5
"""The word of what is much nearer: it tells the colour only where nothing else is known."""
FULL_WORD = 0.25
"""From this mean weight on, known pixels alone tell the colour of a cell of the pyramid."""
TEXTURE_REACH = 30 / 832
"""Share of the width over which mirrored texture fades."""
COARSE_LEVEL = 2
"""Level of the pyramid that stands for a picture without its texture."""
CARRIED = 0.85
"""Share of an invented pixel's colour that it had in the frame before."""
SAME_SURFACE = 0.1
"""Share of inverse depth within which two frames' pixels are one place of the scene."""


@dataclass(frozen=True, eq=False)
class Filled:
    """The standing layer of one frame without holes."""

    colour: Tensor  # [3, H, W] float32, 0..255
    inverse: Tensor  # [H, W] float32, > 0
    invented: Tensor  # [H, W] bool


def filled(
    layer: Layer,
    needed: Tensor,  # [H, W] bool: other unknown pixels are filled roughly
    before: Filled | None = None,  # the frame before
    to_before: Reprojection | None = None,  # from this target view to that one
) -> Filled:
    """The farther side's colours and texture in every hole, carried along from the frame before where there is one."""
    holes = ~layer.known
    if not holes.any():
        return Filled(layer.colour, layer.inverse, holes)
    weight, small = _farther_side(layer)
    levels = _push_pull(small, weight)
    smooth = F.interpolate(levels[0][None], holes.shape, mode="bilinear", align_corners=False)[0]
    colour = torch.where(holes, smooth[:3], layer.colour)
    inverse = torch.where(layer.inverse > 0, layer.inverse, smooth[3].clamp(min=1e-9))
    row, column = (holes & needed).nonzero(as_tuple=True)
    if len(row):
        colour[:, row, column] += _texture(layer.colour, levels[COARSE_LEVEL][:3], weight, row, column)
        if before is not None and to_before is not None:
            now = colour[:, row, column], inverse[row, column]
            colour[:, row, column], inverse[row, column] = _steadied(*now, row, column, before, to_before)
    return Filled(colour.clamp_(0, 255), inverse, holes)


def _farther_side(layer: Layer) -> tuple[Tensor, Tensor]:
    """Weight [1, h, w] and colour with inverse depth [4, h, w] at half size: known pixels that are nearer than what
    the holes beside them uncover have little word. How far that is is known behind a mover and behind a step of depth.
    """
    known = layer.known[None].float()
    stack = _halved(torch.cat([layer.colour * known, layer.inverse[None] * known, known]))
    share = stack[4:]
    small = stack[:4] / share.clamp(min=1e-6)
    behind = (~layer.known & (layer.inverse > 0))[None].float()
    sums = _halved(_halved(torch.cat([layer.inverse[None] * known, known, layer.inverse[None] * behind, behind])))
    beside = _push_pull(sums[:1] / sums[1:2].clamp(min=1e-6), sums[1:2])[0]  # of holes that the picture's edge cuts
    expected = torch.where(sums[3:] > 0, sums[2:3] / sums[3:].clamp(min=1e-6), beside)
    expected = _push_pull(expected, 1 - sums[1:2])[0]
    expected = expected.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, : share.shape[1], : share.shape[2]]
    off = ((small[3:] - expected).clamp(min=0) / expected.clamp(min=1e-9)).masked_fill(share == 0, 0)
    return share * (torch.exp(-(off / OFF_SURFACE).clamp(max=20)) + LEAST_WORD), small


def _push_pull(
    picture: Tensor,  # [C, h, w]
    weight: Tensor,  # [1, h, w]
) -> list[Tensor]:
    """The picture without holes at every level of a pyramid, the finest first."""
    if min(picture.shape[1:]) <= 2:
        total = weight.sum().clamp(min=1e-12)
        return [((picture * weight).sum((1, 2), keepdim=True) / total).expand_as(picture)] * (COARSE_LEVEL + 1)
    below = _halved(weight)
    levels = _push_pull(_halved(picture * weight) / below.clamp(min=1e-12), below)
    rough = F.interpolate(levels[0][None], picture.shape[1:], mode="bilinear", align_corners=False)[0]
    return [torch.lerp(rough, picture, (weight / FULL_WORD).clamp(max=1)), *levels]


def _halved(a: Tensor) -> Tensor:
    """[C, h, w] -> [C, ceil(h / 2), ceil(w / 2)], means; sums of slices cost a tenth of pooling."""
    h, w = a.shape[1:]
    if h % 2 or w % 2:
        a = F.pad(a[None], (0, w % 2, 0, h % 2), mode="replicate")[0]
    rows = a[:, ::2] + a[:, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]).mul_(0.25)


def _texture(colour: Tensor, rough: Tensor, weight: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """[3, K] what the farther side's texture, mirrored at its rim, adds to K pixels."""
    height, width = colour.shape[1:]
    good = weight[0] > 0.3
    good[1:-1, 1:-1] &= good[:-2, 1:-1] & good[2:, 1:-1] & good[1:-1, :-2] & good[1:-1, 2:]
    reach = max(2, round(2 * TEXTURE_REACH * width / HALF))
    h, w = good.shape
    cell = (
        row.div(HALF, rounding_mode="floor").clamp(max=h - 1),
        column.div(HALF, rounding_mode="floor").clamp(max=w - 1),
    )
    asked = torch.zeros_like(good)
    asked[cell] = True
    near = torch.full((2, h, w), -1, device=good.device)
    near[:, asked] = torch.stack(_nearest_good(good, reach, *asked.nonzero(as_tuple=True)))
    near_row, near_column = near[:, cell[0], cell[1]]
    y = 2 * (near_row * HALF + HALF / 2) - (row + 0.5)
    x = 2 * (near_column * HALF + HALF / 2) - (column + 0.5)
    away = torch.hypot(y - (row + 0.5), x - (column + 0.5)) / 2
    found = (near_row >= 0) & (y >= 0) & (x >= 0) & (y < height) & (x < width)
    at = ((y / HALF).long().clamp(0, h - 1), (x / HALF).long().clamp(0, w - 1))
    strength = torch.exp(-((away / (TEXTURE_REACH * width)) ** 2)) * (found & good[at])
    scale = rough.shape[1] / height, rough.shape[2] / width
    detail = colour[:, y.long().clamp(0, height - 1), x.long().clamp(0, width - 1)]
    return strength * (detail - sampled(rough, x * scale[1], y * scale[0], "bilinear"))


def _nearest_good(good: Tensor, reach: int, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """Row and column [K] of the good cell nearest to each of K cells, at most `reach` rows away; -1 where none is."""
    h, w = good.shape
    across = torch.arange(w, device=good.device).expand(h, w)
    left = torch.where(good, across, -w * 4).cummax(1).values
    right = -torch.where(good, -across, -w * 4).flip(1).cummax(1).values.flip(1)
    nearest = torch.where(across - left <= right - across, left, right)  # the nearest good column of the same row
    nearest = F.pad(nearest.clamp(-4 * w, 4 * w), (0, 0, reach, reach), value=4 * w)
    rows = 2 * reach + 1
    best = torch.full_like(row, (4 * reach) ** 2 * rows)
    for step in range(rows):  # distance and row as one number to be compared; of two as near the upper one
        apart = nearest[row + step, column].sub_(column)
        best = torch.minimum(best, apart.mul_(apart).add_((step - reach) ** 2).mul_(rows).add_(step))
    found, there = best < (4 * reach) ** 2 * rows, row + best % rows
    return torch.where(found, there - reach, -1), torch.where(found, nearest[there, column], -1)


def _steadied(
    new: Tensor,  # [3, K]
    inverse: Tensor,  # [K]
    row: Tensor,
    column: Tensor,
    before: Filled,
    to_before: Reprojection,
) -> tuple[Tensor, Tensor]:
    """K pixels much as the frame before had the same places of the scene: colour [3, K] and inverse depth [K]."""
    height, width = before.inverse.shape
    x, y, expected = to_before(column + 0.5, row + 0.5, inverse)
    was = sampled(torch.cat([before.colour, before.inverse[None]]), x, y)
    ratio = was[3] / expected.clamp(min=1e-12)
    same = (x > 0) & (y > 0) & (x < width) & (y < height) & ((ratio - 1).abs() < SAME_SURFACE)
    share = CARRIED * same
    return torch.lerp(new, was[:3], share), inverse * torch.lerp(torch.ones_like(ratio), ratio, share)
