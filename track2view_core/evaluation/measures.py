"""What is measured: every score's name, unit and direction, and the models that some of them need."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from .clip_scores import ClipModel, load_clip
from .estimators import Estimator, chosen_estimator
from .inception import Inception, load_inception
from .lpips import Lpips, load_lpips
from .matching import Matcher, load_matcher
from .weight_files import ENDINGS

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
