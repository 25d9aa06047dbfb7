"""What is burned into a picture, subtitles, a logo: it stands still while the scene moves, and is no scene.

A far thing stands, too, before a camera that travels sideways, and so does a background between large movers; yet the
pictures around such a point stand with it. Between the strokes of letters the scene moves on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from .flow import PixelTracks
from .motion_class import still_limit

LASTING = 6
"""Frames; of a shorter track nothing is said."""
STEADY = 0.4
"""In limits of `still_limit`: up to which such a point may wander about its place."""
MOVES, MOST_MOVE = 2.0, 0.5
"""The scene moves where this share of the other lasting points goes farther than so many limits."""
MOMENTS, PATCH = 9, 12
"""Pictures in which a point's surroundings are looked at, and how far around it, pixels."""
CHANGES, CHANGING = 6.0, 0.2
"""Grey levels (standard deviation over time) from which a pixel changes; this share of them does around an overlay."""
TOGETHER = 0.05
"""Share of the longer side within which two such points are of one overlay."""


def without_overlays(
    flow: PixelTracks,
    gray: Callable[[int], np.ndarray],  # frame -> [H, W] uint8, on which the tracks are
) -> tuple[PixelTracks, np.ndarray]:
    """The tracks that are not burned into the picture, and the places [n, 2] of the others."""
    over = np.zeros(flow.seen.shape[1], bool)
    for span in flow.spans():
        inside = flow.seen[span].any(0)
        part = flow.frames(span.start, span.stop)
        over[inside] |= overlays(part, lambda t, first=span.start: gray(first + t))
    return flow.select(~over), flow.xy[flow.seen & over]


def overlays(flow: PixelTracks, gray: Callable[[int], np.ndarray]) -> np.ndarray:
    """Which tracks [N] of a shot are burned into the picture."""
    height, width = gray(0).shape
    none = np.zeros(flow.seen.shape[1], bool)
    life = flow.seen.sum(0)
    mean = (flow.xy * flow.seen[..., None]).sum(0) / np.maximum(life, 1)[:, None]
    off = np.where(flow.seen, np.linalg.norm(flow.xy - mean, axis=2), 0).max(0)
    lasting = life >= min(LASTING, len(flow.seen))
    limit = still_limit(width)
    stands = lasting & (off < STEADY * limit)
    others = lasting & ~stands
    if not stands.any() or not others.any() or (off[others] > MOVES * limit).mean() < MOST_MOVE:
        return none
    index = np.flatnonzero(stands)
    amid = np.zeros(len(flow.seen.T), bool)
    amid[index] = _changing(gray, mean[index], flow.seen[:, index]) > CHANGING
    pairs = KDTree(mean[index]).query_pairs(TOGETHER * max(width, height), output_type="ndarray").reshape(-1, 2)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(index), len(index)))
    group = np.asarray(connected_components(graph, directed=False)[1])
    count = np.bincount(group)
    mostly = np.bincount(group, amid[index]) > 0.5 * count
    if mostly[group].sum() > 0.5 * len(index):  # else the scene itself stands
        none[index] = mostly[group]
    return none


def _changing(gray: Callable[[int], np.ndarray], xy: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Which share [n] of the pixels around each place [n, 2] changes while the point is seen [T, n]."""
    moments = np.unique(np.linspace(0, len(seen) - 1, MOMENTS).round().astype(int))
    side = np.arange(-PATCH, PATCH + 1)
    total, square, views = 0.0, 0.0, np.zeros(len(xy))
    for t in moments:
        picture = gray(t).astype(np.float64)
        row = np.clip(xy[:, 1].astype(int)[:, None] + side, 0, len(picture) - 1)
        column = np.clip(xy[:, 0].astype(int)[:, None] + side, 0, picture.shape[1] - 1)
        patch = picture[row[:, :, None], column[:, None, :]].reshape(len(xy), -1) * seen[t][:, None]
        total, square, views = total + patch, square + patch**2, views + seen[t]
    views = np.maximum(views, 1)[:, None]
    deviation = np.sqrt(np.maximum(square / views - (total / views) ** 2, 0))
    return (deviation > CHANGES).mean(1)
