"""CLIP-T, CLIP-F and CLIP-V: does a clip show its prompt, hold together over time, and show what the source shows.

Radford et al. 2021; the model (openai ViT-L/14 in the literature) is a folder of the user's in transformers' layout.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..errors import Track2ViewError

_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_WHAT = "CLIP"
_AT_ONCE = 16  # frames


def clip_t(frames: Tensor, text: Tensor) -> float:
    """Mean cosine of frames [T, D] and their prompt [D], x 100."""
    return float(100 * F.cosine_similarity(frames.double(), text.double()[None]).mean())


def clip_f(frames: Tensor) -> float:
    """Mean cosine of adjacent frames [T, D], x 100; NaN for a single one."""
    return float(100 * F.cosine_similarity(frames[1:].double(), frames[:-1].double()).mean())


def clip_v(frames: Tensor, source: Tensor) -> float:
    """Mean cosine of generated and source frames [T, D] at the same time, x 100."""
    if frames.shape != source.shape:
        raise Track2ViewError(
            f"CLIP-V got features of shape {list(frames.shape)} and {list(source.shape)}; give clips of one length."
        )
    return float(100 * F.cosine_similarity(frames.double(), source.double()).mean())


@dataclass(eq=False)
class ClipModel:
    """Features of frames and prompts."""

    name: str
    model: Any
    tokenizer: Any
    side: int
    mean: Sequence[float]
    std: Sequence[float]

    @torch.no_grad()
    def frame_features(self, frames: Tensor) -> Tensor:
        """Frames [T, H, W, 3] uint8 -> [T, D]: shorter side to the model's, bicubic, and the middle square of it."""
        return torch.cat([self._pictures(part) for part in frames.split(_AT_ONCE)]).cpu()

    @torch.no_grad()
    def text_features(self, prompt: str) -> Tensor:
        """[D]; a prompt longer than the model reads is cut, as the literature's scores do."""
        tokens = self.tokenizer([prompt], truncation=True, max_length=self._longest, return_tensors="pt")
        return _pooled(self.model.get_text_features(**tokens.to(self.model.device)))[0].cpu()

    def cut_short(self, prompt: str) -> bool:
        return len(self.tokenizer(prompt)["input_ids"]) > self._longest

    @property
    def _longest(self) -> int:
        return int(self.model.config.text_config.max_position_embeddings)

    def _pictures(self, frames: Tensor) -> Tensor:
        x = rearrange(frames.to(self.model.device), "t h w c -> t c h w").float()
        height, width = x.shape[2:]
        scale = self.side / min(height, width)
        size = max(self.side, int(height * scale)), max(self.side, int(width * scale))
        x = F.interpolate(x, size, mode="bicubic", antialias=True).round().clamp(0, 255) / 255
        top, left = (size[0] - self.side) // 2, (size[1] - self.side) // 2
        x = x[:, :, top : top + self.side, left : left + self.side]
        mean, std = (torch.tensor(list(values), device=x.device).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return _pooled(self.model.get_image_features(pixel_values=((x - mean) / std).to(self.model.dtype))).float()


def load_clip(folder: Path | str, device: torch.device | str = "cpu") -> ClipModel:
    """The model of a local folder with config.json, weights and tokenizer; nothing is fetched."""
    from transformers import AutoTokenizer, CLIPModel

    folder = Path(folder)
    if not (folder / "config.json").is_file():
        raise Track2ViewError(
            f"{_WHAT}: {folder} holds no config.json; give a folder in transformers' layout, such as a download of "
            "openai/clip-vit-large-patch14."
        )
    kind = _json(folder / "config.json").get("model_type")
    if kind != "clip":
        raise Track2ViewError(f"{_WHAT}: {folder} holds a model of type {kind!r}; give one of type 'clip'.")
    try:
        # With output_loading_info it gives two things, which its annotation does not say.
        model, found = CLIPModel.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
            folder, local_files_only=True, output_loading_info=True, torch_dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # transformers and its readers raise what they like at a file they cannot read
        raise Track2ViewError(
            f"{_WHAT}: {folder} cannot be loaded ({str(error).splitlines()[0][:120] if str(error) else error!r}); "
            "download config.json, the weights and the tokenizer again."
        ) from error
    lacking = [name for name in found["missing_keys"] if "position_ids" not in name]
    if lacking or found["mismatched_keys"]:
        raise Track2ViewError(
            f"{_WHAT}: the weights in {folder} lack {len(lacking)} tensors and {len(found['mismatched_keys'])} are of "
            "another shape; download them again."
        )
    prepared = _json(folder / "preprocessor_config.json") if (folder / "preprocessor_config.json").is_file() else {}
    return ClipModel(
        name=folder.resolve().name,
        model=model.eval().requires_grad_(False).to(torch.device(device)),
        tokenizer=tokenizer,
        side=int(model.config.vision_config.image_size),
        mean=prepared.get("image_mean", _MEAN),
        std=prepared.get("image_std", _STD),
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Track2ViewError(f"{_WHAT}: {file} is no JSON; download it again.") from error
    return told if isinstance(told, dict) else {}


def _pooled(features: Any) -> Tensor:
    """transformers 5 wraps what 4 returned."""
    return features if isinstance(features, Tensor) else features.pooler_output
