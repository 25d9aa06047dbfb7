"""Picking a track by its place in the picture, to follow it through time."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ..cameras import project
from ..errors import Track2ViewError
from .types import PointTracks


@dataclass(frozen=True, eq=False)
class FollowedPoint:
    """One track through the whole clip."""

    track: int
    positions: Tensor  # [T, 3] float64, world
    pixel: tuple[float, float]  # where it was picked, in pixels of the source view
    visible: float  # share of the frames in which the tracker saw it


def pick_track(tracks: PointTracks, frame: int, x: float, y: float) -> FollowedPoint:
    """The visible track nearest to a place in one frame of the source view.

    Args:
        frame: 0 is the first.
        x, y: shares of the picture's width and height, 0..1; 0.5 is the middle.

    Raises:
        Track2ViewError: a frame that the clip does not have, a place outside the picture, or a frame in which the
            tracker saw nothing.
    """
    if not 0 <= frame < len(tracks):
        raise Track2ViewError(f"frame is {frame}; the tracks have frames 0 to {len(tracks) - 1}.")
    for name, share in (("x", x), ("y", y)):
        if not (math.isfinite(share) and 0 <= share <= 1):
            raise Track2ViewError(f"{name} is {share}; it must be a share of the picture from 0 to 1.")
    one = tracks.with_frames([frame])
    view = project(one.camera, one.positions)
    seen = (one.visible & view.inside)[0]
    if not seen.any():
        raise Track2ViewError(
            f"No track is visible in frame {frame}, so there is no point to follow; choose another frame or track "
            "more points."
        )
    place = view.xy.new_tensor([x * one.camera.width, y * one.camera.height])
    away = (view.xy[0] - place).norm(dim=-1).masked_fill(~seen, math.inf)
    nearest = int(away.argmin())
    pixel = view.xy[0, nearest].tolist()
    return FollowedPoint(
        nearest,
        tracks.positions[:, nearest].cpu().double(),
        (pixel[0], pixel[1]),
        float(tracks.visible[:, nearest].float().mean()),
    )
