"""Did the camera of a result do what was asked? Its own path, read off its pictures, beside the one it was made for."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..cameras import CameraPath
from ..errors import Track2ViewError
from ..notes import Note, Severity
from ..preview.drawing import FAINT, GROUND, PANEL, SOURCE, TARGET, TEXT, draw_line, write_text
from ..preview.path_plot import path_plot
from ..progress import Progress
from .camera_errors import STILL_EXTENT, fitted_scale, path_extent, rotation_error, translation_error
from .camera_estimators import KltEstimator, no_path, tracked_camera
from .camera_fit import CameraFit
from .curves import draw_axes, placed, round_up

FEWEST_FRAMES = 2
ASPECT_TOLERANCE = 0.03
LENS_STANDS = 0.01  # share by which a focal length may change and still be one lens
HALF_WAY = 0.5
"""Share of the source camera's own error above which a result is nearer to the source than to what was asked."""
TURNS, TRAVELS = 1.0, 0.02
"""Degrees, and share of the path's extent, by which the source must differ from the request to be compared with."""
_UNSOLVED = {
    "camera_not_solved": "no camera explains how its points move",
    "grid": "nothing in it could be followed",
}
_PANEL_HEIGHT, _MARGIN = 200, 20


@dataclass(frozen=True, eq=False)
class CameraCheck:
    """The camera asked for and the one found, frame by frame; what could not be measured is NaN."""

    asked: CameraPath
    found: CameraPath  # from where the request starts and in its units
    measured: Tensor  # [T] bool; frame 0 is where both start
    rotation: Tensor  # [T] float64 degrees
    translation: Tensor  # [T] float64, shares of the requested path's extent; all NaN where that does not travel
    source_rotation: float  # what a copy of the source would score, degrees; NaN where no source path is known
    source_translation: float
    notes: tuple[Note, ...]
    points: Tensor | None = None  # [N, 3] of frame 0 in the world of `asked`

    @property
    def rot_err(self) -> float:
        """Mean over the measured frames after the first, in degrees; NaN where there is none."""
        return _mean(self.rotation[1:])

    @property
    def trans_err(self) -> float:
        """Mean share of the path's extent over the measured frames after the first."""
        return _mean(self.translation[1:])

    def data(self) -> dict[str, Any]:
        """As JSON holds it: what was not measured is null."""
        return {
            "estimator": KltEstimator.name,
            "frames": len(self.asked),
            "measured_frames": int(self.measured.sum()),
            "rot_err_degrees": _number(self.rot_err),
            "trans_err_share": _number(self.trans_err),
            "source_rot_err_degrees": _number(self.source_rotation),
            "source_trans_err_share": _number(self.source_translation),
            "rotation_degrees": [_number(value) for value in self.rotation.tolist()],
            "translation_share": [_number(value) for value in self.translation.tolist()],
            "world_from_camera_found": self.found.world_from_camera.tolist(),
            "notes": [note.data() for note in self.notes],
        }


def check_camera(
    video: Tensor,  # [T, H, W, 3] uint8, the result
    asked: CameraPath,
    *,
    source: CameraPath | None = None,
    progress: Progress | None = None,
) -> CameraCheck:
    """Track the result with the built-in tracker and compare its camera to the path that was asked for.

    Both paths are taken relative to their first frames, the found one at the scale that fits best: RotErr and TransErr
    as `camera_errors` has them. `source`, the camera of the clip that was re-filmed, says how large the move is.

    Raises:
        Track2ViewError: the video and the paths do not belong together.
    """
    frames, height, width = video.shape[:3]
    for name, path in (("camera_path", asked), ("source_path", source)):
        if path is not None and len(path) != frames:
            raise Track2ViewError(
                f"The result has {frames} frames and {name} {len(path)}; give the frames that were made for this path."
            )
    if frames < FEWEST_FRAMES:
        raise Track2ViewError(f"The result has {frames} frame; a camera's path needs {FEWEST_FRAMES} or more.")
    if abs(asked.width * height / (asked.height * width) - 1) > ASPECT_TOLERANCE:
        raise Track2ViewError(
            f"The result is {width} x {height} and the path is of pictures of {asked.width} x {asked.height}, another "
            "shape; give the result without padding."
        )
    asked = asked.to("cpu")
    source_errors = (math.nan, math.nan)
    if source is not None:
        source_errors = _errors(source.to("cpu").world_from_camera, asked)
    try:
        tracks, fit = tracked_camera(video, _field_of_view(asked), progress)
        told = {note.code for note in tracks.notes}
        reason = next((reason for code, reason in _UNSOLVED.items() if code in told), None)
    except Track2ViewError as error:
        tracks, fit, reason = None, None, str(error).rstrip(".")
    if tracks is None or fit is None or reason is not None:
        note = Note.of("camera_not_measurable", reason=reason or "no camera was found")
        return _compared(no_path(frames), asked, source_errors, (note,))
    doubts = tuple(note for note in tracks.notes if note.severity > Severity.INFO)
    check = _compared(fit, asked, source_errors, doubts)
    if path_extent(fit.world_from_camera) < STILL_EXTENT:
        return check
    seen = tracks.positions[0][tracks.visible[0]].double().cpu() * _shown_scale(fit, asked)
    pose = asked.world_from_camera[0]
    return replace(check, points=seen @ pose[:3, :3].T + pose[:3, 3])


