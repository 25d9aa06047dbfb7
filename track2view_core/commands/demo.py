"""`track2view demo`: the built-in sample clip, rendered by the project, re-filmed as any clip would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..refilm import Refilm, refilm
from ..scenes import shipped_clip
from ..video import read_clip, write_clip
from .console import reporting, say, say_weights
from .door import DEMO
from .hardware import chosen_hardware
from .results import result_files, stages_film, write_results
from .staging import Staging

PRESET, AMOUNT = "orbit_left", 0.5
SAMPLE_NAME, RESULT_NAME, STAGES_NAME = "sample.mp4", "rerendered.mp4", "stages.mp4"


def run(*, out: Path, preset: str | None, amount: float | None, device: str, dtype: str, **chosen: Any) -> None:
    """`chosen` are fields of `Refilm`, None where nothing was given."""
    given = {name: value for name, value in chosen.items() if value is not None}
    amount = AMOUNT if amount is None else amount
    device, dtype = chosen_hardware(device, dtype)
    settings = Refilm(amount=amount, device=device, dtype=dtype, **given)
    output = out / RESULT_NAME
    with Staging() as staging:
        staging.make_folder(out)
        say("reading", "the built-in sample, rendered by this project")
        clip = read_clip(shipped_clip("room").file)
        say_weights(settings)
        with reporting(DEMO) as (report, progress):
            made = refilm(clip, preset or PRESET, settings, report=report, progress=progress)
        write_clip(clip, staging.path(out / SAMPLE_NAME))
        write_results(made, output, staging)
        write_clip(stages_film(made), staging.path(out / STAGES_NAME))
    for file in (out / SAMPLE_NAME, *result_files(output), out / STAGES_NAME):
        say("wrote", str(file))
