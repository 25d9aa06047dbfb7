"""Cameras: paths, keyframe documents, preset moves, projection. OpenCV axes (x right, y down, z forward)."""

from .easing import EASES
from .keyframes import (
    FittedDocument,
    Keyframe,
    Orbit,
    PathDocument,
    document_notes,
    fit_document,
    parse_document,
    sample_document,
    to_json,
)
from .operations import OPERATIONS, edit_path, operations_table
from .path import CameraPath
from .path_quality import PathChecks, check_path, path_summary, path_warnings
from .presets import PRESETS, describe_move, preset_path
from .projection import ViewTracks, project

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
