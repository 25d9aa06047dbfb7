"""camera_path.json of the nerfstudio viewer: the path that `ns-render camera-path` films along. Read only.

Source: nerfstudio, `cameras/camera_paths.py`, `get_path_from_json`. `camera_to_world` is 16 numbers, row by row, with
OpenGL's camera axes (x right, y up, looking down -z), in the world of the trained scene: nerfstudio turns, centres and
scales the world of transforms.json into it, so the two differ. `fov` is vertical, in degrees, of a centred lens.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from ...errors import Track2ViewError
from .axes import IDENTITY, OPENGL_FROM_OPENCV, change_axes
from .parsing import Source, field, frames_list, mapping, number, numbers, rate, whole
from .path_format import PathFormat, RecordedCamera, Wanted, checked_poses, frame_of, plain_lens, vertical_fov_lens


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    document = mapping(source.json, source.name)
    if not document.get("camera_path"):
        source.refuse("holds keyframes and no path between them; let the viewer generate the render command first.")
    where = frame_of(source.name)
    listed = frames_list(document["camera_path"], f"{source.name}, camera_path,")
    frames = [mapping(frame, where(index)) for index, frame in enumerate(listed)]
    rows = [
        numbers(field(frame, "camera_to_world", where(index)), 16, where(index)) for index, frame in enumerate(frames)
    ]
    poses = checked_poses(torch.tensor(rows, dtype=torch.float64).reshape(-1, 4, 4), where)
    poses = change_axes(poses, new_world_from_old=IDENTITY, new_camera_from_old=OPENGL_FROM_OPENCV.mT)
    fov = [_fov({**document, **frame}, where(index)) for index, frame in enumerate(frames)]
    kind = document.get("camera_type", "perspective")
    other = kind != "perspective" and (
        f"has the camera type {str(kind)[:30]!r}, which a camera path cannot hold; {plain_lens(source)}."
    )
    size = None
    if "render_width" in document and "render_height" in document:
        size = (
            whole(document["render_width"], f"{source.name}, render_width,"),
            whole(document["render_height"], f"{source.name}, render_height,"),
        )
    fps = rate(document["fps"], f"{source.name}, fps,") if "fps" in document else None
    return RecordedCamera(poses, vertical_fov_lens(fov), size, fps, lens_problem=other or None)


def _fov(frame: dict[str, Any], where: str) -> float:
    """Radians."""
    told = number(frame.get("fov", frame.get("default_fov")), where)
    if not 0 < told < 180:
        raise Track2ViewError(f"{where} has the fov {told:g}; it must be above 0 and below 180 degrees.")
    return math.radians(told)


FORMAT = PathFormat(
    name="nerfstudio_path",
    title="nerfstudio viewer path",
    endings=(".json",),
    description="camera_path.json of the nerfstudio viewer, which is read and never written",
    lens="fov",
    size=True,
    fps=True,
    read=_read,
    recognises=lambda source: (
        source.looks_like_json
        and '"camera_path"' in source.text
        and ('"camera_to_world"' in source.text or '"render_width"' in source.text)
    ),
)
