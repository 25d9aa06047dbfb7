"""Scores of one run: every score's name, unit and direction, the models that some need, and the values clip by clip.

What goes wrong with a clip costs that clip, or that score of it, and is named.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..notes import Note
from ..progress import Progress
from ..video import read_clip, written_size
from .camera_errors import STILL_EXTENT, cami2v_errors, path_extent, path_scores
from .camera_estimators import ClipCameras, Estimator, KnownCamera, chosen_estimator, no_path, read_camera
from .camera_fit import CameraFit, counted_errors
from .clip_scores import ClipModel, clip_f, clip_t, clip_v, load_clip
from .fid import FEATURES, FeatureStatistics, Inception, frechet_distance, load_inception
from .lpips import Lpips, load_lpips
from .picture_scores import gradient_energy, psnr, ssim
from .pixel_matching import Matcher, load_matcher, matched_pixels
from .run_manifest import Run, RunClip
from .weight_files import ENDINGS

UNMEASURABLE = "frames that cannot be measured count at the error of the copied source"
_AT_ONCE = 8  # frames through Inception


@dataclass(frozen=True)
class Score:
    """How a score is printed."""

    title: str
    better: str  # "lower", "higher" or "one"
    digits: int
    unit: str = ""

    @property
    def heading(self) -> str:
        arrow = {"lower": " ↓", "higher": " ↑", "one": " → 1"}[self.better]
        return f"{self.title}{f' {self.unit}' if self.unit else ''}{arrow}"


SCORES: dict[str, Score] = {
    "clip_t": Score("CLIP-T", "higher", 2),
    "clip_f": Score("CLIP-F", "higher", 2),
    "clip_v": Score("CLIP-V", "higher", 2),
    "mat_pix": Score("Mat.Pix.", "higher", 3, "(k)"),
    "rot_err": Score("RotErr", "lower", 2, "°"),
    "trans_err": Score("TransErr", "lower", 3),
    "trans_err_metric": Score("TransErr, scale not fitted", "lower", 3),
    "ate": Score("ATE", "lower", 4, "(of the path)"),
    "rpe": Score("RPE", "lower", 4, "(of the path)"),
    "rpe_degrees": Score("RPE", "lower", 3, "°"),
    "cami2v_rot_err": Score("CamI2V RotErr sum", "lower", 3, "rad"),
    "cami2v_trans_err": Score("CamI2V TransErr sum", "lower", 3),
    "cami2v_cam_mc": Score("CamI2V CamMC sum", "lower", 3),
    "psnr": Score("PSNR", "higher", 2, "dB"),
    "ssim": Score("SSIM", "higher", 3),
    "lpips": Score("LPIPS", "lower", 3),
    "gradient_ratio": Score("Gradient energy over the truth's", "one", 2),
}
FID = Score("FID", "lower", 2)
PICTURE_SCORES = ("psnr", "ssim", "lpips", "gradient_ratio")
CAMERA_SCORES = tuple(SCORES)[4:13]


@dataclass(eq=False)
class Measures:
    """The models of the learned scores; one that is None is missing, and `lacking` says why."""

    estimator: Estimator
    clip: ClipModel | None = None
    inception: Inception | None = None
    lpips: Lpips | None = None
    matcher: Matcher | None = None
    names: dict[str, str] = field(default_factory=dict)
    """How the report names each model, with a part of its file's SHA-256: two tables share it or share nothing."""
    lacking: dict[str, str] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def inception_features(self, frames: Tensor) -> Tensor:
        assert self.inception is not None
        with torch.no_grad():
            parts = [self.inception(part.to(self.device)).cpu() for part in frames.split(_AT_ONCE)]
        return torch.cat(parts)


