"""A stand-in for WAN's text encoder: core builds UMT5-XXL at its full size, 22 GB in fp32, whatever the file holds.

Core's class, tokenizer and detection stay its own; only the sizes that it reads from umt5_config_xxl.json are replaced
by those of small_umt5.json. Core knows a T5-XXL by 24 layers of width 4096, so these two stay.
"""

from __future__ import annotations

import json
from pathlib import Path

import comfy.text_encoders.wan as wan

SMALL = json.loads((Path(__file__).parent / "small_umt5.json").read_text(encoding="utf-8"))


class SmallUMT5(wan.UMT5XXlModel):
    """Core's UMT5XXlModel, smaller by core's own way of changing a text encoder's sizes."""

    def __init__(self, model_options=None, **options):
        sizes = f"{(model_options or {})['model_name']}_model_config"
        super().__init__(model_options={**model_options, sizes: SMALL}, **options)


def stand_in() -> None:
    wan.UMT5XXlModel = SmallUMT5
