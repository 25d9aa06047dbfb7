"""Reading clips with PyAV, as a stream: one full-size frame at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from av.error import FFmpegError
from av.stream import Disposition

from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from .arithmetic import fit_inside, square_size
from .clip import VideoClip, check_limit
from .resizing import resize_picture
from .sound import read_audio
from .source import ClipFile, openable
from .timing import Timing, plan_timing

_STILL_FORMATS = ("image2", "_pipe", "tty", "ico")  # pictures and text, which FFmpeg would show as one-frame films
# FFmpeg's SWS_BILINEAR | ACCURATE_RND | FULL_CHR_H_INT | FULL_CHR_H_INP: its fast path darkens by one level.
_TRUE_COLORS = 2 | 0x40000 | 0x2000 | 0x4000
_REORDERED = 32  # more than any codec holds back
_QUARTER_TURNS = {0: 0, 90: 1, 180: 2, 270: 3}


@dataclass(frozen=True, eq=False)
class ClipStream:
    """What is known of a file before its pictures are decoded."""

    file: ClipFile
    name: str
    width: int
    """Upright."""
    height: int
    pixel_aspect: Fraction
    """Width of a pixel over its height, upright."""
    timing: Timing
    limit: int | None
    """The number of frames that was asked for."""
    wanted: int
    """Frames to expect: those of the file, or the limit if that is less."""
    frames_in_file: int
    start: Fraction
    """The time of the first frame, in seconds of the file's clock."""
    quarter_turns: int
    expected: int
    """The frames that the file's index promises; no more than those at hand unless its end is missing."""
    notes: tuple[Note, ...]

    @property
    def fps(self) -> Fraction:
        return self.timing.rate


def read_clip(
    file: ClipFile, *, frames: int | None = None, box: tuple[int, int] | None = None, progress: Progress | None = None
) -> VideoClip:
    """Read picture and sound of a file.

    frames: only the first so many frames, and the sound that goes with them.
    box: (width, height) that the pictures are scaled to fit inside while they are decoded (turned for portrait clips).

    Memory stays near that of the result. Rotation metadata, pixel aspect and variable frame rates are resolved.
    """
    stream = open_stream(file, frames=frames)
    size, aspect = (stream.width, stream.height), stream.pixel_aspect
    if box is not None:
        size, aspect = fit_inside(*square_size(*size, aspect), *box), Fraction(1)
    pictures = torch.empty((stream.wanted, size[1], size[0], 3), dtype=torch.uint8)
    target = pictures.numpy()
    count = 0
    for picture in stream_pictures(stream, progress=progress):
        target[count] = resize_picture(picture, *size)
        count += 1
    audio, sound_notes = read_audio(file, start=stream.start, seconds=count / stream.fps)
    return VideoClip(
        pictures[:count],
        stream.fps,
        audio,
        notes=stream.notes + sound_notes,
        frames_in_file=max(stream.frames_in_file, count),
        pixel_aspect=aspect,
    )


def open_stream(file: ClipFile, *, frames: int | None = None) -> ClipStream:
    """Find size, turn, time stamps and frame rate without keeping a picture."""
    check_limit(frames)
    name = _checked_name(file)
    with _opened(file, name) as container:
        video = _video_stream(container, name)
        stamps, packets, whole = _time_stamps(container, video, frames)
        first = _first_picture(container, video, name)
        turns, notes = _quarter_turns(first)
        width, height, aspect, shape_notes = _shape(first, video, turns)
        declared = video.average_rate or video.guessed_rate
        timing = plan_timing(stamps, video.time_base, Fraction(declared) if declared else None)
        start = (stamps[0] if stamps else video.start_time or 0) * video.time_base
        promised = round(video.duration * video.time_base * timing.rate) if video.duration else int(video.frames)
        complete = packets >= video.frames
    return ClipStream(
        file=file,
        name=name,
        width=width,
        height=height,
        pixel_aspect=aspect,
        timing=timing,
        limit=frames,
        wanted=timing.count if frames is None else min(frames, timing.count),
        frames_in_file=timing.count if whole and complete else max(promised, timing.count),
        start=start,
        quarter_turns=turns,
        expected=promised if whole and not complete else timing.count,
        notes=notes + shape_notes + timing.notes,
    )


