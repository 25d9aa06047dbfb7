"""The conditioner's geometry: read a grid of features along the tracks, and write the tracks' values back into one.

No parameters. On the way back nearer tracks hide those behind. `warp_latents` does both with the source latents.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..errors import Track2ViewError
from ..tracks import TrackBatch


def sample_along_tracks(
    tokens: Tensor,  # [B, D, F, h, w]
    xy: Tensor,  # [B, F, N, 2] pixels
    image_size: tuple[int, int],  # (H, W) pixels
) -> Tensor:  # [B, F, N, D]
    """Bilinear samples of each frame's grid at that frame's track positions; exact on cell centres.

    Beyond the outermost centres the border value holds. Coordinates are taken in float32 at least; those that are not
    finite are replaced, so that the sample is finite (and meaningless). The result has the dtype of `tokens`.

    Raises:
        Track2ViewError: the shapes do not belong together.
    """
    if tokens.ndim != 5 or xy.ndim != 4 or xy.shape[-1] != 2:
        raise Track2ViewError(
            f"The tokens to sample have shape {list(tokens.shape)} and xy has {list(xy.shape)}; they must be "
            "[B, D, F, h, w] and [B, F, N, 2]."
        )
    batch, _, frames, _, _ = tokens.shape
    if xy.shape[:2] != (batch, frames):
        raise Track2ViewError(
            f"The xy to sample at have shape {list(xy.shape)}; with tokens {list(tokens.shape)} they must be "
            f"[{batch}, {frames}, N, 2]."
        )
    precision = torch.promote_types(torch.promote_types(tokens.dtype, xy.dtype), torch.float32)
    size = torch.tensor([image_size[1], image_size[0]], dtype=precision, device=xy.device)
    # -1 and 1 are the image's edges; anything beyond them reads the border, so the clamp changes no sample.
    place = (2 * xy.to(precision) / size - 1).nan_to_num(nan=0.0).clamp(-2, 2)
    grid = rearrange(tokens.to(precision), "b d f h w -> (b f) d h w")
    # All tracks in one row of the "image": grid_sample is vectorised along its rows.
    place = rearrange(place, "b f n xy -> (b f) 1 n xy")
    sampled = F.grid_sample(grid, place, padding_mode="border", align_corners=False)
    return rearrange(sampled, "(b f) d 1 n -> b f n d", b=batch).to(tokens.dtype)


EPSILON = 1e-6  # least weight that a cell's mean is divided by
NEAR_WEIGHT = 0.25  # a point belongs to a cell's z-buffer from this weight on; its greatest of four is never less


class Scattered(NamedTuple):
    """What the tracks say about each cell."""

    mean: Tensor  # [B, D, F, h, w] in the values' dtype; 0 where no track reaches
    coverage: Tensor  # [B, 1, F, h, w] float32 at least, 0..1


def scatter_to_grid(
    values: Tensor,  # [B, F, N, D], finite
    xy: Tensor,  # [B, F, N, 2] pixels
    depth: Tensor,  # [B, F, N] camera z, positive where inside
    inside: Tensor,  # [B, F, N] bool: which points take part
    grid_size: tuple[int, int],  # (h, w)
    image_size: tuple[int, int],  # (H, W) pixels
    *,
    beta: float = 10.0,
    norm: str = "mean_coverage",
) -> Scattered:
    """Spread every inside point over the four cells around it, nearer points hiding those behind.

    A point's share w of a cell is bilinear, its coordinates clamped to the outermost centres so that borders lose
    nothing. A cell's z_min is the least depth among points with w >= 0.25 there; each point counts with w q,
    `q = min(1, exp(-beta (z - z_min) / z_min))`, and q = 1 in a cell that has no such point.
    `mean = sum(w q value) / max(eps, sum(w q))`, `coverage = min(1, sum(w q))`.

    Args:
        norm: `max1` divides by `max(1, sum(w q))` instead.

    Differentiable with respect to `values` alone. Weights are float32 at least, whatever the values' dtype; points that
    are not inside may lie anywhere, also at no finite place.

    Raises:
        Track2ViewError: the shapes do not belong together, or `norm` is unknown.
    """
    _check(values, xy, depth, inside, norm)
    batch, frames = values.shape[:2]
    rows, columns = grid_size
    precision = torch.promote_types(torch.promote_types(values.dtype, xy.dtype), torch.float32)
    with torch.no_grad():
        cell, weight = _four_cells(xy.to(precision), inside, grid_size, image_size)
        first = torch.arange(batch * frames, device=cell.device) * (rows * columns)
        cell = cell + rearrange(first, "(b f) -> b f 1 1", b=batch)
        cell, weight = (rearrange(x, "b f n corner -> (b f n) corner") for x in (cell, weight))
        count = batch * frames * rows * columns
        weight = weight * _unhidden(depth.to(precision), inside, cell, weight, count, beta)
        order = _by_cell(cell, count)
        total = F.embedding_bag(order.entry, weight.reshape(-1, 1), order.start, mode="sum").squeeze(1)
        # Divided before the sum: a number a point and corner, not one a cell and channel.
        weight = weight / total.clamp_min(EPSILON if norm == "mean_coverage" else 1.0)[cell]
    mean = _SumPerCell.apply(rearrange(values, "b f n d -> (b f n) d").to(precision), weight, cell, order)
    axes = {"b": batch, "f": frames, "h": rows}
    return Scattered(
        rearrange(mean, "(b f h w) d -> b d f h w", **axes).to(values.dtype),
        rearrange(total.clamp_max(1.0), "(b f h w) -> b 1 f h w", **axes),
    )


def _four_cells(
    xy: Tensor,  # [B, F, N, 2] pixels
    inside: Tensor,  # [B, F, N]
    grid_size: tuple[int, int],
    image_size: tuple[int, int],
) -> tuple[Tensor, Tensor]:  # [B, F, N, 4] long, [B, F, N, 4]
    """The four cells around each point, as row * w + column, and their bilinear weights, 0 where not inside."""
    low, share = [], []
    for axis, (cells, pixels) in enumerate(zip(reversed(grid_size), reversed(image_size), strict=True)):
        at = (xy[..., axis] * (cells / pixels) - 0.5).nan_to_num(nan=0.0).clamp(0, cells - 1)
        # The last centre is reached from the cell before it, so that its neighbour exists.
        start = at.floor().clamp(max=max(cells - 2, 0))
        low.append(start.long())
        share.append(at - start)
    (u, v), (right, down) = low, share
    next_u, next_v = (u + 1).clamp(max=grid_size[1] - 1), (v + 1).clamp(max=grid_size[0] - 1)
    columns = grid_size[1]
    cell = torch.stack([v * columns + u, v * columns + next_u, next_v * columns + u, next_v * columns + next_u], -1)
    left, up = 1 - right, 1 - down
    weight = torch.stack([left * up, right * up, left * down, right * down], -1)
    return cell, weight * inside[..., None]


def _unhidden(
    depth: Tensor,  # [B, F, N]
    inside: Tensor,  # [B, F, N]
    cell: Tensor,  # [B*F*N, 4]
    weight: Tensor,  # [B*F*N, 4]
    count: int,
    beta: float,
) -> Tensor:  # [B*F*N, 4]
    """q of the soft z-buffer for each point in each of its four cells."""
    limits = torch.finfo(depth.dtype)
    z = torch.where(inside, depth, 1.0).clamp(limits.tiny, limits.max).view(-1, 1).expand(-1, 4)
    near = torch.where(weight >= NEAR_WEIGHT, z, torch.inf)
    nearest = z.new_full((count,), torch.inf).scatter_reduce_(0, cell.reshape(-1), near.reshape(-1), "amin")
    # A cell without a z-buffer has z_min = inf: z / inf - 1 < 0, hence q = 1.
    return torch.exp(-beta * (z / nearest[cell] - 1).clamp_min(0))


class _Order(NamedTuple):
    """The (point, corner) pairs sorted by cell."""

    entry: Tensor  # [P*4] long, point * 4 + corner
    start: Tensor  # [cells] long, where each cell's entries begin


def _by_cell(cell: Tensor, count: int) -> _Order:
    ordered, entry = cell.reshape(-1).sort(stable=True)
    return _Order(entry, torch.searchsorted(ordered, torch.arange(count, device=cell.device)))


class _SumPerCell(torch.autograd.Function):
    """out[c] = sum of weight * value over the (point, corner) pairs whose cell is c.

    Summed cell by cell in the tracks' order, so without atomics: fast on a CPU, and the same on every run of a GPU. Its
    transpose reads four cells a point.
    """

    @staticmethod
    def forward(ctx, values: Tensor, weight: Tensor, cell: Tensor, order: _Order) -> Tensor:
        ctx.save_for_backward(weight, cell)
        shares = weight.reshape(-1)[order.entry]
        return F.embedding_bag(order.entry >> 2, values, order.start, mode="sum", per_sample_weights=shares)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        weight, cell = ctx.saved_tensors
        return F.embedding_bag(cell, gradient.contiguous(), mode="sum", per_sample_weights=weight), None, None, None


def _check(values: Tensor, xy: Tensor, depth: Tensor, inside: Tensor, norm: str) -> None:
    if values.ndim != 4:
        raise Track2ViewError(f"The values to scatter have shape {list(values.shape)}; they must be [B, F, N, D].")
    points = values.shape[:3]
    for name, tensor, shape in (("xy", xy, (*points, 2)), ("depth", depth, points), ("inside", inside, points)):
        if tensor.shape != shape:
            raise Track2ViewError(
                f"The {name} to scatter by has shape {list(tensor.shape)}; with values {list(values.shape)} it must "
                f"be {list(shape)}."
            )
    if inside.dtype != torch.bool:
        raise Track2ViewError(f"The inside to scatter by has dtype {inside.dtype}; it must be torch.bool.")
    if norm not in ("mean_coverage", "max1"):
        raise Track2ViewError(f"norm is {norm!r}; it must be 'mean_coverage' or 'max1'.")


def nearest_valid_frame(valid: Tensor) -> Tensor:  # [B, F, N] bool -> [B, F, N] long
    """For each frame and track the nearest valid frame, the earlier of two; 0 where it never is valid."""
    frames = valid.shape[1]
    number = torch.arange(frames, device=valid.device)
    distance = (number[:, None] - number).abs()[None, :, :, None]  # [1, F, F', 1]
    return torch.where(valid[:, None], distance, frames).argmin(2)


def warp_latents(
    latents: Tensor,  # [B, C, F, 2h, 2w] source
    batch: TrackBatch,
    valid: Tensor,  # [B, F, N] bool, visible and inside in the source
    *,
    beta: float,
    norm: str,
) -> Tensor:  # [B, C + 1, F, 2h, 2w]
    """Mean and coverage of the source latents seen from the target camera.

    A track that cannot be seen in a frame brings the value of its nearest visible frame; one that never can brings
    nothing.
    """
    values = sample_along_tracks(latents, batch.source_xy, batch.image_size)
    frame = nearest_valid_frame(valid)
    values = values.gather(1, repeat(frame, "b f n -> b f n d", d=values.shape[-1]))
    reach = batch.target_inside & valid.any(1, keepdim=True)
    height, width = latents.shape[-2:]
    mean, coverage = scatter_to_grid(
        values, batch.target_xy, batch.target_depth, reach, (height, width), batch.image_size, beta=beta, norm=norm
    )
    return torch.cat([mean, coverage.to(mean.dtype)], 1)
