"""The clip's own pixels from the target camera: dense depth, what moves, other times, holes."""

from .geometry import ClipGeometry, clip_geometry

__all__ = ["ClipGeometry", "clip_geometry"]
