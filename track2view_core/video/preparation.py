"""Into the size and length a model works at, and exactly back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress
from .arithmetic import fit_inside, model_frames, model_side, rate_in_words, square_size
from .clip import Audio, VideoClip, check_frames
from .reading import open_stream, stream_pictures
from .resizing import resize_picture
from .sound import read_audio
from .source import ClipFile


@dataclass(frozen=True, eq=False)
class ClipInfo:
    """What preparing did to a clip, and all that is needed to undo it."""

    width: int
    """Pixels of the clip as it came, upright; so is `height`."""
    height: int
    frames: int
    """Frames of the clip that were taken."""
    fps: Fraction
    audio: Audio | None
    content: tuple[int, int, int, int]
    """Where the picture lies in the prepared frame: left, top, width, height in pixels."""
    prepared_width: int
    prepared_height: int
    prepared_frames: int
    frames_in_file: int
    """Frames of the clip before any were left out."""
    notes: tuple[str, ...] = ()
    """What reading the clip had to decide."""
    pixel_aspect: Fraction = Fraction(1)
    """Of the clip as it came; the prepared frames have square pixels."""

    @property
    def resized(self) -> bool:
        return self.content[2:] != (self.width, self.height)

    def report(self) -> str:
        """In words: what came, what was trimmed, scaled, padded or guessed."""
        left, top, width, height = self.content
        seconds = float(self.frames / self.fps)
        sound = "no sound"
        if self.audio is not None:
            sound = f"{self.audio.waveform.shape[0]} x {self.audio.sample_rate} Hz sound"
        lines = [
            f"Clip: {self.width} x {self.height}, {_counted(self.frames, 'frame')} "
            f"at {rate_in_words(self.fps)} frames a second ({seconds:.2f} s), {sound}."
        ]
        if self.frames < self.frames_in_file:
            lines.append(f"Trimmed: the first {self.frames} of {self.frames_in_file} frames, and the sound to match.")
        if self.resized:
            lines.append(f"Scaled: {self.width} x {self.height} to {width} x {height}, the whole picture, aspect kept.")
        if (width, height) != (self.prepared_width, self.prepared_height):
            lines.append(
                f"Padded: to {self.prepared_width} x {self.prepared_height} by repeating the edges "
                f"({left} px left, {self.prepared_width - left - width} right, {top} above, "
                f"{self.prepared_height - top - height} below)."
            )
        if self.frames < self.prepared_frames:
            extra = _counted(self.prepared_frames - self.frames, "time")
            lines.append(f"Lengthened: to {self.prepared_frames} frames (4n + 1) by showing the last one {extra} more.")
        return "\n".join([*lines, *self.notes])


def prepare_clip(
    clip: VideoClip, *, width: int, height: int, frames: int | None = None, progress: Progress | None = None
) -> tuple[Tensor, ClipInfo]:
    """Scale a clip to fit inside `width` x `height` and pad it to what WAN takes.

    The box is turned for portrait clips. Nothing is cropped: the picture keeps its aspect, stands in the middle,
    and its edges are repeated out to multiples of 16. The last frame is repeated up to 4n + 1 frames.

    Returns frames [T', H', W', 3] uint8 and the `ClipInfo` that `restore_clip` undoes it with.
    """
    clip = clip.first(frames)
    fitted = fit_inside(*square_size(clip.width, clip.height, clip.pixel_aspect), width, height)
    pictures = (picture.cpu().contiguous().numpy() for picture in clip.frames)
    prepared, taken = _fill(pictures, len(clip), fitted, "Preparing", progress)
    return prepared, ClipInfo(
        width=clip.width,
        height=clip.height,
        frames=taken,
        fps=clip.fps,
        audio=clip.audio,
        frames_in_file=clip.frames_in_file or len(clip),
        notes=clip.notes,
        pixel_aspect=clip.pixel_aspect,
        **_prepared_shape(prepared, fitted),
    )


def prepare_file(
    file: ClipFile, *, width: int, height: int, frames: int | None = None, progress: Progress | None = None
) -> tuple[Tensor, ClipInfo]:
    """`prepare_clip` of a file as it is decoded: no more than one frame is held at its full size."""
    stream = open_stream(file, frames=frames)
    fitted = fit_inside(*square_size(stream.width, stream.height, stream.pixel_aspect), width, height)
    prepared, taken = _fill(stream_pictures(stream, progress=progress), stream.wanted, fitted, "Reading", None)
    rate = stream.timing.rate
    audio, sound_notes = read_audio(file, start=stream.start, seconds=taken / rate)
    return prepared, ClipInfo(
        width=stream.width,
        height=stream.height,
        frames=taken,
        fps=rate,
        audio=audio,
        frames_in_file=max(stream.frames_in_file, taken),
        notes=stream.notes + sound_notes,
        pixel_aspect=stream.pixel_aspect,
        **_prepared_shape(prepared, fitted),
    )


def _prepared_shape(prepared: Tensor, fitted: tuple[int, int]) -> dict[str, Any]:
    left, top, padded_width, padded_height = _placement(*fitted)
    return {
        "content": (left, top, *fitted),
        "prepared_width": padded_width,
        "prepared_height": padded_height,
        "prepared_frames": len(prepared),
    }


def _placement(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, and the padded size; in the middle, so that the camera's axis stays in the middle too."""
    padded_width, padded_height = model_side(width), model_side(height)
    return (padded_width - width) // 2, (padded_height - height) // 2, padded_width, padded_height


def _fill(
    pictures: Iterable[np.ndarray], count: int, size: tuple[int, int], stage: str, progress: Progress | None
) -> tuple[Tensor, int]:
    """Prepared frames, written straight into their padded place, and how many pictures came."""
    left, top, padded_width, padded_height = _placement(*size)
    right, below = padded_width - size[0] - left, padded_height - size[1] - top
    prepared = torch.empty((model_frames(count), padded_height, padded_width, 3), dtype=torch.uint8)
    target = prepared.numpy()
    taken = 0
    for picture in pictures:
        scaled = resize_picture(picture, *size)
        target[taken] = np.pad(scaled, ((top, below), (left, right), (0, 0)), mode="edge")
        taken += 1
        if progress is not None:
            progress(taken, count, stage)
    target[taken:] = target[taken - 1]
    return prepared[: model_frames(taken)], taken


def restore_clip(
    frames: Tensor, info: ClipInfo, *, size: Literal["original", "keep"] = "original", progress: Progress | None = None
) -> VideoClip:
    """Undo `prepare_clip` on frames [T, H, W, 3] uint8, also behind an upscaler or frame interpolation.

    size: "original" scales back to the clip's own size; "keep" only cuts the padding off, at whatever scale came.

    The frames may be the prepared size times any factor, and k T' or k (T' - 1) + 1 of them for any whole k;
    the frame rate is then k times the clip's, so that its duration stays. (Where both readings fit, k T' is taken.)
    """
    check_frames(frames)
    if size not in ("original", "keep"):
        raise Track2ViewError(f"size is {size!r}; it must be 'original' or 'keep'.")
    left, top, width, height = _content_at(frames, info)
    factor, count = _frames_at(frames.shape[0], info)
    out_width, out_height = (info.width, info.height) if size == "original" else (width, height)
    restored = torch.empty((count, out_height, out_width, 3), dtype=torch.uint8)
    target = restored.numpy()
    for index in range(count):
        picture = frames[index, top : top + height, left : left + width].cpu().numpy()
        target[index] = resize_picture(picture, out_width, out_height)
        if progress is not None:
            progress(index + 1, count, "Restoring")
    aspect = info.pixel_aspect if size == "original" else Fraction(1)
    return VideoClip(restored, info.fps * factor, info.audio, notes=info.notes, pixel_aspect=aspect)


def _content_at(frames: Tensor, info: ClipInfo) -> tuple[int, int, int, int]:
    """The content's left, top, width, height in frames of any scale."""
    height, width = frames.shape[1:3]
    across, down = Fraction(width, info.prepared_width), Fraction(height, info.prepared_height)
    # An upscaler rounds each side to whole pixels (some to even ones).
    uneven = min(abs(across * info.prepared_height - height), abs(down * info.prepared_width - width))
    if uneven > 2 or abs(across / down - 1) > Fraction(1, 20):
        raise Track2ViewError(
            f"Frames of {width} x {height} came back, but the clip was prepared at {info.prepared_width} x "
            f"{info.prepared_height}; scale both sides by the same factor and do not crop before Restore Clip."
        )
    left, top, content_width, content_height = info.content
    at_left, at_top = round(left * across), round(top * down)
    at_width = min(width - at_left, max(1, round(content_width * across)))
    at_height = min(height - at_top, max(1, round(content_height * down)))
    return at_left, at_top, at_width, at_height


def _frames_at(count: int, info: ClipInfo) -> tuple[int, int]:
    """The factor k of the frame rate, and how many frames belong to the clip."""
    prepared = info.prepared_frames
    if count % prepared == 0:
        factor = count // prepared
        return factor, factor * info.frames
    if prepared > 1 and (count - 1) % (prepared - 1) == 0 and count > 1:
        factor = (count - 1) // (prepared - 1)
        return factor, factor * (info.frames - 1) + 1
    raise Track2ViewError(
        f"{_counted(count, 'frame')} came back, but the clip was prepared as {prepared}; give k x {prepared} or "
        f"k x {prepared - 1} + 1 frames for a whole k (set the interpolation to a whole multiplier)."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
