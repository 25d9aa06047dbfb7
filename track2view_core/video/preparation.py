"""Into the size and length a model works at, and exactly back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from .arithmetic import SIZE_STRIDE, fit_inside, model_frames, model_side, rate_in_words, square_size
from .clip import Audio, VideoClip, check_frames
from .reading import ClipStream, open_stream, stream_pictures
from .resizing import resize_picture
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
    notes: tuple[Note, ...] = ()
    """What reading the clip had to decide."""
    pixel_aspect: Fraction = Fraction(1)
    """Of the clip as it came; the prepared frames have square pixels."""

    @property
    def resized(self) -> bool:
        return self.content[2:] != (self.width, self.height)

    def report(self) -> tuple[Note, ...]:
        """What came, what was trimmed, scaled, padded or guessed."""
        left, top, width, height = self.content
        sound = {}
        if self.audio is not None:
            sound = {"channels": self.audio.waveform.shape[0], "sample_rate": self.audio.sample_rate}
        told = [
            Note.of(
                "clip" if sound else "silent_clip",
                width=self.width,
                height=self.height,
                frames=self.frames,
                rate=rate_in_words(self.fps),
                seconds=float(self.frames / self.fps),
                **sound,
            )
        ]
        if self.frames < self.frames_in_file:
            told.append(Note.of("clip_trimmed", frames=self.frames, frames_in_file=self.frames_in_file))
        if self.resized:
            came = {"from_width": self.width, "from_height": self.height}
            told.append(Note.of("clip_scaled", **came, width=width, height=height))
        if (width, height) != (self.prepared_width, self.prepared_height):
            right, below = self.prepared_width - left - width, self.prepared_height - top - height
            padded = {"width": self.prepared_width, "height": self.prepared_height}
            told.append(Note.of("clip_padded", **padded, left=left, right=right, above=top, below=below))
        if self.frames < self.prepared_frames:
            times = self.prepared_frames - self.frames
            told.append(Note.of("clip_lengthened", frames=self.prepared_frames, times=times))
        return (*told, *self.notes)


@dataclass(frozen=True, eq=False)
class TakenClip:
    """A clip at the two sizes that re-filming works at."""

    prepared: Tensor  # [T', H', W', 3] uint8, as the model takes it
    info: ClipInfo
    clip: VideoClip | None = None
    """The same frames without padding and with square pixels, at the size to track at, where one was asked for."""


def prepare_clip(
    clip: VideoClip, *, width: int, height: int, frames: int | None = None, progress: Progress | None = None
) -> tuple[Tensor, ClipInfo]:
    """Scale a clip to fit inside `width` x `height` and pad it to what WAN takes.

    The box is turned for portrait clips. Nothing is cropped: the picture keeps its aspect, stands in the middle,
    and its edges are repeated out to multiples of 16. The last frame is repeated up to 4n + 1 frames.

    Returns frames [T', H', W', 3] uint8 and the `ClipInfo` that `restore_clip` undoes it with.
    """
    taken = take_clip(clip.first(frames), width=width, height=height, progress=progress)
    return taken.prepared, taken.info


def prepare_file(
    file: ClipFile, *, width: int, height: int, frames: int | None = None, progress: Progress | None = None
) -> tuple[Tensor, ClipInfo]:
    """`prepare_clip` of a file as it is decoded: no more than one frame is held at its full size."""
    taken = take_clip(open_stream(file, frames=frames), width=width, height=height, progress=progress)
    return taken.prepared, taken.info


def take_clip(
    source: ClipStream | VideoClip,
    *,
    width: int | None = None,
    height: int | None = None,
    longest_side: int | None = None,
    progress: Progress | None = None,
) -> TakenClip:
    """`prepare_clip`, and from the same pass over the pictures the clip with sides of `longest_side` pixels at most.

    Without `width` and `height` no model is prepared for: `prepared` is the clip at `longest_side`, neither padded nor
    lengthened. A stream is decoded once, and one frame of it is held at its full size.
    """
    square = square_size(source.width, source.height, source.pixel_aspect)
    sizes = []
    if longest_side is not None:
        side = max(SIZE_STRIDE, min(max(square), longest_side))
        sizes.append(fit_inside(*square, side, side))
    if width is None or height is None:
        fitted, lengthened = sizes.pop() if sizes else square, int
        place = (0, 0, fitted[0], fitted[1])
    else:
        fitted, lengthened = fit_inside(*square, width, height), model_frames
        place = _placement(*fitted)
    if isinstance(source, VideoClip):
        prepared, scaled, taken = _fill(own_pictures(source), len(source), fitted, place, lengthened, sizes, progress)
        audio, notes, in_file = source.audio, source.notes, source.frames_in_file or len(source)
    else:
        pictures = stream_pictures(source, progress=progress)
        prepared, scaled, taken = _fill(pictures, source.wanted, fitted, place, lengthened, sizes, None)
        audio, sound_notes = source.sound(taken)
        notes, in_file = source.notes + sound_notes, max(source.frames_in_file, taken)
    left, top, padded_width, padded_height = place
    info = ClipInfo(
        width=source.width,
        height=source.height,
        frames=taken,
        fps=source.fps,
        audio=audio,
        content=(left, top, fitted[0], fitted[1]),
        prepared_width=padded_width,
        prepared_height=padded_height,
        prepared_frames=len(prepared),
        frames_in_file=in_file,
        notes=notes,
        pixel_aspect=source.pixel_aspect,
    )
    scaled = prepared if scaled is None and longest_side is not None else scaled
    clip = None if scaled is None else VideoClip(scaled, source.fps, audio, notes=notes, frames_in_file=in_file)
    return TakenClip(prepared, info, clip)


def own_pictures(source: ClipStream | VideoClip) -> Iterator[np.ndarray]:
    """The frames of a clip at its own size, one at a time, each [H, W, 3] uint8; a stream is decoded for it."""
    if isinstance(source, VideoClip):
        return (picture.cpu().contiguous().numpy() for picture in source.frames)
    return stream_pictures(source)


def _placement(width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, and the padded size; in the middle, so that the camera's axis stays in the middle too."""
    padded_width, padded_height = model_side(width), model_side(height)
    return (padded_width - width) // 2, (padded_height - height) // 2, padded_width, padded_height


def _fill(
    pictures: Iterable[np.ndarray],
    count: int,
    fitted: tuple[int, int],
    place: tuple[int, int, int, int],  # left, top, padded width and height
    lengthened: Callable[[int], int],
    sizes: list[tuple[int, int]],
    progress: Progress | None,
) -> tuple[Tensor, Tensor | None, int]:
    """Frames of the size `fitted`, written straight into their padded place, those at the first of `sizes` if there is
    one, and how many there were."""
    width, height = fitted
    left, top, padded_width, padded_height = place
    margins = (top, padded_height - height - top), (left, padded_width - width - left), (0, 0)
    prepared = torch.empty((lengthened(count), padded_height, padded_width, 3), dtype=torch.uint8)
    scaled = [torch.empty((count, high, wide, 3), dtype=torch.uint8) for wide, high in sizes]
    taken = 0
    for picture in pictures:
        for frames, size in zip(scaled, sizes, strict=True):
            frames.numpy()[taken] = resize_picture(picture, *size)
        prepared.numpy()[taken] = np.pad(resize_picture(picture, width, height), margins, mode="edge")
        taken += 1
        if progress is not None:
            progress(taken, count, "Preparing")
    prepared[taken:] = prepared[taken - 1].clone()
    return prepared[: lengthened(taken)], scaled[0][:taken] if scaled else None, taken


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
    left, top, width, height = _content_at(frames.shape[1:3], info)
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


def pad_as_prepared(frames: Tensor, info: ClipInfo, *, width: int, height: int) -> Tensor:
    """What `prepare_clip` added to the clip, again: its edges out to `width` x `height`, its last frame held.

    frames: [T, H, W, ...] of the clip alone, which lies in pictures of `width` x `height` as in the prepared ones.

    Raises:
        Track2ViewError: that is another shape than the prepared frames', or the frames are no such part of it.
    """
    left, top, across, down = _content_at((height, width), info)
    if frames.shape[:3] != (info.frames, down, across):
        raise Track2ViewError(
            f"{frames.shape[0]} frames of {frames.shape[2]} x {frames.shape[1]} came; in pictures of {width} x "
            f"{height} the clip is {info.frames} of {across} x {down}."
        )
    rows = (torch.arange(height) - top).clamp(0, down - 1)
    columns = (torch.arange(width) - left).clamp(0, across - 1)
    times = torch.arange(info.prepared_frames).clamp(max=info.frames - 1)
    return frames[times][:, rows][:, :, columns]


def _content_at(size: Sequence[int], info: ClipInfo) -> tuple[int, int, int, int]:
    """The content's left, top, width, height in frames of `size` (height, width), the prepared one at any scale."""
    height, width = size
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
