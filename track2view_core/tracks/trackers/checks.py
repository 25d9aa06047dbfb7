"""What the tracker accepts, checked once at its door."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...cameras import CameraPath
from ...errors import Track2ViewError
from .motion_class import MOTIONS


def checked_video(video: Tensor | np.ndarray) -> np.ndarray:
    array = video.detach().cpu().numpy() if isinstance(video, Tensor) else np.asarray(video)
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


def checked_depth(depth: Tensor | np.ndarray | None, frames: int) -> np.ndarray | None:
    if depth is None:
        return None
    array = depth.detach().cpu().float().numpy() if isinstance(depth, Tensor) else np.asarray(depth, np.float32)
    if array.ndim != 3 or len(array) != frames or 0 in array.shape:
        raise Track2ViewError(
            f"depth has shape {list(array.shape)} beside a video of {frames} frames; it must be [T, h, w]."
        )
    return array


def check_options(
    points: int,
    motion: str,
    fov_degrees: float | None,
    camera: CameraPath | None,
    frames: int,
    proposed: CameraPath | None = None,
) -> None:
    if points < 1:
        raise Track2ViewError(f"points is {points}; it must be at least 1.")
    if motion not in ("auto", *MOTIONS):
        raise Track2ViewError(f"motion is {motion!r}; it must be one of auto, {', '.join(MOTIONS)}.")
    if fov_degrees is not None and not 1 <= fov_degrees <= 170:
        raise Track2ViewError(
            f"fov_degrees is {fov_degrees}; it must lie between 1 and 170 (horizontal), or be left empty."
        )
    for name, path in (("camera", camera), ("proposed", proposed)):
        if path is not None and len(path) != frames:
            raise Track2ViewError(
                f"{name} has {len(path)} frames beside a video of {frames}; give the path of this very clip."
            )
