"""Inverse depth for every pixel of what stands, from tracks and picture.

The picture says where surfaces end, the tracks how far they are. Every standing track is a seed; a pixel belongs to
the seed that is nearest along a way that crosses no colour edge (a geodesic cell), and every seed carries a plane,
fitted to its geodesic neighbours. Inverse depth of a plane is affine in the picture, so a wall stays a wall.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from ..errors import Track2ViewError
from ..progress import Progress
from .source_tracks import SourceTracks
from .standing_fusion import fused

MAP_PIXELS = 32_000
"""Pixels of a map, about: 240 x 136. Finer maps cost time and find few more edges."""
STEP = 0.15
"""What a pixel of way costs beside colour edges; less, and cells run along edges instead of across plain walls."""
COLOUR_STEP = 12.0
"""A step of colour (CIELAB units) that costs as much as 1 / STEP pixels of way."""
NEIGHBOURS = 10
"""Seeds that a plane is fitted to: three fix it, the others outvote the wrong side of an edge."""
WAY = 60.0
"""Seeds farther apart than this (in costs of the way) are never neighbours."""
OUTLIER = 0.02
"""Share of inverse depth at which a seed counts half in its neighbours' planes."""
LEVEL = 2e-4
"""How strongly a plane is held level, as a share of its seeds' spread: against seeds that lie in a row."""
ROUNDS = 4
"""Rounds of re-weighting; the planes hardly change after the third."""
BEYOND = 0.1
"""Share by which a plane may leave the range of its own seeds."""
WITNESSES, AGREEING, AGREEMENT = 11, 3, 0.12
"""A seed needs this many of its nearest seeds within this share of its inverse depth, or it is dropped."""
FEWEST = 8
"""With fewer seeds in a frame there are no planes to fit."""


def standing_inverse_depth(
    video: np.ndarray,  # [T, H, W, 3] uint8
    tracks: SourceTracks,  # of the same T frames, in pixels of the video
    *,
    ignored: np.ndarray | None = None,  # [T, h, w] bool, any size: pixels known to move; they lend no depth
    progress: Progress | None = None,
) -> np.ndarray:
    """Inverse camera z [T, h, w] float32 > 0 in the tracks' units; h x w has about `MAP_PIXELS` pixels.

    Raises:
        Track2ViewError: no standing track is visible in any frame.
    """
    frames, height, width = video.shape[:3]
    h, w = map_size(height, width)
    graph = _PixelGraph(h, w)
    maps: dict[int, np.ndarray] = {}
    for t in range(frames):
        use = tracks.seen[t] & ~tracks.moving
        xy, inverse = tracks.xy[t, use] * np.array([w / width, h / height]), tracks.inverse[t, use].astype(np.float64)
        kept = _agreeing(xy, inverse)
        xy, inverse = xy[kept], inverse[kept]
        hidden = None
        if ignored is not None:
            hidden = cv2.resize(ignored[t].astype(np.uint8), (w, h), interpolation=cv2.INTER_AREA) > 0
        if len(xy) >= FEWEST:
            maps[t] = _planes_in_cells(xy, inverse, graph.costs(video[t], hidden), graph)
        elif len(xy):
            maps[t] = np.full((h, w), np.median(inverse))
        if progress is not None:
            progress(t + 1, frames, "depth of what stands")
    if not maps:
        raise Track2ViewError("No standing track is visible in any frame; give tracks of this clip, or more of them.")
    nearest = [min(maps, key=lambda k, t=t: abs(k - t)) for t in range(frames)]
    return fused(np.stack([maps[k] for k in nearest]).astype(np.float32), tracks.camera)


def map_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the map of a picture."""
    share = min(1.0, (MAP_PIXELS / (height * width)) ** 0.5)
    return max(2, round(height * share)), max(2, round(width * share))


def _agreeing(xy: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Which of the seeds [N, 2] with inverse depth [N] have neighbours that agree."""
    if len(xy) <= WITNESSES:
        return np.ones(len(xy), bool)
    near = np.asarray(KDTree(xy).query(xy, k=WITNESSES + 1)[1])
    off = np.abs(inverse[near[:, 1:]] - inverse[:, None]) / np.maximum(inverse[:, None], 0.25 * np.median(inverse))
    return np.sort(off, 1)[:, AGREEING - 1] < AGREEMENT


