"""Camera paths of other programs: one exchange format a file. Each reader converts at its own boundary."""

from .node_packs import (
    cameractrl_from_path,
    cameraposes_from_path,
    load3d_from_path,
    path_from_cameractrl,
    path_from_cameraposes,
    path_from_geometry,
    path_from_load3d,
)
from .path_format import PathFormat
from .reading_and_writing import FORMATS, read_camera, read_path, write_path

__all__ = [
    "FORMATS",
    "PathFormat",
    "cameractrl_from_path",
    "cameraposes_from_path",
    "load3d_from_path",
    "path_from_cameractrl",
    "path_from_cameraposes",
    "path_from_geometry",
    "path_from_load3d",
    "read_camera",
    "read_path",
    "write_path",
]
