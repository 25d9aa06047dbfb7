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


def write_greys(
    file: Path,
    levels: Sequence[int],
    codec: str = "libx264",
    *,
    first: int = 0,
    rate: int = 24,
    size: tuple[int, int] = (64, 48),
    format: str = "yuv420p",
    clicks: Sequence[float] = (),
    layout: str = "mono",
    options: dict[str, str] | None = None,
) -> bytes:
    """A file whose frame k, shown at (first + k) / rate seconds, is plain grey of level 8 levels[k]; and its bytes.

    clicks: seconds after the first frame at which its sound, if it is to have any, clicks.
    """
    with av.open(str(file), "w") as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, format
        sound = output.add_stream("mp2", rate=48000, layout=layout) if clicks else None
        for index, level in enumerate(levels):
            picture = np.full((size[1], size[0], 3), 8 * level, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=format)
            frame.pts, frame.time_base = first + index, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            heard = np.zeros((1, round(len(levels) / rate * 48000)), np.int16)
            for click in clicks:
                heard[0, round(click * 48000) :][:300] = 30000
            frame = av.AudioFrame.from_ndarray(heard, format="s16", layout="mono")
            frame.sample_rate, frame.time_base = 48000, Fraction(1, 48000)
            frame.pts = round(first / rate * 48000)
            resampler = av.AudioResampler(sound.codec_context.format.name, layout, 48000, 1152)
            for part in (*resampler.resample(frame), *resampler.resample(None)):
                output.mux(sound.encode(part))
            output.mux(sound.encode(None))
    return file.read_bytes()


def grey_levels(clip: VideoClip) -> list[int]:
    """Which of `write_stamped`'s frames each frame shows."""
    return [round(float(picture.float().mean()) / 8) for picture in clip.frames]
