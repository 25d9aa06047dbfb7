"""In which frames a standing point is seen, also where it was not being followed: by depth, and by colour."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 4
REACH = 0.06
"""Followed points within this share of the longer side vouch for the depth around them."""
BEHIND = 1.08
"""A point this much farther than all its neighbours is hidden behind them."""
SAME_COLOUR = 22.0
"""Mean difference of the three channels, in grey levels, up to which it is still the same place."""


def sample_colours(video: np.ndarray, xy: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Colours [n, 3] float of points `index` [n] (frame numbers) at xy [n, 2], each the mean of a small patch."""
    out = np.zeros((len(index), 3))
    for t in np.unique(index):
        here = index == t
        out[here] = _at(_softened(video[t]), xy[here])
    return out


def standing_points_seen(
    video: np.ndarray,  # [T, H, W, 3] uint8
    xy: np.ndarray,  # [T, N, 2] projected, pixels
    depth: np.ndarray,  # [T, N]
    inside: np.ndarray,  # [T, N]
    followed: np.ndarray,  # [T, N] bool
    moving: np.ndarray,  # [N]
    colours: np.ndarray,  # [N, 3]
    surface: Callable[[int, np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Visibility [T, N]: where a point was followed, and where it would fall on something as near and of its colour.

    `surface(frame, xy)` may give the depth of what is seen at pixels [n, 2], NaN where unknown.
    """
    visible = followed & inside
    reach = REACH * max(video.shape[1:3])
    for t in range(len(video)):
        open_ = np.flatnonzero(inside[t] & ~followed[t] & ~moving)
        live = np.flatnonzero(followed[t] & inside[t])
        if not len(open_):
            continue
        alike = np.abs(_at(_softened(video[t]), xy[t, open_]) - colours[open_]).mean(1) < SAME_COLOUR
        open_ = open_[alike]
        if len(live) and len(open_):
            near = min(NEIGHBOURS, len(live))
            distance, who = cKDTree(xy[t, live]).query(xy[t, open_], k=near)
            distance, who = distance.reshape(-1, near), who.reshape(-1, near)
            farthest = np.where(distance < reach, depth[t, live][who], -np.inf).max(1)
            alone = distance[:, 0] >= reach
            open_ = open_[alone | (depth[t, open_] <= BEHIND * farthest)]
        if surface is not None and len(open_):
            wall = surface(t, xy[t, open_])
            open_ = open_[~(depth[t, open_] > BEHIND * 1.1 * wall)]
        visible[t, open_] = True
    return visible


def _softened(frame: np.ndarray) -> np.ndarray:
    return cv2.blur(frame, (5, 5))


def _at(frame: np.ndarray, xy: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    column = np.clip(xy[:, 0].astype(int), 0, width - 1)
    row = np.clip(xy[:, 1].astype(int), 0, height - 1)
    return frame[row, column].astype(np.float64)
