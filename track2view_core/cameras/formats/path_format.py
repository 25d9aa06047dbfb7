"""What an exchange format is to the registry: how to tell, read and write it, and which fields it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..path import CameraPath
from .contents import Source
from .recording import Recording

Reader = Callable[[Source, str | None], Recording]  # the file, and which of its cameras
Writer = Callable[[CameraPath, Path], bytes | Mapping[str, bytes]]  # what to write, or file names and what to write

# What of the lens a format holds: `matrix` everything; `pinhole` both focal lengths and the centre; `focal` one focal
# length and the centre; `fov` one field of view around the image's middle; `none` nothing.
LensKind = Literal["matrix", "pinhole", "focal", "fov", "none"]


@dataclass(frozen=True)
class PathFormat:
    """One exchange format. Every format holds poses; fields it does not hold must be given when it is read."""

    name: str
    title: str  # as its users call it
    endings: tuple[str, ...]  # of its files, lower case; empty for a folder
    description: str
    lens: LensKind
    size: bool  # the image's width and height
    fps: bool
    read: Reader
    recognises: Callable[[Source], bool]  # by content; asked only for a fitting ending
    write: Writer | None = None
    folder: bool = False
    several: bool = False  # holds more than one camera, so `camera` says which
    zoom: bool = True  # whether the lens may change from frame to frame