def load_measures(
    estimator: str,
    *,
    clip: Path | None = None,
    inception: Path | None = None,
    lpips: Path | None = None,
    matcher: str | Path = "sift",
    threshold: float | None = None,
    device: torch.device | str = "cpu",
) -> Measures:
    """Load what is named; what is not leaves its scores missing.

    Raises:
        Track2ViewError: a place that is named and cannot be used, before hours of work are spent.
    """
    device = torch.device(device)
    measures = Measures(chosen_estimator(estimator), device=device)
    if clip is not None:
        measures.clip = load_clip(clip, device)
        measures.names["clip"] = _named(clip)
    if inception is not None:
        measures.inception = load_inception(inception).to(device)
        measures.names["fid"] = _named(inception)
    if lpips is not None:
        metric = load_lpips(lpips).to(device)
        measures.lpips = metric
        measures.names["lpips"] = f"{metric.backbone}, {_named(lpips)}"
    if str(matcher) != "none":
        chosen = load_matcher(matcher, threshold, device)
        learned = "" if str(matcher) == "sift" else f" ({fingerprint(Path(matcher))})"
        measures.matcher = chosen
        measures.names["mat_pix"] = chosen.name + learned
    for score, option in (("clip", "--clip"), ("fid", "--inception"), ("lpips", "--lpips"), ("mat_pix", "--matcher")):
        if score not in measures.names:
            measures.lacking[score] = f"no weights were named ({option})"
    return measures


def _named(place: Path) -> str:
    return f"{place.resolve().name} ({fingerprint(place)})"


def fingerprint(place: Path) -> str:
    """The first 8 digits of the SHA-256 of a file, or of the weights in a folder one after the other."""
    files = [place] if place.is_file() else sorted(f for f in place.iterdir() if f.suffix.lower() in ENDINGS)
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while piece := opened.read(1 << 20):
                digest.update(piece)
    return f"sha256 {digest.hexdigest()[:8]}"


@dataclass(eq=False)
class ClipScores:
    """One clip's scores; what is not among `values` stands in `missing` with its reason."""

    name: str
    group: str | None = None
    values: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    """Per frame: `frames` (which), `rot_err`, `trans_err`; `psnr` of every frame."""
    size: str = ""
    """Of the generated frames: the matcher counts at it."""
    broken: str | None = None
    """Why nothing of the clip could be scored."""
    unmeasurable: float = 0.0
    """Share of the frames after frame 0 whose camera could not be measured."""
    notes: list[Note] = field(default_factory=list)

    def miss(self, names: Iterable[str], reason: str) -> None:
        """The first reason stands, and a score that is there is not missing."""
        for name in names:
            if name not in self.values:
                self.missing.setdefault(name, reason)


@dataclass(eq=False)
class RunScores:
    method: str
    clips: list[ClipScores]
    fid: float = math.nan
    fid_missing: str | None = None
    fid_frames: int = 0


def score_run(run: Run, measures: Measures, progress: Progress | None = None) -> RunScores:
    """Score every clip of a run; only an interruption, or a lack of memory, ends it early."""
    told = RunScores(run.method, [])
    sets = (FeatureStatistics(FEATURES), FeatureStatistics(FEATURES)) if measures.inception is not None else None
    for place, clip in enumerate(run.clips):
        if progress is not None:
            progress(place, len(run.clips), f"Scoring {run.method}")
        told.clips.append(score_clip(run, clip, measures, sets))
    if progress is not None:
        progress(len(run.clips), len(run.clips), f"Scoring {run.method}")
    if sets is None:
        told.fid_missing = measures.lacking.get("fid", "no weights were named (--inception)")
    elif min(gathered.count for gathered in sets) < 2:
        told.fid_missing = "no clip has both generated and source frames"
    else:
        told.fid, told.fid_frames = frechet_distance(*sets), sets[0].count
    return told


