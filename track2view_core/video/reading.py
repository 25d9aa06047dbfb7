"""Reading clips with PyAV, as a stream: one full-size frame at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from av.error import FFmpegError
from av.stream import Disposition

from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from .arithmetic import fit_inside, square_size
from .clip import Audio, VideoClip, check_limit
from .decoding import decoded_frames, deinterlaced, woven_order
from .pictures import Development, find_development
from .resizing import resize_picture
from .sound import read_audio
from .source import ClipFile, opened, second_movie
from .time_stamps import TimeStamps, scan_time_stamps
from .timing import Timing, counted_timing, plan_timing

_STILL_FORMATS = ("image2", "_pipe", "tty", "ico")  # pictures and text, which FFmpeg would show as one-frame films
_OTHER_SHAPE = 0.02  # by how much the aspect may change where a file changes its size
_UNREAD = 0.1  # share of a file that may follow its last picture
_LEARNED_FROM = 8  # frames at the beginning that show how the file is made


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
    stamps: TimeStamps
    development: Development
    """What makes pictures of the frames that the decoder gives."""
    woven: str | None
    """Which field comes first, `tff` or `bff`, where all frames are woven of two and none is flagged."""
    expected: int
    """The frames that the file's index promises; no more than those at hand unless its end is missing."""
    notes: tuple[Note, ...]

    offsets: tuple[Fraction, ...] = (Fraction(0),)
    """What is added to the clock of each recording in the file, in seconds."""

    @property
    def fps(self) -> Fraction:
        return self.timing.rate

    def sound(self, frames: int) -> tuple[Audio | None, tuple[Note, ...]]:
        """The sound of the first `frames` frames, and what was left out of it."""
        return read_audio(self.file, start=self.start, seconds=frames / self.fps, offsets=self.offsets)


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
    audio, sound_notes = stream.sound(count)
    return VideoClip(
        pictures[:count],
        stream.fps,
        audio,
        notes=stream.notes + sound_notes,
        frames_in_file=max(stream.frames_in_file, count),
        pixel_aspect=aspect,
    )


def read_part(
    file: ClipFile, *, start: Fraction, seconds: Fraction | None = None, progress: Progress | None = None
) -> VideoClip:
    """Picture and sound of a file from `start` on, both in seconds after its first frame; None: to its end.

    What comes before is decoded but not kept.

    Raises:
        Track2ViewError: no frame lies there.
    """
    stream = open_stream(file)
    first = max(0, math.ceil(start * stream.fps))
    last = stream.wanted if seconds is None else min(stream.wanted, math.ceil((start + seconds) * stream.fps))
    if first >= last:
        raise Track2ViewError(
            f"{stream.name} has {stream.wanted} frames, {float(stream.wanted / stream.fps):.2f} s, and none of them "
            f"from {float(start):.2f} s on as asked; take a part that lies within it."
        )
    pictures = torch.empty((last - first, stream.height, stream.width, 3), dtype=torch.uint8)
    count = 0
    for picture in stream_pictures(replace(stream, wanted=last, limit=last), begin=first, progress=progress):
        pictures.numpy()[count] = picture
        count += 1
    cut = replace(stream, start=stream.start + first / stream.fps)
    audio, sound_notes = cut.sound(count)
    return VideoClip(
        pictures[:count],
        stream.fps,
        audio,
        notes=stream.notes + sound_notes,
        pixel_aspect=stream.pixel_aspect,
    )


