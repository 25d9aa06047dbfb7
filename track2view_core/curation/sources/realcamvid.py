"""RealCam-Vid: an .npz list of single clips with cameras and captions.

Each clip is filmed by one camera alone, so there is no second view to learn from: it becomes a pair with itself, fit
for identity pairs, validation and evaluation, and for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...cameras.formats.parsing import Source
from ...cameras.formats.realcamvid import listed_clips
from ...errors import Track2ViewError
from ..clip_loading import RecordedClip, RecordedScene
from .clip_names import caption_of


def realcamvid_scenes(
    listed: Path, captions: Mapping[str, str], videos: Path | None = None
) -> tuple[RecordedScene, ...]:
    """One scene a clip; `videos` is what the list's `video_path` is relative to (default: the list's folder)."""
    if not listed.is_file():
        raise Track2ViewError(f"{listed} is no file; give RealCam-Vid's .npz list.")
    scenes = []
    for place, entry in enumerate(listed_clips(Source(listed))):
        told = str(entry.get("video_path", ""))
        path = Path(told)
        if not told or path.is_absolute() or ".." in path.parts:
            raise Track2ViewError(f"{listed.name} has the video_path {told[:80]!r}; it must lie in the data set.")
        name = path.with_suffix("").as_posix()
        own = str(entry.get("long_caption") or entry.get("short_caption") or "")
        clip = RecordedClip(
            name=name,
            video=(videos or listed.parent) / path,
            camera_file=listed,
            camera_format="realcamvid",
            camera=str(place),
            caption=caption_of(name, captions) or own,
        )
        scenes.append(RecordedScene(name, (clip,)))
    return tuple(scenes)
