"""Nuke's .chan: one line a frame, `frame tx ty tz rx ry rz vertical_fov`.

Sources: Nuke's reference for the Camera node and Blender's "Nuke Animation (chan)" add-on. Camera-to-world, y up,
looking down -z; degrees; the rotation order is ZXY, Nuke's own default (about z first, so the matrix is Y X Z). The
eighth column, the vertical field of view in degrees, may be missing.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import torch

from ...errors import Track2ViewError
from ..path import CameraPath
from ..rotations import rigid
from .axes import OPENGL_FROM_OPENCV, Y_UP_FROM_WORLD, change_axes, compose, decompose
from .parsing import Source, numeric_row, table
from .path_format import (
    PathFormat,
    RecordedCamera,
    Wanted,
    checked_poses,
    line_of,
    refuse_off_centre,
    vertical_fov_lens,
    words,
)
from .tum import is_tum_row

LAYOUT = "frame tx ty tz rx ry rz vertical_fov"
ORDER = "yxz"
XYZ_FROM_ORDER = [1, 0, 2]  # the columns are x y z; its own inverse


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    rows, lines = table(source, (7, 8), LAYOUT)
    values = torch.tensor(rows, dtype=torch.float64)
    gap, frames = _gap(source, [row[0] for row in rows], lines)
    where = line_of(source.name, lines)
    poses = checked_poses(rigid(compose(ORDER, values[:, 4:7][:, XYZ_FROM_ORDER]), values[:, 1:4]), where)
    poses = change_axes(poses, new_world_from_old=Y_UP_FROM_WORLD.mT, new_camera_from_old=OPENGL_FROM_OPENCV.mT)
    if values.shape[1] == 7:
        return RecordedCamera(poses, gap=gap, frames=frames)
    for index, row in enumerate(rows):
        if not 0 < row[7] < 180:
            raise Track2ViewError(
                f"{where(index)} has the vertical field of view {row[7]:g}; it must be above 0 and below 180 degrees."
            )
    lens = vertical_fov_lens([math.radians(row[7]) for row in rows])
    return RecordedCamera(poses, lens, gap=gap, frames=frames)


def _gap(source: Source, numbers: list[float], lines: list[int]) -> tuple[str | None, tuple[int, ...] | None]:
    """(the sentence on the first frame that does not follow the one before, all from 0 if only some are missing)."""
    wrong = next((index for index in range(1, len(numbers)) if numbers[index] != numbers[index - 1] + 1), None)
    if wrong is None:
        return None, None
    rising = all(number == math.floor(number) for number in numbers)
    rising = rising and all(after > before for before, after in pairwise(numbers))
    asked = source.advice("export every frame, in order", **({"missing_frames": "give {} as fill"} if rising else {}))
    gap = f"has in line {lines[wrong]} frame {numbers[wrong]:g} after frame {numbers[wrong - 1]:g}; {asked}."
    return gap, tuple(int(number - numbers[0]) for number in numbers) if rising else None


def _write(path: CameraPath, file: Path) -> bytes:
    refuse_off_centre(path, FORMAT.title)
    poses = change_axes(
        path.world_from_camera, new_world_from_old=Y_UP_FROM_WORLD, new_camera_from_old=OPENGL_FROM_OPENCV
    )
    turns = decompose(ORDER, poses[:, :3, :3])[:, XYZ_FROM_ORDER]
    fov = torch.rad2deg(2 * torch.atan(path.height / 2 / path.intrinsics[:, 1, 1]))
    lines = [
        " ".join([str(frame + 1), *words(pose[:3, 3]), *words(turned), *words(angle)])
        for frame, (pose, turned, angle) in enumerate(zip(poses, turns, fov, strict=True))
    ]
    return ("\n".join(lines) + "\n").encode("ascii")


def _recognises(source: Source) -> bool:
    if not source.head:
        return False
    row = numeric_row(source.head[0])
    if row is None or len(row) not in (7, 8) or row[0] != int(row[0] if math.isfinite(row[0]) else 0):
        return False
    return source.file.suffix.lower() == ".chan" or not is_tum_row(source.head[0])


FORMAT = PathFormat(
    name="chan",
    title="Nuke .chan",
    endings=(".chan", ".txt"),
    description="Nuke's camera channels: frame, position, rotation (ZXY), vertical field of view",
    lens="fov",
    size=False,
    fps=False,
    read=_read,
    recognises=_recognises,
    write=_write,
)
