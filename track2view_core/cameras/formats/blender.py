"""A camera in Blender's own numbers: matrix_world, lens and sensor, for scripts of one's own.

Source: Blender's Python reference, `bpy.types.Camera`. Camera-to-world; the world has z up, the camera y up, looking
down -z. The lens is millimetres on a sensor 36 mm wide by default; `sensor_fit` says which side of the image the sensor
spans (AUTO: the longer); shift_x and shift_y move the picture by shares of that side. Pixels must be square.

In the file: our x stays, our forward (z of the first camera's world) becomes Blender's y, our down its -z.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...errors import Track2ViewError
from ..path import CameraPath
from .axes import OPENGL_FROM_OPENCV, Z_UP_FROM_WORLD, change_axes
from .parsing import Source, field, frames_list, mapping, matrix, number, rate, whole
from .path_format import (
    PathFormat,
    RecordedCamera,
    Wanted,
    check_focals,
    checked_poses,
    frame_of,
    json_text,
    pinhole,
    pixel_lens,
    refuse_two_focals,
)
from .track2view_json import states_format

NAME = "blender_camera"
SENSOR_MM, SENSOR_HEIGHT_MM = 36.0, 24.0
FITS = ("AUTO", "HORIZONTAL", "VERTICAL")


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    document = mapping(source.json, source.name)
    size = tuple(
        whole(field(document, name, source.name), f"{source.name}, {name},")
        for name in ("resolution_x", "resolution_y")
    )
    where = frame_of(source.name)
    rows, lenses = [], []
    for index, value in enumerate(frames_list(field(document, "frames", source.name), f"{source.name}, frames,")):
        frame = {**document, **mapping(value, where(index))}
        rows.append(matrix(field(frame, "matrix_world", where(index)), 4, 4, where(index)))
        lenses.append(_lens(frame, size[0], size[1], where(index)))
    check_focals([lens[0] for lens in lenses], where)
    poses = change_axes(
        checked_poses(torch.tensor(rows, dtype=torch.float64), where),
        new_world_from_old=Z_UP_FROM_WORLD.mT,
        new_camera_from_old=OPENGL_FROM_OPENCV.mT,
    )
    focal, cx, cy = torch.tensor(lenses, dtype=torch.float64).unbind(-1)
    fps = rate(field(document, "fps", source.name), f"{source.name}, fps,")
    return RecordedCamera(poses, pixel_lens(pinhole(focal, focal, cx, cy)), (size[0], size[1]), fps)


def _lens(frame: dict[str, Any], width: int, height: int, where: str) -> tuple[float, float, float]:
    """Focal length and principal point in pixels."""
    fit = frame.get("sensor_fit", "AUTO")
    if fit not in FITS:
        raise Track2ViewError(f"{where} has the sensor_fit {str(fit)[:20]!r}; it must be one of {', '.join(FITS)}.")
    upright = fit == "VERTICAL" or (fit == "AUTO" and height > width)
    side = height if upright else width
    name, default = ("sensor_height", SENSOR_HEIGHT_MM) if fit == "VERTICAL" else ("sensor_width", SENSOR_MM)
    sensor = number(frame.get(name, default), where)
    if sensor <= 0:
        raise Track2ViewError(f"{where} has the {name} {sensor:g}; it must be above 0 millimetres.")
    shift_x, shift_y = number(frame.get("shift_x", 0), where), number(frame.get("shift_y", 0), where)
    focal = number(field(frame, "lens", where), where) / sensor * side
    return focal, width / 2 - shift_x * side, height / 2 + shift_y * side


def _write(path: CameraPath, file: Path) -> bytes:
    refuse_two_focals(path, FORMAT.title)
    poses = change_axes(
        path.world_from_camera, new_world_from_old=Z_UP_FROM_WORLD, new_camera_from_old=OPENGL_FROM_OPENCV
    )
    frames = []
    for index, (pose, lens) in enumerate(zip(poses.tolist(), path.intrinsics.tolist(), strict=True)):
        frames.append(
            {
                "frame": index + 1,
                "matrix_world": pose,
                "lens": lens[0][0] * SENSOR_MM / path.width,
                "shift_x": (path.width / 2 - lens[0][2]) / path.width,
                "shift_y": (lens[1][2] - path.height / 2) / path.width,
            }
        )
    return json_text(
        {
            "format": NAME,
            "resolution_x": path.width,
            "resolution_y": path.height,
            "fps": path.fps,
            "sensor_fit": "HORIZONTAL",
            "sensor_width": SENSOR_MM,
            "frames": frames,
        }
    )


FORMAT = PathFormat(
    name="blender",
    title="Blender numbers",
    endings=(".json",),
    description="matrix_world, lens and sensor of a Blender camera, for scripts of your own",
    lens="focal",
    size=True,
    fps=True,
    read=_read,
    recognises=lambda source: states_format(source, NAME),
    write=_write,
)
