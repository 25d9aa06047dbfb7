"""transforms.json of NeRF, instant-ngp and nerfstudio.

Source: docs.nerf.studio, "Data conventions". `transform_matrix` is camera-to-world, 4 x 4 or 3 x 4, with OpenGL's
camera axes (x right, y up, looking down -z) in any world, which is left as it is. The lens is `fl_x fl_y cx cy` in
pixels of `w` x `h`, or `camera_angle_x`, the horizontal field of view in radians; it may stand once or with each frame.
Frames are taken in the order of their `file_path`, numbers counted as numbers; without names, in the file's order. The
names also tell cameras apart, and which frames were not registered (`frame_series.py`).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..path import CameraPath
from .axes import IDENTITY, OPENGL_FROM_OPENCV, change_axes
from .frame_series import chosen_series, missing_frames
from .parsing import Source, field, frame_name, frames_list, mapping, matrix, number, whole
from .path_format import (
    Lens,
    PathFormat,
    RecordedCamera,
    Wanted,
    centred_lens,
    check_focals,
    checked_poses,
    frame_of,
    json_text,
    pinhole,
    pixel_lens,
    plain_lens,
    refuse_skew,
)

DISTORTION = ("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2")
OTHER_LENSES = ("is_fisheye", "ftheta_p0", "latlong", "equirectangular", "orthographic")  # instant-ngp's, of true
PLAIN_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "PERSPECTIVE")


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    document = mapping(source.json, source.name)
    where = frame_of(source.name)
    listed = frames_list(field(document, "frames", source.name), f"{source.name}, frames,")
    frames = [mapping(frame, where(index)) for index, frame in enumerate(listed)]
    names = [frame["file_path"] for frame in frames if isinstance(frame.get("file_path"), str)]
    numbers, gap = None, None
    if len(set(names)) == len(frames):
        series = chosen_series(source, names, wanted.camera)
        numbers, gap = missing_frames(source, names, series)
        frames = [frames[place] for place in series.places]
    elif wanted.camera is not None:
        source.refuse(f"names no pictures that would tell its cameras apart; {source.advice(camera='leave {} out')}.")
    rows = [_pose(field(frame, "transform_matrix", where(index)), where(index)) for index, frame in enumerate(frames)]
    poses = checked_poses(torch.tensor(rows, dtype=torch.float64), where)
    poses = change_axes(poses, new_world_from_old=IDENTITY, new_camera_from_old=OPENGL_FROM_OPENCV.mT)
    settings = [{**document, **frame} for frame in frames]
    size = _size(settings, source)
    return RecordedCamera(
        poses, _lens(settings, source), size, lens_problem=_lens_problem(settings, source), gap=gap, frames=numbers
    )


def _pose(value: Any, where: str) -> list[list[float]]:
    if isinstance(value, list) and len(value) == 3:
        return [*matrix(value, 3, 4, where), [0.0, 0.0, 0.0, 1.0]]
    return matrix(value, 4, 4, where)


def _size(settings: list[dict[str, Any]], source: Source) -> tuple[int, int] | None:
    if not all("w" in frame and "h" in frame for frame in settings):
        return None
    sizes = {(whole(frame["w"], f"{source.name}, w,"), whole(frame["h"], f"{source.name}, h,")) for frame in settings}
    if len(sizes) > 1:
        asked = source.advice("give the file of one clip", camera="name one of its cameras in {}")
        source.refuse(f"mixes images of different sizes; {asked}.")
    return sizes.pop()


def _lens(settings: list[dict[str, Any]], source: Source) -> Lens | None:
    """Pixels where focal lengths stand, else the horizontal field of view, else none."""
    where = frame_of(source.name)
    if all("fl_x" in frame for frame in settings):
        focals = [
            (number(frame["fl_x"], where(index)), number(frame.get("fl_y", frame["fl_x"]), where(index)))
            for index, frame in enumerate(settings)
        ]
        check_focals([min(focal) for focal in focals], where)
        if not all("w" in frame and "h" in frame for frame in settings):
            return None
        centres = [
            (number(frame.get("cx", whole(frame["w"], "w") / 2), where(index)),
             number(frame.get("cy", whole(frame["h"], "h") / 2), where(index)))
            for index, frame in enumerate(settings)
        ]  # fmt: skip
        return pixel_lens(pinhole(*zip(*focals, strict=True), *zip(*centres, strict=True)))
    if all("camera_angle_x" in frame for frame in settings):
        angles = [number(frame["camera_angle_x"], where(index)) for index, frame in enumerate(settings)]
        wrong = next((index for index, angle in enumerate(angles) if not 0 < angle < math.pi), None)
        if wrong is not None:
            raise Track2ViewError(
                f"{where(wrong)} has camera_angle_x {angles[wrong]:g}; it must be radians above 0 and below 3.1416."
            )
        tangents = torch.tensor([math.tan(angle / 2) for angle in angles], dtype=torch.float64)
        return lambda width, height: centred_lens(width / 2 / tangents, width, height)
    return None


def _lens_problem(settings: list[dict[str, Any]], source: Source) -> str | None:
    plain = plain_lens(source)
    if any("fl_x" in frame and not ("w" in frame and "h" in frame) for frame in settings):
        return f"gives focal lengths in pixels without w and h; add the image's width and height to it, or {plain}."
    for frame in settings:
        model = frame.get("camera_model", "OPENCV")
        if model not in PLAIN_MODELS:
            return f"has the camera model {str(model)[:30]!r}, which a camera path cannot hold; {plain}."
        other = next((name for name in OTHER_LENSES if frame.get(name) not in (None, False, 0)), None)
        if other is not None:
            return f"states {other}, a lens that a camera path cannot hold; {plain}."
        if any(number(frame.get(name, 0), f"{source.name}, {name},") for name in DISTORTION):
            return f"has a lens with distortion, which a camera path cannot hold; undistort the images, or {plain}."
    return None


def _write(path: CameraPath, file: Path) -> bytes:
    refuse_skew(path, FORMAT.title)
    poses = change_axes(
        path.world_from_camera, new_world_from_old=IDENTITY, new_camera_from_old=OPENGL_FROM_OPENCV
    ).tolist()
    lenses = [_lens_fields(lens) for lens in path.intrinsics]
    steady = all(lens == lenses[0] for lens in lenses)
    return json_text(
        {
            "camera_model": "OPENCV",
            "w": path.width,
            "h": path.height,
            **(lenses[0] if steady else {}),
            "frames": [
                {"file_path": f"images/{frame_name(index)}", **({} if steady else lens), "transform_matrix": pose}
                for index, (pose, lens) in enumerate(zip(poses, lenses, strict=True))
            ],
        }
    )


def _lens_fields(lens: Tensor) -> dict[str, float]:
    return {
        "fl_x": float(lens[0, 0]), "fl_y": float(lens[1, 1]), "cx": float(lens[0, 2]), "cy": float(lens[1, 2]),
    }  # fmt: skip


FORMAT = PathFormat(
    name="nerfstudio",
    title="NeRF / nerfstudio",
    endings=(".json",),
    description="transforms.json of NeRF, instant-ngp and nerfstudio",
    lens="pinhole",
    size=True,
    fps=False,
    read=_read,
    recognises=lambda source: source.looks_like_json and '"transform_matrix"' in source.text,
    write=_write,
    several=True,
)
