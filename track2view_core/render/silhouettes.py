"""The outline of what moves: a mask at half size for the analysis, a soft edge at full size for the picture."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .motion import FINE, PixelMotion
from .optical_flow import carried

SPECK = 0.002
"""Share of the picture below which a patch is no mover, and a gap in one no gap."""
RADIUS = 4
"""Pixels of the full picture that the guided filter looks around."""
EVEN = 2e-3
"""Variance of brightness (0..1) below which the guided filter takes no edge for one."""


def silhouettes(motion: PixelMotion) -> np.ndarray:
    """[T, h2, w2] bool: what more likely moves than not, by vote with the neighbouring frames; no specks, no gaps."""
    probability, flow = motion.probability, motion.flow
    masks = np.empty(probability.shape, bool)
    for t, own in enumerate(probability):
        votes = [2 * own]
        if t > 0:
            votes.append(carried(probability[t - 1], flow.backward[t - 1]))
        if t < len(probability) - 1:
            votes.append(carried(probability[t + 1], flow.forward[t]))
        masks[t] = _whole(np.sum(votes, axis=0) / (len(votes) + 1) > 0.5)
    return masks


def given_silhouettes(
    movers: Tensor,  # [T, H, W] bool
) -> np.ndarray:
    """[T, H // FINE, W // FINE] bool: pixels of which at least half is given as moving."""
    frames, height, width = movers.shape
    size = (width // FINE, height // FINE)
    share = [cv2.resize(mask.float().cpu().numpy(), size, interpolation=cv2.INTER_AREA) for mask in movers]
    return np.stack(share).reshape(frames, *size[::-1]) >= 0.5


def matte(
    picture: Tensor,  # [H, W, 3] uint8 or float 0..255
    mask: Tensor,  # [h2, w2] bool
) -> Tensor:
    """[H, W] float32, 0..1: the mask at the picture's size with the picture's own soft edge, about a pixel within."""
    height, width = picture.shape[:2]
    soft = F.avg_pool2d(mask[None, None].float(), 3, 1, 1, count_include_pad=False)
    rough = F.interpolate(soft, (height, width), mode="bilinear", align_corners=False)[0, 0]
    out = torch.zeros_like(rough)
    if not mask.any():
        return out
    part = tuple(_span((rough > 0).any(1 - axis)) for axis in (0, 1))  # beyond it all is 0
    out[part] = _refined(rough[part], picture[part].float().mean(-1) / 255)
    return out


def _span(used: Tensor) -> slice:
    """From the first to the last True, and as far around as the guided filter's two windows see."""
    index = used.nonzero()
    return slice(max(int(index[0]) - 3 * RADIUS, 0), int(index[-1]) + 3 * RADIUS + 1)


def _refined(rough: Tensor, guide: Tensor) -> Tensor:
    """The rough mask [H, W] with the guide's edges, by the guided filter (He et al. 2013)."""
    mean_guide, mean_rough, both, square = _box(torch.stack([guide, rough, guide * rough, guide * guide]))
    slope = (both - mean_guide * mean_rough) / (square - mean_guide.square() + EVEN)
    slope, offset = _box(torch.stack([slope, mean_rough - slope * mean_guide]))
    return (((slope * guide + offset).clamp(0, 1) - 0.35) / 0.4).clamp(0, 1)


def _box(maps: Tensor) -> Tensor:
    """Mean [C, H, W] of 2 RADIUS + 1 pixels each way, of fewer at the rim."""
    ones = torch.ones_like(maps[:1])
    return _window_sums(_window_sums(maps).mT).mT / _window_sums(_window_sums(ones).mT).mT


def _window_sums(maps: Tensor) -> Tensor:
    """Sums over 2 RADIUS + 1 columns, as differences of running sums: pooling takes four times as long."""
    running = F.pad(maps, (RADIUS + 1, RADIUS)).cumsum(-1)
    return running[..., 2 * RADIUS + 1 :] - running[..., : -2 * RADIUS - 1]


def _whole(mask: np.ndarray) -> np.ndarray:
    """Without specks and without gaps."""
    least = SPECK * mask.size
    mask = mask & ~_small(mask, least)
    return mask | _small(~mask, least)


def _small(mask: np.ndarray, least: float) -> np.ndarray:
    _, label, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    small = np.asarray(stats)[:, cv2.CC_STAT_AREA] < least
    small[0] = False  # what is not the mask
    return small[np.asarray(label, np.intp)]
