"""The clip's own pixels from the target camera: dense depth, what moves, other times, holes."""

from .geometry import ClipGeometry, clip_geometry
from .known_pixels import keep_known_pixels
from .placed_movers import placed_movers
from .target_view import TargetFrame, TargetView, render_target_view, target_frames

__all__ = [
    "ClipGeometry",
    "TargetFrame",
    "TargetView",
    "clip_geometry",
    "keep_known_pixels",
    "placed_movers",
    "render_target_view",
    "target_frames",
]
