"""One view's pixels in another view: the pixel grid as a z-buffered mesh over its depth, torn where the depth steps.

The mesh joins the pixels' centres, two triangles to four of them. A pixel of the target takes the nearest triangle that
covers its centre, and with it a place in the source between the pixels of one surface. Inverse depth is affine over the
picture of a plane, so that planes stay planes, and all is computed in torch without a random order: the same numbers
on every run, on CPU and CUDA.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras import CameraPath
from ..cameras.path import inverse_intrinsics

TEAR_STANDING = 0.04
"""Four neighbouring pixels whose inverse depths differ by more than this share of the largest lie on two surfaces."""
TEAR_MOVERS = 0.12
"""The same on what moves, whose depth is rougher and whose rim is cut out by its silhouette anyway."""
TEAR_WITHIN = 0.12
"""The same where the picture shows no edge: the smaller step is none of the scene's."""
STEEPEST, GOES_ON, LIKE = 0.3, 3, 0.5
"""A step is the slope of a surface seen askew, and is torn beyond this share alone, if it goes on: so many pixels
farther on either side, inverse depth still changes by this share of it."""
LOOSE = 2.0
"""Pixels of the target: where four neighbours stay this near to each other nothing is torn, whatever their depth."""
LARGEST_CELL = 16
"""Pixels: four neighbours that the target draws farther apart than this show no detail any more and leave a hole."""
WIDEST_HOLE = 0.5
"""Share of the width: neighbours that part by more tell nothing of what lies between them."""
SLACK = 1e-3
"""Pixels by which a triangle is larger than it is, so that rounding opens no gap between two."""
LEAST_AREA = 1e-4
"""Square pixels: triangles seen from behind or from the side are not drawn."""
NEAREST = 1e-6
CELLS_AT_ONCE = 2**15
"""Cells of the mesh that a CPU takes at a time: what is computed of them stays in its cache. A GPU takes all."""


