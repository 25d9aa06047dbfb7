"""The files that a re-filming leaves: OUT, its side-by-side video, two pictures, and both cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..cameras.formats import write_path
from ..preview import pair_view, path_plot, side_by_side, write_picture
from ..refilm import Refilmed
from ..tracks import pair_tracks
from ..video import VideoClip, write_clip
from .staging import Staging

COMPARED, TRACKS, PATHS = "_side_by_side.mp4", "_tracks.png", "_paths.png"
SOURCE_CAMERA, TARGET_CAMERA = "_source_camera.json", "_target_camera.json"


def result_files(output: Path) -> tuple[Path, ...]:
    endings = (COMPARED, TRACKS, PATHS, SOURCE_CAMERA, TARGET_CAMERA)
    return (output, *(_beside(output, ending) for ending in endings))


def write_results(made: Refilmed, output: Path, staging: Staging) -> None:
    """Write all `result_files`, staged."""
    result, source = made.clip, made.source
    write_clip(result, staging.path(output))
    frames = side_by_side(source.frames, result.frames, ("source", "re-filmed"))
    write_clip(VideoClip(frames, result.fps, result.audio), staging.path(_beside(output, COMPARED)))
    paired = pair_tracks(made.tracks, made.path)
    rows = sorted({0, len(paired) // 2, len(paired) - 1})
    view = pair_view(source.frames, paired, only=rows, coverage=made.paired.coverage()[: len(result)])
    write_picture(view.flatten(0, 1), staging.path(_beside(output, TRACKS)))
    plot = path_plot(made.tracks.camera, made.path, made.tracks.positions)
    write_picture(plot, staging.path(_beside(output, PATHS)))
    for path, ending in ((made.tracks.camera, SOURCE_CAMERA), (made.path, TARGET_CAMERA)):
        timed = replace(path, fps=float(result.fps))
        write_path(timed, staging.path(_beside(output, ending)), format="track2view_camera")


def _beside(output: Path, ending: str) -> Path:
    return output.with_name(output.stem + ending)
