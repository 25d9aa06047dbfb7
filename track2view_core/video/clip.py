"""A clip in memory: pictures, an exact frame rate, sound."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..notes import Note


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound that starts with the first frame of its clip.

    `encoded` holds the file's own packets in a small MP4 in memory, on the same clock, so that a clip which is written
    again carries them over without loss; None when there are none (sound made from samples) or MP4 cannot hold them.
    """

    waveform: Tensor  # [C, S] float32, -1..1
    sample_rate: int
    encoded: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = list(self.waveform.shape)
        if len(shape) != 2 or not self.waveform.is_floating_point():
            raise Track2ViewError(
                f"Audio.waveform has shape {shape} and dtype {self.waveform.dtype}; it must be [C, S] floats."
            )
        if not 1 <= shape[0] <= 64:
            raise Track2ViewError(f"Audio.waveform has {shape[0]} channels; it must be [C, S] with 1 to 64.")
        if self.sample_rate < 1:
            raise Track2ViewError(f"Audio.sample_rate is {self.sample_rate}; it must be above 0, such as 48000.")

    @property
    def seconds(self) -> Fraction:
        return Fraction(self.waveform.shape[1], self.sample_rate)

    def trimmed(self, seconds: Fraction) -> Audio:
        """The first `seconds`; the encoded copy is cut when it is written."""
        samples = round(seconds * self.sample_rate)
        if samples >= self.waveform.shape[1]:
            return self
        return replace(self, waveform=self.waveform[:, :samples].contiguous())


@dataclass(frozen=True, eq=False)
class VideoClip:
    """Frames at a constant, exact rate, with the sound that belongs to them."""

    frames: Tensor  # [T, H, W, 3] uint8, RGB
    fps: Fraction
    audio: Audio | None = None
    notes: tuple[Note, ...] = ()
    """What reading had to decide: turned pictures, a variable rate, ..."""
    frames_in_file: int | None = None
    """How many frames the file holds at this rate, when reading stopped before its end."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height; other than 1 in anamorphic files."""

    def __post_init__(self) -> None:
        check_frames(self.frames)
        if not isinstance(self.fps, Fraction) or self.fps <= 0:
            raise Track2ViewError(
                f"VideoClip.fps is {self.fps!r}; it must be a Fraction above 0 such as Fraction(30000, 1001)."
            )

    def __len__(self) -> int:
        return self.frames.shape[0]

    @property
    def width(self) -> int:
        return self.frames.shape[2]

    @property
    def height(self) -> int:
        return self.frames.shape[1]

    @property
    def seconds(self) -> Fraction:
        return len(self) / self.fps

    def first(self, frames: int | None) -> VideoClip:
        """Picture and sound of the first `frames` frames (None, or more than there are: the whole clip)."""
        if frames is None:
            return self
        check_limit(frames)
        if frames >= len(self):
            return self
        audio = self.audio.trimmed(frames / self.fps) if self.audio else None
        whole = self.frames_in_file or len(self)
        return replace(self, frames=self.frames[:frames], audio=audio, frames_in_file=whole)


def check_frames(frames: Tensor) -> None:
    """Refuse anything but [T, H, W, 3] uint8 with at least one frame."""
    shape = list(frames.shape)
    if frames.dtype != torch.uint8 or len(shape) != 4 or shape[3] != 3:
        raise Track2ViewError(
            f"The frames have shape {shape} and dtype {frames.dtype}; they must be [T, H, W, 3] uint8."
        )
    if 0 in shape:
        raise Track2ViewError(f"The frames have shape {shape}; they must be at least one frame of one pixel.")


def check_limit(frames: int | None) -> None:
    if frames is not None and frames < 1:
        raise Track2ViewError(f"frames is {frames}; it must be 1 or more, or left out to keep the whole clip.")
