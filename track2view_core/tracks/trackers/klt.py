"""The built-in tracker: no weights, no GPU. Follow points, solve every shot, place the points, put the shots together.

Follow (`flow.py`), solve a shot (`shots.py`: what the camera does, its path, the points' places) and put together
(`assembly.py`) are the three steps; here is what they are given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...cameras import CameraPath
from ...errors import Track2ViewError
from ...notes import Note
from ...progress import Progress
from ..point_tracks import PointTracks
from .assembly import assembled, with_grid
from .flow import PixelTracks, follow_points
from .footage import Footage, filled_in, gray_frames, looked_through, with_dissolves
from .motion_class import MOTIONS
from .overlays import without_overlays
from .shots import cut_notes, solve_shots, working_scale

FEWEST_FOLLOWED = 600


@dataclass(frozen=True)
class KltTracker:
    """Lucas-Kanade, motion class, own bundle adjustment; depth maps or an assumption where parallax gives none."""

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
        fov_guess: float | None = None,
        proposed: CameraPath | None = None,
    ) -> PointTracks:
        """3D tracks and the source camera; the world is the camera of frame 0.

        Args:
            points: the most tracks to return; they are spread over the picture and over time.
            motion: what the camera does, "auto", "static", "rotation" or "general".
            fov_degrees: horizontal field of view, found from the clip where not given.
            depth: one depth map a frame, any resolution and scale; aligned to the tracks in inverse depth.
            camera: the source path where it is known; only the points are solved then.
            fov_guess: horizontal field of view to take where neither the user nor the motion tells it.
            proposed: a source path that may hold, of a depth model say; used where the followed points agree with it.

        Raises:
            Track2ViewError: a field does not fit the clip, or motion is "auto" and too few points can be followed.
        """
        frames = checked_video(video)
        depth = _checked_depth(depth, len(frames))
        check_options(points, motion, fov_degrees)
        _check_paths(len(frames), camera=camera, proposed=proposed)
        size = frames.shape[2], frames.shape[1]
        scale = working_scale(*size)
        footage = looked_through(frames)
        if camera is not None:
            footage = footage.all_shown()  # where nothing is seen the camera is known
        shown = footage.shown
        flow, told = _followed(frames, footage, scale, max(2 * points, FEWEST_FOLLOWED), progress)
        depth = None if depth is None else depth[shown]
        camera, proposed = (None if path is None else path.with_frames(shown.tolist()) for path in (camera, proposed))
        notes, shots = [*told, *cut_notes(flow, shown)], []
        for span, part, setup, shot in solve_shots(
            flow, size, scale, motion=motion, fov_degrees=fov_degrees, fov_guess=fov_guess, depth=depth, camera=camera,
            proposed=proposed, progress=progress,
        ):  # fmt: skip
            shot, part = with_grid(shot, part, setup, points)
            shots.append((span, part, shot))
            notes += [note if note.shot is None else replace(note, shot=int(shown[note.shot])) for note in shot.notes]
        if progress:
            progress(len(frames), len(frames), "judging visibility")
        tracks = assembled(frames[shown], shots, camera=camera, scale=scale, points=points, depth=depth, notes=notes)
        return filled_in(tracks, footage, tuple(span.start for span, _, _ in shots))


def _followed(
    frames: np.ndarray, footage: Footage, scale: float, density: int, progress: Progress | None
) -> tuple[PixelTracks, list[Note]]:
    """Points of the scene followed through the frames shown, in working pixels of the whole picture."""
    gray = gray_frames(frames, scale, footage)
    flow = follow_points(gray, len(footage.shown), density=density, progress=progress)
    flow, notes = with_dissolves(flow, footage)
    count = flow.seen.shape[1]
    flow, over = without_overlays(flow, gray)
    corner = np.array([footage.columns.start, footage.rows.start]) * scale
    if len(over):
        (left, above), (right, below) = (
            np.round((over.min(0) + corner) / scale),
            np.round((over.max(0) + corner) / scale),
        )
        box = {"left": int(left), "right": int(right), "above": int(above), "below": int(below)}
        notes.append(Note.of("overlay", count=count - flow.seen.shape[1], **box))
    return replace(flow, xy=np.where(flow.seen[..., None], flow.xy + corner, 0.0)), notes


# --- what it accepts --------------------------------------------------------------------------------------------------


def checked_video(video: Tensor | np.ndarray) -> np.ndarray:
    """`video` as [T, H, W, 3] uint8; Track2ViewError says what does not fit."""
    array = video if isinstance(video, np.ndarray) else torch.as_tensor(video).detach().cpu().numpy()
    if array.ndim != 4 or array.shape[3] != 3 or array.dtype != np.uint8 or 0 in array.shape:
        raise Track2ViewError(
            f"The video to track has shape {list(array.shape)} and type {array.dtype}; it must be [T, H, W, 3] uint8 "
            "with at least one frame."
        )
    if min(array.shape[1:3]) < 16:
        raise Track2ViewError(
            f"The video to track is {array.shape[2]} x {array.shape[1]} px; both sides must be at least 16 px."
        )
    return np.ascontiguousarray(array)


def _checked_depth(depth: Tensor | np.ndarray | None, frames: int) -> np.ndarray | None:
    if depth is None:
        return None
    array = depth if isinstance(depth, np.ndarray) else torch.as_tensor(depth).detach().cpu().float().numpy()
    if array.ndim != 3 or len(array) != frames or 0 in array.shape:
        raise Track2ViewError(
            f"depth has shape {list(array.shape)} beside a video of {frames} frames; it must be [T, h, w]."
        )
    return np.asarray(array, np.float32)


def check_options(points: int, motion: str, fov_degrees: float | None) -> None:
    """Refuse, before a clip is opened, what `KltTracker.track` does not take."""
    if points < 1:
        raise Track2ViewError(f"points is {points}; it must be at least 1.")
    if motion not in ("auto", *MOTIONS):
        raise Track2ViewError(f"motion is {motion!r}; it must be one of auto, {', '.join(MOTIONS)}.")
    if fov_degrees is not None and not 1 <= fov_degrees <= 170:
        raise Track2ViewError(
            f"fov_degrees is {fov_degrees}; it must lie between 1 and 170 (horizontal), or be left empty."
        )


def _check_paths(frames: int, **paths: CameraPath | None) -> None:
    for name, path in paths.items():
        if path is not None and len(path) != frames:
            raise Track2ViewError(
                f"{name} has {len(path)} frames beside a video of {frames}; give the path of this very clip."
            )
