"""Is a path wise for these tracks: the checks of `cameras/path_quality.py` with what the tracks know of both views."""

from __future__ import annotations

from dataclasses import replace

from ..cameras import CameraPath, project
from ..cameras.path_quality import PathChecks, check_path, path_summary, path_warnings
from ..notes import Note
from .pairing import PairedTracks
from .point_tracks import PointTracks, median_depth

LOW_COVERAGE = 0.3
"""Share of the target tokens in the worst frame; below it much is invented."""


def check_paired(paired: PairedTracks, *, scene_scale: float | None = None) -> PathChecks:
    """The figures of the target camera's path.

    Args:
        scene_scale: the subject's distance; None takes it from the source view of the pairs, as `PointTracks` does.

    Raises:
        Track2ViewError: no point is visible in any frame, so the scene has no scale.
    """
    shown = paired.visible & paired.source.inside
    # what the same tracks cover of the view they were found in counts as all of it
    own = replace(paired, target=paired.source, target_camera=paired.source_camera)
    return check_path(
        paired.target_camera,
        paired.source_camera,
        scene_scale=median_depth(paired.source.depth, paired.visible) if scene_scale is None else scene_scale,
        coverage=paired.coverage(),
        shown=shown,
        inside=paired.target.inside,
        full_coverage=own.coverage(),
    )


def check_against_tracks(path: CameraPath, tracks: PointTracks) -> PathChecks:
    """The figures of a path on the tracks' clip; a path that looks away from every point has coverage 0."""
    views = project(tracks.camera, tracks.positions), project(path, tracks.positions)
    paired = PairedTracks(*views, tracks.visible, tracks.camera, path)
    return check_paired(paired, scene_scale=tracks.scene_scale)


def checks_report(checks: PathChecks) -> tuple[Note, ...]:
    """The figures, then what to look out for."""
    return path_summary(checks) + path_warnings(checks)


def coverage_notes(paired: PairedTracks) -> tuple[Note, ...]:
    """How much of the new view the tracks reach, and where that is too little for the model to hold on to."""
    coverage = paired.coverage()
    lowest, blind = int(coverage.argmin()), int((coverage == 0).sum())
    worst = {"lowest": coverage[lowest], "frame": lowest}
    notes = [Note.of("coverage", tracks=paired.visible.shape[1], mean=coverage.mean(), **worst)]
    if blind:
        notes.append(Note.of("coverage_blind", blind=blind, frames=len(coverage)))
    if coverage[lowest] < LOW_COVERAGE:
        notes.append(Note.of("coverage_low"))
    return tuple(notes)
