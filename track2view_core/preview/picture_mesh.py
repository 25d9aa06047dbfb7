"""The clip as meshes for the browser, one a frame: `web/math/picture_mesh.mjs` reads it, the camera editor draws it.

A packed file (packed_file.py) that begins with `T2VM`. Of each kept frame, spread evenly over the clip:

    times     uint32 [F]                            the clip's frame
    colors    uint8 [F, colour height, colour width, 3]
    inverse   uint16 [F, height, width]             inverse depth = step * number, at the centres of a grid of pixels
    torn      uint8 [F, ceil((h - 1) (w - 1) / 8)]  four neighbours that lie on two surfaces, lowest bit first

What moves and what stands behind it are one map, as the clip shows them; the source camera is in the file of points.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..render import ClipGeometry
from ..render.depth_pictures import frame_depth
from ..render.layers import even_cells
from ..render.warping import joined
from .packed_file import packed_file

MAGIC = b"T2VM"
VERSION = 1
MOST_BYTES = 11_500_000
MOST_FRAMES = 120
GRID = 160 * 90
"""Points of a frame's mesh."""
FINER = 4
"""Pixels of colour for one of them, where there is room."""
ANALYSED_SIDE = 480
"""Long side of the pictures on which surfaces are told apart; the mesh is coarser."""
STEPS = 65_535


def pack_meshes(
    video: Tensor,  # [T, H, W, 3] uint8
    geometry: ClipGeometry,  # of these T frames
) -> bytes:
    """The clip in the layout above, at most MOST_BYTES."""
    frames, height, width = video.shape[:3]
    kept = min(frames, MOST_FRAMES)
    times = (torch.arange(kept, dtype=torch.float64) * (frames - 1) / max(kept - 1, 1)).round().long()
    h, w = _grid(height, width, GRID)
    room = (MOST_BYTES - 4096 - 12 * kept) / kept - 2 * h * w - h * w / 8 - 24
    color_height, color_width = _grid(height, width, min(FINER * GRID, int(room // 3)))
    colors = np.empty((kept, color_height, color_width, 3), np.uint8)
    inverse, torn = torch.empty(kept, h, w), []
    side = min(1.0, ANALYSED_SIDE / max(height, width))
    middle = max(2, round(height * side)), max(2, round(width * side))
    for k, t in enumerate(times.tolist()):
        picture = _resized(video[t].cpu(), *middle)
        colors[k] = _resized(video[t].cpu(), color_height, color_width).numpy()
        full, _ = frame_depth(picture, geometry, t)
        row, column = (((torch.arange(n) + 0.5) * size / n).long() for n, size in zip((h, w), middle, strict=True))
        inverse[k] = full[row[:, None], column]
        apart = ~joined(full, even_cells(picture.permute(2, 0, 1).float()))
        torn.append(np.packbits(_between(apart, row, column).flatten().numpy(), bitorder="little"))
    step = float(inverse.max()) / STEPS
    header = {
        "version": VERSION,
        "frames": frames,
        "packed_frames": kept,
        "size": {"width": w, "height": h},
        "colour": {"width": color_width, "height": color_height},
        "step": step,
    }
    sections = {
        "times": times.numpy().astype("<u4"),
        "colors": colors,
        "inverse": (inverse / step).round().clamp(1, STEPS).numpy().astype("<u2"),
        "torn": np.stack(torn),
    }
    return packed_file(MAGIC, header, sections)


def _grid(height: int, width: int, points: int) -> tuple[int, int]:
    """Rows and columns of about so many points in the picture's shape, no more than it has pixels."""
    share = min(1.0, (points / (height * width)) ** 0.5)
    return max(2, int(height * share)), max(2, int(width * share))


def _resized(picture: Tensor, height: int, width: int) -> Tensor:
    """[H, W, 3] uint8 -> [height, width, 3] uint8."""
    if tuple(picture.shape[:2]) == (height, width):
        return picture
    small = F.interpolate(picture.permute(2, 0, 1)[None].float(), (height, width), mode="bilinear", antialias=True)
    return small[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)


def _between(apart: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Of the cells between chosen pixels [h - 1, w - 1] those in which a finer cell is torn; `apart` [H - 1, W - 1]."""
    count = F.pad(apart.float().cumsum(0).cumsum(1), (1, 0, 1, 0))  # torn cells above and to the left
    above, below = count[row[:-1]], count[row[1:]]
    return (below[:, column[1:]] - below[:, column[:-1]] - above[:, column[1:]] + above[:, column[:-1]]) > 0.5
