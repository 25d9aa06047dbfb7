"""The tracked points of one frame as a .ply point cloud, for Blender, MeshLab, CloudCompare and others."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import numpy as np

from ..errors import Track2ViewError
from .types import PointTracks

VERTEX = np.dtype(
    [(axis, "<f4") for axis in "xyz"]
    + [(channel, "u1") for channel in ("red", "green", "blue")]
    + [("confidence", "<f4"), ("visible", "u1")]
)
NAMES = {"<f4": "float", "u1": "uchar", "|u1": "uchar"}


def write_point_cloud(tracks: PointTracks, file: str | Path, *, frame: int = 0) -> None:
    """Write all N points of video frame `frame` to a binary .ply; an older file is replaced by the whole new one.

    Positions are of the world (OpenCV axes: x right, y down, z forward, the tracker's units); points without colour
    are grey. `confidence` and `visible` are the tracker's words for this frame.

    Raises:
        Track2ViewError: no such frame or folder, or the file cannot be written.
    """
    file = Path(file)
    if not 0 <= frame < len(tracks):
        raise Track2ViewError(f"frame is {frame}; the tracks have frames 0 to {len(tracks) - 1}.")
    if not file.parent.is_dir():
        raise Track2ViewError(f"The folder {file.parent} does not exist; create it or name another for {file.name}.")
    vertices = np.zeros(tracks.positions.shape[1], VERTEX)
    for axis, values in zip("xyz", tracks.positions[frame].cpu().numpy().T, strict=True):
        vertices[axis] = values
    for index, channel in enumerate(("red", "green", "blue")):
        vertices[channel] = 128 if tracks.colors is None else tracks.colors[:, index].cpu().numpy()
    vertices["confidence"] = tracks.confidence[frame].cpu().numpy()
    vertices["visible"] = tracks.visible[frame].cpu().numpy()
    properties = "".join(f"property {NAMES[VERTEX[name].str]} {name}\n" for name in VERTEX.names or ())
    header = (
        "ply\nformat binary_little_endian 1.0\n"
        f"comment Track2View, frame {frame}; x right, y down, z forward\n"
        f"element vertex {len(vertices)}\n{properties}end_header\n"
    )
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as stream:
            stream.write(header.encode("ascii") + vertices.tobytes())
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except OSError as error:
        raise Track2ViewError(
            f"The point cloud {file} could not be written ({error.strerror or error}); check the disk and the folder."
        ) from error
    finally:
        part.unlink(missing_ok=True)
