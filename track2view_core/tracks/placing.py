"""From the clip that was tracked to the frame that the model sees: the same points, other intrinsics."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..cameras import CameraPath
from ..errors import Track2ViewError
from ..video import ClipInfo
from ..video.arithmetic import square_size
from .pairing import PairedTracks, check_path_length, pair_tracks
from .types import PointTracks

ASPECT_TOLERANCE = 0.03  # whole pixels and encoders that round to even sides stay within it, another shape does not


def place_in_frame(tracks: PointTracks, target_camera: CameraPath, info: ClipInfo) -> PairedTracks:
    """Pair `tracks` with `target_camera` in the frame that `prepare_clip` made of the clip.

    Both cameras' intrinsics are scaled into the content of the prepared frame and moved by its offset, and both paths
    hold their last frame as long as the clip does. The points themselves live in the world and stay as they are.

    Raises:
        Track2ViewError: tracks of another length or shape than the clip, and all that `pair_tracks` refuses.
    """
    if len(tracks) != info.frames:
        raise Track2ViewError(
            f"The tracks have {len(tracks)} frames and the clip has {info.frames}; track this clip, or set frames so "
            "that both agree."
        )
    check_path_length(tracks, target_camera)
    camera = tracks.camera
    clip_width, clip_height = square_size(info.width, info.height, info.pixel_aspect)
    height = clip_height * camera.width / clip_width
    if abs(height - camera.height) > max(1.0, ASPECT_TOLERANCE * height):
        raise Track2ViewError(
            f"The tracks were made on pictures of {camera.width} x {camera.height} and the clip is {clip_width} x "
            f"{clip_height}, another shape; track this clip, uncropped."
        )
    placed = replace(tracks, camera=camera_in_frame(camera, info))
    return pair_tracks(
        placed.padded(info.prepared_frames), camera_in_frame(target_camera, info).padded(info.prepared_frames)
    )


def camera_in_frame(camera: CameraPath, info: ClipInfo) -> CameraPath:
    """`camera`, of a picture of the whole clip at any scale, as the camera of the prepared frame."""
    left, top, width, height = info.content
    offset = torch.zeros(3, 3, dtype=torch.float64, device=camera.device)
    offset[0, 2], offset[1, 2] = left, top
    return replace(
        camera,
        intrinsics=camera.resized(width, height).intrinsics + offset,
        width=info.prepared_width,
        height=info.prepared_height,
    )
