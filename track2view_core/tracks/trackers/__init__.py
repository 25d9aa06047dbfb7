"""Trackers: a clip in, 3D point tracks and the source camera out. Each tracker is loaded when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from torch import Tensor

from ...progress import Progress
from ..point_tracks import PointTracks

if TYPE_CHECKING:
    from .klt import KltTracker
    from .spatial_tracker.tracker import SpatialTrackerV2

__all__ = ["KltTracker", "PointTracker", "SpatialTrackerV2"]


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


def __getattr__(name: str) -> object:
    if name == "KltTracker":  # brings OpenCV and SciPy along
        from .klt import KltTracker

        return KltTracker
    if name == "SpatialTrackerV2":
        from .spatial_tracker.tracker import SpatialTrackerV2

        return SpatialTrackerV2
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
