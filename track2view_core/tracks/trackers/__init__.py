"""Trackers: a clip in, 3D point tracks and the source camera out. Each tracker is loaded when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .protocol import PointTracker

if TYPE_CHECKING:
    from .klt import KltTracker
    from .spatial_tracker.tracker import SpatialTrackerV2

__all__ = ["KltTracker", "PointTracker", "SpatialTrackerV2"]


def __getattr__(name: str) -> object:
    if name == "KltTracker":  # brings OpenCV and SciPy along
        from .klt import KltTracker

        return KltTracker
    if name == "SpatialTrackerV2":
        from .spatial_tracker.tracker import SpatialTrackerV2

        return SpatialTrackerV2
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
