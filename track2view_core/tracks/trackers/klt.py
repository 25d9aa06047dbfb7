"""The built-in tracker: no weights, no GPU. Follow points, name the motion, solve the camera, lift the points."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ...cameras import CameraPath, project
from ...errors import Track2ViewError
from ..types import PointTracks
from .bundle_adjustment import Cameras
from .depth import nan_median, ramp_inverse_depth, sample_inverse_depth
from .flow import PixelTracks, follow_points
from .lifting import Lifted
from .motion_class import MOTIONS
from .protocol import Progress
from .selection import spread_over_picture
from .shots import Setup, Shot, solve_shot
from .visibility import sample_colours, standing_points_seen

SMALLEST_SIDE, ENLARGED_SIDE, LARGEST_SIDE = 192, 256, 640
"""Frames whose short side is below the first are followed at the second, those above the third at the third."""
USUAL_FOCAL = 0.87
"""Focal length in units of the longer side where nothing is known: 60 degrees."""
FEWEST_FOLLOWED = 600
MOST_CUTS = 0.25
"""More cuts than this share of the frames are no cuts: nothing in the clip can be followed."""
OUT_OF_SIGHT = 50.0
"""A point of another shot waits this many scene scales behind the camera."""


@dataclass(frozen=True)
class KltTracker:
    """Pyramidal Lucas-Kanade, motion class, own bundle adjustment; depth maps or a ground ramp for what parallax cannot give."""

    def track(
        self,
        video: Tensor | np.ndarray,  # [T, H, W, 3] uint8
        *,
        points: int = 1024,
        motion: str = "auto",
        fov_degrees: float | None = None,
        depth: Tensor | np.ndarray | None = None,  # [T, h, w]
        camera: CameraPath | None = None,
        progress: Progress | None = None,
    ) -> PointTracks:
        """3D tracks and the source camera; the world is the camera of frame 0.

        Args:
            points: the most tracks to return; they are spread over the picture and over time.
            motion: what the camera does, "auto", "static", "rotation" or "general".
            fov_degrees: horizontal field of view, found from the clip where not given.
            depth: one depth map a frame, any resolution and scale; aligned to the tracks in inverse depth.
            camera: the source path where it is known; only the points are solved then.

        Raises:
            Track2ViewError: a field does not fit the clip, or motion is "auto" and the clip shows too few points to tell.
        """
        frames = _checked_video(video)
        depth = _checked_depth(depth, len(frames))
        _check_options(points, motion, fov_degrees, camera, len(frames))
        size = frames.shape[2], frames.shape[1]
        scale = _working_scale(*size)
        flow = follow_points(_gray(frames, scale), len(frames), density=max(points, FEWEST_FOLLOWED), progress=progress)
        starts = _shot_starts(flow, len(frames))
        notes = _cut_notes(flow, starts)
        shots = []
        for start, stop in zip(starts, [*starts[1:], len(frames)], strict=True):
            part = flow.frames(start, stop)
            setup = _setup(size, scale, motion, fov_degrees, depth, camera, slice(start, stop))
            step = _stage(progress, start, stop, len(frames))
            part_ideal = part if camera is None else _ideal(part, camera, scale, slice(start, stop), setup)
            shot = solve_shot(part_ideal, setup, step)
            shot, part = _with_grid(shot, part, setup, points)
            shots.append((slice(start, stop), part, shot))
            notes += [note if len(starts) == 1 else f"shot at frame {start}: {note}" for note in shot.notes]
        return _assembled(frames, shots, camera, scale, points, depth, notes, progress)


def _assembled(
    frames: np.ndarray, shots: list, camera: CameraPath | None, scale: float, points: int, depth: np.ndarray | None,
    notes: list[str], progress: Progress | None,
) -> PointTracks:  # fmt: skip
    """All shots as one set of tracks: chosen, re-projected, judged visible, coloured."""
    height, width = frames.shape[1:3]
    path = camera.relative_to_first() if camera is not None else _path([shot for _, _, shot in shots], width, height, scale)
    columns = []
    for span, part, shot in shots:
        kept = np.flatnonzero(shot.lifted.kept)
        quality = np.exp(-shot.lifted.error[kept])
        share = max(1, round(points * (span.stop - span.start) / len(frames)))
        chosen = kept[spread_over_picture(part.xy[:, kept], part.seen[:, kept], quality, share, width * scale, height * scale)]
        columns.append(_Column(span, part.select(chosen), shot, chosen))
    positions = np.concatenate([c.placed(path, len(frames)) for c in columns], 1)
    followed = np.concatenate([c.followed(len(frames)) for c in columns], 1)
    moving = np.concatenate([c.shot.lifted.moving[c.chosen] for c in columns])
    error = np.concatenate([c.shot.lifted.error[c.chosen] for c in columns])
    guessed = np.concatenate([c.shot.lifted.guessed[c.chosen] for c in columns])
    xy = np.concatenate([c.spread(c.part.xy, len(frames)) for c in columns], 1) / scale
    if positions.shape[1] > points:
        positions, followed, moving, error, guessed, xy = (
            positions[:, :points], followed[:, :points], moving[:points], error[:points], guessed[:points], xy[:, :points]
        )  # fmt: skip
    view = project(path, torch.from_numpy(positions).float())
    born = np.where(followed.any(0), followed.argmax(0), 0)
    colours = sample_colours(frames, xy[born, np.arange(len(born))], born)
    if progress:
        progress(len(frames), len(frames), "judging visibility")
    visible = standing_points_seen(
        frames, view.xy.numpy(), view.depth.numpy(), view.inside.numpy(), followed, moving, colours,
        None if depth is None else _surface(depth, view, followed & ~moving, width, height),
    )  # fmt: skip
    confidence = np.exp(-0.5 * error) * np.where(guessed & moving, 0.5, 1.0)
    confidence = confidence * np.where(followed, 1.0, np.where(visible, 0.8, 0.4))
    notes = [*notes, *_closing_notes(followed, moving, guessed, depth)]
    return PointTracks(
        torch.from_numpy(positions).float(), torch.from_numpy(visible), torch.from_numpy(confidence).float().clamp(0, 1), path,
        torch.from_numpy(colours.round().clip(0, 255).astype(np.uint8)), tuple(notes),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Column:
    """The chosen tracks of one shot on their way into the clip's table."""

    span: slice
    part: PixelTracks
    shot: Shot
    chosen: np.ndarray

    def spread(self, values: np.ndarray, frames: int) -> np.ndarray:
        out = np.zeros((frames, *values.shape[1:]), values.dtype)
        out[self.span] = values
        return out

    def followed(self, frames: int) -> np.ndarray:
        return self.spread(self.part.seen, frames)

    def placed(self, path: CameraPath, frames: int) -> np.ndarray:
        """World positions [T, n, 3]; in the frames of other shots the points wait behind the camera."""
        own = self.shot.lifted.positions[:, self.chosen]
        pose = path.world_from_camera.numpy()
        scale = max(1e-6, float(np.median(np.linalg.norm(own, axis=2)))) if own.size else 1.0
        behind = pose[:, :3, 3] - OUT_OF_SIGHT * scale * pose[:, :3, 2]
        out = np.repeat(behind[:, None], len(self.chosen), 1)
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
    return CameraPath(torch.from_numpy(np.concatenate(poses)), torch.from_numpy(np.concatenate(intrinsics)), width, height)


