"""RealEstate10K text: one line a frame of 19 numbers, also CameraCtrl's, MotionCtrl's and core ComfyUI's rows.

Source: google.github.io/realestate10k, "Format": timestamp in microseconds, fx fy cx cy divided by the image's width
and height, two zeros, and the world-to-camera matrix [3, 4] row by row, in OpenCV axes. The first line is the video's
URL; derived sets leave it out, or set all timestamps to 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...errors import Track2ViewError
from ..path import CameraPath
from ..rotations import rigid_inverse
from .frame_times import frame_times
from .parsing import Source, numeric_row, table
from .path_format import (
    PathFormat,
    RecordedCamera,
    Wanted,
    Where,
    check_focals,
    checked_poses,
    line_of,
    normalised_lens,
    pinhole,
    refuse_skew,
    words,
)

LAYOUT = "timestamp, fx fy cx cy, 0 0, world-to-camera 3 x 4"
COLUMNS = 19
FARTHEST_CENTRE = 10  # image widths or heights; a number of pixels is larger
TICK = 1e-6  # seconds; the timestamps are whole microseconds


def recording_of_rows(rows: Sequence[Sequence[float]], where: Where) -> RecordedCamera:
    """Poses and lens of rows of 19 numbers; their timestamps are not looked at."""
    values = torch.tensor(rows, dtype=torch.float64)
    camera_from_world = torch.eye(4, dtype=torch.float64).repeat(len(values), 1, 1)
    camera_from_world[:, :3] = values[:, 7:].reshape(-1, 3, 4)
    check_focals(values[:, 1:3].amin(dim=-1).tolist(), where)
    centre = values[:, 3:5].abs().amax(dim=-1)
    if (centre > FARTHEST_CENTRE).any():
        frame = int((centre > FARTHEST_CENTRE).nonzero()[0])
        raise Track2ViewError(
            f"{where(frame)} has its lens's centre at {centre[frame]:g}, where parts of the image's sides must stand; "
            "divide fx and cx by the width and fy and cy by the height."
        )
    return RecordedCamera(
        rigid_inverse(checked_poses(camera_from_world, where)), normalised_lens(pinhole(*values[:, 1:5].unbind(-1)))
    )


def rows_of(path: CameraPath, timestamps: Sequence[int]) -> list[list[float]]:
    """The path's frames as rows of 19 numbers."""
    k = path.intrinsics
    fx, cx = k[:, 0, 0] / path.width, k[:, 0, 2] / path.width
    fy, cy = k[:, 1, 1] / path.height, k[:, 1, 2] / path.height
    zero = torch.zeros_like(fx)
    columns = torch.stack([fx, fy, cx, cy, zero, zero], dim=-1)
    whole: Tensor = torch.cat([columns, path.camera_from_world[:, :3].flatten(1)], dim=-1)
    return [[float(time), *row] for time, row in zip(timestamps, whole.tolist(), strict=True)]


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    rows, lines = table(source, (COLUMNS,), LAYOUT, header=True)
    recording = recording_of_rows(rows, line_of(source.name, lines))
    times = frame_times(source, [row[0] for row in rows], lines, unit="microseconds", tick=TICK)
    return RecordedCamera(
        recording.world_from_camera, recording.lens, fps=times.fps, fps_problem=times.problem, gap=times.gap,
        frames=times.frames, timed=True, notes=times.notes,
    )  # fmt: skip


def _write(path: CameraPath, file: Path) -> bytes:
    refuse_skew(path, FORMAT.title)
    times = [round(frame * 1e6 / path.fps) for frame in range(len(path))]
    lines = ["Track2View"]  # readers of this format skip the first line
    for time, row in zip(times, torch.tensor(rows_of(path, times), dtype=torch.float64), strict=True):
        lines.append(" ".join([str(time), *words(row[1:5]), "0", "0", *words(row[7:])]))
    return ("\n".join(lines) + "\n").encode("ascii")


def _recognises(source: Source) -> bool:
    rows = [numeric_row(line) for line in source.head[:2]]
    return any(row is not None and len(row) == COLUMNS for row in rows)


FORMAT = PathFormat(
    name="realestate10k",
    title="RealEstate10K",
    endings=(".txt",),
    description="text rows of 19 numbers: RealEstate10K, CameraCtrl, MotionCtrl, WAN camera control",
    lens="pinhole",
    size=False,
    fps=True,
    read=_read,
    recognises=_recognises,
    write=_write,
)
