"""Inverse depth for every pixel of what stands, from tracks and picture."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import NearestNDInterpolator

from .source_tracks import SourceTracks

COARSE = 4
"""Pixels of the pictures for one of the map."""


def standing_inverse_depth(
    video: np.ndarray,  # [T, H, W, 3] uint8
    tracks: SourceTracks,
) -> np.ndarray:
    """[T, H // 4, W // 4] float32, > 0."""
    frames, height, width = video.shape[:3]
    h, w = height // COARSE, width // COARSE
    y, x = np.mgrid[:h, :w] + 0.5
    maps = []
    for t in range(frames):
        use = tracks.seen[t] & ~tracks.moving
        near = NearestNDInterpolator(tracks.xy[t, use] * [w / width, h / height], tracks.inverse[t, use])
        maps.append(near(x, y))
    return np.stack(maps).astype(np.float32)
