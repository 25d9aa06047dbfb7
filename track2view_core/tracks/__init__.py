"""Tracks: 3D points over time, their pairing in two views, batches for the conditioner, files."""

from ..cameras import ViewTracks
from .pairing import PairedTracks, pair_tracks
from .point_tracks import PointTracks
from .storage import load_tracks, save_tracks
from .subject import subject_distance
from .track_batch import TrackBatch, collate_tracks

__all__ = [
    "PairedTracks",
    "PointTracks",
    "TrackBatch",
    "ViewTracks",
    "collate_tracks",
    "load_tracks",
    "pair_tracks",
    "save_tracks",
    "subject_distance",
]
