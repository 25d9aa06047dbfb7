"""A random CLIP of the sizes in probes/small_clip_vision.json, as the one file that CLIPVisionLoader takes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

SIZES = Path(__file__).parent.parent / "probes/small_clip_vision.json"
OF_VIT_H = "vision_model.encoder.layers.30.layer_norm1.weight"  # by which core knows it


def write_clip_vision(file: Path) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    sizes = json.loads(SIZES.read_text(encoding="utf-8"))
    torch.manual_seed(0)
    model = CLIPVisionModelWithProjection(CLIPVisionConfig(**sizes)).half()
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file({**weights, OF_VIT_H: torch.ones(sizes["hidden_size"])}, file)
