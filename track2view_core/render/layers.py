"""One frame in the target view as two layers: what stands, without the pixels of what moves, and what moves over it.

The two meet only at the very end, so that no colour of a mover ever enters what is filled in behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from .hole_masks import grown_square
from .warping import TEAR_MOVERS, Reprojection, behind_steps, sampled, warped

OPAQUE = 0.98
"""Where a mover hides this much, nothing behind it is needed."""
TRACE = 0.04
"""A pixel with more of a mover in it than this is not used for what stands."""
IN_FRONT = 0.97
"""A mover stays in front of what stands up to this share of that's inverse depth: its feet touch the floor."""
EDGE = 4.0
"""Grey levels between neighbours below which a step of depth is none of the scene's: where a thing ends, colours do."""
RIM = 3
"""Pixels around a silhouette that are not used for what stands: outlines err, and what is left behind shows twice."""
PARTED = 2.0
"""Pixels of the source between what a mover and what stands behind it show, from which on its rim is see-through."""
FEWEST_AROUND = 6
"""Known pixels in 5 x 5, itself among them, that a known pixel needs; fewer are specks."""


@dataclass(frozen=True, eq=False)
class Layer:
    colour: Tensor  # [3, H, W] float32, 0..255; anything where not known
    inverse: Tensor  # [H, W] float32, inverse depth in the target view, 0 where unknown
    known: Tensor  # [H, W] bool
    x: Tensor  # [H, W] float32, the source's pixel; -1 where none is
    y: Tensor  # [H, W] float32


@dataclass(frozen=True, eq=False)
class MovingLayer:
    part: tuple[slice, slice]  # rows and columns of the picture outside of which nothing moves
    colour: Tensor  # [3, h, w] float32, 0..255, of that part
    inverse: Tensor  # [H, W] float32, 0 where no mover is
    opacity: Tensor  # [H, W] float32, 0..1


def standing_layer(
    picture: Tensor,  # [3, H, W] float32, 0..255
    inverse: Tensor,  # [H, W] float32, what stands, also behind what moves
    opacity: Tensor,  # [H, W] float32, the movers' share of each pixel of the source
    reprojection: Reprojection,
) -> Layer:
    """What stands. Behind movers, and where a step of depth uncovers what lies behind it, only `inverse` is known."""
    warp = warped(inverse, reprojection, inverse.shape, whole=even_cells(picture))
    known = warp.covered
    hides = opacity > TRACE
    if hides.any():
        rim = grown_square(hides, RIM).float()
        known = known & (sampled(rim[None], warp.x, warp.y, "bilinear")[0] == 0)
    colour = sampled(picture, warp.x, warp.y).clamp(0, 255)
    far = warp.inverse
    if not known.all():
        far = torch.where(warp.covered, far, behind_steps(inverse, reprojection, inverse.shape))
    return _tidy(Layer(colour, far, known, warp.x, warp.y))


def moving_layer(
    picture: Tensor,  # [3, H, W] float32, 0..255
    inverse: Tensor,  # [H, W] float32, > 0 on movers and a few pixels around them
    opacity: Tensor,  # [H, W] float32
    standing: Layer,
    reprojection: Reprojection,
) -> MovingLayer | None:
    """What moves, where it is not behind what stands; None where nothing moves.

    A pixel at a mover's rim shows both the mover and what is behind it. As long as the two go the same way into the
    target view it is right as it is, and only from there on do they part by the rim's opacity.
    """
    drawn = grown_square(opacity > TRACE, RIM + 1) & (inverse > 0)
    if not drawn.any():
        return None
    part = _box(drawn)
    corner = (part[0].start, part[1].start)
    warp = warped(inverse[part], reprojection, inverse.shape, valid=drawn[part], tear=TEAR_MOVERS, corner=corner)
    covered = warp.covered
    if not covered.any():
        return None
    part = _box(covered)
    x, y, far = warp.x[part], warp.y[part], warp.inverse[part]
    apart = torch.hypot(x - standing.x[part], y - standing.y[part])
    apart = torch.where(standing.x[part] < 0, torch.inf, apart).clamp(max=PARTED) / PARTED
    there = covered[part] & ((far > IN_FRONT * standing.inverse[part]) | (apart < 0.5))
    stack = sampled(torch.cat([picture, opacity[None]]), x, y)
    shown, hidden = torch.zeros_like(warp.inverse), torch.zeros_like(opacity)
    shown[part] = torch.where(there, far, 0.0)
    hidden[part] = torch.where(there, 1 - (1 - stack[3].clamp(0, 1)) * apart, 0.0)
    return MovingLayer(part, stack[:3].clamp_(0, 255), shown, hidden)