def score_clip(
    run: Run, clip: RunClip, measures: Measures, sets: tuple[FeatureStatistics, FeatureStatistics] | None = None
) -> ClipScores:
    """Every score that this clip's files and the loaded models allow."""
    told = ClipScores(clip.name, clip.group)
    try:
        video = read_video(run, clip.generated)
    except (Track2ViewError, OSError) as error:
        told.broken = _sentence(error)
        told.miss(SCORES, "the clip is broken")
        return told
    told.size = f"{video.shape[2]} x {video.shape[1]}"
    source = _other_video(run, clip.source, "source", told, ("clip_v", "mat_pix"))
    _score_clip_features(told, clip, video, source, measures)
    _score_matches(told, video, source, measures)
    _score_pictures(told, video, _other_video(run, clip.target, "target", told, PICTURE_SCORES), measures)
    _score_camera(told, run, clip, video, measures)
    if sets is not None and source is not None:
        for gathered, frames in zip(sets, (video, source), strict=True):
            gathered.add(measures.inception_features(frames))
    return told


def read_video(run: Run, relative: str) -> Tensor:
    """The first `frames` frames of a file of the run, [T, H, W, 3] uint8."""
    frames = read_clip(run.file(relative), frames=run.frames).frames
    if len(frames) < run.frames:
        raise Track2ViewError(f"The clip {relative} has {len(frames)} frames; this run is scored on {run.frames}.")
    return frames


def _other_video(
    run: Run, relative: str | None, role: str, told: ClipScores, needing: tuple[str, ...]
) -> Tensor | None:
    if relative is None:
        told.miss(needing, f"the clip has no {role}")
        return None
    try:
        return read_video(run, relative)
    except (Track2ViewError, OSError) as error:
        told.miss(needing, f"{role}: {_sentence(error)}")
        return None


def _score_clip_features(
    told: ClipScores, clip: RunClip, video: Tensor, source: Tensor | None, measures: Measures
) -> None:
    if measures.clip is None:
        told.miss(("clip_t", "clip_f", "clip_v"), measures.lacking["clip"])
        return
    features = measures.clip.frame_features(video)
    if len(features) > 1:
        told.values["clip_f"] = clip_f(features)
    else:
        told.miss(["clip_f"], "the clip has one frame")
    if source is not None:
        told.values["clip_v"] = clip_v(features, measures.clip.frame_features(source))
    if clip.prompt is None:
        told.miss(["clip_t"], "the clip has no prompt")
        return
    told.values["clip_t"] = clip_t(features, measures.clip.text_features(clip.prompt))
    if measures.clip.cut_short(clip.prompt):
        told.notes.append(Note.of("prompt_cut"))


def _score_matches(told: ClipScores, video: Tensor, source: Tensor | None, measures: Measures) -> None:
    if measures.matcher is None:
        told.miss(["mat_pix"], measures.lacking["mat_pix"])
    elif source is not None:
        told.values["mat_pix"] = float(matched_pixels(video, source, measures.matcher).mean())


def _score_pictures(told: ClipScores, video: Tensor, target: Tensor | None, measures: Measures) -> None:
    """Against the true target view, without frame 0, which source and target share."""
    if measures.lpips is None:
        told.miss(["lpips"], measures.lacking["lpips"])
    if target is None:
        return
    high, wide = target.shape[1:3]
    if video.shape[1:3] == written_size(wide, high)[::-1]:
        video = video[:, :high, :wide]  # `write_clip` made its sides even
    if target.shape != video.shape:
        sizes = [f"{x.shape[2]} x {x.shape[1]}" for x in (video, target)]
        told.miss(PICTURE_SCORES, f"the clip is {sizes[0]} and the target {sizes[1]}")
        return
    if len(video) < 2:
        told.miss(PICTURE_SCORES, "the clip has one frame")
        return
    per_frame = psnr(video, target)
    told.curves["psnr"] = per_frame.tolist()
    told.values["psnr"] = float(per_frame[1:].mean())
    try:
        told.values["ssim"] = float(ssim(video[1:], target[1:]).mean())
    except Track2ViewError as error:
        told.miss(["ssim"], _sentence(error))
    truth = gradient_energy(target[1:]).mean()
    if truth > 0:
        told.values["gradient_ratio"] = float(gradient_energy(video[1:]).mean() / truth)
    else:
        told.miss(["gradient_ratio"], "the target is one flat colour")
    if measures.lpips is not None:
        told.values["lpips"] = float(measures.lpips(video[1:], target[1:]).mean())


