"""The file behind a VIDEO of ComfyUI, to be read by this pack: core knows no HDR, no mirrors and no interlacing."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from comfy_api.latest import InputImpl


@dataclass(frozen=True, eq=False)
class VideoSource:
    """A file, and the part of it that is meant."""

    file: Any  # a path, or an open file
    start: Fraction = Fraction(0)
    """Seconds after the first frame."""
    seconds: Fraction | None = None
    """None: to the end."""

    @property
    def whole(self) -> bool:
        return self.start == 0 and self.seconds is None


def file_of_video(video: Any) -> VideoSource | None:
    """What a VIDEO is read from; None where it is pictures in memory."""
    if not isinstance(video, InputImpl.VideoFromFile):
        return None
    start, seconds = _trimmed_to(video)
    exact = Fraction(start).limit_denominator(1_000_000)
    return VideoSource(
        video.get_stream_source(), exact, Fraction(seconds).limit_denominator(1_000_000) if seconds else None
    )


def _trimmed_to(video: Any) -> tuple[float, float]:
    """Start and duration in seconds, 0 for all of it, of a VIDEO that a newer core trims; before 0.3.76 none does."""
    if hasattr(video, "get_active_trim_window"):
        return video.get_active_trim_window()
    # Cores between keep the two to themselves.
    start = getattr(video, "_VideoFromFile__start_time", 0.0)
    seconds = getattr(video, "_VideoFromFile__duration", 0.0)
    if start < 0:  # before the end
        whole = InputImpl.VideoFromFile(video.get_stream_source()).get_duration()
        start = max(0.0, whole + start)
    return start, seconds
