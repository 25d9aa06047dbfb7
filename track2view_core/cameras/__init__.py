"""Cameras: paths, rotations, preset moves, projection. OpenCV axes (x right, y down, z forward), camera-to-world poses."""

from .path import CameraPath
from .view import ViewTracks, project

__all__ = ["CameraPath", "ViewTracks", "project"]
