"""Any synced multi-camera clips: a folder a scene, a video a camera, and the cameras beside them.

scene1/cam01.mp4  scene1/cam01.json      one camera file a video, in any of the camera formats
scene2/cam01.mp4  scene2/cameras.json    or one file for all, in a format that holds several (see path formats)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...cameras.formats import FORMATS
from ...errors import Track2ViewError
from ..clip_loading import RecordedClip, RecordedScene
from .clip_names import VIDEO_ENDINGS, caption_of, natural_order

SHARED = "cameras.json"


def synced_scenes(
    root: Path, captions: Mapping[str, str], camera_format: str | None = None, fov_degrees: float | None = None
) -> tuple[RecordedScene, ...]:
    """The folders in `root` (or `root` itself) that hold at least two videos."""
    if not root.is_dir():
        raise Track2ViewError(f"{root} is no folder; give the folder that holds a folder a scene.")
    if camera_format is not None and camera_format not in FORMATS:
        raise Track2ViewError(f"There is no camera format {camera_format!r}; it must be one of {', '.join(FORMATS)}.")
    folders = sorted((entry for entry in root.iterdir() if entry.is_dir()), key=lambda f: natural_order(f.name))
    scenes = []
    for folder in [root, *folders]:
        videos = sorted(
            (file for file in folder.iterdir() if file.suffix.lower() in VIDEO_ENDINGS),
            key=lambda file: natural_order(file.stem),
        )
        if len(videos) < 2:
            continue
        clips = tuple(_clip(folder.name, video, captions, camera_format, fov_degrees) for video in videos)
        scenes.append(RecordedScene(folder.name, clips))
    if not scenes:
        raise Track2ViewError(f"{root} holds no folder with two videos; put the clips of each scene into one folder.")
    return tuple(scenes)


def _clip(
    scene: str, video: Path, captions: Mapping[str, str], camera_format: str | None, fov_degrees: float | None
) -> RecordedClip:
    name = f"{scene}/{video.stem}"
    shared = video.parent / SHARED
    own = sorted(
        file for file in video.parent.glob(f"{video.stem}.*")
        if file.suffix.lower() not in VIDEO_ENDINGS
    )  # fmt: skip
    if shared.exists():
        file, camera = shared, video.stem
    elif len(own) == 1:
        file, camera = own[0], None
    else:
        raise Track2ViewError(
            f"{video} has {len(own) or 'no'} camera files beside it; put one there, {video.stem}.json say, or one "
            f"{SHARED} for all."
        )
    return RecordedClip(name, video, file, camera_format, camera, fov_degrees, caption_of(name, captions))
