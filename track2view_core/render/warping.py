"""One view's pixels in another view: the pixel grid as a z-buffered mesh over its depth, torn where the depth steps.

The mesh joins the pixels' centres, two triangles to four of them. A pixel of the target takes the nearest triangle that
covers its centre, and with it a place in the source between the pixels of one surface. Inverse depth is affine over the
picture of a plane, so that planes stay planes, and all is computed in torch without a random order: the same numbers
on every run, on CPU and CUDA.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras import CameraPath
from ..cameras.path import inverse_intrinsics
from .hole_masks import grown_square

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
FEW = 0.4
"""Share of the cells below which it pays to gather those that matter, instead of computing all."""
CELLS_AT_ONCE = 2**17
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
            torch.add(row[0] * x + (row[1] * y + row[2]), inverse, alpha=s) for row, s in zip(turn, shift, strict=True)
        )
        front = far > NEAREST
        share = far.reciprocal()
        across, down, near = across.mul_(share), down.mul_(share), inverse * share
        if not front.all():
            behind = ~front
            across, down, near = (
                a.masked_fill_(behind, nothing) for a, nothing in ((across, -1e6), (down, -1e6), (near, 0))
            )
        return across.clamp_(-1e6, 1e6), down.clamp_(-1e6, 1e6), near


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
        wanted = grown_square(wanted, 2)
    slopes = _slopes(inverse)
    best = torch.zeros(size[0] * size[1] + 1, dtype=torch.long, device=inverse.device)  # the last is no pixel
    # Of cells their first pixels, then all others: so numbered, strips do not matter where two are as near.
    found: tuple[list[tuple[Tensor, Tensor, Tensor]], ...] = ([], [])
    many = [0, others := (h - 1) * (w - 1)]
    for first in range(0, h - 1, strip):
        rows = slice(first, min(first + strip, h - 1) + 1)
        covers = _strip(
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
        for kind, (pixel, x, y, depth) in enumerate(covers):
            # The bits of a positive float grow with it, so that depth and number make one whole number to be compared.
            claim = depth.view(torch.int32).long().bitwise_left_shift_(32)
            claim |= torch.arange(many[kind], many[kind] + len(depth), device=depth.device)
            best.scatter_reduce_(0, pixel, claim, "amax")
            found[kind].append((x, y, depth))
            many[kind] += len(depth)
    best = best[:-1].view(*size)
    covered, winner = best > 0, best & (2**32 - 1)
    between = [torch.empty(others - many[0], device=best.device)] * 3
    values = (torch.cat(each)[winner] for each in zip(*found[0], between, *found[1], strict=True))
    return Warp(*(torch.where(covered, a, nothing) for a, nothing in zip(values, (-1.0, -1.0, 0.0), strict=True)))


def joined(
    inverse: Tensor,  # [h, w] float32, inverse depth
    whole: Tensor | None = None,  # [h - 1, w - 1] bool: four neighbours that show no edge
    tear: float = TEAR_STANDING,
) -> Tensor:
    """[h - 1, w - 1] bool: four neighbours that `warped` takes for one surface, however far apart they come to lie."""
    corners = inverse[:-1, :-1], inverse[:-1, 1:], inverse[1:, :-1], inverse[1:, 1:]
    high = _most(*corners)
    step = (high - _least(*corners)) / high
    ok = (step <= tear) | (_slopes(inverse) & (step <= STEEPEST))
    return ok if whole is None else ok | (whole & (step <= TEAR_WITHIN))


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


def _least(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.minimum(torch.minimum(a, b), torch.minimum(c, d))


def _most(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    return torch.maximum(torch.maximum(a, b), torch.maximum(c, d))


def _slopes(inverse: Tensor) -> Tensor:
    """[h - 1, w - 1] bool: four neighbours [h, w] among which inverse depth goes on to change as it does here."""

    def goes_on(change: Tensor, dim: int) -> Tensor:
        many = change.shape[dim]
        if many <= GOES_ON:
            return torch.zeros_like(change, dtype=torch.bool)
        need, found = LIKE * change.square(), torch.empty_like(change, dtype=torch.bool)
        before, after = (change.narrow(dim, start, many - GOES_ON) for start in (0, GOES_ON))
        alike = before * after
        first, last = change.narrow(dim, 0, 1), change.narrow(dim, many - 1, 1)  # which go on outside
        found.narrow(dim, 0, GOES_ON).copy_(first * change.narrow(dim, 0, GOES_ON) >= need.narrow(dim, 0, GOES_ON))
        found.narrow(dim, GOES_ON, many - GOES_ON).copy_(alike >= need.narrow(dim, GOES_ON, many - GOES_ON))
        found.narrow(dim, 0, many - GOES_ON).logical_or_(alike >= need.narrow(dim, 0, many - GOES_ON))
        end = many - GOES_ON
        found.narrow(dim, end, GOES_ON).logical_or_(
            last * change.narrow(dim, end, GOES_ON) >= need.narrow(dim, end, GOES_ON)
        )
        return found

    across, down = goes_on(inverse.diff(dim=1), 1), goes_on(inverse.diff(dim=0), 0)
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
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """What cells of these rows cover: a target pixel's flat index, or H W for none, source x and y, inverse depth."""
    height, width = size
    h, w = inverse.shape
    row = torch.arange(corner[0], corner[0] + h, device=inverse.device, dtype=torch.float32)[:, None] + 0.5
    column = torch.arange(corner[1], corner[1] + w, device=inverse.device, dtype=torch.float32) + 0.5
    u, v, near = reprojection(column, row, inverse)
    u, v = u.sub_(0.5), v.sub_(0.5)  # from here on a target pixel's centre is a whole number
    matters = _matters(u, v, valid, wanted)
    chosen = None
    if matters is not None and (many := int(matters.count_nonzero())) < FEW * matters.numel():
        if not many:
            return
        chosen, matters = matters.flatten().nonzero().squeeze(1), None
    left_column, upper_row = (a.expand(h, w)[:-1, :-1] for a in (column, row))
    if chosen is not None:
        above = chosen.div(w - 1, rounding_mode="floor")
        points = [chosen + above + step for step in (0, 1, w, w + 1)]  # flat indices in [h, w]
        left_column, upper_row = column[chosen - above * (w - 1)], row[above, 0]

    def corners(a: Tensor) -> list[Tensor]:
        """Of every cell the upper two, the lower two."""
        if chosen is None:
            return [a[:-1, :-1], a[:-1, 1:], a[1:, :-1], a[1:, 1:]]
        return [a.flatten()[point] for point in points]

    us, vs, nears, inverses = (corners(a) for a in (u, v, near, inverse))
    high = _most(*inverses)
    left, right, top, bottom = _least(*us), _most(*us), _least(*vs), _most(*vs)
    step = (high - _least(*inverses)).div_(high)
    ok = (step <= tear) | ((right - left <= LOOSE) & (bottom - top <= LOOSE))
    for there, limit in ((whole, TEAR_WITHIN), (slopes, STEEPEST)):
        if there is not None:
            ok |= (there if chosen is None else there.flatten()[chosen]) & (step <= limit)
    if not (near > 0).all():
        ok &= _least(*nears) > 0
    if matters is not None:
        ok &= matters
    left, right = left.sub_(SLACK).ceil_(), right.add_(SLACK).floor_()
    top, bottom = top.sub_(SLACK).ceil_(), bottom.add_(SLACK).floor_()
    columns, rows = right.sub_(left).add_(1), bottom.sub_(top).add_(1)
    ok &= (columns > 0) & (rows > 0) & (columns <= LARGEST_CELL) & (rows <= LARGEST_CELL)

    def covered(c: Tensor, r: Tensor, at: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """By all cells, or by those at some flat indices, of the pixels (c, r)."""
        of = [a if at is None else a.flatten()[at] for a in (*us, *vs, *nears, left_column, upper_row, ok)]
        inside, x, y, depth = _in_cells(c, r, of[:4], of[4:8], of[8:12])
        inside &= of[14] & (c >= 0) & (r >= 0) & (c < width) & (r < height)
        pixel = torch.where(inside, r.long() * width + c.long(), height * width)
        return pixel.flatten(), (x + of[12]).flatten(), (y + of[13]).flatten(), depth.flatten()

    yield covered(left, top, None)  # nearly every cell has one pixel: that needs no list of cells and pixels
    more = (ok & ((columns > 1) | (rows > 1))).flatten().nonzero().squeeze(1)
    left, top, columns, rows = (side.flatten()[more] for side in (left, top, columns, rows))
    seen = (left + columns > 0) & (left < width) & (top + rows > 0) & (top < height)
    more, left, top, columns, rows = (each[seen] for each in (more, left, top, columns, rows))
    if not len(more):
        return
    count = (columns * rows).long() - 1
    owner = torch.repeat_interleave(torch.arange(len(more), device=more.device), count)
    place = torch.arange(1, len(owner) + 1, device=more.device) - (count.cumsum(0) - count)[owner]
    columns = columns[owner]
    down = (place / columns).floor_()
    yield covered(left[owner] + (place - down * columns), top[owner] + down, more[owner])


def _matters(u: Tensor, v: Tensor, valid: Tensor | None, wanted: Tensor | None) -> Tensor | None:
    """Which cells [h - 1, w - 1] may be drawn and matter; None for all of them."""
    if valid is None and wanted is None:
        return None
    matters = torch.ones(u.shape[0] - 1, u.shape[1] - 1, dtype=torch.bool, device=u.device)
    if valid is not None:
        matters &= valid[:-1, :-1] & valid[:-1, 1:] & valid[1:, :-1] & valid[1:, 1:]
    if wanted is not None:
        height, width = wanted.shape
        matters &= wanted[
            v[:-1, :-1].ceil().long().clamp_(0, height - 1), u[:-1, :-1].ceil().long().clamp_(0, width - 1)
        ]
    return matters


def _in_cells(
    c: Tensor, r: Tensor, u: Sequence[Tensor], v: Sequence[Tensor], near: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Whether (c, r) is in the cell with the corners u, v (upper two, lower two); where in it, 0..1; inverse depth."""
    (u00, u01, u10, u11), (v00, v01, v10, v11), (n00, n01, n10, n11) = u, v, near
    upper = (u10 - u01) * (r - v01) >= (v10 - v01) * (c - u01)  # on the first corner's side of the diagonal
    u0, v0, n0 = torch.where(upper, u00, u11), torch.where(upper, v00, v11), torch.where(upper, n00, n11)
    # The triangle of this corner with the diagonal's ends: how far (c, r) lies along its sides to them.
    ux, vx, uy, vy, du, dv = u01 - u0, v01 - v0, u10 - u0, v10 - v0, c - u0, r - v0
    area = ux * vy - uy * vx
    share = area.reciprocal()
    a, b = (du * vy).sub_(dv * uy).mul_(share), (dv * ux).sub_(du * vx).mul_(share)
    inside = (torch.where(upper, area, -area) > LEAST_AREA) & (a >= -SLACK) & (b >= -SLACK) & (a + b <= 1 + SLACK)
    depth = n0 + a * (n01 - n0) + b * (n10 - n0)
    x, y = torch.where(upper, a, 1 - b), torch.where(upper, b, 1 - a)
    return inside & (depth > 0), x.clamp_(0, 1), y.clamp_(0, 1), depth
