"""`track2view demo`: the built-in sample clip, rendered by the project, re-rendered by the built-in tiny model."""

from __future__ import annotations

import argparse

from ..notes import report_lines
from ..scenes import demo_clip
from ..tracks.trackers import KltTracker
from ..video import VideoClip, prepare_clip, write_clip
from .console import progress_bars, say
from .door import DEMO
from .filming import Filming, check_move, film, load, result_files, target_path, working_size
from .staging import Staging

SAMPLE_NAME = "sample.mp4"
RESULT_NAME = "rerendered.mp4"


def run(arguments: argparse.Namespace) -> None:
    check_move(arguments)
    with Staging() as staging:
        staging.make_folder(arguments.out)
        models = load(arguments)
        demo = demo_clip()
        clip = VideoClip(demo.frames, demo.fps)
        width, height = working_size(arguments, models)
        prepared, info = prepare_clip(clip, width=width, height=height)
        say("clip", "the built-in sample, rendered by this project, with its true camera path and depth")
        say("", *report_lines(info.report()))
        with progress_bars() as progress:
            tracks = KltTracker().track(
                clip.frames, points=1024, camera=demo.camera, depth=demo.depth, progress=progress
            )
        say(
            "tracks",
            f"{tracks.positions.shape[1]} points over {len(tracks)} frames",
            *report_lines(tracks.notes, DEMO),
        )
        target = target_path(arguments, tracks)
        output = arguments.out / RESULT_NAME
        write_clip(clip, staging.path(arguments.out / SAMPLE_NAME))
        film(Filming(clip, tracks, target, prepared, info), models, arguments, output, staging)
    for file in (arguments.out / SAMPLE_NAME, *result_files(output)):
        say("wrote", str(file))
