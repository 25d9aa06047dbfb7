"""`track2view demo`: the built-in sample clip, rendered by the project, re-rendered by the built-in tiny model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..progress import Progress
from ..refilm import Refilm, refilm
from ..scenes import DemoClip, demo_clip
from ..tracks import PointTracks
from ..tracks.trackers import KltTracker
from ..video import VideoClip, write_clip
from .console import reporting, say, say_weights
from .door import DEMO
from .hardware import chosen_hardware
from .results import result_files, write_results
from .staging import Staging

PRESET, AMOUNT = "orbit_left", 0.5
SAMPLE_NAME = "sample.mp4"
RESULT_NAME = "rerendered.mp4"


@dataclass(frozen=True, eq=False)
class TrackerOfKnownScene:
    """The built-in tracker, told the true camera and depth."""

    demo: DemoClip

    def track(self, video: Tensor | np.ndarray, *, points: int, progress: Progress | None = None) -> PointTracks:
        return KltTracker().track(
            video, points=points, progress=progress, camera=self.demo.camera, depth=self.demo.depth
        )


def run(*, out: Path, preset: str | None, amount: float | None, device: str, dtype: str, **chosen: Any) -> None:
    """`chosen` are fields of `Refilm`, None where nothing was given."""
    given = {name: value for name, value in chosen.items() if value is not None}
    amount = AMOUNT if amount is None else amount
    device, dtype = chosen_hardware(device, dtype)
    settings = Refilm(amount=amount, device=device, dtype=dtype, **given)
    output = out / RESULT_NAME
    with Staging() as staging:
        staging.make_folder(out)
        demo = demo_clip()
        clip = VideoClip(demo.frames, demo.fps)
        say("reading", "the built-in sample, rendered by this project, with its true camera path and depth")
        say_weights(settings)
        with reporting(DEMO) as (report, progress):
            tracker = TrackerOfKnownScene(demo)
            made = refilm(clip, preset or PRESET, settings, tracker=tracker, report=report, progress=progress)
        write_clip(clip, staging.path(out / SAMPLE_NAME))
        write_results(made, output, staging)
    for file in (out / SAMPLE_NAME, *result_files(output)):
        say("wrote", str(file))
