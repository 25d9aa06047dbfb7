"""The socket types that the nodes speak, and the border between ComfyUI's IMAGE and the core's frames."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import io
from torch import Tensor

from ..track2view_core.errors import Track2ViewError

if TYPE_CHECKING:
    from ..track2view_core.video import Audio

BUNDLE = io.Custom("TRACK2VIEW_BUNDLE")
WAN = io.Custom("TRACK2VIEW_WAN")
POINT_TRACKS = io.Custom("TRACK2VIEW_POINT_TRACKS")
CAMERA_PATH = io.Custom("TRACK2VIEW_CAMERA_PATH")
PAIRED_TRACKS = io.Custom("TRACK2VIEW_PAIRED_TRACKS")
CONDITION = io.Custom("TRACK2VIEW_CONDITION")
CLIP_INFO = io.Custom("TRACK2VIEW_CLIP_INFO")
TARGET = io.Custom("TRACK2VIEW_TARGET")

# Of ComfyUI's core and of other packs, by the names their owners gave them.
DA3_GEOMETRY = io.Custom("DA3_GEOMETRY")  # core, Depth Anything 3
MOGE_GEOMETRY = io.Custom("MOGE_GEOMETRY")  # core, MoGe
TRACKS = io.Custom("TRACKS")  # core, Wan-Move
LOAD3D_CAMERA = io.Custom("LOAD3D_CAMERA")  # core, 3D nodes
CAMERACTRL_POSES = io.Custom("CAMERACTRL_POSES")  # AnimateDiff-Evolved and others
CAMERAPOSES = io.Custom("CAMERAPOSES")  # WanVideoWrapper, ReCamMaster
EXTRINSICS = io.Custom("EXTRINSICS")  # Depth Anything 3 packs and camera packs
INTRINSICS = io.Custom("INTRINSICS")


def one_of(options: Collection[str], value: str, name: str) -> str:
    """The value of a combo, which a core before V3's own check hands on unseen from the API.

    Raises:
        Track2ViewError: it is none of the options.
    """
    if value not in options:
        raise Track2ViewError(f"{name} is {str(value)[:40]!r}; it must be one of {', '.join(options)}.")
    return value


def frames_from_image(image: Tensor, name: str) -> Tensor:
    """ComfyUI's IMAGE `[T, H, W, 3 or more]`, 0..1 -> frames `[T, H, W, 3]` uint8 on the CPU; alpha is dropped."""
    if not isinstance(image, Tensor) or image.ndim != 4 or image.shape[-1] < 3 or image.numel() == 0:
        came = list(image.shape) if isinstance(image, Tensor) else type(image).__name__
        raise Track2ViewError(
            f"{name} is {came}; it must be an IMAGE batch [frames, height, width, 3], one image a video frame."
        )
    frames = torch.empty((*image.shape[:3], 3), dtype=torch.uint8)
    for index, frame in enumerate(image):  # one frame at a time: a whole clip in float is large enough once
        if not frame.isfinite().all():
            raise Track2ViewError(f"{name} holds NaN or infinity at frame {index}; check the node that made it.")
        frames[index] = (frame[..., :3].float() * 255).round_().clamp_(0, 255).to(device="cpu", dtype=torch.uint8)
    return frames


def image_from_frames(frames: Tensor) -> Tensor:
    """Frames `[T, H, W, 3]` uint8 -> ComfyUI's IMAGE, float32 0..1 on the CPU."""
    image = torch.empty(frames.shape, dtype=torch.float32)
    for index, frame in enumerate(frames):
        torch.div(frame.cpu(), 255.0, out=image[index])
    return image


def sound_from_audio(audio: dict[str, Any]) -> Audio:
    """ComfyUI's AUDIO `{"waveform": [1, C, S], "sample_rate"}` -> the core's sound."""
    from ..track2view_core.video import Audio

    waveform = audio["waveform"]
    if waveform.ndim != 3 or waveform.shape[0] != 1:
        raise Track2ViewError(
            f"audio has the shape {list(waveform.shape)}; it must be one sound, [1, channels, samples]."
        )
    return Audio(waveform[0].float().cpu(), int(audio["sample_rate"]))


def unpadded(image: Tensor, info: Any) -> Tensor:
    """The clip's own part of prepared frames `[T', H', W', ...]`: no padded edges, no held last frames.

    Raises:
        Track2ViewError: the frames are not those of this clip info.
    """
    if tuple(image.shape[:3]) != (info.prepared_frames, info.prepared_height, info.prepared_width):
        raise Track2ViewError(
            f"image is {image.shape[0]} frames of {image.shape[2]} x {image.shape[1]} and clip_info is of "
            f"{info.prepared_frames} of {info.prepared_width} x {info.prepared_height}; link both from one "
            "Prepare Clip, or leave clip_info open."
        )
    left, top, width, height = info.content
    return image[: info.frames, top : top + height, left : left + width]
