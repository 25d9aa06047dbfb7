"""A stand-in for WAN's text encoder: core builds UMT5-XXL at its full size, 22 GB in fp32, whatever the file holds.

Core's class and tokenizer stay its own; only the sizes that it reads from umt5_config_xxl.json are replaced by those of
small_umt5.json. Core knows a T5-XXL by its sizes, newer cores by another than older ones: the small one is told by its
vocabulary.
"""

from __future__ import annotations

import json
from pathlib import Path

import comfy.sd
import comfy.text_encoders.wan as wan

SMALL = json.loads((Path(__file__).parent / "small_umt5.json").read_text(encoding="utf-8"))


class SmallUMT5(wan.UMT5XXlModel):
    """Core's UMT5XXlModel, smaller by core's own way of changing a text encoder's sizes."""

    def __init__(self, model_options=None, **options):
        sizes = f"{(model_options or {})['model_name']}_model_config"
        super().__init__(model_options={**model_options, sizes: SMALL}, **options)


def stand_in() -> None:
    wan.UMT5XXlModel = SmallUMT5
    by_size = comfy.sd.detect_te_model

    def detect_te_model(weights):
        small = "shared.weight" in weights and len(weights["shared.weight"]) == SMALL["vocab_size"]
        return comfy.sd.TEModel.T5_XXL if small else by_size(weights)

    comfy.sd.detect_te_model = detect_te_model
