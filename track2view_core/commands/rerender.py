"""`track2view rerender IN OUT`: a video file along a preset camera move."""

from __future__ import annotations

import argparse
from contextlib import nullcontext

from torch import Tensor

from ..errors import Track2ViewError
from ..notes import report_lines
from ..tracks import PointTracks, load_tracks, save_tracks
from ..video import SIZE_STRIDE, ClipInfo, ClipStream, VideoClip, open_stream, prepare_file, read_clip
from ..video.arithmetic import square_size
from ..wan.models import Models
from .console import progress_bars, say
from .door import RERENDER
from .filming import Filming, check_move, film, load, result_files, target_path, working_size
from .staging import Staging, check_writable
from .tracking import BUILT_IN, check_tracker, find_tracks

ANALYSIS_SIDE = 832  # px, the long side that tracking gains from
VIDEO_ENDINGS = (".mp4", ".mov", ".mkv")
TRACK_ENDINGS = (".npz", ".safetensors")


def run(arguments: argparse.Namespace) -> None:
    check(arguments)
    stream = open_stream(arguments.input, frames=arguments.frames)
    given = load_tracks(arguments.tracks) if arguments.tracks else None
    models = load(arguments)  # after the small files: a mistyped name is told before gigabytes are read
    clip, prepared, info = read(stream, arguments, models)
    tracks = track(clip, models, arguments) if given is None else given
    say(
        "tracks",
        f"{tracks.positions.shape[1]} points over {len(tracks)} frames",
        *report_lines(tracks.notes, RERENDER),
    )
    target = target_path(arguments, tracks)
    with Staging() as staging:
        if arguments.save_tracks:
            save_tracks(tracks, staging.path(arguments.save_tracks))
        film(Filming(clip, tracks, target, prepared, info), models, arguments, arguments.output, staging)
    for file in (*result_files(arguments.output), *filter(None, [arguments.save_tracks])):
        say("wrote", str(file))


def check(arguments: argparse.Namespace) -> None:
    """Everything that can be refused before the first second of work."""
    check_writable("OUT", arguments.output, VIDEO_ENDINGS)
    if arguments.save_tracks:
        check_writable("--save-tracks", arguments.save_tracks, TRACK_ENDINGS)
    for file in result_files(arguments.output):
        if file.exists() and arguments.input.exists() and file.samefile(arguments.input):
            raise Track2ViewError(f"The run would write over its own input {arguments.input}; give OUT another name.")
    check_move(arguments)
    if arguments.tracks is None:
        check_tracker(arguments)


def read(stream: ClipStream, arguments: argparse.Namespace, models: Models) -> tuple[VideoClip, Tensor, ClipInfo]:
    """The clip at the size it is tracked at; its frames as the model takes them, and what preparing them did."""
    width, height = working_size(arguments, models)
    side = max(square_size(stream.width, stream.height, stream.pixel_aspect))
    side = max(SIZE_STRIDE, min(side, ANALYSIS_SIDE))
    with progress_bars() as progress:
        clip = read_clip(arguments.input, frames=arguments.frames, box=(side, side), progress=progress)
        prepared, info = prepare_file(
            arguments.input, width=width, height=height, frames=arguments.frames, progress=progress
        )
    say("clip", str(arguments.input), *report_lines(info.report()))
    return clip, prepared, info


def track(clip: VideoClip, models: Models, arguments: argparse.Namespace) -> PointTracks:
    """The clip's tracks; another program that needs the card gets it to itself meanwhile."""
    aside = nullcontext() if arguments.tracker == BUILT_IN else models.set_aside()
    with aside, progress_bars() as progress:
        return find_tracks(clip, arguments, progress)
