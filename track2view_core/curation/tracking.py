"""One run of a tracker over a joined clip, its points put before the cameras that the data set knows."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..cameras import CameraPath, project
from ..cameras.rotations import rigid_inverse
from ..errors import Track2ViewError
from ..progress import Progress
from ..tracks import PointTracks
from ..tracks.trackers import PointTracker
from .refusal import PairRefused

START_FRAMES = 5
"""Where a tracker takes queries: at the seam, and at both ends and the middle of either half."""
MOST_TURNED, MOST_SHIFTED = 5.0, 0.2
"""Degrees, and share of the path's extent, that a tracker's own cameras may differ from the known ones."""
LEAST_EXTENT = 1e-3
"""Of the points' distance: a path shorter than this tells no scale."""


def takes_camera(tracker: PointTracker) -> bool:
    """Whether the tracker can be told the camera; its depths are then those that the known cameras give."""
    return "camera" in inspect.signature(tracker.track).parameters


def track_known(
    tracker: PointTracker,
    frames: Tensor,  # [2T - 1, H, W, 3] uint8
    known: CameraPath,
    *,
    points: int,
    name: str,
    progress: Progress | None = None,
) -> PointTracks:
    """Tracks in the world of `known`, with `known` as their camera.

    A tracker that takes a camera gets it; another one's cameras are aligned by a similarity, and each point is put
    back on its own viewing ray before the known camera.

    Raises:
        PairRefused: the clip cannot be tracked, or the tracker sees another camera.
    """
    takes = inspect.signature(tracker.track).parameters
    options: dict[str, Any] = {}
    if "start_frames" in takes:
        options["start_frames"] = START_FRAMES
    if takes_camera(tracker):
        options["camera"] = known
    try:
        tracks = tracker.track(frames, points=points, progress=progress, **options)
    except Track2ViewError as error:
        raise PairRefused("not tracked", f"{name} was not tracked: {error}") from error
    return moved(tracks, known) if takes_camera(tracker) else aligned(tracks, known, name)


def moved(tracks: PointTracks, known: CameraPath) -> PointTracks:
    """From the world of the clip's first camera, which trackers use, to that of the known path."""
    first = known.world_from_camera[0]
    positions = tracks.positions.double() @ first[:3, :3].T + first[:3, 3]
    return replace(tracks, positions=positions.float(), camera=known)


def aligned(tracks: PointTracks, known: CameraPath, name: str) -> PointTracks:
    """The tracks before the known cameras instead of the tracker's own."""
    own = tracks.camera
    scale, turned, shifted = similarity(own, known, float(tracks.scene_scale))
    if turned > MOST_TURNED or shifted > MOST_SHIFTED:
        raise PairRefused(
            "cameras disagree",
            f"{name} is filmed by other cameras than the data set says: the tracker's turn {turned:.1f} degrees and "
            f"lie {100 * shifted:.0f} % of the path away.",
        )
    view = project(own, tracks.positions)
    depth = view.depth.double() * scale
    lens = torch.linalg.inv(known.intrinsics)
    pixel = torch.cat([view.xy.double(), torch.ones_like(depth)[..., None]], -1)
    local = (pixel @ lens.mT) * depth[..., None]
    world = local @ known.world_from_camera[:, :3, :3].mT + known.world_from_camera[:, None, :3, 3]
    in_front = view.depth > 0
    return replace(
        tracks,
        positions=torch.where(in_front[..., None], world, 0.0).float(),
        visible=tracks.visible & in_front,
        camera=known,
    )


def similarity(own: CameraPath, known: CameraPath, distance: float) -> tuple[float, float, float]:
    """Scale from `own` to `known` units, and what is left: degrees (worst frame) and share of the path's extent.

    A path that hardly moves tells no scale, and 1 stands.
    """
    there, here = own.relative_to_first().world_from_camera, known.relative_to_first().world_from_camera
    # One rotation between the two worlds, the mean over all frames (Kabsch on the axes).
    u, _, vt = torch.linalg.svd((here[:, :3, :3] @ there[:, :3, :3].mT).sum(0))
    world = u @ torch.diag(torch.tensor([1.0, 1.0, float(torch.linalg.det(u @ vt))], dtype=u.dtype)) @ vt
    left = rigid_inverse(here)[:, :3, :3] @ world @ there[:, :3, :3]
    trace = left.diagonal(dim1=-2, dim2=-1).sum(-1)
    turned = float(torch.rad2deg(((trace - 1) / 2).clamp(-1, 1).arccos()).max())
    mine = (there[:, :3, 3] - there[:, :3, 3].mean(0)) @ world.T
    theirs = here[:, :3, 3] - here[:, :3, 3].mean(0)
    extent, power = float(theirs.norm(dim=1).max()), float((mine * mine).sum())
    if float(mine.norm(dim=1).max()) < LEAST_EXTENT * distance:
        # The tracker saw no travel at all.
        return 1.0, turned, 0.0 if extent == 0 else 1.0
    scale = float((mine * theirs).sum()) / power
    if extent == 0 or scale <= 0:
        return 1.0, turned, 0.0 if extent == 0 else 1.0
    return scale, turned, float((theirs - scale * mine).norm(dim=1).max()) / extent
