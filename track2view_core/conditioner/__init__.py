"""Gather features along tracks, transform them over time, scatter them into both views' grids."""

from .gather_scatter import Scattered, sample_along_tracks, scatter_to_grid
from .track_conditioner import ConditionerConfig, TrackConditioner

__all__ = ["ConditionerConfig", "Scattered", "TrackConditioner", "sample_along_tracks", "scatter_to_grid"]
