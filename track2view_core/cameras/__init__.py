"""Cameras: paths, keyframe documents, preset moves, projection. OpenCV axes (x right, y down, z forward)."""

from .checks import PathChecks, check_path, path_summary, path_warnings
from .easing import EASES
from .keyframe_fitting import FittedDocument, fit_document
from .keyframe_reading import parse_document
from .keyframe_sampling import document_notes, sample_document
from .keyframes import Keyframe, Orbit, PathDocument, to_json
from .operations import OPERATIONS, edit_path, operations_table
from .path import CameraPath
from .presets import PRESETS, describe_move, preset_path
from .view import ViewTracks, project

__all__ = [
    "EASES",
    "OPERATIONS",
    "PRESETS",
    "CameraPath",
    "FittedDocument",
    "Keyframe",
    "Orbit",
    "PathChecks",
    "PathDocument",
    "ViewTracks",
    "check_path",
    "describe_move",
    "document_notes",
    "edit_path",
    "fit_document",
    "operations_table",
    "parse_document",
    "path_summary",
    "path_warnings",
    "preset_path",
    "project",
    "sample_document",
    "to_json",
]
