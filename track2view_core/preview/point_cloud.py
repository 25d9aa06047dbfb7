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
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..tracks import PointTracks
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
    positions = _within_reach(tracks, FARTHEST * scale)
    low, high = positions.amin(dim=0), positions.amax(dim=0)
    moves = (high - low).amax(dim=-1) > 2 * STILL * scale
    order = torch.cat([(~moves).nonzero()[:, 0], moves.nonzero()[:, 0]])
    moving = int(moves.sum())
    still = ((low + high) / 2)[~moves]
    times = _kept_times(len(tracks), moving, len(order), most_frames)
    moved = _at_times(positions[:, moves], times)
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


def _within_reach(tracks: PointTracks, reach: float) -> Tensor:
    """Positions `[T, N, 3]` float64; those farther than `reach` from the first camera are drawn in along their ray."""
    center = tracks.camera.world_from_camera[0, :3, 3].cpu()
    away = tracks.positions.to(torch.float64) - center
    distance = away.norm(dim=-1, keepdim=True)
    return center + away * (reach / distance.clamp(min=reach))


def _kept_times(frames: int, moving: int, points: int, most_frames: int) -> Tensor:
    """Clip times `[F]` float64 of the frames to keep: as many as fit."""
    per_frame = 6 * moving + (points + 7) // 8
    fixed = 16 * points + 200 * frames + 4096
    kept = max(1, min(frames, most_frames, (MOST_BYTES - fixed) // max(per_frame, 1)))
    return torch.arange(kept, dtype=torch.float64) * (frames - 1) / max(kept - 1, 1)


def _at_times(positions: Tensor, times: Tensor) -> Tensor:
    """Positions `[F, M, 3]` at the times `[F]`, straight between frames."""
    before = times.floor().long()
    after = (before + 1).clamp(max=len(positions) - 1)
    return torch.lerp(positions[before], positions[after], (times - before)[:, None, None])
