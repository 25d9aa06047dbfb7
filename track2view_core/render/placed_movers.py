"""Moving tracks put where the dense geometry has what moves, so that pairs, preview, conditioner and render agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from ..cameras import project
from ..progress import Progress
from ..tracks import PointTracks
from ..tracks.trackers.camera_solver import Cameras, ideal_pixels
from ..tracks.trackers.triangulation import place_movers
from ..video.resizing import resize_picture
from .geometry import ANALYSED_SIDE, ClipGeometry, clip_geometry
from .movers import ASSUMED
from .source_tracks import SourceTracks

TOUCHES = 0.04
"""Share of the width within which a moving track belongs to a silhouette; others lie on what stands."""


def assumed(tracks: PointTracks) -> bool:
    """Whether the depth of what moves was only assumed from what is around it."""
    return ASSUMED in {note.code for note in tracks.notes}


def tracks_placed_in(
    video: Tensor,
    tracks: PointTracks,
    progress: Progress | None = None,
    analysed: Callable[..., ClipGeometry] = clip_geometry,
) -> PointTracks:
    """`placed_movers` by the geometry of their clip `video` [T, H, W, 3] uint8, which is looked at only if needed.

    analysed: `clip_geometry`, or what keeps its results.
    """
    if not assumed(tracks):
        return tracks
    _, height, width, _ = video.shape
    share = min(1.0, ANALYSED_SIDE / max(height, width))
    size = max(16, round(width * share)), max(16, round(height * share))
    pictures = torch.from_numpy(np.stack([resize_picture(picture, *size) for picture in video.cpu().numpy()]))
    return placed_movers(tracks, analysed(pictures, tracks, progress=progress))


def placed_movers(tracks: PointTracks, geometry: ClipGeometry) -> PointTracks:
    """The tracks, those of moving things as far away as `geometry` says; unchanged where their depth was measured.

    A moving track outside all silhouettes lies on what stands there.
    """
    if not assumed(tracks):
        return tracks
    frames, high, wide = geometry.silhouettes.shape
    source = SourceTracks.of(tracks, wide, high)
    if not source.moving.any():
        return tracks
    index = np.flatnonzero(source.moving)
    inverse = np.full((frames, len(index)), np.nan)
    standing, movers = geometry.standing.numpy(), geometry.mover_inverse.numpy()
    h, w = standing.shape[1:]
    for t in range(frames):
        here = np.flatnonzero(source.seen[t, index])
        xy = source.xy[t, index[here]]
        column, row = np.clip(xy[:, 0], 0, wide - 1).astype(int), np.clip(xy[:, 1], 0, high - 1).astype(int)
        told = standing[t, (row * h) // high, (column * w) // wide]
        rows, columns = np.nonzero(movers[t])
        if len(rows) and len(here):
            distance, which = KDTree(np.stack([columns, rows], 1) + 0.5).query(xy)
            told = np.where(distance < TOUCHES * wide, movers[t, rows[which], columns[which]], told)
        inverse[t, here] = told
    camera = tracks.camera
    center = np.array([camera.width / 2, camera.height / 2])
    view = project(camera, tracks.positions[:, torch.from_numpy(index)])
    positions = tracks.positions.double().cpu().numpy().copy()
    positions[:, index] = place_movers(
        ideal_pixels(view.xy.double().cpu().numpy(), camera, center),
        source.seen[:, index],
        Cameras.of_path(camera, center),
        inverse,
    )
    return replace(tracks, positions=torch.from_numpy(positions).float().to(tracks.positions.device))
