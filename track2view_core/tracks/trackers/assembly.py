"""The solved shots put together into one set of tracks: chosen, re-projected, judged visible, coloured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ...cameras import CameraPath, ViewTracks, project
from ..types import PointTracks
from .depth import nan_median, sample_inverse_depth
from .flow import PixelTracks
from .lifting import Lifted
from .selection import spread_over_picture
from .shots import Shot
from .visibility import sample_colours, standing_points_seen

MOST_DOUBTFUL = 0.5
OUT_OF_SIGHT = 50.0
"""A point of another shot waits this many scene scales behind the camera."""


def assembled(
    frames: np.ndarray,  # [T, H, W, 3] uint8
    shots: list[tuple[slice, PixelTracks, Shot]],
    *,
    camera: CameraPath | None,
    scale: float,
    points: int,
    depth: np.ndarray | None,
    notes: list[str],
) -> PointTracks:
    """All shots as one set of at most `points` tracks; pixels of the shots are `scale` times those of the clip."""
    count, height, width = frames.shape[:3]
    path = _path([shot for _, _, shot in shots], width, height, scale)
    if camera is not None:
        path = camera.relative_to_first().resized(width, height)
    columns = _chosen(shots, points, count, (width * scale, height * scale))
    joined = lambda values: np.concatenate([values(c) for c in columns], -1)  # noqa: E731
    moving, error = joined(lambda c: c.lifted.moving), joined(lambda c: c.lifted.error)
    guessed, followed = joined(lambda c: c.lifted.guessed), joined(lambda c: c.over_clip(c.part.seen, count))
    positions = np.concatenate([c.placed(path, count) for c in columns], 1)
    xy = np.concatenate([c.over_clip(c.part.xy, count) for c in columns], 1) / scale
    view = project(path, torch.from_numpy(positions).float())
    born = followed.argmax(0)
    colours = sample_colours(frames, xy[born, np.arange(len(born))], born)
    surface = None if depth is None else _surface(depth, view, followed & ~moving, width, height)
    visible = standing_points_seen(
        frames, view.xy.numpy(), view.depth.numpy(), view.inside.numpy(), followed, moving, colours, surface
    )
    confidence = np.exp(-0.5 * error) * np.where(guessed & moving, 0.5, 1.0)
    confidence = confidence * np.where(followed, 1.0, np.where(visible, 0.8, 0.4))
    return PointTracks(
        torch.from_numpy(positions).float(),
        torch.from_numpy(visible),
        torch.from_numpy(confidence).float().clamp(0, 1),
        path,
        torch.from_numpy(colours.round().clip(0, 255).astype(np.uint8)),
        (*notes, *_closing_notes(shots, followed, moving, guessed, depth)),
    )


def _chosen(
    shots: list[tuple[slice, PixelTracks, Shot]], points: int, frames: int, size: tuple[float, float]
) -> list[_Column]:
    """The best spread tracks of every shot: half of the points go to the shots alike, half by their length.

    In the frames of a short shot only its own tracks are seen, so it needs nearly as many as a long one.
    """
    columns, left = [], points
    for number, (span, part, shot) in enumerate(shots):
        share = (
            left
            if number == len(shots) - 1
            else round(points * (0.5 / len(shots) + 0.5 * (span.stop - span.start) / frames))
        )
        kept = np.flatnonzero(shot.lifted.kept)
        quality = np.exp(-shot.lifted.error[kept])
        best = kept[spread_over_picture(part.xy[:, kept], part.seen[:, kept], quality, min(share, left), *size)]
        left -= len(best)
        columns.append(_Column(span, part.select(best), shot.lifted.select(best)))
    return columns


@dataclass(frozen=True, eq=False)
class _Column:
    """The chosen tracks of one shot on their way into the clip's table."""

    span: slice
    part: PixelTracks
    lifted: Lifted

    def over_clip(self, values: np.ndarray, frames: int) -> np.ndarray:
        out = np.zeros((frames, *values.shape[1:]), values.dtype)
        out[self.span] = values
        return out

    def placed(self, path: CameraPath, frames: int) -> np.ndarray:
        """World positions [T, n, 3]; in the frames of other shots the points wait behind the camera."""
        own, pose = self.lifted.positions, path.world_from_camera.numpy()
        scale = max(1e-6, float(np.median(np.linalg.norm(own, axis=2)))) if own.size else 1.0
        behind = pose[:, :3, 3] - OUT_OF_SIGHT * scale * pose[:, :3, 2]
        out = np.repeat(behind[:, None], own.shape[1], 1)
        out[self.span] = own
        return out


def _path(shots: list[Shot], width: int, height: int, scale: float) -> CameraPath:
    poses, intrinsics = [], []
    for shot in shots:
        cameras = shot.cameras
        pose = np.tile(np.eye(4), (len(cameras), 1, 1))
        pose[:, :3, :3] = cameras.rotation.transpose(0, 2, 1)
        pose[:, :3, 3] = cameras.centers()
        matrix = np.zeros((len(cameras), 3, 3))
        matrix[:, 0, 0] = matrix[:, 1, 1] = cameras.focal / scale
        matrix[:, 0, 2], matrix[:, 1, 2], matrix[:, 2, 2] = width / 2, height / 2, 1
        poses.append(pose)
        intrinsics.append(matrix)
    return CameraPath(
        torch.from_numpy(np.concatenate(poses)), torch.from_numpy(np.concatenate(intrinsics)), width, height
    )


def _surface(
    depth: np.ndarray, view: ViewTracks, standing: np.ndarray, width: int, height: int
) -> Callable[[int, np.ndarray], np.ndarray]:
    """Depth of what the maps show at a pixel, in world units: each map scaled to the followed standing points."""
    z = view.depth.numpy()
    measured = sample_inverse_depth(depth, view.xy.numpy(), standing & view.inside.numpy(), width, height)
    ratio = nan_median((measured * z).T)
    ratio = np.where(np.isfinite(ratio), ratio, 1.0)

    def at(t: int, xy: np.ndarray) -> np.ndarray:
        inverse = sample_inverse_depth(depth[t : t + 1], xy[None], np.ones((1, len(xy)), bool), width, height)[0]
        return ratio[t] / inverse

    return at


def _closing_notes(
    shots: list[tuple[slice, PixelTracks, Shot]],
    followed: np.ndarray,
    moving: np.ndarray,
    guessed: np.ndarray,
    depth: np.ndarray | None,
) -> list[str]:
    count, movers = followed.shape[1], int(moving.sum())
    kept = np.concatenate([shot.lifted.kept for _, _, shot in shots])
    doubtful = int((~kept).sum())
    notes = [
        f"{count} tracks, {movers} of them moving and {count - movers} standing still; of {len(kept)} points "
        f"{doubtful} were lost at once or doubtful, and dropped"
    ]
    if doubtful > MOST_DOUBTFUL * len(kept):
        notes.append(
            "WARNING: most points fit neither a standing nor a moving thing: blur, flat pictures, or a mover so large "
            "that the camera was solved from it; look at the preview, and set motion or give a known camera"
        )
    if guessed.any():
        notes.append(
            f"WARNING: the depth of {int(guessed.sum())} tracks is only a ground ramp (far at the top, near at the "
            "bottom) and is likely to err by a quarter or more; give depth maps for their true depth"
        )
    elif depth is not None:
        notes.append("depth maps aligned in inverse depth")
    return notes
