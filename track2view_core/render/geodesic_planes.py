"""Planes of the tracks, spread over the picture: inverse depth of every pixel from some seeds and the colours.

A pixel belongs to the seed that is nearest along a way that crosses no edge of colour (a geodesic cell), and every seed
carries a plane, fitted to its geodesic neighbours. Inverse depth of a plane is affine in the picture, so a wall stays a
wall.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

STEP = 0.15
"""What a pixel of way costs beside colour edges; less, and cells run along edges instead of across plain walls."""
COLOUR_STEP = 12.0
"""A step of colour (CIELAB units) that costs as much as 1 / STEP pixels of way."""
NEIGHBOURS = 10
"""Seeds that a plane is fitted to: three fix it, the others outvote the wrong side of an edge."""
FEW_CELLS = 5.0
"""Borders between cells, in terms of the median, within which neighbours are looked for first: it saves time alone."""
WAY = 20.0
"""Seeds farther apart than this (in costs of the way) are never neighbours."""
OUTLIER = 0.02
"""Share of inverse depth at which a seed counts half in its neighbours' planes."""
LEVEL = 2e-4
"""How strongly a plane is held level, as a share of its seeds' spread: against seeds that lie in a row."""
ROUNDS = 4
"""Rounds of re-weighting; the planes hardly change after the third."""
BEYOND = 0.1
"""Share by which a plane may leave the range of its own seeds."""
FEWEST = 8
"""With fewer seeds there are no planes to fit; every pixel is as far as their median."""


class PixelGraph:
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

    def costs(self, picture: np.ndarray, hidden: np.ndarray | None = None) -> np.ndarray:
        """What each tie costs [E] in a picture [h, w, 3] uint8; colours of hidden pixels [h, w] say nothing."""
        lab = cv2.cvtColor(cv2.bilateralFilter(picture, 5, 25, 3).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        lab = lab.reshape(-1, 3)
        step = np.linalg.norm(lab[self.start] - lab[self.end], axis=1)
        if hidden is not None:
            step *= ~(hidden.ravel()[self.start] | hidden.ravel()[self.end])
        return STEP * self.length + step / COLOUR_STEP

    def pixels(self, xy: np.ndarray) -> np.ndarray:
        """The pixel [N] that each place [N, 2] is in."""
        h, w = self.size
        return np.clip(xy[:, 1].astype(int), 0, h - 1) * w + np.clip(xy[:, 0].astype(int), 0, w - 1)

    def ways(self, costs: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For every pixel the cost of the way [h * w] to the nearest of some pixels [N], and which of the N it is."""
        n = self.size[0] * self.size[1]
        graph = csr_matrix((costs[self._tie], self._indices, self._indptr), shape=(n, n))
        cost, _, source = dijkstra(graph, indices=pixels, min_only=True, return_predecessors=True)
        first = np.zeros(n, np.int64)
        first[pixels[::-1]] = np.arange(len(pixels))[::-1]
        return cost, first[source]


def spread_planes(
    xy: np.ndarray,  # [N, 2] seeds, N > 0, in pixels of the graph
    inverse: np.ndarray,  # [N] their inverse depth
    costs: np.ndarray,  # [E]
    graph: PixelGraph,
) -> tuple[np.ndarray, np.ndarray]:
    """Inverse depth [h, w], in the geodesic cell of each seed its plane; and the cost of the way [h, w] to the seed."""
    h, w = graph.size
    inverse = inverse.astype(np.float64)
    way, seed = graph.ways(costs, graph.pixels(xy))
    if len(xy) < FEWEST:
        return np.full((h, w), np.median(inverse)), way.reshape(h, w)
    near, weight = _neighbours(way, seed, costs, graph, len(xy))
    plane, low, high = _planes(xy, inverse, near, weight)
    y, x = np.mgrid[:h, :w] + 0.5
    x, y = x.ravel() - xy[seed, 0], y.ravel() - xy[seed, 1]
    flat = plane[seed, 0] * x + plane[seed, 1] * y + plane[seed, 2]
    return np.clip(flat, (1 - BEYOND) * low[seed], (1 + BEYOND) * high[seed]).reshape(h, w), way.reshape(h, w)


def _neighbours(
    way: np.ndarray, seed: np.ndarray, costs: np.ndarray, graph: PixelGraph, count: int
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
    k = min(NEIGHBOURS, count)
    likely = FEW_CELLS * float(np.median(length)) if len(length) else WAY  # nearly all find their neighbours within it
    between = dijkstra(cells, directed=False, limit=min(likely, WAY))
    lacking = np.flatnonzero(np.isfinite(between).sum(1) < k)
    if likely < WAY and len(lacking):
        between[lacking] = dijkstra(cells, directed=False, indices=lacking, limit=WAY)
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
