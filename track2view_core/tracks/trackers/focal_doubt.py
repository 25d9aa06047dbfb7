"""How certain a focal length is beyond its own surroundings: held against a solution with another lens.

Before a wall, or where a turn and a travel nearly cancel, lenses far apart fit alike, each in a narrow valley of its
own. The curvature of one valley promises a certainty that is not there.
"""

from __future__ import annotations

import numpy as np

from .bundle_adjustment import CORRELATED, LEAST_NOISE

AWAY = 0.03
"""A lens nearer than this (log) is no other lens."""
MOST_STRETCH = 100.0


def stretch(deviation: float, away: float, gained: float, residual: float) -> float:
    """By what factor a focal is less certain than its local standard deviation (log) says.

    The solution with a lens `away` (log) from it is worse by `gained` in misfit, which such a deviation promises to be
    more. `residual` is the pixels' median error.
    """
    if not deviation or away < max(AWAY, deviation):
        return 1.0
    promised = 0.5 * (CORRELATED * max(residual, LEAST_NOISE) * away / deviation) ** 2
    return float(np.clip(np.sqrt(promised / max(gained, 1e-9)), 1.0, MOST_STRETCH))
