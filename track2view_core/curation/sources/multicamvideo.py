"""MultiCamVideo: train/f18_aperture10/scene12/{videos/cam01.mp4, cameras/camera_extrinsics.json}, ten clips a scene.

The folder's name states the lens; the camera reader takes it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import Track2ViewError
from ..clip_loading import RecordedClip, RecordedScene
from .clip_names import caption_of, natural_order


def multicamvideo_scenes(
    root: Path, captions: Mapping[str, str], fov_degrees: float | None = None
) -> tuple[RecordedScene, ...]:
    """The scenes under `root`, which may be the data set's folder or any folder in it."""
    files = sorted(root.rglob("cameras/camera_extrinsics.json"), key=lambda file: natural_order(file.as_posix()))
    if not files:
        raise Track2ViewError(
            f"{root} holds no cameras/camera_extrinsics.json; give MultiCamVideo's folder, with "
            "train/f18_aperture10/scene1 in it."
        )
    scenes = []
    for file in files:
        folder = file.parents[1]
        name = "/".join(folder.parts[-2:])
        clips = tuple(
            RecordedClip(
                name=f"{name}/{video.stem}",
                video=video,
                camera_file=file,
                camera_format="recammaster",
                camera=video.stem,
                fov_degrees=fov_degrees,
                caption=caption_of(f"{name}/{video.stem}", captions),
            )
            for video in sorted((folder / "videos").glob("*.mp4"), key=lambda video: natural_order(video.stem))
        )
        if len(clips) > 1:
            scenes.append(RecordedScene(name, clips))
    if not scenes:
        raise Track2ViewError(f"{root} holds cameras and no scene with two videos; unpack the data set whole.")
    return tuple(scenes)
