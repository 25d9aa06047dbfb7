"""`track2view train CONFIG`: a run from one TOML file, and the file that comes out of it."""

from __future__ import annotations

import os
from pathlib import Path

from ..training import Stopped
from ..training.run import export_run, run_config
from ..training.settings import load_config
from .console import progress_bars, say

EXIT_INTERRUPTED = 130


def run(*, config: Path, changes: list[str], resume: bool, export: Path | None) -> None:
    settings = load_config(config, changes)
    if export is not None:
        done = export_run(settings, export)
    else:
        speaks = int(os.environ.get("RANK", "0")) == 0  # accelerate launch starts one process a card
        if speaks:
            say("training", f"stage {settings.stage}, {settings.run.steps} steps, into {settings.folder}")
        try:
            with progress_bars() as progress:
                done = run_config(settings, resume=resume, progress=progress)
        except Stopped:
            if speaks:
                say("stopped", f"saved in {settings.folder}; the same command with --resume goes on")
            raise SystemExit(EXIT_INTERRUPTED) from None
    if done.exported is not None:
        say("wrote", f"{done.exported}, of step {done.steps}")
