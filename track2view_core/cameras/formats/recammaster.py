"""ReCamMaster's and MultiCamVideo's camera_extrinsics.json: ten cameras of a scene, from Unreal Engine.

Source: the data set's own files and ReCamMaster's loader. `{"frame0": {"cam01": "[r r r 0] [r r r 0] [r r r 0]
[tx ty tz 1] ", ...}, ...}`: camera-to-world for row vectors, so the text is the transpose of `world_from_camera`;
centimetres; left-handed, x forward, y right, z up, for the camera and the world alike.

The data set states the lens in the folder's name (`f24_aperture5`: 24 mm on a sensor 23.76 mm square); a crop in rows
keeps the width's share.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..path import CameraPath
from .axes import UNREAL_FROM_OPENCV, change_axes
from .parsing import Source, check_length, mapping, number
from .path_format import (
    Lens,
    PathFormat,
    RecordedCamera,
    Wanted,
    centred_lens,
    checked_poses,
    frame_of,
    json_text,
    words,
)

CENTIMETRES = 100.0
SENSOR_MM = 23.76
CAMERA = "cam01"


def opencv_from_unreal(poses: Tensor) -> Tensor:
    """Camera-to-world `[T, 4, 4]` in OpenCV axes and metres of Unreal's, for column vectors, in centimetres."""
    moved = change_axes(poses, new_world_from_old=UNREAL_FROM_OPENCV.mT, new_camera_from_old=UNREAL_FROM_OPENCV.mT)
    moved[:, :3, 3] /= CENTIMETRES
    return moved


def unreal_from_opencv(poses: Tensor) -> Tensor:
    """The inverse of `opencv_from_unreal`."""
    moved = change_axes(poses, new_world_from_old=UNREAL_FROM_OPENCV, new_camera_from_old=UNREAL_FROM_OPENCV)
    moved[:, :3, 3] *= CENTIMETRES
    return moved


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    document = mapping(source.json, source.name)
    frames = [key for key in document if re.fullmatch(r"frame\d{1,9}", key)]
    check_length(len(frames), source.name)
    if not frames:
        source.refuse('holds no "frame0"; ReCamMaster\'s camera_extrinsics.json has frame0, frame1 and so on.')
    cameras = sorted(mapping(document.get("frame0", {}), f"{source.name}, frame0,"))
    chosen = _chosen(source, cameras, wanted.camera)
    rows = []
    where = frame_of(source.name)
    for index in range(len(frames)):
        if f"frame{index}" not in document:
            source.refuse(f'has {len(frames)} frames and no "frame{index}"; frames are missing, so export them all.')
        entry = mapping(document[f"frame{index}"], where(index))
        if chosen not in entry:
            source.refuse(f"has no camera {chosen[:30]!r} in frame {index}; the file is likely cut short.")
        rows.append(_matrix(entry[chosen], where(index)))
    # A left-handed matrix between left-handed axes is a rotation of determinant +1 as any other.
    poses = checked_poses(torch.tensor(rows, dtype=torch.float64).mT, where)
    return RecordedCamera(opencv_from_unreal(poses), _lens_of_folder(source.file, len(rows)))


def _chosen(source: Source, cameras: list[str], camera: str | None) -> str:
    if not cameras:
        source.refuse("holds no camera in frame 0; it is of another format or damaged.")
    listed = ", ".join(name[:30] for name in cameras[:12])
    asked = source.advice(camera=f"give {{}} as one of {listed}") or f"export one of {listed} alone"
    if camera is None:
        if len(cameras) > 1:
            source.refuse(f"holds {len(cameras)} cameras; {asked}.")
        return cameras[0]
    name = f"cam{int(camera):02d}" if camera.isdecimal() and len(camera) < 4 else camera
    if name not in cameras:
        source.refuse(f"has no camera {camera[:30]!r}; {asked}.")
    return name


def _matrix(value: object, where: str) -> list[list[float]]:
    """The four rows of "[r r r 0] [r r r 0] [r r r 0] [tx ty tz 1]"."""
    rows = re.findall(r"\[([^\[\]]*)\]", value) if isinstance(value, str) and len(value) < 4096 else []
    if len(rows) != 4 or any(len(row.split()) != 4 for row in rows):
        raise Track2ViewError(f"{where} holds no four rows [. . . .] of a matrix; the file is likely cut short.")
    return [[number(word, where) for word in row.split()] for row in rows]


def _lens_of_folder(file: Path, frames: int) -> Lens | None:
    """The focal length in the data set's folder name, `f24_aperture5`, as a lens."""
    for folder in file.absolute().parents:
        found = re.fullmatch(r"f(\d{1,3})_aperture[\d.]+", folder.name)
        if found and int(found[1]):
            share = int(found[1]) / SENSOR_MM
            return lambda width, height: centred_lens([share * max(width, height)] * frames, width, height)
    return None


def _write(path: CameraPath, file: Path) -> bytes:
    document = {}
    for frame, pose in enumerate(unreal_from_opencv(path.world_from_camera).mT):
        text = " ".join(f"[{' '.join(words(row))}]" for row in pose)
        document[f"frame{frame}"] = {CAMERA: f"{text} "}
    return json_text(document)


FORMAT = PathFormat(
    name="recammaster",
    title="ReCamMaster / MultiCamVideo",
    endings=(".json",),
    description="camera_extrinsics.json of ReCamMaster and MultiCamVideo, in Unreal's axes and centimetres",
    lens="none",
    size=False,
    fps=False,
    read=_read,
    recognises=lambda source: source.looks_like_json and '"frame0"' in source.text,
    write=_write,
    several=True,
)
