"""`track2view convert`: a LoRA or bundle of any layout, written in ours."""

from __future__ import annotations

import argparse

from ..wan.convert_lora import convert_lora
from .console import say


def run(arguments: argparse.Namespace) -> None:
    found = convert_lora(arguments.input, arguments.output, lora_only=arguments.lora_only)
    say("LoRA", f"{found}; written as a {'bundle' if found.is_bundle else 'LoRA'} to {arguments.output}")