def composed(colour: Tensor, inverse: Tensor, moving: MovingLayer | None) -> tuple[Tensor, Tensor]:
    """Colour [3, H, W] and inverse depth [H, W] of what stands, without holes, with what moves over it."""
    if moving is None:
        return colour, inverse
    colour, part = colour.clone(), moving.part
    colour[:, *part] = torch.lerp(colour[:, *part], moving.colour, moving.opacity[part])
    return colour, torch.where(moving.opacity > 0.5, moving.inverse, inverse)


def even_cells(
    picture: Tensor,  # [3, H, W] float32, 0..255
) -> Tensor:
    """[H - 1, W - 1] bool: four neighbours, and those around them, of one colour."""
    grey = picture.mean(0)
    rows = torch.minimum(grey[:, :-1], grey[:, 1:]), torch.maximum(grey[:, :-1], grey[:, 1:])
    low, high = torch.minimum(rows[0][:-1], rows[0][1:]), torch.maximum(rows[1][:-1], rows[1][1:])
    return ~grown_square(high - low > EDGE)


def _tidy(layer: Layer) -> Layer:
    """Cracks of at most two pixels take the mean of the known ones around them; specks of known pixels go."""
    if layer.known.all():
        return layer
    colour, inverse, known = layer.colour, layer.inverse, layer.known
    crack = ~known & ~grown_square(~grown_square(known))
    if crack.any():
        y, x = crack.nonzero(as_tuple=True)
        mean, any_known = _mean_around(torch.cat([colour, inverse[None]]), known, y, x)
        colour[:, y, x], inverse = mean[:3], inverse.index_put((y, x), mean[3])
        known = known.index_put((y, x), any_known)
    return replace(layer, colour=colour, inverse=inverse, known=known & (_count_around(known) >= FEWEST_AROUND))


def _mean_around(maps: Tensor, known: Tensor, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [C, K] of the known pixels of 5 x 5 around K pixels, and whether there are any [K]."""
    height, width = known.shape
    total, count = maps.new_zeros(len(maps), len(y)), maps.new_zeros(len(y))
    for down in range(-2, 3):
        for right in range(-2, 3):
            at = (y + down).clamp(0, height - 1), (x + right).clamp(0, width - 1)
            share = known[at].float()
            total += maps[:, at[0], at[1]] * share
            count += share
    return total / count.clamp(min=1), count > 0


def _count_around(mask: Tensor) -> Tensor:
    """[H, W] uint8: how many of the 5 x 5 pixels around each are True, none outside."""
    height, width = mask.shape
    padded = F.pad(mask.to(torch.uint8), (2, 2, 2, 2))
    rows = padded[:height].clone()
    for k in range(1, 5):
        rows += padded[k : k + height]
    count = rows[:, :width].clone()
    for k in range(1, 5):
        count += rows[:, k : k + width]
    return count


def _box(used: Tensor) -> tuple[slice, slice]:
    """Rows and columns from the first to the last True, with two more on either side."""
    first_last = (used.any(dim=1 - axis).nonzero() for axis in (0, 1))
    rows, columns = (slice(max(int(index[0]) - 2, 0), int(index[-1]) + 3) for index in first_last)
    return rows, columns
