"""A grid of standing points for a shot in which nothing can be followed, so that there still is a result."""

from __future__ import annotations

import numpy as np

from .bundle_adjustment import Cameras
from .depth import nan_median, ramp_inverse_depth, sample_inverse_depth
from .flow import PixelTracks
from .lifting import Lifted
from .shots import Setup, Shot

FEWEST_TRACKS = 16


def with_grid(shot: Shot, part: PixelTracks, setup: Setup, points: int) -> tuple[Shot, PixelTracks]:
    """A shot in which nothing could be followed gets a grid of standing points, so that there is a result."""
    if shot.lifted.kept.sum() >= min(FEWEST_TRACKS, points):
        return shot, part
    side = np.sqrt(setup.width * setup.height / points)
    columns = max(1, min(points, int(setup.width / side)))
    rows = max(1, points // columns)
    y, x = (np.mgrid[:rows, :columns].reshape(2, -1) + 0.5) / [[rows], [columns]]
    xy = np.stack([x * setup.width, y * setup.height], 1)
    first = Cameras(
        shot.cameras.rotation[:1], shot.cameras.translation[:1], shot.cameras.focal[:1], shot.cameras.center
    )
    inverse = _grid_inverse_depth(xy, setup)
    world = first.rays(np.zeros(len(xy), int), xy) / inverse[:, None]
    frames, count = len(part.xy), len(xy)
    seen = np.zeros((frames, count), bool)
    seen[0] = True
    everywhere = np.broadcast_to(world, (frames, count, 3)).copy()
    none = np.zeros(count, bool)
    lifted = Lifted(everywhere, none, np.ones(count), ~none, ~none if setup.depth is None else none)
    notes = (*shot.notes, f"WARNING: nothing could be followed, so {count} points were laid over the picture as a grid")
    grid = np.broadcast_to(xy, (frames, count, 2)).copy()
    return Shot(shot.motion, shot.cameras, lifted, notes), PixelTracks(grid, seen)


def _grid_inverse_depth(xy: np.ndarray, setup: Setup) -> np.ndarray:
    if setup.depth is None:
        return ramp_inverse_depth(xy[:, 1], setup.height)
    frames = len(setup.depth)
    everywhere = np.broadcast_to(xy, (frames, *xy.shape))
    sampled = sample_inverse_depth(
        setup.depth, everywhere, np.ones(everywhere.shape[:2], bool), setup.width, setup.height
    )
    inverse = nan_median(sampled[:1])
    return np.where(np.isfinite(inverse), inverse, 0.5 * np.nanmin(inverse) if np.isfinite(inverse).any() else 1.0)
