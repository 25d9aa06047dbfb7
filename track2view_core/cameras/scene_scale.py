"""The scene scale: the subject's distance, and the unit in which a move carries from one scene to another."""

from __future__ import annotations

import math
from numbers import Real

from ..errors import Track2ViewError


def checked_scene_scale(scene_scale: float, name: str = "scene_scale") -> float:
    """The scene scale as a float.

    Raises:
        Track2ViewError: it is not a finite number above 0.
    """
    if not isinstance(scene_scale, Real) or not (math.isfinite(scene_scale) and scene_scale > 0):
        raise Track2ViewError(f"{name} is {scene_scale}; it must be the subject's distance, a finite number above 0.")
    return float(scene_scale)
