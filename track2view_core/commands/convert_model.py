"""`track2view convert-model`: another model's published files as ComfyUI's own loaders take them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..wan.convert_neoverse import convert_neoverse
from .console import progress_bars, say


def run(*, model: Literal["neoverse"], folder: Path, output: Path) -> None:
    with progress_bars() as progress:
        written = convert_neoverse(folder, output, progress)
    say("model", f"NeoVerse, {written}; written to {written.model}, for core's UNETLoader")
    say("camera", f"written to {written.embedding}, for NeoVerse Conditioning; keep both in one folder")
