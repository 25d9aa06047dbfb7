"""Pictures of tracks, coverage and camera paths: tensors in, images out."""

from .band import LOW_COVERAGE, coverage_band
from .files import write_picture
from .pair import pair_view
from .paths import path_plot, world_points
from .sides import side_by_side

__all__ = ["LOW_COVERAGE", "coverage_band", "pair_view", "path_plot", "side_by_side", "world_points", "write_picture"]
