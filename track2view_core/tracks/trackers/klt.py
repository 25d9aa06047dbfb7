"""The built-in tracker: no weights, no GPU. Follow points, solve every shot, place the points, put the shots together.

Follow (`flow.py`), solve a shot (`shots.py`: what the camera does, its path, the points' places) and put together
(`assembly.py`) are the three steps; here is what they are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ...cameras import CameraPath
from ...errors import Track2ViewError
from ...notes import Note
from ...progress import Progress
from ..point_tracks import PointTracks
from .assembly import assembled, with_grid
from .camera_solver import Cameras, ideal_pixels
from .flow import PixelTracks, follow_points
from .motion_class import MOTIONS
from .shots import Setup, solve_shot

SMALLEST_SIDE, ENLARGED_SIDE, LARGEST_SIDE = 192, 256, 640
"""Frames whose short side is below the first are followed at the second, those above the third at the third."""
USUAL_FOCAL = 0.87
"""Focal length in units of the longer side where nothing is known: 60 degrees."""
FEWEST_FOLLOWED = 600
MOST_CUTS = 0.25
"""More cuts than this share of the frames are no cuts: nothing in the clip can be followed."""


@dataclass(frozen=True)
class KltTracker:
    """Lucas-Kanade, motion class, own bundle adjustment; depth maps or a ground ramp for what parallax cannot give."""

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
        scale = _working_scale(*size)
        flow = follow_points(
            gray_frames(frames, scale), len(frames), density=max(2 * points, FEWEST_FOLLOWED), progress=progress
        )
        starts = _shot_starts(flow, len(frames))
        notes = [] if len(starts) == 1 else [Note.of("cuts", frames=tuple(starts[1:]))]
        shots = []
        for start, stop in zip(starts, [*starts[1:], len(frames)], strict=True):
            part = flow.frames(start, stop)
            span = slice(start, stop)
            setup = _setup(
                size, scale, span, motion=motion, fov_degrees=fov_degrees, fov_guess=fov_guess, depth=depth,
                camera=camera, proposed=proposed,
            )  # fmt: skip
            ideal = part
            if camera is not None:
                lens = camera.resized(*size).with_frames(span)
                ideal = replace(part, xy=ideal_pixels(part.xy, lens, setup.center, scale))
            shot = solve_shot(ideal, setup, _stage(progress, start, stop, len(frames)), part)
            shot, part = with_grid(shot, part, setup, points)
            shots.append((span, part, shot))
            notes += shot.notes if len(starts) == 1 else [replace(note, shot=start) for note in shot.notes]
        if progress:
            progress(len(frames), len(frames), "judging visibility")
        return assembled(frames, shots, camera=camera, scale=scale, points=points, depth=depth, notes=notes)


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


# --- what the steps are given -----------------------------------------------------------------------------------------


def _setup(
    size: tuple[int, int],  # width and height of the clip
    scale: float,  # of the working pictures to the clip's
    span: slice,  # frames of the shot
    *,
    motion: str,
    fov_degrees: float | None,
    fov_guess: float | None,
    depth: np.ndarray | None,
    camera: CameraPath | None,
    proposed: CameraPath | None,
) -> Setup:
    width, height = size[0] * scale, size[1] * scale
    center = np.array([width / 2, height / 2])
    focal, seen = USUAL_FOCAL * max(width, height), fov_guess if fov_degrees is None else fov_degrees
    if seen is not None:
        focal = float(0.5 * width / np.tan(np.radians(seen) / 2))
    given = may_hold = None
    if camera is not None:
        given = Cameras.of_path(camera.relative_to_first().resized(*size).with_frames(span), center, scale)
    elif proposed is not None:
        path = proposed.with_frames(span).relative_to_first()
        may_hold = Cameras.of_path(path.resized(max(1, round(width)), max(1, round(height))), center)
    return Setup(
        width,
        height,
        focal,
        focal_known=fov_degrees is not None,
        motion=motion,
        depth=None if depth is None else depth[span],
        given=given,
        proposed=may_hold,
        lens_of_model=fov_degrees is None and fov_guess is not None,
    )


def gray_frames(frames: np.ndarray, scale: float) -> Callable[[int], np.ndarray]:
    """Frame number -> grey picture [H, W] uint8 at `scale` times the size of `frames` [T, H, W, 3]."""
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC

    def gray(t: int) -> np.ndarray:
        picture = cv2.cvtColor(frames[t], cv2.COLOR_RGB2GRAY)
        # Told the scale and not a rounded size, OpenCV keeps the scale exact up to the right and lower edges.
        return picture if scale == 1 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method)

    return gray


def _working_scale(width: int, height: int) -> float:
    short = min(width, height)
    if short < SMALLEST_SIDE:
        return ENLARGED_SIDE / short
    return LARGEST_SIDE / short if short > LARGEST_SIDE else 1.0


def _shot_starts(flow: PixelTracks, frames: int) -> list[int]:
    return [0] if len(flow.cuts) > max(1, MOST_CUTS * frames) else [0, *flow.cuts]


def _stage(progress: Progress | None, start: int, stop: int, frames: int) -> Callable[[], None]:
    """Called at every step of a solve, whose number nobody knows beforehand: a frame of the shot each."""
    done = start

    def step() -> None:
        nonlocal done
        done = min(done + 1, stop)
        if progress:
            progress(done, frames, "solving the camera")

    return step
