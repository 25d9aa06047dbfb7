"""What every point tracker offers, so that one can stand in for another."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from torch import Tensor

from ...progress import Progress
from ..types import PointTracks


class PointTracker(Protocol):
    def track(
        self,
        video: Tensor | np.ndarray,  # [T, H, W, 3] uint8
        *,
        points: int,
        progress: Progress | None = None,
    ) -> PointTracks:
        """3D tracks of at most `points` points and the source camera; the world is the camera of frame 0."""
        ...
