"""Recorded clips: where video and camera are, and both cut to the size and length of the data set, or refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath
from ..cameras.formats import read_camera
from ..cameras.formats.parsing import Source
from ..cameras.formats.reading_and_writing import refuse_doubtful
from ..errors import Track2ViewError
from ..notes import Door
from ..video import open_stream, stream_pictures
from ..video.arithmetic import square_size
from ..video.resizing import resize_picture

CURATE = Door("curate", {"fov_degrees": "--fov"})  # what every `curate` of recorded clips can say of a camera file


class PairRefused(Track2ViewError):
    """A pair that is no pair. It costs itself, and the report names it and counts its reason."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason  # what is counted


@dataclass(frozen=True)
class RecordedClip:
    name: str  # scene12/cam01
    video: Path
    camera_file: Path
    camera_format: str | None = None  # None: told from the file
    camera: str | None = None  # which one, where the file holds several
    fov_degrees: float | None = None  # where the file holds no lens
    caption: str = ""


@dataclass(frozen=True)
class RecordedScene:
    """Clips of one scene that begin with the same frame. A single clip can only be a pair with itself."""

    name: str
    clips: tuple[RecordedClip, ...]


@dataclass(frozen=True)
class Cut:
    """What of every clip is taken: `frames` frames, every `every`th, scaled to cover the size and cut in the middle."""

    width: int
    height: int
    frames: int
    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise Track2ViewError(f"every is {self.every}; it must be at least 1.")


@dataclass(frozen=True, eq=False)
class LoadedClip:
    clip: RecordedClip
    frames: Tensor  # [T, H, W, 3] uint8
    camera: CameraPath  # T frames, in the file's world, at the cut size and rate
    recorded: tuple[int, int, Fraction]  # width, height, frames a second as it came


def load_clip(clip: RecordedClip, cut: Cut) -> LoadedClip:
    """Read, cut and scale.

    Raises:
        PairRefused: the video or the camera cannot be read, they differ in length, or the clip is too short.
    """
    try:
        stream = open_stream(clip.video)
    except (Track2ViewError, OSError) as error:
        raise PairRefused("clip unreadable", f"{clip.name}: {error}") from error
    rate = stream.timing.rate
    size = square_size(stream.width, stream.height, stream.pixel_aspect)
    try:
        camera, notes = read_camera(
            clip.camera_file, width=size[0], height=size[1], format=clip.camera_format, camera=clip.camera,
            fov_degrees=clip.fov_degrees, fps=float(rate), door=CURATE,
        )  # fmt: skip
        refuse_doubtful(Source(clip.camera_file, CURATE), notes)
    except Track2ViewError as error:
        raise PairRefused("cameras unreadable", f"{clip.name}: {error}") from error
    if stream.wanted != len(camera):
        raise PairRefused(
            "lengths differ",
            f"{clip.name} has {stream.wanted} frames and its camera {len(camera)}; a frame is missing, or the camera "
            "is another clip's.",
        )
    needed = cut.every * (cut.frames - 1) + 1
    if stream.wanted < needed:
        raise PairRefused("too short", f"{clip.name} has {stream.wanted} frames, and {needed} are needed.")
    index = list(range(0, needed, cut.every))
    taken = camera.with_frames(index)
    try:
        frames = _cut_frames(stream, index, cut)
    except Track2ViewError as error:
        raise PairRefused("clip unreadable", f"{clip.name}: {error}") from error
    path = replace(cut_camera(taken, cut.width, cut.height), fps=float(rate / cut.every))
    return LoadedClip(clip, frames, path, (*size, rate))


def cut_camera(camera: CameraPath, width: int, height: int) -> CameraPath:
    """The lens of the picture scaled to cover `width` x `height`, and cut to it in the middle."""
    (across, down), (left, top) = _covering(camera.width, camera.height, width, height)
    lens = camera.resized(across, down).intrinsics.clone()
    lens[:, 0, 2] -= left
    lens[:, 1, 2] -= top
    return replace(camera, intrinsics=lens, width=width, height=height)


def _covering(
    width: int, height: int, wanted_width: int, wanted_height: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """The scaled size, and what is cut off left and above."""
    scale = max(wanted_width / width, wanted_height / height)
    across, down = max(wanted_width, round(width * scale)), max(wanted_height, round(height * scale))
    return (across, down), ((across - wanted_width) // 2, (down - wanted_height) // 2)


def _cut_frames(stream, index: list[int], cut: Cut) -> Tensor:
    size = square_size(stream.width, stream.height, stream.pixel_aspect)
    scaled, (left, top) = _covering(*size, cut.width, cut.height)
    wanted, last = set(index), index[-1]
    pictures = []
    for number, picture in enumerate(stream_pictures(stream)):
        if number in wanted:
            whole = resize_picture(picture, *scaled)
            pictures.append(whole[top : top + cut.height, left : left + cut.width])
        if number == last:
            break
    return torch.from_numpy(np.stack(pictures))
