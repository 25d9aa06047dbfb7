"""Cameras: paths, preset moves, projection. OpenCV axes (x right, y down, z forward), camera-to-world poses."""

from .easing import EASES
from .path import CameraPath
from .presets import PRESETS, describe_move, preset_path
from .view import ViewTracks, project

__all__ = ["EASES", "PRESETS", "CameraPath", "ViewTracks", "describe_move", "preset_path", "project"]
