"""Gather features along tracks, transform them over time, scatter them into both views' grids."""

from .config import ConditionerConfig
from .module import TrackConditioner
from .sampling import sample_along_tracks
from .scattering import Scattered, scatter_to_grid

__all__ = ["ConditionerConfig", "Scattered", "TrackConditioner", "sample_along_tracks", "scatter_to_grid"]
