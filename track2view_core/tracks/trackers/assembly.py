"""The solved shots put together into one set of tracks: chosen, re-projected, judged visible, coloured.

Of many tracks those are handed out that together see most of the picture, most of the time (`spread_over_picture`). A
standing point is visible also in frames in which it was not being followed, where it would fall on something as near
and of its colour (`standing_points_seen`). A shot in which nothing could be followed gets a grid of standing points
(`with_grid`), so that there still is a result.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.spatial import KDTree

from ...cameras import CameraPath, ViewTracks, project
from ...notes import Note
from ..point_tracks import PointTracks
from .depth_maps import nan_median, sample_inverse_depth
from .flow import PixelTracks
from .shots import Setup, Shot
from .triangulation import BACKDROP, MEASURED, ON_BACKDROP, Lifted, assumption_notes

FEWEST_TRACKS = 16
MOST_DOUBTFUL = 0.5
STRAY = 3
"""So many moving tracks may be mistakes where nothing moves."""
FEW_ON_MOVERS = 12
"""Fewer tracks than this show neither the shape nor the turning of a thing that moves."""
DOUBTED_DEPTH = 0.1
"""A depth that may err by this share halves a point's confidence."""
OUT_OF_SIGHT = 50.0
"""A point of another shot waits this many scene scales behind the camera."""
TIMES = 24
"""The picture is compared at about so many moments."""
NEIGHBOURS = 4
REACH = 0.06
"""Followed points within this share of the longer side vouch for the depth around them."""
BEHIND = 1.08
"""A point this much farther than all its neighbours is hidden behind them."""
SAME_COLOUR = 22.0
"""Mean difference of the three channels, in grey levels, up to which it is still the same place."""


def assembled(
    frames: np.ndarray,  # [T, H, W, 3] uint8
    shots: list[tuple[slice, PixelTracks, Shot]],
    *,
    camera: CameraPath | None,
    scale: float,
    points: int,
    depth: np.ndarray | None,
    notes: list[Note],
) -> PointTracks:
    """All shots as one set of at most `points` tracks; pixels of the shots are `scale` times those of the clip."""
    count, height, width = frames.shape[:3]
    path = path_of_shots([shot for _, _, shot in shots], width, height, scale)
    if camera is not None:
        path = camera.relative_to_first().resized(width, height)
    columns = _chosen(shots, points, count, (width * scale, height * scale))
    joined = lambda values: np.concatenate([values(c) for c in columns], -1)  # noqa: E731
    moving, error = joined(lambda c: c.lifted.moving), joined(lambda c: c.lifted.error)
    assumed, followed = joined(lambda c: c.lifted.assumed), joined(lambda c: c.over_clip(c.part.seen, count))
    positions = np.concatenate([c.placed(path, count) for c in columns], 1)
    xy = np.concatenate([c.over_clip(c.part.xy, count) for c in columns], 1) / scale
    view = project(path, torch.from_numpy(positions).float())
    born = followed.argmax(0)
    colours = sample_colours(frames, xy[born, np.arange(len(born))], born)
    surface = None if depth is None else _surface(depth, view, followed & ~moving, width, height)
    visible = standing_points_seen(
        frames, view.xy.numpy(), view.depth.numpy(), view.inside.numpy(), followed, moving, colours, surface
    )
    confidence = np.exp(-0.5 * error) / (1 + (joined(_depth_errors) / DOUBTED_DEPTH) ** 2)
    confidence = confidence * np.where((assumed > MEASURED) & moving, 0.5, 1.0)
    confidence = confidence * np.where(followed, 1.0, np.where(visible, 0.8, 0.4))
    return PointTracks(
        torch.from_numpy(positions).float(),
        torch.from_numpy(visible),
        torch.from_numpy(confidence).float().clamp(0, 1),
        path,
        torch.from_numpy(colours.round().clip(0, 255).astype(np.uint8)),
        (*notes, *_closing_notes(shots, followed, moving, assumed, depth)),
    )


def _depth_errors(columns: ShotTracks) -> np.ndarray:
    errors = columns.lifted.depth_error
    return np.zeros(len(columns.lifted.error)) if errors is None else errors


