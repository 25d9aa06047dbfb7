"""What two cameras that film one moment tell about depth: movers get theirs by stereo, points without any are dropped.

For trackers whose depth comes from the known cameras alone. A joined clip shows every moment of the scene twice, so
that also a moving point is seen from two sides at once, wherever the two cameras have parted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath
from .reversal import SplitTracks

STANDS = 1e-4
"""Of the distance: a point that never moves more stands."""
LEAST_ANGLE = np.radians(1.0)
"""Between the two viewing rays of one moment: below it they do not tell a depth."""
WORST_MISS = 0.01
"""Of the distance: how far the two rays of one point may pass each other."""
LEAST_SHARE, HARMLESS = 1 / 8, np.radians(0.5)
"""Angle under which a standing point was seen, of the angle that both paths span around it; less than the second angle
does no harm whatever the depth."""


def with_parallax(split: SplitTracks, source: CameraPath, target: CameraPath) -> tuple[SplitTracks, Tensor]:
    """The tracks with the movers' depth by stereo, and which of them [N] have no known depth."""
    moving = _moving(split, source)
    unknown = _one_sided(split, source, target) & ~moving
    index = moving.nonzero()[:, 0]
    if len(index):
        ours, theirs, found = _stereo(split.select(index), source, target)
        source_points, target_points = split.source.clone(), split.target.clone()
        source_points[:, index], target_points[:, index] = ours, theirs
        unknown[index] = ~found
        split = replace(split, source=source_points, target=target_points)
    return split, unknown


def _moving(split: SplitTracks, source: CameraPath) -> Tensor:
    points = torch.cat([split.source, split.target]).double()
    distance = (points[0] - source.world_from_camera[0, :3, 3]).norm(dim=-1)
    return (points - points[:1]).norm(dim=-1).amax(0) > STANDS * distance


def _one_sided(split: SplitTracks, source: CameraPath, target: CameraPath) -> Tensor:
    """[N] standing points whose depth follows from rays that hardly part, while the cameras part around them."""
    centers = torch.cat([path.world_from_camera[:, :3, 3] for path in (source, target)])
    directions = torch.nn.functional.normalize(split.source[0].double() - centers[:, None], dim=-1)  # [2T, N, 3]
    seen = torch.cat([split.source_visible, split.target_visible])

    def spread(counted: Tensor) -> Tensor:
        middle = torch.nn.functional.normalize((directions * counted[..., None]).sum(0), dim=-1)
        angle = ((directions - middle).norm(dim=-1) / 2).clamp(max=1).arcsin() * 2  # exact also for tiny angles
        return torch.where(counted, angle, 0.0).amax(0)

    spanned = spread(torch.ones_like(seen))
    return (spread(seen) < LEAST_SHARE * spanned) & (spanned > HARMLESS)


def _stereo(split: SplitTracks, source: CameraPath, target: CameraPath) -> tuple[Tensor, Tensor, Tensor]:
    """Positions of movers in both views on the tracker's own rays, and which [N] have a moment that tells a depth.

    Between such moments the inverse depth is interpolated.
    """
    here, there = (path.world_from_camera[:, None, :3, 3] for path in (source, target))
    u = torch.nn.functional.normalize(split.source.double() - here, dim=-1)
    v = torch.nn.functional.normalize(split.target.double() - there, dim=-1)
    cosine, between = (u * v).sum(-1), (here - there).expand_as(u)
    across = (1 - cosine**2).clamp_min(1e-12)
    on_u, on_v = (u * between).sum(-1), (v * between).sum(-1)
    near, far = (cosine * on_v - on_u) / across, (on_v - cosine * on_u) / across
    miss = (here + near[..., None] * u - there - far[..., None] * v).norm(dim=-1)
    told = split.source_visible & split.target_visible & (across.sqrt() > np.sin(LEAST_ANGLE))
    told &= (near > 0) & (far > 0) & (miss < WORST_MISS * near)
    found = told.any(0)
    points = []
    for distance, origin, ray in ((near, here, u), (far, there, v)):
        inverse = _interpolated((1 / distance.clamp_min(1e-9)).numpy(), told.numpy())
        points.append((origin + ray / torch.from_numpy(inverse)[..., None]).float())
    return points[0], points[1], found


def _interpolated(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[T, N] linear in time between the known entries, constant beyond them; 1 where a column knows none."""
    out = np.ones_like(values)
    time = np.arange(len(values))
    for n in np.flatnonzero(known.any(0)):
        out[:, n] = np.interp(time, time[known[:, n]], values[known[:, n], n])
    return out
