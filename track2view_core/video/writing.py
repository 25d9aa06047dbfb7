"""Writing clips: H.264 in MP4 at the exact frame rate, sound carried over, complete or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError

from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from .arithmetic import storable_rate
from .clip import Audio, VideoClip
from .sound import add_sound
from .source import plain_path

_ENDINGS = (".mp4", ".mov", ".m4v", ".mkv")
_REC_709 = 1  # the number of Rec. 709 in H.264's tables of primaries, transfer and matrix
_LIMITED_RANGE = 1
_TRUE_COLORS = 4 | 0x40000  # FFmpeg's SWS_BICUBIC | ACCURATE_RND


@dataclass(frozen=True, eq=False)
class Film:
    """A clip whose pictures come one at a time, for a file: none of it need be in memory at once."""

    pictures: Iterable[np.ndarray]  # each [height, width, 3] uint8
    frames: int
    width: int
    height: int
    fps: Fraction
    audio: Audio | None = None
    pixel_aspect: Fraction = Fraction(1)

    @classmethod
    def of(cls, clip: VideoClip) -> Film:
        pictures = (picture.cpu().contiguous().numpy() for picture in clip.frames)
        return cls(pictures, len(clip), clip.width, clip.height, clip.fps, clip.audio, clip.pixel_aspect)

    @property
    def seconds(self) -> Fraction:
        return self.frames / self.fps


def write_clip(
    clip: VideoClip | Film,
    file: str | os.PathLike[str],
    *,
    quality: int = 16,
    progress: Progress | None = None,
) -> Path:
    """Write `clip` and return its path; an existing file is replaced only when the new one is complete.

    quality: x264's constant rate factor, 0 (largest file) to 51 (smallest).

    Pictures are stored as 4:2:0, which everything plays and which needs even sides: the last column or row of an odd
    size is shown twice, as `notes_of_writing` says. Nothing is cropped or scaled.
    """
    path = Path(file)
    if path.suffix.lower() not in _ENDINGS:
        raise Track2ViewError(
            f"{path} has the ending {path.suffix!r}; a video must end in {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}."
        )
    if path.is_dir():
        raise Track2ViewError(f"{path} is a folder; give the name of a file to write.")
    if not path.parent.is_dir():
        raise Track2ViewError(f"The folder {path.parent} does not exist; create it or name another for {path.name}.")
    if not 0 <= quality <= 51:
        raise Track2ViewError(f"quality is {quality}; it must be from 0 (best) to 51 (smallest file).")
    unfinished = path.with_name(f".{path.stem}.{secrets.token_hex(4)}.part{path.suffix}")
    try:
        _encode(Film.of(clip) if isinstance(clip, VideoClip) else clip, unfinished, quality, progress)
        unfinished.replace(path)
    except (FFmpegError, OSError) as error:
        reason = error.strerror
        raise Track2ViewError(f"{path} could not be written ({reason}); check the disk and the folder.") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def notes_of_writing(clip: VideoClip | Film) -> tuple[Note, ...]:
    """What `write_clip` changes in a clip."""
    width, height = written_size(clip.width, clip.height)
    if (width, height) == (clip.width, clip.height):
        return ()
    sizes = {"width": clip.width, "height": clip.height, "written_width": width, "written_height": height}
    return (Note.of("written_even", **sizes),)


def written_size(width: int, height: int) -> tuple[int, int]:
    """The sides of the file that `write_clip` makes of pictures of `width` x `height`."""
    return width + width % 2, height + height % 2


def _encode(clip: Film, path: Path, quality: int, progress: Progress | None) -> None:
    rate = storable_rate(clip.fps)
    options = {"movflags": "+faststart"} if path.suffix.lower() != ".mkv" else {}
    with av.open(plain_path(path), "w", options=options) as output:
        stream = _video_stream(output, clip, rate, quality)
        write_sound = add_sound(output, clip.audio, clip.seconds) if clip.audio else None
        for index, picture in enumerate(clip.pictures):
            evened = np.pad(picture, ((0, clip.height % 2), (0, clip.width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(evened, format="rgb24")
            frame = frame.reformat(format=stream.pix_fmt, dst_colorspace="ITU709", interpolation=_TRUE_COLORS)
            frame.pts, frame.time_base = index, 1 / rate
            output.mux(stream.encode(frame))
            if write_sound is not None:
                write_sound(Fraction(index + 1) / rate)
            if progress is not None:
                progress(index + 1, clip.frames, "Writing")
        output.mux(stream.encode(None))
        if write_sound is not None:
            write_sound(clip.seconds + 1)


def _video_stream(output: Any, clip: Film, rate: Fraction, quality: int) -> Any:
    stream = output.add_stream("libx264", rate=rate, options={"crf": str(quality), "preset": "veryfast"})
    stream.width, stream.height = written_size(clip.width, clip.height)
    stream.pix_fmt = "yuv420p"
    stream.time_base = 1 / rate
    context = stream.codec_context
    context.time_base = 1 / rate
    context.sample_aspect_ratio = clip.pixel_aspect.limit_denominator(10_000)
    context.color_primaries = context.color_trc = context.colorspace = _REC_709
    context.color_range = _LIMITED_RANGE
    return stream