def open_stream(file: ClipFile, *, frames: int | None = None) -> ClipStream:
    """Find size, turn, time stamps and frame rate without keeping a picture."""
    check_limit(frames)
    name = _checked_name(file)
    with _opened(file, name) as container:
        video, is_movie = _video_stream(container, name), "mp4" in container.format.name
        stamps = scan_time_stamps(container, video, frames)
        base, own_start = video.time_base, video.start_time
        declared = video.average_rate or video.guessed_rate
        duration, in_index = video.duration, int(video.frames)
    with _opened(file, name) as container:
        video = _video_stream(container, name)
        first = _first_frames(container, video, name, stamps)
        frames_seen = [frame for _, frame in first]
        development, notes = find_development(frames_seen, video.codec_context)
        flagged = any(frame.interlaced_frame for frame in frames_seen)
        woven = None if flagged else woven_order(frames_seen)
        width, height, aspect, shape_notes = _shape(first[0][1], video, development)
        named = video.codec_context.framerate
    stamps, lost = stamps.as_decoded([place for place, _ in first])
    timing = (
        counted_timing(len(stamps), named)
        if stamps.made_up
        else plan_timing(stamps.ticks, base, Fraction(declared) if declared else None)
    )
    start = (stamps.ticks[0] if len(stamps) else own_start or 0) * base
    promised = round(duration * base * timing.rate) if duration else in_index
    complete = stamps.packets >= in_index
    if flagged or woven is not None:
        notes += (Note.of("deinterlaced" if flagged else "combs_found"),)
    if lost:
        notes += (Note.of("beginning_lost", frames=lost),)
    unread = second_movie(file) if is_movie else stamps.unread
    if unread > _UNREAD:
        notes += (Note.of("second_file_unread", share=unread),)
    wanted = timing.count if frames is None else min(frames, timing.count)
    if joints := [frame for frame in _joints(stamps, timing) if frame < wanted]:
        notes += (Note.of("recordings_joined", count=len(joints) + 1, frames=joints),)
    return ClipStream(
        file=file,
        name=name,
        width=width,
        height=height,
        pixel_aspect=aspect,
        timing=timing,
        limit=frames,
        wanted=wanted,
        frames_in_file=timing.count if stamps.whole and complete else max(promised, timing.count),
        start=start,
        stamps=stamps,
        development=development,
        woven=woven,
        expected=promised if stamps.whole and not complete else timing.count,
        notes=notes + shape_notes + timing.notes,
        offsets=tuple(offset * base for _, offset in stamps.recordings),
    )


def stream_pictures(stream: ClipStream, *, begin: int = 0, progress: Progress | None = None) -> Iterator[np.ndarray]:
    """The frames at the constant rate of `stream.timing` from frame `begin` on, each [H, W, 3] uint8 RGB, upright."""
    shown, repeats = 0, stream.timing.repeats
    with _opened(stream.file, stream.name) as container:
        video = _video_stream(container, stream.name)
        try:
            for place, frame in deinterlaced(decoded_frames(container, video, stream.stamps), stream.woven):
                times = 1 if repeats is None else repeats[place] if place < len(repeats) else 0
                picture = None
                for _ in range(times):
                    if shown >= begin:
                        if picture is None:
                            picture = _as_before(stream.development.picture(frame), stream, shown)
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


def _as_before(picture: np.ndarray, stream: ClipStream, shown: int) -> np.ndarray:
    """A picture at the size of the first, after `shown` frames."""
    high, wide = picture.shape[:2]
    if abs(wide * stream.height / (high * stream.width) - 1) > _OTHER_SHAPE:
        raise Track2ViewError(
            f"{stream.name} changes its pictures from {stream.width} x {stream.height} to {wide} x {high} after "
            f"{shown} frames; set frames to {shown} or less, or cut the file there and give the parts one by one."
        )
    return resize_picture(picture, stream.width, stream.height)


def _cut_short(stream: ClipStream, readable: int) -> Track2ViewError:
    way = f"give the whole file, or set frames to {readable} or less" if readable else "give the whole file"
    return Track2ViewError(
        f"{stream.name} is cut short or damaged: {readable} of its {stream.frames_in_file} frames can be read; {way}."
    )


def _joints(stamps: TimeStamps, timing: Timing) -> list[int]:
    """The frames of the clip at which another recording begins."""
    places = [place for place, _ in stamps.recordings[1:]]
    return [place if timing.repeats is None else sum(timing.repeats[:place]) for place in places]


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
        container = opened(file)
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


def _first_frames(container: Any, video: Any, name: str, stamps: TimeStamps) -> list[tuple[int, Any]]:
    """A few frames of the beginning, to learn from; what breaks behind the first is found again by reading."""
    first: list[tuple[int, Any]] = []
    try:
        first.extend(islice(decoded_frames(container, video, stamps), _LEARNED_FROM))
    except FFmpegError as error:
        if not first:
            raise _no_picture(name) from error
    if not first:
        raise _no_picture(name)
    return first


def _no_picture(name: str) -> Track2ViewError:
    return Track2ViewError(f"{name} holds no picture that can be decoded; give a whole, playable video.")


def _shape(frame: Any, video: Any, development: Development) -> tuple[int, int, Fraction, tuple[Note, ...]]:
    """Upright width, height and pixel aspect."""
    aspect, notes = Fraction(video.sample_aspect_ratio or 1), ()
    if aspect <= 0 or abs(aspect - 1) < Fraction(1, 100):  # smaller ones are rounding, seen in many files
        aspect = Fraction(1)
    else:
        notes = (Note.of("pixels_not_square", width=aspect.numerator, height=aspect.denominator),)
    if development.on_its_side:
        return frame.height, frame.width, 1 / aspect, notes
    return frame.width, frame.height, aspect, notes