class _PixelGraph:
    """The pixels of a map, each tied to its eight neighbours, ready for new costs in every frame."""

    def __init__(self, h: int, w: int) -> None:
        pixel = np.arange(h * w).reshape(h, w)
        ties = [
            (pixel[:, :-1], pixel[:, 1:], 1.0),
            (pixel[:-1], pixel[1:], 1.0),
            (pixel[:-1, :-1], pixel[1:, 1:], 2**0.5),
            (pixel[:-1, 1:], pixel[1:, :-1], 2**0.5),
        ]
        self.size = h, w
        self.start = np.concatenate([a.ravel() for a, _, _ in ties])
        self.end = np.concatenate([b.ravel() for _, b, _ in ties])
        self.length = np.concatenate([np.full(a.size, length) for a, _, length in ties])
        count = len(self.start)
        row, column = np.concatenate([self.start, self.end]), np.concatenate([self.end, self.start])
        order = np.lexsort((column, row))  # the layout of a sparse matrix, made once
        self._tie, self._indices = (order % count).astype(np.int32), column[order].astype(np.int32)
        self._indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=h * w))]).astype(np.int32)

    def costs(self, picture: np.ndarray, hidden: np.ndarray | None) -> np.ndarray:
        """What each tie costs [E] in a picture [H, W, 3]; colours of hidden pixels [h, w] say nothing."""
        h, w = self.size
        small = cv2.bilateralFilter(cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA), 5, 25, 3)
        lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB).reshape(-1, 3)
        step = np.linalg.norm(lab[self.start] - lab[self.end], axis=1)
        if hidden is not None:
            step *= ~(hidden.ravel()[self.start] | hidden.ravel()[self.end])
        return STEP * self.length + step / COLOUR_STEP

    def ways(self, costs: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For every pixel the cost of the way [h * w] to the nearest of some pixels [N], and which of the N it is."""
        n = self.size[0] * self.size[1]
        graph = csr_matrix((costs[self._tie], self._indices, self._indptr), shape=(n, n))
        cost, _, source = dijkstra(graph, indices=pixels, min_only=True, return_predecessors=True)
        first = np.zeros(n, np.int64)
        first[pixels[::-1]] = np.arange(len(pixels))[::-1]
        return cost, first[source]


def _planes_in_cells(xy: np.ndarray, inverse: np.ndarray, costs: np.ndarray, graph: _PixelGraph) -> np.ndarray:
    """Inverse depth [h, w]: in the geodesic cell of each seed [N, 2] the plane through its neighbours."""
    h, w = graph.size
    column, row = np.clip(xy[:, 0].astype(int), 0, w - 1), np.clip(xy[:, 1].astype(int), 0, h - 1)
    way, seed = graph.ways(costs, row * w + column)
    near, weight = _neighbours(way, seed, costs, graph, len(xy))
    plane, low, high = _planes(xy, inverse, near, weight)
    y, x = np.mgrid[:h, :w] + 0.5
    x, y = x.ravel() - xy[seed, 0], y.ravel() - xy[seed, 1]
    flat = plane[seed, 0] * x + plane[seed, 1] * y + plane[seed, 2]
    return np.clip(flat, (1 - BEYOND) * low[seed], (1 + BEYOND) * high[seed]).reshape(h, w)


def _neighbours(
    way: np.ndarray, seed: np.ndarray, costs: np.ndarray, graph: _PixelGraph, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """For each seed its geodesic neighbours [N, k] (itself first) and their weights [N, k]; none weighs 0."""
    a, b = seed[graph.start], seed[graph.end]
    border = a != b
    low, high = np.minimum(a, b)[border], np.maximum(a, b)[border]
    length = (way[graph.start] + way[graph.end] + costs)[border]
    order = np.lexsort((length, low * count + high))
    key = (low * count + high)[order]
    shortest = order[np.concatenate([[True], key[1:] != key[:-1]])[: len(order)]]
    cells = csr_matrix((length[shortest] + 1e-6, (low[shortest], high[shortest])), shape=(count, count))
    between = dijkstra(cells, directed=False, limit=WAY)
    k = min(NEIGHBOURS, count)
    near = np.argpartition(between, k - 1, axis=1)[:, :k]
    distance = np.take_along_axis(between, near, 1)
    order = np.argsort(distance, 1)
    near, distance = np.take_along_axis(near, order, 1), np.take_along_axis(distance, order, 1)
    others = distance[:, 1:][np.isfinite(distance[:, 1:])]
    scale = max(float(np.median(others)), 1e-3) if len(others) else 1.0
    return near, np.where(np.isfinite(distance), np.exp(-distance / scale), 0.0)


def _planes(
    xy: np.ndarray, inverse: np.ndarray, near: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per seed: inverse depth's slope in x and y and its value at the seed [N, 3], and its neighbours' range [N]."""
    x = np.concatenate([xy[near] - xy[:, None], np.ones((*near.shape, 1))], -1)  # [N, k, 3]
    y = inverse[near]
    spread = np.einsum("nk,nki->n", weight, x[..., :2] ** 2)
    level = np.diag([1.0, 1.0, 0.0]) * (LEVEL * spread)[:, None, None] + 1e-9 * np.eye(3)
    trust = weight
    plane = np.zeros((len(xy), 3))
    for _ in range(ROUNDS):
        normal = np.einsum("nk,nki,nkj->nij", trust, x, x) + level
        plane = np.linalg.solve(normal, np.einsum("nk,nki,nk->ni", trust, x, y)[..., None])[..., 0]
        off = np.abs(np.einsum("nki,ni->nk", x, plane) - y) / np.maximum(np.abs(y), 1e-9)
        trust = weight / (1 + (off / OUTLIER) ** 2)
    valid = weight > 0
    return plane, np.where(valid, y, np.inf).min(1), np.where(valid, y, -np.inf).max(1)