def _score_camera(told: ClipScores, run: Run, clip: RunClip, video: Tensor, measures: Measures) -> None:
    if clip.reference_camera is None:
        told.miss(CAMERA_SCORES, "the clip has no reference_camera")
        return
    frames, height, width = video.shape[:3]
    try:
        known = [
            None if file is None else _cut(read_camera(run, file, width, height), frames, file.file)
            for file in (clip.reference_camera, clip.source_camera)
        ]
    except Track2ViewError as error:
        told.miss(CAMERA_SCORES, _sentence(error))
        return
    assert known[0] is not None
    cameras = ClipCameras(known[0], known[1], width, height)
    try:
        fit = measures.estimator.estimate(video, run, clip, cameras, None)
    except (Track2ViewError, torch.linalg.LinAlgError, np.linalg.LinAlgError) as error:
        fit = no_path(frames)
        told.notes.append(Note.of("camera_not_measurable", reason=_sentence(error)))
    _count_camera(told, fit, cameras)


def _count_camera(told: ClipScores, fit: CameraFit, cameras: ClipCameras) -> None:
    wanted, source = cameras.reference.world_from_camera.double(), cameras.source
    told.unmeasurable = float((~fit.measurable[1:]).double().mean()) if len(fit.frames) > 1 else 0.0
    whole = bool(fit.measurable.all())
    if len(fit.frames) < 2:
        told.miss(CAMERA_SCORES, "the clip has one frame")
        return
    if not whole and source is None:
        told.miss(CAMERA_SCORES, "not measurable, and no source_camera says what a copied source would score")
        return
    errors = counted_errors(fit, wanted if source is None else source.world_from_camera.double(), wanted)
    told.curves["frames"] = fit.frames[1:].double().tolist()
    told.curves["rot_err"] = errors.rotation.tolist()
    told.values["rot_err"] = float(errors.rotation.mean())
    if path_extent(wanted) < STILL_EXTENT:
        told.miss(("trans_err", "trans_err_metric", "ate", "rpe"), "the reference camera does not move")
    else:
        told.curves["trans_err"] = errors.translation.tolist()
        told.values["trans_err"] = float(errors.translation.mean())
        told.values["trans_err_metric"] = float(errors.metric_translation.mean())
    if not whole or len(fit.frames) < len(wanted):
        told.miss(CAMERA_SCORES, "some frames are not measurable")
        return
    sums, path = cami2v_errors(fit.world_from_camera, wanted), path_scores(fit.world_from_camera, wanted)
    told.values |= {"cami2v_rot_err": sums.rot_err, "rpe_degrees": path.rpe_degrees}
    if path_extent(wanted) >= STILL_EXTENT:
        told.values |= {"cami2v_trans_err": sums.trans_err, "cami2v_cam_mc": sums.cam_mc}
        told.values |= {"ate": path.ate, "rpe": path.rpe}
    told.miss(CAMERA_SCORES, "the reference camera does not move")


def _cut(camera: KnownCamera, frames: int, name: str) -> KnownCamera:
    count = len(camera.world_from_camera)
    if count < frames:
        raise Track2ViewError(f"The camera file {name} has {count} frames; this run is scored on {frames}.")
    return KnownCamera(camera.world_from_camera[:frames], None if camera.lens is None else camera.lens[:frames])


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror}."
    return str(error)


def known_values(clips: Iterable[ClipScores], score: str) -> list[float]:
    """One number a clip, NaN where it is missing."""
    return [clip.values.get(score, math.nan) for clip in clips]
