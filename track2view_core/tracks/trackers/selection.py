"""Which of many tracks to hand out: those that together see most of the picture, most of the time."""

from __future__ import annotations

import heapq

import numpy as np

TIMES = 24
"""The picture is compared at about so many moments."""


def spread_over_picture(
    xy: np.ndarray,  # [T, N, 2] pixels
    seen: np.ndarray,  # [T, N] bool
    quality: np.ndarray,  # [N] 0..1
    points: int,
    width: float,
    height: float,
) -> np.ndarray:
    """Indices of at most `points` tracks, in their old order.

    Greedy: the next track is the one whose places and times the chosen ones have visited least. A short track in an
    empty place goes before a long one in a crowded place, or moving things, hard to follow for long, would have none.
    """
    count = seen.shape[1]
    if count <= points or points < 1:
        return np.arange(min(count, points))
    moments = np.unique(np.linspace(0, len(xy) - 1, TIMES).round().astype(int))
    side = np.sqrt(width * height / points)
    columns, rows = int(np.ceil(width / side)), int(np.ceil(height / side))
    column = np.clip((xy[moments, :, 0] / side).astype(int), 0, columns - 1)
    row = np.clip((xy[moments, :, 1] / side).astype(int), 0, rows - 1)
    cell = (np.arange(len(moments))[:, None] * rows + row) * columns + column
    visits = [cell[seen[moments, n], n] for n in range(count)]
    filled = np.zeros(len(moments) * rows * columns)

    def gain(n: int) -> float:
        places = visits[n]
        return float((0.5 + 0.5 * quality[n]) * (8.0 ** -filled[places]).sum() / np.sqrt(max(1, len(places))))

    queue = [(-gain(n), n) for n in range(count)]
    heapq.heapify(queue)
    chosen = []
    while len(chosen) < points:
        _, n = heapq.heappop(queue)
        now = -gain(n)
        if queue and now > queue[0][0]:
            heapq.heappush(queue, (now, n))
            continue
        chosen.append(n)
        filled[visits[n]] += 1
    return np.sort(np.array(chosen))
