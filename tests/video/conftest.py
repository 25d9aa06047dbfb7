"""Small clips made here, whose pictures and sound are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from track2view_core.video import Audio, VideoClip


def make_pictures(frames: int, width: int, height: int) -> torch.Tensor:
    """Smooth pictures that differ from frame to frame, [T, H, W, 3] uint8."""
    t, y, x = np.ogrid[:frames, :height, :width]
    red = 127 + 90 * np.sin((x + 3 * t + 0 * y) / 15)
    green = 127 + 90 * np.cos(y / 11 + t / 9 + 0 * x)
    blue = 127 + 90 * np.sin((x + y) / 20 + 0 * t)
    return torch.from_numpy(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def make_sound(seconds: float, rate: int = 44100, channels: int = 2) -> Audio:
    """A rising tone: its place in time can be found again by correlation."""
    time = np.arange(round(seconds * rate)) / rate
    tones = [0.4 * np.sin(2 * np.pi * (300 + 100 * channel + 400 * time) * time) for channel in range(channels)]
    return Audio(torch.from_numpy(np.stack(tones).astype(np.float32)), rate)


def make_clip(
    frames: int = 12,
    width: int = 64,
    height: int = 48,
    fps: Fraction = Fraction(24),
    sound: bool = False,
) -> VideoClip:
    audio = make_sound(float(frames / fps)) if sound else None
    return VideoClip(make_pictures(frames, width, height), fps, audio)


def lag(reference: torch.Tensor, heard: torch.Tensor) -> int:
    """By how many samples `heard` comes later than `reference`."""
    size = 2 * max(len(reference), len(heard))
    spectrum = np.fft.rfft(heard.numpy(), size) * np.conj(np.fft.rfft(reference.numpy(), size))
    best = int(np.fft.irfft(spectrum, size).argmax())
    return best if best < size // 2 else best - size


WriteStamped = Callable[..., Path]


@pytest.fixture
def write_stamped(tmp_path: Path) -> WriteStamped:
    """A file whose frames carry the given time stamps (in ticks of 1/90000 s); frame k is plain grey of level 8 k."""

    def write(stamps: Sequence[int], name: str = "stamped.mp4", size: tuple[int, int] = (32, 32)) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as output:
            stream = output.add_stream("libx264", rate=30, options={"crf": "1", "bf": "0"})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 90000)
            for index, stamp in enumerate(stamps):
                picture = np.full((size[1], size[0], 3), (8 * index) % 256, np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = stamp, Fraction(1, 90000)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return write


def grey_levels(clip: VideoClip) -> list[int]:
    """Which of `write_stamped`'s frames each frame shows."""
    return [round(float(picture.float().mean()) / 8) for picture in clip.frames]
