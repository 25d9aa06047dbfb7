"""`track2view_camera`: this project's own exchange file, plain and explicit, which every lens and rate fits."""

from __future__ import annotations

import re
from typing import Any

import torch

from ...errors import Track2ViewError
from ..path import CameraPath
from .parsing import Source, field, frames_list, mapping, matrix, rate, whole
from .path_format import (
    PathFormat,
    RecordedCamera,
    Wanted,
    check_focals,
    checked_poses,
    frame_of,
    json_text,
    pixel_lens,
)

NAME = "track2view_camera"
VERSION = 1
KEYFRAME_DOCUMENT = "track2view.camera_path"
AXES = "x right, y down, z forward; X_world = world_from_camera X_camera; pixels, centre of the first at 0.5 0.5"


def document_of(path: CameraPath) -> dict[str, Any]:
    """The JSON document of a path."""
    poses, intrinsics = path.world_from_camera.tolist(), path.intrinsics.tolist()
    return {
        "format": NAME,
        "version": VERSION,
        "axes": AXES,
        "width": path.width,
        "height": path.height,
        "fps": path.fps,
        "frames": [
            {"world_from_camera": pose, "intrinsics": lens} for pose, lens in zip(poses, intrinsics, strict=True)
        ],
    }


def recording_of(value: object, name: str) -> RecordedCamera:
    """The recording of such a document; `name` opens the sentence of an error."""
    document = mapping(value, name)
    version = field(document, "version", name)
    if version != VERSION or isinstance(version, bool):
        shown = version if isinstance(version, int) else type(version).__name__
        raise Track2ViewError(f"{name} has version {shown} where {VERSION} is known; update Track2View.")
    size = tuple(whole(field(document, side, name), f"{name}, {side},") for side in ("width", "height"))
    poses, lenses = [], []
    where = frame_of(name)
    for index, frame in enumerate(frames_list(field(document, "frames", name), f"{name}, frames,")):
        place = where(index)
        entry = mapping(frame, place)
        poses.append(matrix(field(entry, "world_from_camera", place), 4, 4, place))
        lenses.append(matrix(field(entry, "intrinsics", place), 3, 3, place))
    check_focals([min(lens[0][0], lens[1][1]) for lens in lenses], where)
    return RecordedCamera(
        checked_poses(torch.tensor(poses, dtype=torch.float64), where),
        pixel_lens(torch.tensor(lenses, dtype=torch.float64)),
        (size[0], size[1]),
        rate(field(document, "fps", name), f"{name}, fps,"),
    )


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    return recording_of(source.json, source.name)


def states_format(source: Source, format_name: str) -> bool:
    """Whether the file is JSON whose `format` field is this one."""
    return source.looks_like_json and bool(re.search(rf'"format"\s*:\s*"{re.escape(format_name)}"', source.text))


FORMAT = PathFormat(
    name=NAME,
    title="Track2View camera",
    endings=(".json",),
    description="this project's own file: a pose and a lens for every frame, with size and rate",
    lens="matrix",
    size=True,
    fps=True,
    read=_read,
    recognises=lambda source: states_format(source, NAME),
    write=lambda path, file: json_text(document_of(path)),
)
