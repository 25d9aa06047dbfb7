"""The files that a re-filming leaves: OUT, its side-by-side video, two pictures, and both cameras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..cameras.formats import write_path
from ..preview import SideBySide, pair_view, path_plot, points_view, write_picture
from ..preview.drawing import GROUND
from ..refilm import Refilmed
from ..tracks import pair_tracks
from ..video import Film, write_clip
from ..video.resizing import resize_picture
from .staging import Staging

COMPARED, TRACKS, PATHS = "_side_by_side.mp4", "_tracks.png", "_paths.png"
SOURCE_CAMERA, TARGET_CAMERA = "_source_camera.json", "_target_camera.json"


def result_files(output: Path) -> tuple[Path, ...]:
    endings = (COMPARED, TRACKS, PATHS, SOURCE_CAMERA, TARGET_CAMERA)
    return (output, *(beside(output, ending) for ending in endings))


def write_results(made: Refilmed, output: Path, staging: Staging) -> None:
    """Write all `result_files`, staged."""
    result, source = made.clip, made.source
    write_clip(result, staging.path(output))
    write_clip(
        film_of(made, {"source": source.frames, "re-filmed": result.frames}), staging.path(beside(output, COMPARED))
    )
    paired = pair_tracks(made.tracks, made.path)
    rows = sorted({0, len(paired) // 2, len(paired) - 1})
    view = pair_view(source.frames, paired, only=rows, coverage=made.paired.coverage()[: len(result)])
    write_picture(view.flatten(0, 1), staging.path(beside(output, TRACKS)))
    plot = path_plot(made.tracks.camera, made.path, made.tracks.positions)
    write_picture(plot, staging.path(beside(output, PATHS)))
    for path, ending in ((made.tracks.camera, SOURCE_CAMERA), (made.path, TARGET_CAMERA)):
        timed = replace(path, fps=float(result.fps))
        write_path(timed, staging.path(beside(output, ending)), format="track2view_camera")


def film_of(made: Refilmed, clips: Mapping[str, Tensor]) -> Film:
    """Clips of a job side by side, with its sound."""
    sides = SideBySide(clips)
    return Film(sides.pictures(), sides.frames, sides.width, sides.height, made.clip.fps, made.clip.audio)


def stages_film(made: Refilmed) -> Film:
    """How the result came about: source, tracked points and the clip's own pixels in the new view, result."""
    points = points_view(made.source.frames, pair_tracks(made.tracks, made.path))
    stages = {"source": made.source.frames, "points": points}
    if made.known is not None:
        own = torch.empty_like(made.source.frames)
        for t, picture in enumerate(made.clip.frames):
            own.numpy()[t] = resize_picture(picture.numpy(), made.source.width, made.source.height)
        own[~made.known] = torch.tensor(GROUND, dtype=torch.uint8)
        stages["its own pixels"] = own
    return film_of(made, {**stages, "re-filmed": made.clip.frames})


def beside(output: Path, ending: str) -> Path:
    """The file of that ending which belongs to the result `output`."""
    return output.with_name(output.stem + ending)
