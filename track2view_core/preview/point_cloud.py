"""The tracks as one small file for the browser: `web/math/points.mjs` reads it and the camera editor draws it.

A packed file (packed_file.py) that begins with `T2VP`. Points that stand still come first, once; those that move
follow, once a kept frame. Kept frames are spread evenly over the clip: kept frame f of F stands at clip time
f (T - 1) / (F - 1).

    world_from_camera  float64 [T, 4, 4]   the source camera, every frame of the clip
    intrinsics         float64 [T, 3, 3]
    tracks             uint32 [N]          each point's index in the tracks
    still              uint16 [N - M, 3]   world = low + step * number, per axis
    moving             uint16 [F, M, 3]
    colors             uint8 [N, 3]
    visible            uint8 [F, ceil(N / 8)]   seen by the tracker, lowest bit first

The header's `subject` is what a move turns around unless the user says otherwise: [x, y, z] in scene scales in the axes
of the source camera, whichever frame it is at.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..tracks import PointTracks
from ..tracks.subject import subject_place
from .packed_file import packed_file

MAGIC = b"T2VP"
VERSION = 1
MOST_BYTES = 8_000_000
MOST_POINTS = 20_000
STEPS = 65_535
STILL = 1e-3  # scene scales: a point that stays within this of its middle, along every axis, stands still
FARTHEST = 25.0  # scene scales from the first camera: farther points are drawn there, where they look the same
UNCOLORED = 176


def pack_points(tracks: PointTracks, *, most_frames: int = 120) -> bytes:
    """The tracks in the layout above, at most MOST_BYTES whatever comes.

    A coordinate is off by half a step of the points' bounding box at most, and that of a still point by STILL scene
    scales more. Beyond MOST_POINTS tracks, evenly spaced ones are kept; where many move, fewer frames.

    Raises:
        Track2ViewError: no point is visible in any frame, so the scene has no scale.
    """
    scale = tracks.scene_scale
    count = tracks.positions.shape[1]
    chosen = torch.arange(count) if count <= MOST_POINTS else torch.linspace(0, count - 1, MOST_POINTS).round().long()
    tracks = tracks.to("cpu").select(chosen)
    times = _even_times(len(tracks), min(len(tracks), most_frames))
    positions = _positions(tracks, times, FARTHEST * scale)
    low, high = positions.amin(dim=0), positions.amax(dim=0)
    moves = (high - low).amax(dim=-1) > 2 * STILL * scale
    order = torch.cat([(~moves).nonzero()[:, 0], moves.nonzero()[:, 0]])
    moving = int(moves.sum())
    fitting = _frames_that_fit(len(tracks), moving, len(order))
    if fitting < len(times):
        times = _even_times(len(tracks), fitting)
        positions = _positions(tracks, times, FARTHEST * scale)
    still, moved = ((low + high) / 2)[~moves], positions[:, moves]
    box = _Box(torch.cat([still, moved.reshape(-1, 3)]))
    colors = tracks.colors if tracks.colors is not None else torch.full((len(order), 3), UNCOLORED, dtype=torch.uint8)
    seen = tracks.visible[(times + 0.5).floor().long()][:, order]
    sections = {
        "world_from_camera": tracks.camera.world_from_camera.cpu().numpy().astype("<f8"),
        "intrinsics": tracks.camera.intrinsics.cpu().numpy().astype("<f8"),
        "tracks": chosen[order].numpy().astype("<u4"),
        "still": box.steps(still),
        "moving": box.steps(moved),
        "colors": colors[order].numpy(),
        "visible": np.packbits(seen.numpy(), axis=1, bitorder="little"),
    }
    header = {
        "version": VERSION,
        "frames": len(tracks),
        "packed_frames": len(times),
        "fps": tracks.camera.fps,
        "width": tracks.camera.width,
        "height": tracks.camera.height,
        "scene_scale": scale,
        "subject": [part / scale for part in subject_place(tracks)],
        "box": {"low": box.low.tolist(), "step": box.step.tolist()},
        "counts": {"points": len(order), "moving": moving},
    }
    return packed_file(MAGIC, header, sections)


class _Box:
    """The bounding box of points `[any, 3]`, cut into steps along each axis."""

    def __init__(self, points: Tensor):
        self.low = points.amin(dim=0)
        self.step = (points.amax(dim=0) - self.low) / STEPS

    def steps(self, points: Tensor) -> np.ndarray:
        wide = torch.where(self.step > 0, self.step, 1.0)
        return ((points - self.low) / wide).round().clamp(0, STEPS).numpy().astype("<u2")


def _even_times(frames: int, kept: int) -> Tensor:
    """Clip times `[kept]` float64, spread evenly over all frames."""
    return torch.arange(kept, dtype=torch.float64) * (frames - 1) / max(kept - 1, 1)


def _frames_that_fit(frames: int, moving: int, points: int) -> int:
    per_frame = 6 * moving + (points + 7) // 8
    fixed = 16 * points + 200 * frames + 4096
    return max(1, (MOST_BYTES - fixed) // max(per_frame, 1))


def _positions(tracks: PointTracks, times: Tensor, reach: float) -> Tensor:
    """Positions `[F, N, 3]` float64 at the times `[F]`, straight between frames; those farther than `reach` from the
    first camera are drawn in along their ray."""
    before = times.floor().long()
    after = (before + 1).clamp(max=len(tracks) - 1)
    share = (times - before)[:, None, None]
    positions = torch.lerp(tracks.positions[before].double(), tracks.positions[after].double(), share)
    center = tracks.camera.world_from_camera[0, :3, 3].cpu()
    away = positions - center
    return center + away * (reach / away.norm(dim=-1, keepdim=True).clamp(min=reach))