def _with_grid(shot: Shot, part: PixelTracks, setup: Setup, points: int) -> tuple[Shot, PixelTracks]:
    """A shot in which nothing could be followed gets a grid of standing points, so that there is a result."""
    if shot.lifted.kept.sum() >= min(16, points):
        return shot, part
    side = np.sqrt(setup.width * setup.height / points)
    columns = max(1, min(points, int(setup.width / side)))
    rows = max(1, points // columns)
    y, x = (np.mgrid[:rows, :columns].reshape(2, -1) + 0.5) / [[rows], [columns]]
    xy = np.stack([x * setup.width, y * setup.height], 1)
    first = Cameras(shot.cameras.rotation[:1], shot.cameras.translation[:1], shot.cameras.focal[:1], shot.cameras.center)
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
    sampled = sample_inverse_depth(setup.depth, everywhere, np.ones(everywhere.shape[:2], bool), setup.width, setup.height)
    inverse = nan_median(sampled[:1])
    return np.where(np.isfinite(inverse), inverse, 0.5 * np.nanmin(inverse) if np.isfinite(inverse).any() else 1.0)


def _surface(depth: np.ndarray, view, standing: np.ndarray, width: int, height: int):
    """Depth of what the maps show at a pixel, in world units: each map scaled to the followed standing points."""
    z = view.depth.numpy()
    measured = sample_inverse_depth(depth, view.xy.numpy(), standing & view.inside.numpy(), width, height)
    ratio = nan_median((measured * z).T)
    ratio = np.where(np.isfinite(ratio), ratio, 1.0)

    def at(t: int, xy: np.ndarray) -> np.ndarray:
        inverse = sample_inverse_depth(depth[t : t + 1], xy[None], np.ones((1, len(xy)), bool), width, height)[0]
        return ratio[t] / inverse

    return at


def _setup(size, scale, motion, fov_degrees, depth, camera, span) -> Setup:
    width, height = size[0] * scale, size[1] * scale
    focal = USUAL_FOCAL * max(width, height)
    if fov_degrees is not None:
        focal = 0.5 * width / np.tan(np.radians(fov_degrees) / 2)
    given = None
    if camera is not None:
        resized = camera.relative_to_first().resized(size[0], size[1]).with_frames(span)
        lens = resized.intrinsics.numpy() * scale
        pose = resized.camera_from_world.numpy()
        focal_each = 0.5 * (lens[:, 0, 0] + lens[:, 1, 1])
        given = Cameras(pose[:, :3, :3].copy(), pose[:, :3, 3].copy(), focal_each, np.array([width / 2, height / 2]))
    part = None if depth is None else depth[span]
    return Setup(width, height, float(focal), fov_degrees is not None, motion, part, given)


def _ideal(part: PixelTracks, camera: CameraPath, scale: float, span: slice, setup: Setup) -> PixelTracks:
    """The pixels as a camera with square pixels and a centred principal point would have seen them."""
    lens = camera.resized(round(setup.width / scale), round(setup.height / scale)).intrinsics.numpy()[span] * scale
    center = np.stack([lens[:, 0, 2], lens[:, 1, 2]], 1)[:, None]
    focal = np.stack([lens[:, 0, 0], lens[:, 1, 1]], 1)[:, None]
    return PixelTracks((part.xy - center) / focal * focal.mean(2, keepdims=True) + setup.center, part.seen)


def _gray(frames: np.ndarray, scale: float):
    height, width = frames.shape[1:3]
    size = (round(width * scale), round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC

    def gray(t: int) -> np.ndarray:
        picture = cv2.cvtColor(frames[t], cv2.COLOR_RGB2GRAY)
        return picture if scale == 1 else cv2.resize(picture, size, interpolation=method)

    return gray


def _working_scale(width: int, height: int) -> float:
    short = min(width, height)
    if short < SMALLEST_SIDE:
        return ENLARGED_SIDE / short
    return LARGEST_SIDE / short if short > LARGEST_SIDE else 1.0


def _shot_starts(flow: PixelTracks, frames: int) -> list[int]:
    return [0] if len(flow.cuts) > max(1, MOST_CUTS * frames) else [0, *flow.cuts]


def _cut_notes(flow: PixelTracks, starts: list[int]) -> list[str]:
    if len(starts) == 1:
        return []
    cuts = ", ".join(map(str, starts[1:]))
    return [f"WARNING: cut at frame {cuts}; every shot was solved on its own and its camera starts at the origin again"]


def _closing_notes(followed: np.ndarray, moving: np.ndarray, guessed: np.ndarray, depth: np.ndarray | None) -> list[str]:
    notes = [f"{followed.shape[1]} tracks, {int(moving.sum())} of them moving"]
    if guessed.any():
        notes.append(
            f"WARNING: the depth of {int(guessed.sum())} tracks is only a ground ramp (far at the top, near at the bottom); "
            "give depth maps for their true depth"
        )
    elif depth is not None:
        notes.append("depth maps aligned in inverse depth")
    return notes


def _stage(progress: Progress | None, start: int, stop: int, frames: int):
    done = start

    def step() -> None:
        nonlocal done
        done = min(done + 1, stop)
        if progress:
            progress(done, frames, "solving the camera")

    return step


def _checked_video(video: Tensor | np.ndarray) -> np.ndarray:
    array = video.detach().cpu().numpy() if isinstance(video, Tensor) else np.asarray(video)
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise Track2ViewError(
            f"the video to track has shape {list(array.shape)} and type {array.dtype}; it must be [T, H, W, 3] uint8 with at least one frame"
        )
    if min(array.shape[1:3]) < 16:
        raise Track2ViewError(f"the video to track is {array.shape[2]} x {array.shape[1]} px; both sides must be at least 16 px")
    return np.ascontiguousarray(array)


def _checked_depth(depth: Tensor | np.ndarray | None, frames: int) -> np.ndarray | None:
    if depth is None:
        return None
    array = depth.detach().cpu().float().numpy() if isinstance(depth, Tensor) else np.asarray(depth, np.float32)
    if array.ndim != 3 or len(array) != frames or 0 in array.shape:
        raise Track2ViewError(
            f"depth has shape {list(array.shape)} beside a video of {frames} frames; it must be [T, h, w] with one map a frame"
        )
    return array


def _check_options(points: int, motion: str, fov_degrees: float | None, camera: CameraPath | None, frames: int) -> None:
    if points < 1:
        raise Track2ViewError(f"points is {points}; it must be at least 1")
    if motion not in ("auto", *MOTIONS):
        raise Track2ViewError(f"motion is {motion!r}; it must be one of auto, {', '.join(MOTIONS)}")
    if fov_degrees is not None and not 1 <= fov_degrees <= 170:
        raise Track2ViewError(f"fov_degrees is {fov_degrees}; it must lie between 1 and 170 (horizontal), or be left empty")
    if camera is not None and len(camera) != frames:
        raise Track2ViewError(f"camera has {len(camera)} frames beside a video of {frames}; give the path of this very clip")