def stream_pictures(stream: ClipStream, *, progress: Progress | None = None) -> Iterator[np.ndarray]:
    """The frames at the constant rate of `stream.timing`, each [H, W, 3] uint8 RGB, upright."""
    shown = 0
    with _opened(stream.file, stream.name) as container:
        video = _video_stream(container, stream.name)
        try:
            for frame in container.decode(video):
                picture = None
                for _ in range(_times_shown(stream.timing, frame)):
                    if picture is None:
                        picture = _upright(frame, stream)
                    yield picture
                    shown += 1
                    if progress is not None:
                        progress(shown, stream.wanted, "Reading")
                    if shown >= stream.wanted:
                        break
                if shown >= stream.wanted:
                    break
        except FFmpegError as error:
            raise _cut_short(stream, shown) from error
    if shown == stream.limit:
        return
    if shown == 0 or stream.expected - shown > max(1, stream.wanted // 100):
        raise _cut_short(stream, shown)


def _times_shown(timing: Timing, frame: Any) -> int:
    return 1 if timing.repeats is None else timing.repeats.get(frame.pts, 0)


def _cut_short(stream: ClipStream, readable: int) -> Track2ViewError:
    way = f"give the whole file, or set frames to {readable} or less" if readable else "give the whole file"
    return Track2ViewError(
        f"{stream.name} is cut short or damaged: {readable} of its {stream.frames_in_file} frames can be read; {way}."
    )


def _checked_name(file: ClipFile) -> str:
    if not isinstance(file, str | os.PathLike):
        return "The video in memory"
    path = Path(file)
    if path.is_dir():
        raise Track2ViewError(f"{path} is a folder; give a video file.")
    if not path.exists():
        raise Track2ViewError(f"{path} does not exist; give an existing video file.")
    if path.stat().st_size == 0:
        raise Track2ViewError(f"{path} is empty (0 bytes); give a video file such as an .mp4, .mov, .mkv or .webm.")
    return str(path)


@contextmanager
def _opened(file: ClipFile, name: str) -> Iterator[Any]:
    try:
        container = av.open(openable(file))
    except FFmpegError as error:
        raise Track2ViewError(
            f"{name} cannot be read as a video ({error.strerror}); give a whole .mp4, .mov, .mkv or .webm file."
        ) from error
    except OSError as error:
        raise Track2ViewError(f"{name} cannot be opened ({error.strerror}); give a file that may be read.") from error
    with container:
        yield container


def _video_stream(container: Any, name: str) -> Any:
    if any(mark in container.format.name for mark in _STILL_FORMATS):
        kind = container.format.long_name
        raise Track2ViewError(f"{name} is not a video ({kind}); give an .mp4, .mov, .mkv or .webm file.")
    cover = Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        raise Track2ViewError(f"{name} has no video stream; give a file with pictures in it.")
    stream = streams[0]
    if stream.codec_context is None:
        raise Track2ViewError(f"{name} uses a video codec that this FFmpeg cannot decode; convert it to H.264 first.")
    stream.thread_type = "AUTO"
    return stream


def _time_stamps(container: Any, video: Any, limit: int | None) -> tuple[list[int], int, bool]:
    """Sorted presentation stamps, the packets seen, and whether that is the whole file; no picture is decoded."""
    enough = None if limit is None else 2 * limit + 2 * _REORDERED
    stamps: list[int] = []
    packets, whole = 0, True
    try:
        for packet in container.demux(video):
            packets += bool(packet.size)
            if packet.size and packet.pts is not None and not packet.is_discard:
                stamps.append(packet.pts)
            if len(stamps) == enough:
                whole = False
                break
    except FFmpegError:
        whole = False  # decoding finds the same spot and reports it
    stamps = sorted(set(stamps))
    # Packets come in decoding order: near the point where reading stopped some stamps are still missing.
    return (stamps if whole or enough is None else stamps[:-_REORDERED]), packets, whole


def _first_picture(container: Any, video: Any, name: str) -> Any:
    try:
        container.seek(0)
    except FFmpegError:
        pass
    try:
        return next(iter(container.decode(video)))
    except (FFmpegError, StopIteration) as error:
        raise Track2ViewError(f"{name} holds no picture that can be decoded; give a whole, playable video.") from error


def _quarter_turns(frame: Any) -> tuple[int, tuple[Note, ...]]:
    angle = getattr(frame, "rotation", 0) % 360
    if angle == 0:
        return 0, ()
    if angle not in _QUARTER_TURNS:
        return 0, (Note.of("turn_left_out", degrees=angle),)
    return _QUARTER_TURNS[angle], (Note.of("set_upright", degrees=angle),)


def _shape(frame: Any, video: Any, turns: int) -> tuple[int, int, Fraction, tuple[Note, ...]]:
    """Upright width, height and pixel aspect."""
    aspect, notes = Fraction(video.sample_aspect_ratio or 1), ()
    if aspect <= 0 or abs(aspect - 1) < Fraction(1, 100):  # smaller ones are rounding, seen in many files
        aspect = Fraction(1)
    else:
        notes = (Note.of("pixels_not_square", width=aspect.numerator, height=aspect.denominator),)
    if turns % 2:
        return frame.height, frame.width, 1 / aspect, notes
    return frame.width, frame.height, aspect, notes


def _upright(frame: Any, stream: ClipStream) -> np.ndarray:
    # Untagged pictures of HD size are Rec. 709 by every player's convention; FFmpeg alone would take Rec. 601.
    # PyAV 14 minds the matrix only where the two differ; for RGB the second one says nothing else.
    untagged = frame.colorspace in (0, 2) and not frame.format.is_rgb
    rec_709 = frame.colorspace == 1 or (untagged and max(frame.width, frame.height) >= 1280)
    matrix = {"src_colorspace": "ITU709", "dst_colorspace": "ITU601"} if rec_709 else {}
    picture = frame.to_ndarray(format="rgb24", interpolation=_TRUE_COLORS, **matrix)
    if stream.quarter_turns:
        picture = np.ascontiguousarray(np.rot90(picture, stream.quarter_turns))
    return resize_picture(picture, stream.width, stream.height)
