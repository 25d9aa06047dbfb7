"""`track2view convert`: a LoRA or bundle of any layout, written in ours."""

from __future__ import annotations

from pathlib import Path

from ..wan.convert_lora import convert_lora
from .console import say


def run(*, input: Path, output: Path, lora_only: bool) -> None:
    found = convert_lora(input, output, lora_only=lora_only)
    say("LoRA", f"{found}; written as a {'bundle' if found.is_bundle else 'LoRA'} to {output}")
