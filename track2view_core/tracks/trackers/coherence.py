"""Which points keep company with movers: a thing moves as a whole, so a point amid movers hardly stands.

Some points of a mover always happen to fit a standing point's path, for instance where it moves along the epipolar
line. They pull the cameras after the mover.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

NEIGHBOURS = 6
FEWEST_ALIKE = 0.34
"""A standing point has at least this share of standing ones among its nearest neighbours, all frames together."""


def among_movers(xy: np.ndarray, seen: np.ndarray, stands: np.ndarray, moves: np.ndarray) -> np.ndarray:
    """Which [N] of the points that stand have mostly movers around them.

    xy [T, N, 2] pixels, seen [T, N], stands and moves [N] bool; points that are neither do not vote.
    """
    judged = stands | moves
    alike, asked = np.zeros(len(stands)), np.zeros(len(stands))
    for t in range(len(xy)):
        here = np.flatnonzero(seen[t] & judged)
        standing = here[stands[here]]
        if len(here) <= NEIGHBOURS or not len(standing):
            continue
        _, near = cKDTree(xy[t, here]).query(xy[t, standing], k=NEIGHBOURS + 1)
        alike[standing] += stands[here[near[:, 1:]]].sum(1)
        asked[standing] += NEIGHBOURS
    return stands & (alike < FEWEST_ALIKE * asked)