def _compared(
    fit: CameraFit, asked: CameraPath, source_errors: tuple[float, float], doubts: tuple[Note, ...]
) -> CameraCheck:
    measured = fit.measurable
    unknown = torch.full((len(asked),), math.nan, dtype=torch.float64)
    rotation = torch.where(measured, rotation_error(fit.world_from_camera, asked), unknown)
    translation = torch.where(measured, translation_error(fit.world_from_camera, asked, measured=measured), unknown)
    relative = torch.linalg.inv(fit.world_from_camera[:1]) @ fit.world_from_camera
    relative[:, :3, 3] *= _shown_scale(fit, asked)
    found = replace(asked, world_from_camera=asked.world_from_camera[:1] @ relative)
    check = CameraCheck(asked, found, measured, rotation, translation, *source_errors, doubts)
    return replace(check, notes=(*_verdict(check, fit), *doubts))


def _verdict(check: CameraCheck, fit: CameraFit) -> tuple[Note, ...]:
    frames, measured = len(check.asked), int(check.measured.sum())
    if measured < FEWEST_FRAMES:
        return ()  # why, says what came of the tracker
    travels = path_extent(check.asked) >= STILL_EXTENT
    notes = [
        Note.of("camera_errors", rotation=check.rot_err, translation=check.trans_err)
        if travels
        else Note.of("camera_error_turning", rotation=check.rot_err)
    ]
    if measured < frames:
        notes.append(Note.of("camera_partly_measured", measured=measured, frames=frames))
    if travels and path_extent(fit.world_from_camera[check.measured]) < STILL_EXTENT:
        notes.append(Note.of("camera_found_still"))
    shares = _shares_of_the_move(check)
    if shares:
        rotation, translation = check.source_rotation, check.source_translation
        notes.append(
            Note.of("camera_of_copy", rotation=rotation)
            if math.isnan(translation)
            else Note.of("camera_of_copy_travelling", rotation=rotation, translation=translation)
        )
        if max(shares) > HALF_WAY:
            notes.append(Note.of("camera_not_followed", share=max(shares)))
    return tuple(notes)


def _shares_of_the_move(check: CameraCheck) -> list[float]:
    """Each error of the result over that of a copy of the source, where the move asked for one."""
    pairs = (
        (check.rot_err, check.source_rotation, TURNS),
        (check.trans_err, check.source_translation, TRAVELS),
    )
    return [own / copy for own, copy, least in pairs if copy >= least and not math.isnan(own)]


def _errors(poses: Tensor, asked: CameraPath) -> tuple[float, float]:
    return _mean(rotation_error(poses, asked)[1:]), _mean(translation_error(poses, asked)[1:])


def _shown_scale(fit: CameraFit, asked: CameraPath) -> float:
    """By which the found path is drawn: as it is scored, or where it goes the other way as long as the request."""
    poses = fit.world_from_camera
    extent = path_extent(poses)
    if extent < STILL_EXTENT:
        return 1.0
    return fitted_scale(poses, asked, measured=fit.measurable) or path_extent(asked) / extent


def _field_of_view(path: CameraPath) -> float | None:
    """Degrees across; None of a lens that zooms, which the tracker then finds by itself."""
    focal = path.intrinsics[:, 0, 0]
    if float(focal.max() / focal.min()) > 1 + LENS_STANDS:
        return None
    return float(2 * torch.rad2deg(torch.atan(path.width / 2 / focal[0])))


def _mean(values: Tensor) -> float:
    return float(values[values.isfinite()].mean()) if values.isfinite().any() else math.nan


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def check_picture(check: CameraCheck, *, width: int = 960, height: int = 480) -> Tensor:
    """Both paths, one over the other, and the errors over the frames beneath. [H, W, 3] uint8."""
    labels = ("asked for", "found in the result")
    paths = path_plot(check.asked, check.found, check.points, width=width, height=height, labels=labels)
    curves = np.full((_PANEL_HEIGHT, width, 3), GROUND, np.uint8)
    each = (width - 3 * _MARGIN) // 2
    for place, (title, values, copy) in enumerate(
        (
            ("RotErr, degrees", check.rotation, check.source_rotation),
            ("TransErr, share of the path", check.translation, check.source_translation),
        )
    ):
        left = _MARGIN + place * (each + _MARGIN)
        _draw_errors(curves[:, left : left + each], title, values.numpy(), copy)
    return torch.from_numpy(np.concatenate([paths.numpy(), curves]))


def _draw_errors(panel: np.ndarray, title: str, values: np.ndarray, copy: float) -> None:
    """One curve on `panel` [h, w, 3], with what a copy of the source scores as a line across."""
    height, width = panel.shape[:2]
    panel[:-_MARGIN] = PANEL
    write_text(panel, title, (12, 22), 11, TEXT)
    frames = np.flatnonzero(np.isfinite(values))
    if len(frames) < FEWEST_FRAMES:
        write_text(panel, "not measured", (width / 2, height / 2), 12, FAINT, "center")
        return
    high = round_up(max(float(values[frames].max()), 0.0 if math.isnan(copy) else copy, 1e-3))
    area = np.array([64.0, 36.0, width - 16.0, height - 66.0])
    draw_axes(panel, area, len(values) - 1, high)
    if not math.isnan(copy):
        line = placed((np.array([len(values) - 1]), np.array([copy])), area, len(values) - 1, high)
        line[0, 1] = line[1, 1]
        draw_line(panel, line, SOURCE, 1)
        write_text(panel, "the source, copied: mean", (area[2] - 4, line[1, 1] - 5), 8, SOURCE, "right")
    draw_line(panel, placed((frames[1:], values[frames[1:]]), area, len(values) - 1, high), TARGET, 2)
