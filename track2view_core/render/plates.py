"""What other times show of the standing surfaces that one frame does not: clean plates, seen from the target camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..cameras import CameraPath
from .hole_masks import grown_square
from .layers import Layer
from .warping import Reprojection, Warp, sampled, warped

OTHER_TIMES = (5, -5, 12, -12, 24, -24, 40, -40)
"""Frames from the one that is filled, in the order in which they are asked."""
FARTHEST = max(map(abs, OTHER_TIMES))
COARSE = 2
"""Pixels of the analysed video for one point of a plate's mesh."""
TEAR = 0.05
ONE_SURFACE = 0.04
"""Points of a plate that differ by more than this share in inverse depth are not joined."""
RIM = 4
"""Points around a hole whose colours tell how bright another time is."""
ENOUGH = 64
"""Points that must be known at both times, for their brightness to be compared."""
COMPARED = 1024
"""Points that are compared at most: their median needs no more."""
BRIGHTER = 1.5
"""Another time's colours are changed by at most this factor."""
FEWEST = 16
"""Pixels: smaller rests are not asked for in more times."""


@dataclass(eq=False)
class Plates:
    """Other times of one clip, held for as long as they are near."""

    video: Tensor  # [T, h, w, 3] uint8, at the size of the analysis
    camera: CameraPath  # the source camera, T frames
    inverse_of: Callable[[int, Tensor], Tensor]  # of a time and its picture [h, w, 3] uint8: what stands, [h, w]
    movers_of: Callable[[int, int, int], Tensor]  # of a time and a size: what moves, [h, w] bool
    device: torch.device
    _held: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def filled(
        self,
        layer: Layer,
        needed: Tensor,  # [H, W] bool
        t: int,
        target: CameraPath,  # at the layer's size
        shot: slice,  # the frames that show the same scene as frame t
    ) -> Layer:
        """The layer with what other times know of the needed pixels, nearest time first."""
        left = needed & ~layer.known
        if int(left.sum()) < FEWEST:
            return layer
        h, w = (side // COARSE for side in self.video.shape[1:3])
        source, small = self.camera.resized(w, h), target.resized(w, h)
        for time in [time for time in self._held if abs(time - t) > FARTHEST]:
            del self._held[time]
        colour, inverse = layer.colour.clone(), layer.inverse.clone()
        for time in (t + step for step in OTHER_TIMES):
            if not shot.start <= time < shot.stop:
                continue
            if int(left.sum()) < FEWEST:
                break
            near, free = self._of(time, h, w)
            wanted = F.adaptive_max_pool2d(left[None, None].float(), (h, w))[0, 0] > 0
            wanted = grown_square(wanted, RIM)
            warp = warped(
                near, Reprojection.between(source, time, small, t), (h, w), valid=free, wanted=wanted, tear=TEAR
            )
            got, x, y, depth = _between(warp, left)
            if not len(got):
                continue
            picture = self.video[time].to(self.device).permute(2, 0, 1).float()
            gain = _brightness(layer, picture, warp)
            row, column = left.nonzero(as_tuple=True)
            row, column = row[got], column[got]
            colour[:, row, column] = (sampled(picture, x, y) * gain).clamp(0, 255)
            inverse[row, column] = depth
            left[row, column] = False
        return replace(layer, colour=colour, inverse=inverse, known=layer.known | (needed & ~left))

    def _of(self, time: int, h: int, w: int) -> tuple[Tensor, Tensor]:
        """Inverse depth [h, w] and what does not move [h, w] bool."""
        if time not in self._held:
            picture = self.video[time].to(self.device).permute(2, 0, 1)[None].float()
            small = F.adaptive_avg_pool2d(picture, (h, w))[0].permute(1, 2, 0).round().to(torch.uint8)
            movers = grown_square(self.movers_of(time, h, w), 2)
            self._held[time] = (self.inverse_of(time, small), ~movers)
        return self._held[time]


def _between(warp: Warp, left: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Which of the pixels of `left` lie within one surface of the coarse warp; x, y in the video and inverse depth."""
    height, width = left.shape
    h, w = warp.inverse.shape
    row, column = left.nonzero(as_tuple=True)
    v, u = (row + 0.5) * (h / height), (column + 0.5) * (w / width)
    covered = ~grown_square(~warp.covered)
    maps = torch.stack([warp.x * COARSE, warp.y * COARSE, warp.inverse, covered.float()])
    x, y, inverse, share = sampled(maps, u, v, "bilinear")
    nearest = warp.inverse[v.long().clamp(max=h - 1), u.long().clamp(max=w - 1)]
    got = ((share > 0.999) & ((inverse - nearest).abs() < ONE_SURFACE * nearest)).nonzero().squeeze(1)
    return got, x[got], y[got], inverse[got]


def _brightness(layer: Layer, picture: Tensor, warp: Warp) -> Tensor:
    """[3, 1] factor that makes another time's picture as bright as the layer where both know the same points."""
    height, width = layer.known.shape
    h, w = warp.inverse.shape
    row, column = warp.covered.nonzero(as_tuple=True)
    step = max(1, len(row) // (4 * COMPARED))
    row, column = row[::step], column[::step]
    y, x = ((row + 0.5) * (height / h)).long(), ((column + 0.5) * (width / w)).long()
    same = layer.known[y, x] & (
        (layer.inverse[y, x] - warp.inverse[row, column]).abs() < ONE_SURFACE * layer.inverse[y, x]
    )
    if int(same.sum()) < ENOUGH:
        return torch.ones(3, 1, device=picture.device)
    row, column, y, x = row[same], column[same], y[same], x[same]
    other = sampled(picture, warp.x[row, column] * COARSE, warp.y[row, column] * COARSE, "bilinear")
    ratio = (layer.colour[:, y, x] + 8) / (other + 8)
    return ratio.median(dim=1).values.clamp(1 / BRIGHTER, BRIGHTER)[:, None]