@dataclass(frozen=True, eq=False)
class Reprojection:
    """From pixels of one view to those of another: `(x, y, 1) @ turn.T + shift * inverse` is the target's homogeneous
    pixel, and its last entry the target's depth in terms of the source's.
    """

    turn: Tensor  # [3, 3] float64, on the CPU
    shift: Tensor  # [3] float64, on the CPU

    @classmethod
    def between(cls, source: CameraPath, t: int, target: CameraPath, u: int) -> Reprojection:
        """From frame t of `source` to frame u of `target`, each in pixels of its own size."""
        pose = target.camera_from_world[u].cpu() @ source.world_from_camera[t].cpu()
        lens = target.intrinsics[u].cpu()
        return cls(lens @ pose[:3, :3] @ inverse_intrinsics(source.intrinsics[t].cpu()), lens @ pose[:3, 3])

    def __call__(self, x: Tensor, y: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Target x, y in pixels and inverse depth of source pixels; x, y and inverse may broadcast.

        What is not in front of the target camera has inverse depth 0, and a place far outside.
        """
        turn, shift = self.turn.tolist(), self.shift.tolist()
        across, down, far = (
            row[0] * x + (row[1] * y + row[2]) + s * inverse for row, s in zip(turn, shift, strict=True)
        )
        front = far > NEAREST
        share = torch.where(front, far, 1.0).reciprocal()
        return (
            torch.where(front, across * share, -1e6).clamp(-1e6, 1e6),
            torch.where(front, down * share, -1e6).clamp(-1e6, 1e6),
            torch.where(front, inverse * share, 0.0),
        )


@dataclass(frozen=True, eq=False)
class Warp:
    """Where each pixel of a target view comes from."""

    x: Tensor  # [H, W] float32, source pixels; -1 where no surface is
    y: Tensor  # [H, W] float32
    inverse: Tensor  # [H, W] float32, 1 / target camera z; 0 where no surface is

    @property
    def covered(self) -> Tensor:
        """`[H, W]` bool."""
        return self.inverse > 0


def warped(
    inverse: Tensor,  # [h, w] float32, inverse depth of the source's pixels
    reprojection: Reprojection,
    size: Sequence[int],  # height and width of the target
    *,
    valid: Tensor | None = None,  # [h, w] bool: pixels that may be drawn
    whole: Tensor | None = None,  # [h - 1, w - 1] bool: four neighbours that show no edge, to be torn later than others
    wanted: Tensor | None = None,  # [H, W] bool: the target's pixels that matter, all if None
    tear: float = TEAR_STANDING,
    corner: tuple[int, int] = (0, 0),  # row and column of the map's first pixel in the source
) -> Warp:
    """The map as a mesh in the target view."""
    h, w = inverse.shape
    strip = h if inverse.is_cuda else max(1, CELLS_AT_ONCE // w)
    if wanted is not None:  # a cell may cover a wanted pixel if one is within two pixels of its first
        wanted = F.max_pool2d(wanted[None, None].float(), 5, stride=1, padding=2)[0, 0] > 0
    slopes = _slopes(inverse)
    best = torch.full((size[0] * size[1],), -1, dtype=torch.long, device=inverse.device)
    found, many = [], 0
    for first in range(0, h - 1, strip):
        rows = slice(first, min(first + strip, h - 1) + 1)
        cover = _strip(
            inverse[rows],
            reprojection,
            size,
            None if valid is None else valid[rows],
            None if whole is None else whole[first : rows.stop - 1],
            slopes[first : rows.stop - 1],
            wanted,
            tear,
            (corner[0] + first, corner[1]),
        )
        if cover is None:
            continue
        pixel, x, y, depth = cover
        # The bits of a positive float grow with it, so that depth and place make one whole number to be compared.
        claim = (depth.view(torch.int32).long() << 32) | torch.arange(many, many + len(depth), device=depth.device)
        best.scatter_reduce_(0, pixel, claim, "amax")
        found.append((x, y, depth))
        many += len(depth)
    out = [torch.full((len(best),), nothing, device=inverse.device) for nothing in (-1.0, -1.0, 0.0)]
    if found:
        drawn = (best >= 0).nonzero().squeeze(1)
        winner = best[drawn] & 0xFFFFFFFF
        for map, values in zip(out, zip(*found, strict=True), strict=True):
            map[drawn] = torch.cat(values)[winner]
    return Warp(*(map.view(*size) for map in out))


def behind_steps(
    inverse: Tensor,  # [h, w] float32
    reprojection: Reprojection,
    size: Sequence[int],
    tear: float = TEAR_STANDING,
) -> Tensor:
    """Inverse depth [H, W] of the farther side of each torn step, drawn between its two sides; 0 elsewhere.

    Where two neighbours part in the target, a hole lies between them, and what it uncovers goes on from the farther.
    """
    height, width = size
    h, w = inverse.shape
    nothing = torch.zeros(height * width, device=inverse.device)
    ends = []
    for down, right in ((0, 1), (1, 0)):
        first, second = inverse[: h - down, : w - right], inverse[down:, right:]
        row, column = ((first - second).abs() > tear * torch.maximum(first, second)).nonzero(as_tuple=True)
        swap = first[row, column] < second[row, column]  # the second is the nearer
        step_down, step_right = down * swap.long(), right * swap.long()
        near = row + step_down, column + step_right
        far = row + down - step_down, column + right - step_right
        ends.append(torch.stack([*near, *far]))
    near_row, near_column, far_row, far_column = torch.cat(ends, 1)
    u0, v0, _ = reprojection(near_column + 0.5, near_row + 0.5, inverse[near_row, near_column])
    u1, v1, far = reprojection(far_column + 0.5, far_row + 0.5, inverse[far_row, far_column])
    length = torch.maximum((u1 - u0).abs(), (v1 - v0).abs())
    wide = ((length > LOOSE) & (length < WIDEST_HOLE * width) & (far > 0)).nonzero().squeeze(1)
    if not len(wide):
        return nothing.view(height, width)
    count = length[wide].ceil().long()
    owner = wide.repeat_interleave(count)
    place = torch.arange(len(owner), device=inverse.device) - (count.cumsum(0) - count).repeat_interleave(count)
    share = (place + 0.5) / length[owner].ceil()
    c, r = (torch.lerp(a[owner], b[owner], share).floor().long() for a, b in ((u0, u1), (v0, v1)))
    inside = (c >= 0) & (r >= 0) & (c < width) & (r < height)
    pixel = (r * width + c)[inside]
    return nothing.scatter_reduce(0, pixel, far[owner[inside]], "amax").view(height, width)


def sampled(
    picture: Tensor,  # [C, h, w] float32
    x: Tensor,  # [...] pixels of the picture
    y: Tensor,  # [...]
    mode: str = "bicubic",
) -> Tensor:
    """`[C, ...]` float32, the border repeated outside; at a pixel's centre its very value.

    Bicubic keeps what is sharp sharp, and may leave the range of its neighbours.
    """
    h, w = picture.shape[1:]
    grid = torch.stack([x.reshape(-1) * (2 / w) - 1, y.reshape(-1) * (2 / h) - 1], -1)[None, None]
    out = F.grid_sample(picture[None], grid, mode=mode, padding_mode="border", align_corners=False)
    return out.reshape(len(picture), *x.shape)


def _least(a: Tensor) -> Tensor:
    """[h, w] -> [h - 1, w - 1], of each four neighbours."""
    rows = torch.minimum(a[:, :-1], a[:, 1:])
    return torch.minimum(rows[:-1], rows[1:])


def _most(a: Tensor) -> Tensor:
    rows = torch.maximum(a[:, :-1], a[:, 1:])
    return torch.maximum(rows[:-1], rows[1:])


def _slopes(inverse: Tensor) -> Tensor:
    """[h - 1, w - 1] bool: four neighbours [h, w] among which inverse depth goes on to change as it does here."""

    def goes_on(change: Tensor) -> Tensor:
        """Of changes [n, m] along the last axis."""
        wide = F.pad(change[None], (GOES_ON, GOES_ON), mode="replicate")[0] if change.shape[1] > GOES_ON else None
        if wide is None:
            return torch.zeros_like(change, dtype=torch.bool)
        need = LIKE * change.square()
        return (wide[:, : -2 * GOES_ON] * change >= need) | (wide[:, 2 * GOES_ON :] * change >= need)

    across, down = goes_on(inverse.diff(dim=1)), goes_on(inverse.diff(dim=0).T).T
    return across[:-1] & across[1:] & down[:, :-1] & down[:, 1:]


def _strip(
    inverse: Tensor,  # [h, w]
    reprojection: Reprojection,
    size: Sequence[int],
    valid: Tensor | None,  # [h, w]
    whole: Tensor | None,  # [h - 1, w - 1]
    slopes: Tensor,  # [h - 1, w - 1]
    wanted: Tensor | None,  # [H, W] already grown by two pixels
    tear: float,
    corner: tuple[int, int],
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Every target pixel that a cell of these rows covers: its flat index, source x and y, inverse depth; all [P]."""
    height, width = size
    h, w = inverse.shape
    row = torch.arange(corner[0], corner[0] + h, device=inverse.device, dtype=torch.float32)[:, None] + 0.5
    column = torch.arange(corner[1], corner[1] + w, device=inverse.device, dtype=torch.float32) + 0.5
    u, v, near = reprojection(column, row, inverse)
    u, v = u - 0.5, v - 0.5  # from here on a target pixel's centre is a whole number
    low, high = _least(inverse), _most(inverse)
    left, right, top, bottom = _least(u), _most(u), _least(v), _most(v)
    ok = (high - low <= tear * high) | ((right - left <= LOOSE) & (bottom - top <= LOOSE))
    if whole is not None:
        ok |= whole & (high - low <= TEAR_WITHIN * high)
    ok |= slopes & (high - low <= STEEPEST * high)
    ok &= _least(near) > 0
    if valid is not None:
        ok &= valid[:-1, :-1] & valid[:-1, 1:] & valid[1:, :-1] & valid[1:, 1:]
    left, right = (left - SLACK).ceil(), (right + SLACK).floor()
    top, bottom = (top - SLACK).ceil(), (bottom + SLACK).floor()
    ok &= (right >= left) & (bottom >= top) & (right - left < LARGEST_CELL) & (bottom - top < LARGEST_CELL)
    ok &= (right >= 0) & (left < width) & (bottom >= 0) & (top < height)
    if wanted is not None:
        ok &= wanted[top.long().clamp(0, height - 1), left.long().clamp(0, width - 1)]
    cell = ok.flatten().nonzero().squeeze(1)
    if not len(cell):
        return None
    left, right, top, bottom = (side.flatten()[cell] for side in (left, right, top, bottom))
    columns = (right - left + 1).long()
    count = columns * (bottom - top + 1).long()
    owner = torch.repeat_interleave(torch.arange(len(cell), device=cell.device), count)
    place = torch.arange(len(owner), device=cell.device) - (count.cumsum(0) - count)[owner]
    columns = columns[owner]
    down = place.div(columns, rounding_mode="floor")
    c, r = left[owner] + (place - down * columns), top[owner] + down
    first = (cell + cell.div(w - 1, rounding_mode="floor"))[owner]  # flat index of the cell's first point in [h, w]
    corners = torch.stack([u, v, near], -1).view(-1, 3)
    (u00, v00, n00), (u01, v01, n01), (u10, v10, n10), (u11, v11, n11) = (
        corners[first + step].unbind(-1) for step in (0, 1, w, w + 1)
    )
    a, b, upper = _within(c, r, u00, v00, u01, v01, u10, v10)
    e, f, lower = _within(c, r, u11, v11, u10, v10, u01, v01)
    x, y = torch.where(upper, a, 1 - e).clamp(0, 1), torch.where(upper, b, 1 - f).clamp(0, 1)
    depth = torch.where(upper, n00 + a * (n01 - n00) + b * (n10 - n00), n11 + e * (n10 - n11) + f * (n01 - n11))
    inside = (upper | lower) & (c >= 0) & (r >= 0) & (c < width) & (r < height) & (depth > 0)
    keep = inside.nonzero().squeeze(1)
    first = first[keep]
    above = first.div(w, rounding_mode="floor")
    pixel = (r[keep] * width + c[keep]).long()
    return pixel, first - above * w + (corner[1] + 0.5) + x[keep], above + (corner[0] + 0.5) + y[keep], depth[keep]


def _within(
    c: Tensor, r: Tensor, u0: Tensor, v0: Tensor, u1: Tensor, v1: Tensor, u2: Tensor, v2: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """How far (c, r) lies along the two sides 0-1 and 0-2 of a triangle, in terms of them, and whether within it."""
    ux, vx, uy, vy, du, dv = u1 - u0, v1 - v0, u2 - u0, v2 - v0, c - u0, r - v0
    area = ux * vy - uy * vx
    front = area > LEAST_AREA
    share = torch.where(front, area, 1.0).reciprocal()
    a, b = (du * vy - dv * uy) * share, (dv * ux - du * vx) * share
    return a, b, front & (a >= -SLACK) & (b >= -SLACK) & (a + b <= 1 + SLACK)
