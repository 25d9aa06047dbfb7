"""Camera files for a clip: the path at the clip's size, length and rate, or only the movement that it makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import Track2ViewError
from .formats import read_path
from .formats.contents import Source
from .formats.exchange import recognised
from .path import CameraPath

ANY_LENS = 60.0  # degrees, for files without a lens where only the movement is wanted


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


def read_move(file: Path, clip: CameraPath) -> CameraPath:
    """The path of a file of which only the movement counts: size, rate or lens that it does not hold are made up.

    Raises:
        Track2ViewError: as `read_path`.
    """
    if not file.exists():
        raise Track2ViewError(f"The camera file {file} does not exist; check its name and folder.")
    told = recognised(Source(file))
    width, height = (None, None) if told.size else (clip.width, clip.height)
    fov_degrees = ANY_LENS if told.lens == "none" else None
    return read_path(file, format=told.name, fps=clip.fps, width=width, height=height, fov_degrees=fov_degrees)
