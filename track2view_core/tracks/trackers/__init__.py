"""Trackers: a clip in, 3D point tracks and the source camera out. One protocol, one tracker a file."""

from .klt import KltTracker
from .protocol import PointTracker, Progress

__all__ = ["KltTracker", "PointTracker", "Progress"]
