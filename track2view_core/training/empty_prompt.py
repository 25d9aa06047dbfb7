"""The embedding that a dropped text becomes: WAN's of the empty prompt, made once and kept in the run's folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..errors import Track2ViewError
from ..wan.models import TextEncoder
from ..wan.tensor_files import read_tensors
from .checkpoints import write_durably
from .config import TrainConfig


def empty_prompt(config: TrainConfig) -> Tensor | None:
    """[L, 4096], or None for a run without text."""
    if not config.model.uses_text:
        return None
    file = Path(config.folder) / "empty_prompt.safetensors"
    if file.is_file():
        return read_tensors(file, "The empty prompt")[0]["embedding"]
    folder = Path(config.model.text_encoder or config.model.transformer)
    if not TextEncoder.is_in(folder):
        raise Track2ViewError(
            f"{folder} holds no text encoder to embed the empty prompt with; set model.text_encoder to a diffusers "
            "folder of WAN 2.1, or model.uses_text to false."
        )
    embedding = TextEncoder(folder, torch.bfloat16).encode([""])[0][0]
    embedding = embedding[: int(embedding.abs().amax(1).nonzero()[-1]) + 1]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_durably({"embedding": embedding}, file, {})
    return embedding
