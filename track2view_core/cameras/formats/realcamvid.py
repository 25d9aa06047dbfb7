"""RealCam-Vid's .npz lists: cameras of many clips, read only.

Source: the data set's README and loader. One array of dicts, a clip each: `camera_extrinsics` [F, 4, 4] world-to-camera
in OpenCV axes, `camera_intrinsics` fx fy cx cy divided by the image's width and height, `align_factor`, which brings
camera-to-world positions to metres and is multiplied in here, captions, `video_path`. The array is pickled; it is read
as plain data, and nothing in it is run.

`camera` names a clip by its place from 0 or by its `video_path`.
"""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from typing import Any, NoReturn

import numpy as np
import torch

from ...errors import Track2ViewError
from ..rotations import rigid_inverse
from .parsing import MOST_BYTES, Source, check_length, number
from .path_format import (
    FARTHEST,
    PathFormat,
    RecordedCamera,
    Wanted,
    check_focals,
    checked_poses,
    frame_of,
    normalised_lens,
    pinhole,
)
from .plain_pickle import plain_data

NPY_MAGIC = b"\x93NUMPY"
ARCHIVE_DAMAGES = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, NotImplementedError)


def _read(source: Source, wanted: Wanted) -> RecordedCamera:
    return clip_recording(source, _chosen(source, listed_clips(source), wanted.camera))


def clip_recording(source: Source, clip: dict[str, Any]) -> RecordedCamera:
    """The camera of one clip of the list."""
    where = frame_of(source.name)
    extrinsics = _numbers(source, clip, "camera_extrinsics")
    if extrinsics.ndim != 3 or extrinsics.shape[1:] not in ((4, 4), (3, 4)) or len(extrinsics) == 0:
        source.refuse(f"has camera_extrinsics of shape {list(extrinsics.shape)}; they must be [frames, 4, 4].")
    check_length(len(extrinsics), source.name)
    camera_from_world = torch.eye(4, dtype=torch.float64).repeat(len(extrinsics), 1, 1)
    camera_from_world[:, : extrinsics.shape[1]] = torch.from_numpy(extrinsics)
    poses = rigid_inverse(checked_poses(camera_from_world, where))
    lens = _numbers(source, clip, "camera_intrinsics")
    if lens.shape not in ((4,), (len(poses), 4)):
        source.refuse(f"has camera_intrinsics of shape {list(lens.shape)}; they must be fx fy cx cy.")
    lenses = torch.from_numpy(np.broadcast_to(lens, (len(poses), 4)).copy())
    check_focals(lenses[:, :2].amin(dim=-1).tolist(), where)
    factor = number(clip.get("align_factor", 1.0), f"{source.name}, align_factor,")
    if not 0 < factor < FARTHEST:
        source.refuse(f"has the align_factor {factor:g}; it must be above 0.")
    poses[:, :3, 3] *= factor
    return RecordedCamera(checked_poses(poses, where), normalised_lens(pinhole(*lenses.unbind(-1))))


def listed_clips(source: Source) -> list[dict[str, Any]]:
    """All clips of the list as plain data: their texts and arrays, unchecked."""
    try:
        with zipfile.ZipFile(source.file) as archive:
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            if len(members) != 1 or members[0].file_size > MOST_BYTES:
                source.refuse("holds no single list of clips, as RealCam-Vid's files do; it is of another data set.")
            pickled = _pickled(source, archive.read(members[0]))
    except Track2ViewError:
        raise
    except (*ARCHIVE_DAMAGES, ValueError, RuntimeError) as error:
        raise Track2ViewError(f"{source.name} is damaged or no .npz file; download it again.") from error
    try:
        clips = plain_data(pickled)
    except Track2ViewError as error:
        source.refuse(str(error))
    clips = [clips] if isinstance(clips, dict) else clips
    if not isinstance(clips, list) or not clips or not all(isinstance(clip, dict) for clip in clips):
        source.refuse("holds no list of clips; it is of another data set.")
    return clips


def _pickled(source: Source, npy: bytes) -> bytes:
    """What follows the head of a .npy file, which must announce objects."""
    if not npy.startswith(NPY_MAGIC) or len(npy) < 12:
        source.refuse("is damaged or no .npz file; download it again.")
    begins = 10 if npy[6] == 1 else 12
    ends = begins + int.from_bytes(npy[8:begins], "little")
    if not re.search(rb"'descr'\s*:\s*'\|O'", npy[begins:ends]):
        source.refuse("holds plain numbers where RealCam-Vid has a list of clips; it is of another data set.")
    return npy[ends:]


def _chosen(source: Source, clips: list[dict[str, Any]], camera: str | None) -> dict[str, Any]:
    hint = source.advice(camera="give {} as a clip's place from 0 or its video_path") or "give a list of one clip"
    if camera is None:
        if len(clips) > 1:
            source.refuse(f"holds {len(clips)} clips; {hint}.")
        return clips[0]
    if camera.isdecimal() and len(camera) < 10 and int(camera) < len(clips):
        return clips[int(camera)]
    found = [clip for clip in clips if clip.get("video_path") == camera]
    if len(found) != 1:
        source.refuse(f"holds {len(found) or 'no'} clips {camera[:60]!r}, of {len(clips)}; {hint}.")
    return found[0]


def _numbers(source: Source, clip: dict[str, Any], name: str) -> np.ndarray:
    def refuse() -> NoReturn:
        source.refuse(f"has no numbers as {name}; it is of another data set or damaged.")

    if name not in clip:
        source.refuse(f"lacks {name} in the clip; it is of another data set.")
    try:
        values = np.array(clip[name], dtype=np.float64)  # a copy: what was read may not be written to
    except (TypeError, ValueError, OverflowError):
        refuse()
    if not np.isfinite(values).all():
        source.refuse(f"holds NaN or infinity in {name}; take another clip.")
    return values


FORMAT = PathFormat(
    name="realcamvid",
    title="RealCam-Vid",
    endings=(".npz",),
    description="the data set's lists of clips, which are read and never written",
    lens="pinhole",
    size=False,
    fps=False,
    read=_read,
    recognises=lambda source: source.is_binary and source.file.suffix.lower() == ".npz",
    several=True,
)
