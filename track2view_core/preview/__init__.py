"""Pictures of tracks, coverage and camera paths: tensors in, images out."""

from .drawing import write_picture
from .pair_view import LOW_COVERAGE, coverage_band, pair_view, points_view
from .path_plot import path_plot, world_points
from .sides import SideBySide, side_by_side

__all__ = [
    "LOW_COVERAGE",
    "SideBySide",
    "coverage_band",
    "pair_view",
    "path_plot",
    "points_view",
    "side_by_side",
    "world_points",
    "write_picture",
]
