"""Track2View: re-film a video along a new camera path, guided by paired 3D point tracks.

The door: `refilm` is the whole job, the other names are what a researcher builds with. Each room is loaded when one
of its names is asked for first, so that importing this package loads no torch. docs/LIBRARY.md shows how to use it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .errors import Track2ViewError
from .notes import Note, Severity
from .refilm import Refilm, Refilmed, refilm

__version__ = "0.2.0"

if TYPE_CHECKING:
    from .cameras import PRESETS, CameraPath, preset_path, project
    from .cameras.formats import read_path, write_path
    from .conditioner import ConditionerConfig, TrackConditioner
    from .tracks import (
        PairedTracks,
        PointTracks,
        TrackBatch,
        collate_tracks,
        load_tracks,
        pair_tracks,
        save_tracks,
        subject_distance,
    )
    from .tracks.trackers import KltTracker, PointTracker
    from .video import ClipInfo, VideoClip, prepare_clip, read_clip, restore_clip, write_clip
    from .wan.bundle import Bundle, load_bundle, save_bundle
    from .wan.models import Models, load_models
    from .wan.rerender import rerender
    from .wan.seams import attach_seams

_ROOM_OF = {
    "PRESETS": "cameras",
    "CameraPath": "cameras",
    "preset_path": "cameras",
    "project": "cameras",
    "read_path": "cameras.formats",
    "write_path": "cameras.formats",
    "ConditionerConfig": "conditioner",
    "TrackConditioner": "conditioner",
    "PairedTracks": "tracks",
    "PointTracks": "tracks",
    "TrackBatch": "tracks",
    "collate_tracks": "tracks",
    "load_tracks": "tracks",
    "pair_tracks": "tracks",
    "save_tracks": "tracks",
    "subject_distance": "tracks",
    "KltTracker": "tracks.trackers",
    "PointTracker": "tracks.trackers",
    "ClipInfo": "video",
    "VideoClip": "video",
    "prepare_clip": "video",
    "read_clip": "video",
    "restore_clip": "video",
    "write_clip": "video",
    "Bundle": "wan.bundle",
    "load_bundle": "wan.bundle",
    "save_bundle": "wan.bundle",
    "Models": "wan.models",
    "load_models": "wan.models",
    "rerender": "wan.rerender",
    "attach_seams": "wan.seams",
}

# Written out, for checkers that read this file without running it.
__all__ = [
    "PRESETS",
    "Bundle",
    "CameraPath",
    "ClipInfo",
    "ConditionerConfig",
    "KltTracker",
    "Models",
    "Note",
    "PairedTracks",
    "PointTracker",
    "PointTracks",
    "Refilm",
    "Refilmed",
    "Severity",
    "Track2ViewError",
    "TrackBatch",
    "TrackConditioner",
    "VideoClip",
    "__version__",
    "attach_seams",
    "collate_tracks",
    "load_bundle",
    "load_models",
    "load_tracks",
    "pair_tracks",
    "prepare_clip",
    "preset_path",
    "project",
    "read_clip",
    "read_path",
    "refilm",
    "rerender",
    "restore_clip",
    "save_bundle",
    "save_tracks",
    "subject_distance",
    "write_clip",
    "write_path",
]


def __getattr__(name: str) -> object:
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_ROOM_OF[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
