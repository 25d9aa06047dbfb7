"""TUM and KITTI trajectories: camera-to-world poses as text, no lens.

Sources: TUM RGB-D benchmark, "File formats" (`timestamp tx ty tz qx qy qz qw`, seconds); KITTI odometry development
kit (twelve numbers a line: the camera-to-world matrix [3, 4] row by row, in the first camera's axes). Both use
OpenCV's camera axes. Programs that write TUM's rows with `qw qx qy qz` say so in a comment, or not at all.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import torch

from ...notes import Note
from ..path import CameraPath
from ..rotations import quaternion_from_matrix
from .frame_times import frame_times
from .parsing import Source, numeric_row, table
from .path_format import (
    QUATERNION_ORDERS,
    WORST_QUATERNION,
    PathFormat,
    RecordedCamera,
    Wanted,
    checked_poses,
    line_of,
    poses_of_quaternions,
    words,
)

TUM_LAYOUT = "timestamp tx ty tz qx qy qz qw"
HALF_TURN = 0.9999  # of a first quaternion's first number: it would be no turn, were it w
KITTI_LAYOUT = "camera-to-world 3 x 4"


def _read_tum(source: Source, wanted: Wanted) -> RecordedCamera:
    rows, lines = table(source, (8,), TUM_LAYOUT)
    where = line_of(source.name, lines)
    order = wanted.quaternion_order or _stated_order(source)
    quaternions = [row[4:] if order == "wxyz" else [row[7], *row[4:7]] for row in rows]
    poses = poses_of_quaternions(quaternions, [row[1:4] for row in rows], where)
    doubtful = order is None and abs(rows[0][4]) > HALF_TURN
    notes = (Note.of("quaternion_order_doubtful"),) if doubtful else ()
    times = frame_times(source, [row[0] for row in rows], lines)
    return RecordedCamera(
        poses, fps=times.fps, fps_problem=times.problem, gap=times.gap, frames=times.frames, timed=True,
        notes=(*notes, *times.notes),
    )  # fmt: skip


def _stated_order(source: Source) -> str | None:
    """The order that a comment at the head names, such as `# timestamp tx ty tz qx qy qz qw`."""
    for comment in source.comments:
        named = re.findall(r"\bq_?[wxyz]\b", comment.lower())
        order = "".join(name[-1] for name in named)
        if order in QUATERNION_ORDERS:
            return order
    return None


def _write_tum(path: CameraPath, file: Path) -> bytes:
    lines = [f"# {TUM_LAYOUT.replace('timestamp', 'timestamp (seconds)')}"]
    turns = quaternion_from_matrix(path.world_from_camera[:, :3, :3])[:, [1, 2, 3, 0]]
    for frame, (pose, turn) in enumerate(zip(path.world_from_camera, turns, strict=True)):
        lines.append(" ".join([repr(frame / path.fps), *words(pose[:3, 3]), *words(turn)]))
    return ("\n".join(lines) + "\n").encode("ascii")


def is_tum_row(line: str) -> bool:
    row = numeric_row(line)
    return row is not None and len(row) == 8 and abs(math.hypot(*row[4:]) - 1) < WORST_QUATERNION


def _read_kitti(source: Source, wanted: Wanted) -> RecordedCamera:
    rows, lines = table(source, (12,), KITTI_LAYOUT)
    poses = torch.eye(4, dtype=torch.float64).repeat(len(rows), 1, 1)
    poses[:, :3] = torch.tensor(rows, dtype=torch.float64).reshape(-1, 3, 4)
    return RecordedCamera(checked_poses(poses, line_of(source.name, lines)))


def _write_kitti(path: CameraPath, file: Path) -> bytes:
    lines = (" ".join(words(pose[:3])) for pose in path.world_from_camera)
    return ("\n".join(lines) + "\n").encode("ascii")


def _is_kitti(source: Source) -> bool:
    row = numeric_row(source.head[0]) if source.head else None
    return row is not None and len(row) == 12


TUM = PathFormat(
    name="tum",
    title="TUM trajectory",
    endings=(".txt", ".tum"),
    description="text rows of time, position and quaternion, as SLAM programs write them",
    lens="none",
    size=False,
    fps=True,
    read=_read_tum,
    recognises=lambda source: bool(source.head) and is_tum_row(source.head[0]),
    write=_write_tum,
    ordered=True,
)
KITTI = PathFormat(
    name="kitti",
    title="KITTI trajectory",
    endings=(".txt",),
    description="text rows of twelve numbers, the camera-to-world matrix",
    lens="none",
    size=False,
    fps=False,
    read=_read_kitti,
    recognises=_is_kitti,
    write=_write_kitti,
)
