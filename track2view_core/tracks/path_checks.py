"""Is a path wise for these tracks: the checks of `cameras/path_quality.py` with what the tracks know of both views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from ..cameras import CameraPath, project
from ..cameras.path_quality import PathChecks, check_path, path_summary, path_warnings
from ..notes import Note
from .pairing import PairedTracks
from .point_tracks import PointTracks, median_depth

LOW_COVERAGE = 0.3
"""Share of the target's pixels in the worst frame; below it much is invented."""
WITHIN_REACH = 2.4
"""In medians of the distance to the nearest track: where tracks lie at random, all pixels but 2 % have one so near."""
SAMPLES = 4000


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


def filled_pixels(paired: PairedTracks) -> Tensor:
    """Share 0..1 of the target view's pixels that lie among tracks, `[T]` float64.

    A pixel lies among tracks that is no farther from one than nearly every pixel of the source view is from those that
    it shows, up to a few times the usual distance there. A token counts as reached when a track comes near its edge,
    so that a narrow picture is reached whole while a quarter of it is empty.
    """
    source, target = paired.source, paired.target
    shown = (paired.visible & source.inside).cpu().numpy()
    inside = (target.inside & paired.seen).cpu().numpy()
    own, there = _sampled_pixels(paired.source_camera), _sampled_pixels(paired.target_camera)
    scale = paired.target_camera.width / paired.source_camera.width
    filled = torch.zeros(len(paired), dtype=torch.float64)
    for t in range(len(paired)):
        if shown[t].any() and inside[t].any():
            usual = np.median(KDTree(source.xy[t].cpu().numpy()[shown[t]]).query(own)[0])
            away = KDTree(target.xy[t].cpu().numpy()[inside[t]]).query(there)[0]
            filled[t] = float((away < WITHIN_REACH * scale * usual).mean())
    return filled


def _sampled_pixels(camera: CameraPath) -> np.ndarray:
    """Places [n, 2] spread evenly over the picture."""
    step = np.sqrt(camera.width * camera.height / SAMPLES)
    x, y = np.meshgrid(np.arange(step / 2, camera.width, step), np.arange(step / 2, camera.height, step))
    return np.stack([x.ravel(), y.ravel()], 1)


def coverage_notes(paired: PairedTracks) -> tuple[Note, ...]:
    """How much of the new view the tracks reach, and where that is too little for the model to hold on to."""
    coverage = filled_pixels(paired)
    lowest, blind = int(coverage.argmin()), int((coverage == 0).sum())
    worst = {"lowest": coverage[lowest], "frame": lowest}
    notes = [Note.of("coverage", tracks=paired.visible.shape[1], mean=coverage.mean(), **worst)]
    if blind:
        notes.append(Note.of("coverage_blind", blind=blind, frames=len(coverage)))
    if coverage[lowest] < LOW_COVERAGE:
        notes.append(Note.of("coverage_low"))
    return tuple(notes)
