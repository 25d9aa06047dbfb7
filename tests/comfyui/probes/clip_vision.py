"""A stand-in for the vision model of CLIP that WAN uses: core builds ViT-H at its full size, 2.5 GB in fp32.

Core's class and detection stay its own; only the sizes that it reads from clip_vision_config_h.json are replaced by
those of small_clip_vision.json. WAN takes pictures of width 1280, so that stays.
"""

from __future__ import annotations

from pathlib import Path

import comfy.clip_vision

SIZES = Path(__file__).parent / "small_clip_vision.json"


class SmallClipVision(comfy.clip_vision.ClipVisionModel):
    def __init__(self, json_config):
        super().__init__(str(SIZES))


def stand_in() -> None:
    comfy.clip_vision.ClipVisionModel = SmallClipVision