def path_of_shots(shots: list[Shot], width: int, height: int, scale: float) -> CameraPath:
    """The shots' cameras one after another, at the clip's size; every shot begins at the origin."""
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


def _closing_notes(
    shots: list[tuple[slice, PixelTracks, Shot]],
    followed: np.ndarray,
    moving: np.ndarray,
    assumed: np.ndarray,
    depth: np.ndarray | None,
) -> list[Note]:
    count, movers = followed.shape[1], int(moving.sum())
    kept = np.concatenate([shot.lifted.kept for _, _, shot in shots])
    doubtful = int((~kept).sum())
    notes = [
        Note.of(
            "tracks_kept", count=count, moving=movers, standing=count - movers, followed=len(kept), doubtful=doubtful
        )
    ]
    if STRAY < movers < FEW_ON_MOVERS:
        notes.append(Note.of("few_on_movers", count=movers))
    if doubtful > MOST_DOUBTFUL * len(kept):
        notes.append(Note.of("most_doubtful"))
    notes += assumption_notes(assumed)
    if depth is not None and not (assumed > MEASURED).any():
        notes.append(Note.of("depth_aligned"))
    return notes


# --- a shot without points --------------------------------------------------------------------------------------------


def with_grid(shot: Shot, part: PixelTracks, setup: Setup, points: int) -> tuple[Shot, PixelTracks]:
    """A shot in which nothing could be followed gets a grid of standing points, so that there is a result."""
    if shot.lifted.kept.sum() >= min(FEWEST_TRACKS, points):
        return shot, part
    side = np.sqrt(setup.width * setup.height / points)
    columns = max(1, min(points, int(setup.width / side)))
    rows = max(1, points // columns)
    y, x = (np.mgrid[:rows, :columns].reshape(2, -1) + 0.5) / [[rows], [columns]]
    xy = np.stack([x * setup.width, y * setup.height], 1)
    first = shot.cameras.select(np.zeros(1, int))
    inverse = _grid_inverse_depth(xy, setup)
    world = first.rays(np.zeros(len(xy), int), xy) / inverse[:, None]
    frames, count = len(part.xy), len(xy)
    seen = np.zeros((frames, count), bool)
    seen[0] = True
    everywhere = np.broadcast_to(world, (frames, count, 3)).copy()
    none = np.zeros(count, bool)
    assumed = np.full(count, ON_BACKDROP if setup.depth is None else MEASURED)
    lifted = Lifted(everywhere, none, np.ones(count), ~none, assumed)
    notes = (*shot.notes, Note.of("grid", count=count))
    grid = np.broadcast_to(xy, (frames, count, 2)).copy()
    return Shot(shot.motion, shot.cameras, lifted, notes), PixelTracks(grid, seen)


def _grid_inverse_depth(xy: np.ndarray, setup: Setup) -> np.ndarray:
    if setup.depth is None:
        return np.full(len(xy), BACKDROP)
    frames = len(setup.depth)
    everywhere = np.broadcast_to(xy, (frames, *xy.shape))
    sampled = sample_inverse_depth(
        setup.depth, everywhere, np.ones(everywhere.shape[:2], bool), setup.width, setup.height
    )
    inverse = nan_median(sampled[:1])
    return np.where(np.isfinite(inverse), inverse, 0.5 * np.nanmin(inverse) if np.isfinite(inverse).any() else 1.0)


# --- which tracks -----------------------------------------------------------------------------------------------------


def _chosen(
    shots: list[tuple[slice, PixelTracks, Shot]], points: int, frames: int, size: tuple[float, float]
) -> list[ShotTracks]:
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
        columns.append(ShotTracks(span, part.select(best), shot.lifted.select(best)))
    return columns


@dataclass(frozen=True, eq=False)
class ShotTracks:
    """Tracks of one shot on their way into the clip's table."""

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


def spread_over_picture(
    xy: np.ndarray,  # [T, N, 2] pixels
    seen: np.ndarray,  # [T, N] bool
    quality: np.ndarray,  # [N] 0..1
    points: int,
    width: float,
    height: float,
) -> np.ndarray:
    """Indices of at most `points` tracks, in their old order.

    Greedy: the next track is the one whose places and times the chosen ones have visited least. A short track in an
    empty place goes before a long one in a crowded place, or moving things, hard to follow for long, would have none.
    """
    count = seen.shape[1]
    if count <= points or points < 1:
        return np.arange(min(count, points))
    moments = np.unique(np.linspace(0, len(xy) - 1, TIMES).round().astype(int))
    side = np.sqrt(width * height / points)
    columns, rows = int(np.ceil(width / side)), int(np.ceil(height / side))
    column = np.clip((xy[moments, :, 0] / side).astype(int), 0, columns - 1)
    row = np.clip((xy[moments, :, 1] / side).astype(int), 0, rows - 1)
    cell = (np.arange(len(moments))[:, None] * rows + row) * columns + column
    visits = [cell[seen[moments, n], n] for n in range(count)]
    filled = np.zeros(len(moments) * rows * columns)

    def gain(n: int) -> float:
        places = visits[n]
        return float((0.5 + 0.5 * quality[n]) * (8.0 ** -filled[places]).sum() / np.sqrt(max(1, len(places))))

    queue = [(-gain(n), n) for n in range(count)]
    heapq.heapify(queue)
    chosen = []
    while len(chosen) < points:
        _, n = heapq.heappop(queue)
        now = -gain(n)
        if queue and now > queue[0][0]:
            heapq.heappush(queue, (now, n))
            continue
        chosen.append(n)
        filled[visits[n]] += 1
    return np.sort(np.array(chosen))


# --- in which frames, and of which colour -----------------------------------------------------------------------------


def sample_colours(video: np.ndarray, xy: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Colours [n, 3] float of points `index` [n] (frame numbers) at xy [n, 2], each the mean of a small patch."""
    out = np.zeros((len(index), 3))
    for t in np.unique(index):
        here = index == t
        out[here] = _at(_softened(video[t]), xy[here])
    return out


def standing_points_seen(
    video: np.ndarray,  # [T, H, W, 3] uint8
    xy: np.ndarray,  # [T, N, 2] projected, pixels
    depth: np.ndarray,  # [T, N]
    inside: np.ndarray,  # [T, N]
    followed: np.ndarray,  # [T, N] bool
    moving: np.ndarray,  # [N]
    colours: np.ndarray,  # [N, 3]
    surface: Callable[[int, np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Visibility [T, N]: where a point was followed, and where it would fall on something as near and of its colour.

    `surface(frame, xy)` may give the depth of what is seen at pixels [n, 2], NaN where unknown.
    """
    visible = followed & inside
    reach = REACH * max(video.shape[1:3])
    for t in range(len(video)):
        open_ = np.flatnonzero(inside[t] & ~followed[t] & ~moving)
        live = np.flatnonzero(followed[t] & inside[t])
        if not len(open_):
            continue
        alike = np.abs(_at(_softened(video[t]), xy[t, open_]) - colours[open_]).mean(1) < SAME_COLOUR
        open_ = open_[alike]
        if len(live) and len(open_):
            near = min(NEIGHBOURS, len(live))
            distance, who = KDTree(xy[t, live]).query(xy[t, open_], k=near)
            distance, who = distance.reshape(-1, near), who.reshape(-1, near)
            farthest = np.where(distance < reach, depth[t, live][who], -np.inf).max(1)
            alone = distance[:, 0] >= reach
            open_ = open_[alone | (depth[t, open_] <= BEHIND * farthest)]
        if surface is not None and len(open_):
            wall = surface(t, xy[t, open_])
            open_ = open_[~(depth[t, open_] > BEHIND * 1.1 * wall)]
        visible[t, open_] = True
    return visible


def _softened(frame: np.ndarray) -> np.ndarray:
    return cv2.blur(frame, (5, 5))


def _at(frame: np.ndarray, xy: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    column = np.clip(xy[:, 0].astype(int), 0, width - 1)
    row = np.clip(xy[:, 1].astype(int), 0, height - 1)
    return frame[row, column].astype(np.float64)


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
