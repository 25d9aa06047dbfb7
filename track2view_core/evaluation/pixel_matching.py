"""Mat.Pix.: how many points of the source frame a matcher finds again in the generated one.

Absolute counts depend on the matcher, its threshold and the size of the pictures, so that the report names all three.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from ..errors import Track2ViewError
from ..progress import Progress

SIFT_RATIO = 0.8
CONFIDENCE = 0.2
_WHAT = "The matcher"
_GRAY = (0.2989, 0.5870, 0.1140)


class Matcher(Protocol):
    @property
    def name(self) -> str:
        """With its threshold and picture size, as the report prints it."""
        ...

    def count(self, source: Tensor, generated: Tensor) -> int:
        """Matches between two frames [H, W, 3] uint8."""
        ...


def matched_pixels(generated: Tensor, source: Tensor, matcher: Matcher, *, progress: Progress | None = None) -> Tensor:
    """Matches of every pair of frames at the same time, in thousands: [T, H, W, 3] uint8 twice -> [T] float64."""
    if len(generated) != len(source):
        raise Track2ViewError(
            f"The generated clip has {len(generated)} frames and the source {len(source)}; give clips of one length."
        )
    counts = []
    for own, true in zip(generated, source, strict=True):
        counts.append(matcher.count(true, own))
        if progress is not None:
            progress(len(counts), len(generated), "Matching")
    return torch.tensor(counts, dtype=torch.float64) / 1000


@dataclass
class SiftMatcher:
    """OpenCV's SIFT with Lowe's ratio test: needs no weights."""

    ratio: float = SIFT_RATIO
    _tools: tuple[Any, Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.ratio < 1:
            raise Track2ViewError(f"The ratio of SIFT's test is {self.ratio:g}; it must be between 0 and 1.")

    @property
    def name(self) -> str:
        return f"SIFT, ratio below {self.ratio:g}, frames at their own size"

    def count(self, source: Tensor, generated: Tensor) -> int:
        import cv2

        if self._tools is None:
            self._tools = cv2.SIFT.create(), cv2.BFMatcher()
        sift, matcher = self._tools
        described = []
        for frame in (source, generated):
            gray = cv2.cvtColor(frame.cpu().contiguous().numpy(), cv2.COLOR_RGB2GRAY)
            described.append(sift.detectAndCompute(gray, None)[1])
        if any(found is None or len(found) < 2 for found in described):
            return 0
        pairs = matcher.knnMatch(described[0], described[1], k=2)
        return sum(best.distance < self.ratio * second.distance for best, second in pairs)


class LearnedMatcher:
    """LightGlue, SuperGlue or EfficientLoFTR of a local folder in transformers' layout."""

    def __init__(self, folder: Path | str, threshold: float = CONFIDENCE, device: torch.device | str = "cpu") -> None:
        if not 0 <= threshold < 1:
            raise Track2ViewError(f"The matcher's threshold is {threshold:g}; it must be at least 0 and below 1.")
        folder = Path(folder)
        self._model = _load(folder, torch.device(device))
        self._threshold = threshold
        self._size = _picture_size(folder / "preprocessor_config.json")
        height, width = self._size
        self.name = f"{folder.resolve().name}, confidence above {threshold:g}, frames at {width} x {height}"

    @torch.no_grad()
    def count(self, source: Tensor, generated: Tensor) -> int:
        pair = torch.stack([self._prepared(frame) for frame in (source, generated)])[None]
        told = self._model(pixel_values=pair)
        matches, scores = (x.reshape(-1, *x.shape[-1:])[0] for x in (told.matches, told.matching_scores))
        return int(((matches > -1) & (scores > self._threshold)).sum())

    def _prepared(self, frame: Tensor) -> Tensor:
        x = rearrange(frame.to(self._model.device), "h w c -> 1 c h w").float()
        x = F.interpolate(x, self._size, mode="bilinear", antialias=True).round().clamp(0, 255) / 255
        gray = (x * torch.tensor(_GRAY, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
        return repeat(gray, "1 1 h w -> rgb h w", rgb=3).to(self._model.dtype)


def load_matcher(
    named: str | Path, threshold: float | None = None, device: torch.device | str = "cpu"
) -> SiftMatcher | LearnedMatcher:
    """`sift`, or the folder of a learned one; `threshold` is SIFT's ratio or the learned one's confidence."""
    if str(named) == "sift":
        return SiftMatcher(SIFT_RATIO if threshold is None else threshold)
    return LearnedMatcher(named, CONFIDENCE if threshold is None else threshold, device)


def _load(folder: Path, device: torch.device) -> Any:
    if not (folder / "config.json").is_file():
        raise Track2ViewError(
            f"{_WHAT}: {folder} holds no config.json; give sift, or a folder in transformers' layout such as a "
            "download of zju-community/efficientloftr or ETH-CVG/lightglue_superpoint."
        )
    from transformers import AutoModelForKeypointMatching

    try:
        model, found = AutoModelForKeypointMatching.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
    except Exception as error:  # transformers and its readers raise what they like at a file they cannot read
        raise Track2ViewError(
            f"{_WHAT}: {folder} cannot be loaded ({str(error).splitlines()[0][:120] if str(error) else error!r}); "
            "download config.json and the weights again, or name sift."
        ) from error
    if found["missing_keys"] or found["mismatched_keys"]:
        raise Track2ViewError(
            f"{_WHAT}: the weights in {folder} lack {len(found['missing_keys'])} tensors and "
            f"{len(found['mismatched_keys'])} are of another shape; download them again."
        )
    return model.eval().requires_grad_(False).to(device)


def _picture_size(file: Path) -> tuple[int, int]:
    """(height, width) that the model's own preparation scales to."""
    try:
        size = json.loads(file.read_text(encoding="utf-8"))["size"]
        return int(size["height"]), int(size["width"])
    except (OSError, ValueError, KeyError, TypeError):
        return 480, 640
