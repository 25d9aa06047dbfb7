"""A camera file for a clip: the path at the clip's size, length and rate, and a sentence on what was read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .formats import read_path
from .path import CameraPath


def read_for_clip(
    file: Path,
    *,
    clip: CameraPath | None = None,
    width: int | None = None,
    height: int | None = None,
    format: str | None = None,
    fov_degrees: float | None = None,
    fps: float | None = None,
    camera: str | None = None,
) -> tuple[CameraPath, str]:
    """`read_path`, then, with the camera of a clip, resampled to its number of frames. The world stays the file's.

    Args:
        clip: its size and rate stand in where none are given.

    Raises:
        Track2ViewError: as `read_path`.
    """
    if clip is not None and width is None and height is None:
        width, height = clip.width, clip.height
    path = read_path(file, width=width, height=height, format=format, fov_degrees=fov_degrees, fps=fps, camera=camera)
    said = f"{file.name}: {len(path)} frames of {path.width} x {path.height}, {path.fps:g} a second"
    if clip is None:
        return path, said
    if len(path) != len(clip):
        said += f"; resampled in time to the clip's {len(clip)} frames"
        path = path.resampled(len(clip))
    return replace(path, fps=clip.fps), said
