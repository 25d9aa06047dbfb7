"""ComfyUI's VIDEO: the file behind one, and one that keeps its exact rate, sides and sound."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from comfy_api.latest import InputImpl, Types
from torch import Tensor

from .folders import temp_file

if TYPE_CHECKING:
    from ..track2view_core.video import VideoClip


def streamable_source(video: Any) -> Any | None:
    """The file behind a VIDEO, to be decoded as a stream; None where there is none or only a part of it is meant."""
    if not isinstance(video, InputImpl.VideoFromFile):
        return None
    source = video.get_stream_source()
    if not isinstance(source, str):
        return source
    # A trimmed VIDEO of a newer core still names the whole file: the durations tell.
    whole = InputImpl.VideoFromFile(source)
    return source if abs(video.get_duration() - whole.get_duration()) < 1e-3 else None


class ExactVideo(InputImpl.VideoFromComponents):
    """A VIDEO that is saved with its exact frame rate, odd sides and sound, which core's own writer does not keep.

    Downstream nodes take the lossless pictures; core's Save Video takes the file.
    """

    def __init__(self, clip: VideoClip, images: Tensor):
        self._clip = clip
        audio = clip.audio and {"waveform": clip.audio.waveform[None], "sample_rate": clip.audio.sample_rate}
        super().__init__(Types.VideoComponents(images=images, audio=audio, frame_rate=clip.fps))

    def get_frame_rate(self) -> Fraction:
        return self._clip.fps

    def save_to(self, path: Any, *args: Any, **options: Any) -> None:
        from ..track2view_core.video import write_clip

        file = temp_file("track2view_video", ".mp4")
        try:
            write_clip(self._clip, file)
            InputImpl.VideoFromFile(str(file)).save_to(path, *args, **options)
        finally:
            file.unlink(missing_ok=True)
